// The backend's door to the operations, from outside.

package attack_test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-wechat/wechatauth/wechat/wechattest"
)

const rigServiceSecret = "5ac0e7d2b91f4c6688e3f7a1904bd2c5"

// doors are two sites on one store: "open" has a door, "shut" has none.
type doors struct {
	t    *testing.T
	fake *wechattest.Server
	addr map[string]string
	log  string
}

// startDoors returns nil in the process that only waits for the one with the Caddy.
func startDoors(t *testing.T) *doors {
	t.Helper()
	home := t.TempDir()
	if !inChild(t, "HOME="+home, "XDG_CONFIG_HOME="+home, "XDG_DATA_HOME="+home, "SERVICE_SECRET="+rigServiceSecret) {
		return nil
	}
	fake := wechattest.New(wechattest.App{ID: rigAppA, Secret: rigSecret}, wechattest.App{ID: rigAppB, Secret: rigSecret})
	api := httptest.NewServer(fake)
	t.Cleanup(api.Close)
	ports, err := rigPorts(3)
	if err != nil {
		t.Fatal(err)
	}
	d := &doors{t, fake, map[string]string{}, filepath.Join(t.TempDir(), "log")}
	text := fmt.Sprintf("{\nadmin 127.0.0.1:%d\nauto_https off\ndefault_bind 127.0.0.1\nlog {\noutput file %s\nlevel DEBUG\n}\n}\n", ports[0], d.log)
	for i, site := range []struct{ name, lines string }{
		{"open", "app " + rigAppA + " " + rigSecret + "\ncors " + page + "\ntoken_from cookie t\ntoken_from query t\ntoken_from header X-Token\nservice {\nsecret {env.SERVICE_SECRET}\n}"},
		{"shut", "app " + rigAppB + " " + rigSecret},
	} {
		d.addr[site.name] = fmt.Sprintf("http://127.0.0.1:%d", ports[i+1])
		text += fmt.Sprintf("http://:%d {\nlog\nwechat_auth {\napi %s\nstore memory\n%s\n}\nrespond ok\n}\n", ports[i+1], api.URL, site.lines)
	}
	if err := loadCaddyfile(text); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := caddy.Stop(); err != nil {
			t.Error(err)
		}
	})
	return d
}

