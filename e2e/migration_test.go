//go:build unix

// Moving in, and WeChat's gateway in front, as docs/migration.md and docs/gateway.md configure them.

package e2e_test

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/caddy-wechat/wechatauth/internal/testkit"
)

// documentedSite is the Caddyfile of a document that has a text, for this world: at a free port,
// with the app of the fake, before a backend.
func (w *world) documentedSite(doc, having, backend string) (config, port string) {
	w.t.Helper()
	var found []string
	for _, m := range regexp.MustCompile("(?s)```caddyfile\n(.*?)```").FindAllStringSubmatch(readText(w.t, "../docs/"+doc), -1) {
		if strings.Contains(m[1], having) {
			found = append(found, m[1])
		}
	}
	if len(found) != 1 {
		w.t.Fatalf("%s: got %d Caddyfiles with %q, want one", doc, len(found), having)
	}
	port = testkit.FreePort(w.t)
	return replaced(w.t, doc, found[0],
		"api.example.com {", "http://:"+port+" {",
		"app {env.WECHAT_APPID} {env.WECHAT_SECRET}", "app "+appID+" "+secret+"\napi "+w.api,
		"localhost:3000", backend), port
}

// echoing is a backend that answers with the headers by which it would know its user.
func echoing(t *testing.T) (address string) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintf(w, "path=%s openid=%s token=%s authorization=%s",
			r.URL.Path, r.Header.Get("X-Wx-Openid"), r.Header.Get("Token"), r.Header.Get("Authorization"))
	}))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

func wantBody(t *testing.T, what string, a answer, body string) {
	t.Helper()
	if a.status != 200 || string(a.body) != body {
		t.Errorf("%s: got %s, want %s", what, a, body)
	}
}

// Clients with tokens of the old kind go on beside new ones, in a header of their own or in
// Authorization, and neither can name a user of the other kind.
func TestOldClientsBesideNewOnes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	backend := echoing(t)
	ownHeader, ownPort := w.documentedSite("migration.md", "optional /*", backend)
	routes, routesPort := w.documentedSite("migration.md", "handle_path /v2/*", backend)
	n := w.newNode()
	n.more = ownHeader + routes
	n.start()
	alice := w.fake.NewUser(appID)

	c := newClient(t, "http://127.0.0.1:"+ownPort)
	token := c.post("/auth/login", "", "code", w.fake.LoginCode(alice)).access()
	wantBody(t, "a new client", c.get("/orders", token), "path=/orders openid="+alice.OpenID+" token= authorization=Bearer "+token)
	wantBody(t, "an old client", c.send("GET", "/orders", "", "Token", "old-1", "X-WX-OPENID", "o-forged"), "path=/orders openid= token=old-1 authorization=")
	want(t, "a bad new token", c.get("/orders", token[:len(token)-8]), 401, "token_invalid")

	c = newClient(t, "http://127.0.0.1:"+routesPort)
	login := c.post("/v2/auth/login", "", "code", w.fake.LoginCode(alice))
	want(t, "login", login, 200, "")
	token = login.access()
	wantBody(t, "a new client", c.get("/v2/orders", token), "path=/orders openid="+alice.OpenID+" token= authorization=Bearer "+token)
	wantBody(t, "an old client", c.send("GET", "/orders", "", "Authorization", "Bearer old-1", "X-WX-OPENID", "o-forged", "X-Wx-Source", "x"),
		"path=/orders openid= token= authorization=Bearer old-1")
	want(t, "an old client on the new route", c.send("GET", "/v2/orders", "", "Authorization", "Bearer old-1"), 401, "token_invalid")
	want(t, "nobody on the new route", c.send("GET", "/v2/orders", "", "X-WX-OPENID", "o-forged"), 401, "token_missing")
}