func (d *doors) ask(site, method, path, body string, header ...string) answer {
	d.t.Helper()
	r, err := http.NewRequestWithContext(d.t.Context(), method, d.addr[site]+path, strings.NewReader(body))
	if err != nil {
		d.t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	return send(d.t, http.DefaultClient, r)
}

// service asks the door with the secret.
func (d *doors) service(method, path, body string, header ...string) answer {
	d.t.Helper()
	return d.ask("open", method, "/auth/service/"+path, body, append(header, "Authorization", "Bearer "+rigServiceSecret)...)
}

func (d *doors) login(site, app string) rigUser {
	d.t.Helper()
	u := d.fake.NewUser(app)
	a := d.ask(site, "POST", "/auth/login", object("code", d.fake.LoginCode(u)))
	want(d.t, a, 200, "")
	return rigUser{u, a.text("access_token"), a.body}
}

// A user who is logged in tries the own token in every place where this site takes tokens, and then
// the secret in every place but the one: nothing but the secret in Authorization opens the door.
func TestDoorOpensToNoUser(t *testing.T) {
	t.Parallel()
	d := startDoors(t)
	if d == nil {
		return
	}
	want(t, d.service("GET", "users", ""), 200, "")
	alice := d.login("open", rigAppA)
	victim := d.login("open", rigAppA)
	for _, credential := range []string{alice.token, rigServiceSecret} {
		for name, header := range map[string][]string{
			"cookie": {"Cookie", "t=" + credential}, "header": {"X-Token", credential}, "query": nil,
			"Basic": {"Authorization", "Basic " + credential}, "Proxy-Authorization": {"Proxy-Authorization", "Bearer " + credential},
			"twice": {"Authorization", "Bearer " + credential, "Authorization", "Bearer x"}, "list": {"Authorization", "Bearer x, Bearer " + credential},
		} {
			path := "/auth/service/users/-/" + victim.OpenID
			if name == "query" {
				path += "?t=" + credential
			}
			if got := d.ask("open", "DELETE", path, "", header...); got.status != 401 && got.status != 429 {
				t.Errorf("%s: got %d %s, want 401 or 429", name, got.status, got.body)
			}
		}
	}
	if got := d.ask("open", "GET", "/auth/service/users", "", "Authorization", "Bearer "+alice.token); got.status != 401 && got.status != 429 {
		t.Errorf("a user's token: got %d %s, want 401 or 429", got.status, got.body)
	}
	want(t, d.service("GET", "users/-/"+victim.OpenID, ""), 200, "")
}

// A page that was given the secret by mistake, listed in cors or not, gets nothing and is answered
// no preflight.
func TestDoorOpensToNoPage(t *testing.T) {
	t.Parallel()
	d := startDoors(t)
	if d == nil {
		return
	}
	for _, header := range [][]string{
		{"Origin", page},
		{"Origin", "https://evil.example"},
		{"Origin", "null"},
		{"Origin", ""},
		{"Origin", d.addr["open"]},
		{"Sec-Fetch-Site", "same-origin"},
		{"Sec-Fetch-Site", "cross-site"},
	} {
		for _, request := range [][]string{{"GET", "users"}, {"POST", "keys/rotate"}, {"OPTIONS", "users", "Access-Control-Request-Method", "GET"}} {
			got := d.service(request[0], request[1], "", append(request[2:], header...)...)
			want(t, got, 403, "cross_site")
			if allowed := got.header.Get("Access-Control-Allow-Origin"); allowed != "" {
				t.Errorf("%s %v: got Access-Control-Allow-Origin %q, want none", request, header, allowed)
			}
		}
	}
	if got := d.ask("open", "OPTIONS", "/auth/login", "", "Origin", page, "Access-Control-Request-Method", "POST"); got.status != 204 {
		t.Errorf("a preflight of another route: got %d, want 204", got.status)
	}
}

// One who has the secret of one site tries for the users of another on the same store, and for the
// machine.
func TestDoorLeadsToOneSite(t *testing.T) {
	t.Parallel()
	d := startDoors(t)
	if d == nil {
		return
	}
	bob := d.login("shut", rigAppB)
	for _, path := range []string{"users", "users?appid=" + rigAppB, "users?openid=" + bob.OpenID, "status"} {
		got := d.service("GET", path, "")
		want(t, got, 200, "")
		if bytes.Contains(got.body, []byte(bob.OpenID)) || bytes.Contains(got.body, []byte(rigAppB)) {
			t.Errorf("%s: got %s, want nothing of the other site", path, got.body)
		}
	}
	want(t, d.service("PUT", "users/"+rigAppB+"/"+bob.OpenID+"/ban", ""), 404, "not_found")
	want(t, d.service("DELETE", "users/-/"+bob.OpenID, ""), 404, "not_found")
	copied := filepath.Join(t.TempDir(), "copy")
	want(t, d.service("POST", "backup", object("file", copied)), 404, "not_found")
	if _, err := os.Stat(copied); err == nil {
		t.Error("backup: a file was written")
	}
	want(t, d.ask("shut", "GET", "/auth/service/users", "", "Authorization", "Bearer "+rigServiceSecret), 404, "not_found")
	if got := d.ask("shut", "GET", "/", "", "Authorization", "Bearer "+bob.token); got.status != 200 {
		t.Errorf("the user of the other site: got %d, want 200", got.status)
	}
}

// Somebody guesses, until it is enough, and later reads the log for the secret.
func TestDoorLimitsGuessesAndKeepsTheSecret(t *testing.T) {
	t.Parallel()
	d := startDoors(t)
	if d == nil {
		return
	}
	statuses := map[int]int{}
	for i := range 30 {
		guess := fmt.Sprintf("%s%d", rigServiceSecret[:30], 10+i)
		got := d.ask("open", "GET", "/auth/service/users", "", "Authorization", "Bearer "+guess, "X-Forwarded-For", fmt.Sprintf("203.0.113.%d", i))
		statuses[got.status]++
		if bytes.Contains(got.body, []byte(guess)) {
			t.Errorf("got %s, want nothing of what was sent", got.body)
		}
	}
	if statuses[401] < 10 || statuses[401] > 12 || statuses[401]+statuses[429] != 30 {
		t.Errorf("got %v, want 401 ten times and 429 for the rest", statuses)
	}
	want(t, d.service("GET", "users", ""), 200, "")
	log, err := os.ReadFile(d.log)
	if err != nil || len(log) == 0 {
		t.Fatalf("got log %q, %v", log, err)
	}
	if bytes.Contains(log, []byte(rigServiceSecret[:30])) {
		t.Error("the log has the secret")
	}
}