// What LeanCloud exports comes in by the script and the command, and an imported user has the phone
// in the token of the first login.
func TestUsersMoveIn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.start()
	alice, bob := w.fake.NewUser(appID), w.fake.NewUser(appID)
	export := writeFile(t, n.dir, "_User.jsonl", fmt.Sprintf(`#filetype:JSON-streaming {"type":"Class","class":"_User"}
{"objectId":"6666e6b6b6666666bb66b66a","createdAt":"2025-07-02T07:58:45.609Z","mobilePhoneNumber":"+8613800138000","mobilePhoneVerified":true,"authData":{"lc_weapp":{"openid":"%s","session_key":"2zIDoEEUhkb0B5pUTzsLVg==","expires_in":7200}}}
{"objectId":"6666e6b6b6666666bb66b66b","createdAt":{"__type":"Date","iso":"2025-07-02T07:58:45.609Z"},"mobilePhoneNumber":"13900139000","authData":{"lc_weapp":{"openid":"%s"}}}
{"objectId":"6666e6b6b6666666bb66b66c","createdAt":"2025-07-02T07:58:45.609Z","username":"by-password"}
`, alice.OpenID, bob.OpenID))
	script, err := filepath.Abs("../examples/migration/leancloud.mjs")
	if err != nil {
		t.Fatal(err)
	}
	convert := exec.CommandContext(t.Context(), findProgram(t, "node"), script)
	in, err := os.Open(export)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	var ids strings.Builder
	convert.Stdin, convert.Stderr = in, &ids
	users, err := convert.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, ids.String())
	}
	if strings.Contains(string(users), "2zIDoEEUhkb0B5pUTzsLVg") {
		t.Error("a session_key came along")
	}
	wantIDs := alice.OpenID + ",6666e6b6b6666666bb66b66a\n" + bob.OpenID + ",6666e6b6b6666666bb66b66b\n# 1 without openid\n"
	if ids.String() != wantIDs {
		t.Errorf("ids: got %q, want %q", ids.String(), wantIDs)
	}
	n.wantOperation("2 users imported", "import", writeFile(t, n.dir, "users.jsonl", string(users)))
	if got := n.login(alice).text("user", "phone_number"); got != "+8613800138000" {
		t.Errorf("alice: got phone %q", got)
	}
	if got := n.login(bob).text("user", "phone"); got != "" {
		t.Errorf("bob, who never verified it: got phone %q", got)
	}

	// The line that the guide shows, and what its query for MySQL makes of a user without phone.
	line := regexp.MustCompile("(?m)^{\"openid\".*$").FindString(readText(t, "../docs/migration.md"))
	n.wantOperation("2 users imported", "import", writeFile(t, n.dir, "shown.jsonl", line+"\n"+`{"phone": "", "openid": "oNobodysPhone"}`+"\n"))
}

// from is a client with another address of this machine.
func from(t *testing.T, address, url string) client {
	t.Helper()
	c := newClient(t, url)
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}
	c.http.Transport.(*http.Transport).DialContext = dialer.DialContext
	return c
}

// Behind WeChat's gateway all requests come from a few addresses. With the documented lines the
// limit counts users, and a client that goes past the gateway cannot choose its address.
func TestBehindWeChatsGateway(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	site, port := w.documentedSite("gateway.md", "client_ip_headers", echoing(t))
	global, site, ok := strings.Cut(site, "\n}\n")
	if !ok {
		t.Fatal("gateway.md has no global options")
	}
	global = replaced(t, "gateway.md", strings.TrimPrefix(global, "{\n"), "203.0.113.0/28", "127.0.0.1/32")
	n := w.newNode()
	n.options = global + "\n"
	n.more = replaced(t, "gateway.md", site, "limit login 6000/1m", "limit login 2/1h")
	n.start()
	login := func(c client, address string) answer {
		return c.send("POST", "/auth/login", `{"code":"`+w.fake.LoginCode(w.fake.NewUser(appID))+`"}`,
			"x-wx-client-ip", address, "x-wx-openid", "o-forged", "x-wx-appid", "wxffffffffffffffff", "User-Agent", "Mozilla/4.0")
	}
	gateway := newClient(t, "http://127.0.0.1:"+port)
	for range 2 {
		want(t, "one user", login(gateway, "198.51.100.7"), 200, "")
	}
	want(t, "the same address again", login(gateway, "198.51.100.7"), 429, "rate_limited")
	other := login(gateway, "198.51.100.8")
	want(t, "another user", other, 200, "")
	a := gateway.send("GET", "/orders", "", "Authorization", "Bearer "+other.access(), "x-wx-openid", "o-forged")
	wantBody(t, "the backend", a, "path=/orders openid="+other.text("user", "openid")+" token= authorization=Bearer "+other.access())

	past := from(t, "127.0.0.2", gateway.url)
	for i := range 2 {
		want(t, "past the gateway", login(past, fmt.Sprintf("192.0.2.%d", i)), 200, "")
	}
	want(t, "past the gateway, with a third address", login(past, "192.0.2.3"), 429, "rate_limited")
}
