//go:build unix

// Attacks on a site behind nginx, and what it does while Caddy is away.

package e2e_test

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// X_WX_OPENID, X~WX~OPENID and their kin are X-WX-OPENID to CGI, WSGI and PHP. nginx replaces what it knows by
// name; the rest must not get as far.
func TestNoSpellingIsAnIdentityBehindNginx(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	alice := f.world.fake.NewUser(appID)
	login := f.post("/auth/login", "", "code", f.world.fake.LoginCode(alice))
	want(t, "login", login, 200, "")
	names := []string{
		"X-WX-OPENID", "X-WX-PHONE", "X-WX-UNIONID", "X-WX-SOURCE", "X-WX-APPID", "X-WX-FROM-OPENID", "X-WX-FROM-APPID", "X-WX-FROM-UNIONID",
		"X-WX-ENV", "X-WX-CLOUDBASE-ACCESS-TOKEN", "X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override",
	}
	for _, name := range names {
		odd := oddSpellings(name)
		for _, path := range []string{"/health", "/products/1"} {
			wantIdentity(t, path+" with "+name, f.gotWith(t, path, "", odd), nil)
			wantIdentity(t, path+" with a token and "+name, f.gotWith(t, path, login.access(), odd), nil)
		}
		wantIdentity(t, "guarded, with "+name, f.gotWith(t, "/hello", login.access(), odd), identity(alice, ""))
	}
}

func (f *front) gotWith(t *testing.T, path, token string, names []string) (g got) {
	t.Helper()
	if err := json.Unmarshal([]byte(f.getWith(t, path, token, names)), &g); err != nil {
		t.Fatal(err)
	}
	return g
}

// The same for PHP and its kin, which get environment variables.
func TestNoSpellingIsAnIdentityToFastCGIBehindNginx(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	include, err := filepath.Abs("../examples/nginx/fastcgi_wechat")
	if err != nil {
		t.Fatal(err)
	}
	text := adapted(t, include, map[string]string{"include fastcgi_params;": "include /etc/nginx/fastcgi_params;"})
	include = writeFile(t, t.TempDir(), "fastcgi_wechat", text)
	php := &front{world: f.world, caddy: f.caddy, wire: f.wire}
	php.startNginx(t, fastCGI(t),
		"proxy_pass http://$wx_backend;", "include "+include+";\nfastcgi_pass $wx_backend;",
		"proxy_pass http://backend;", "include "+include+";\nfastcgi_pass backend;")
	alice := f.world.fake.NewUser(appID)
	token := php.post("/auth/login", "", "code", f.world.fake.LoginCode(alice)).access()
	for _, name := range []string{"X-WX-OPENID", "X-WX-PHONE", "X-WX-UNIONID", "X-WX-SOURCE", "X-WX-APPID", "X-WX-FROM-OPENID", "X-WX-ENV"} {
		odd := oddSpellings(name)
		wantVariables(t, php.getWith(t, "/health", token, odd), nil)
		got := identityVariables(php.getWith(t, "/hello", token, odd))
		want := map[string]string{
			"HTTP_X_WX_OPENID": alice.OpenID, "HTTP_X_WX_APPID": appID, "HTTP_X_WX_UNIONID": alice.UnionID, "HTTP_X_WX_SOURCE": "wx_client",
		}
		if !maps.Equal(got, want) {
			t.Errorf("%s: got %v, want %v", name, got, want)
		}
	}
	want(t, "without a token", php.get("/hello", ""), 401, "token_missing")
}

// Requests as no library writes them: names before the Host, repeated, with blanks, on folded lines, and named by
// Connection so that a proxy takes the right one away.
func TestNoRawRequestIsAnIdentityBehindNginx(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	alice := f.world.fake.NewUser(appID)
	token := f.post("/auth/login", "", "code", f.world.fake.LoginCode(alice)).access()
	for name, lines := range map[string]string{
		"underscores before the Host": "X_WX_OPENID: victim\r\nHost: api.example.com\r\n",
		"twice":                       "Host: api.example.com\r\nX-WX-OPENID: victim\r\nx-wx-openid: victim\r\n",
		"a blank before the colon":    "Host: api.example.com\r\nX-WX-OPENID : victim\r\n",
		"a tab before the colon":      "Host: api.example.com\r\nX-WX-OPENID\t: victim\r\n",
		"a folded line":               "Host: api.example.com\r\nX-Other: a\r\n X-WX-OPENID: victim\r\n",
		"a bare line feed":            "Host: api.example.com\r\nX-Other: a\nX-WX-OPENID: victim\r\n",
		"named by Connection":         "Host: api.example.com\r\nConnection: close, X-WX-OPENID\r\nX-WX-OPENID: victim\r\n",
		"in the name of the question": "Host: api.example.com\r\nX-Auth-Error: \r\nX-Original-URI: /health\r\nX-Forwarded-Uri: /health\r\nX-WX-OPENID: victim\r\n",
	} {
		for _, request := range []struct {
			path, token string
			want        map[string]string
		}{{"/health", "", nil}, {"/hello", token, identity(alice, "")}, {"/hello", "", nil}} {
			status, g := f.raw(t, "GET "+request.path+" HTTP/1.1\r\n"+lines+authorization(request.token)+"\r\n")
			refused := status == 400 || status == 401 && request.token == "" && request.path != "/health"
			if !refused && (status != 200 || !maps.Equal(g.Identity, request.want)) {
				t.Errorf("%s, %s: got %d and the backend %v, want 400 or %v", name, request.path, status, g.Identity, request.want)
			}
		}
	}
}

func authorization(token string) string {
	if token == "" {
		return ""
	}
	return "Authorization: Bearer " + token + "\r\n"
}

func (f *front) raw(t *testing.T, request string) (status int, g got) {
	t.Helper()
	conn, err := tls.Dial("tcp", strings.TrimPrefix(f.url, "https://"), f.http.Transport.(*http.Transport).TLSClientConfig)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err := conn.Write([]byte(request)); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("%q: %v", request, err)
	}
	defer res.Body.Close()
	_ = json.NewDecoder(res.Body).Decode(&g)
	return res.StatusCode, g
}

// What nginx takes for public and a backend for another path: decoded twice, without parameters, with dots.
func TestOddPathsOpenNothingBehindNginx(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	alice := f.world.fake.NewUser(appID)
	token := f.post("/auth/login", "", "code", f.world.fake.LoginCode(alice)).access()
	for _, path := range []string{
		"/products/../hello", "/products/%2e%2e/hello", "/products/..%2fhello", "/products/..%2Fhello", "/products/%252e%252e/hello",
		"/products/..;/hello", "/products/x;y", "/products/..%5chello", `/products/..\hello`, "/products//hello", "/products/.", "/products/..",
		"/products/a%00", "/hello#/products/", "/health/../hello", "//health", "/products/..?x", "/orders%2f1", "/orders;x/1", "//orders/1", "/./orders/1",
		"/auth/../hello", "/auth/..%2fhello",
	} {
		for _, authorization := range []string{"", authorization(token)} {
			if status, g := f.raw(t, "GET "+path+" HTTP/1.1\r\nHost: api.example.com\r\n"+authorization+"\r\n"); status != 400 {
				t.Errorf("%s: got %d, and the backend %s, want 400", path, status, g.Path)
			}
		}
	}
	for _, path := range []string{"/hello?next=/a//b/../c;d%2f", "/caf%C3%A9/a%20b", "/a.b/..c/d..", "/_wechat/verify", "/_wechat/x", "/healthz", "/product"} {
		if a := f.get(path, ""); a.status != 401 && a.status != 404 {
			t.Errorf("%s without a token: got %s, want 401 or, where it is nginx's own, 404", path, a)
		}
	}
	for _, path := range []string{"/hello?next=/a//b/../c;d%2f", "/caf%C3%A9/a%20b", "/a.b/..c/d.."} {
		if g := f.get(path, token).got(t, path); g.Path != path {
			t.Errorf("the backend got %s, want %s", g.Path, path)
		}
	}
}

// A refusal is the one that Caddy gives.
func TestNginxRefusesAsCaddyDoes(t *testing.T) {
	t.Parallel()
	f := newFront(t, "token {\nttl 2s\n}", "token_from cookie token")
	fake := f.world.fake
	login := func() answer {
		t.Helper()
		a := f.post("/auth/login", "", "code", fake.LoginCode(fake.NewUser(appID)))
		want(t, "login", a, 200, "")
		return a
	}
	expired := login().access()
	eventually(t, "a token expires", func() bool { return f.caddy.get("/auth/verify", expired).is(401, "token_expired") })
	revoked := func() string { // for its two seconds
		token := login().access()
		want(t, "logout", f.logout(token), 204, "")
		return "Bearer " + token
	}
	fresh := func() string { return "Bearer " + login().access() }
	always := func(value string) func() string { return func() string { return value } }
	for _, c := range []struct {
		code          string
		status        int
		path, verify  string
		authorization func() string
		headers       []string
	}{
		{"token_missing", 401, "/hello", "", nil, nil},
		{"token_missing", 401, "/orders/1", "?phone=required", nil, nil},
		{"token_invalid", 401, "/hello", "", always("Bearer spoiled"), nil},
		{"token_expired", 401, "/hello", "", always("Bearer " + expired), nil},
		{"session_revoked", 401, "/hello", "", revoked, nil},
		{"phone_required", 403, "/orders/1", "?phone=required", fresh, nil},
		{"invalid_request", 400, "/hello", "", always("Bearer a, Bearer b"), nil},
		{"cross_site", 403, "/hello", "", nil, []string{"Cookie", "token=x", "Origin", "https://evil.example.com"}},
	} {
		headers := c.headers
		if c.authorization != nil {
			headers = append(headers, "Authorization", c.authorization())
		}
		theirs := f.caddy.send("GET", "/auth/verify"+c.verify, "", headers...)
		for _, method := range []string{"GET", "POST", "DELETE"} {
			ours := f.send(method, c.path, "", headers...)
			if !ours.is(c.status, c.code) || string(ours.body) != string(theirs.body) {
				t.Errorf("%s %s: got %s, want %s", method, c.code, ours, theirs)
			}
			for _, name := range []string{"X-Auth-Error", "WWW-Authenticate", "Retry-After", "Cache-Control"} {
				if got, want := fmt.Sprint(ours.header[http.CanonicalHeaderKey(name)]), fmt.Sprint(theirs.header[http.CanonicalHeaderKey(name)]); got != want {
					t.Errorf("%s %s: got %s %s, want %s", method, c.code, name, got, want)
				}
			}
			if got := ours.header.Get("Content-Type"); got != "application/json" {
				t.Errorf("%s %s: got content type %q", method, c.code, got)
			}
		}
	}
}

// GHSA-68wm-pfjf-wqp6 of Authelia: the server that is asked answers 200 where it means nothing by it, and nginx
// lets everybody in. So does no Caddy, or one that does not answer.
func TestNginxLetsNobodyInWithoutCaddy(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	alice := f.world.fake.NewUser(appID)
	token := f.post("/auth/login", "", "code", f.world.fake.LoginCode(alice)).access()
	f.get("/hello", token).got(t, "with Caddy")
	refused := func(what string) {
		t.Helper()
		for _, path := range []string{"/hello", "/orders/1", "/ws/chat", "/auth/verify", "/auth/profile"} {
			a := f.send("GET", path, "", "Authorization", "Bearer "+token, "X-WX-OPENID", "victim")
			if a.status != 503 || a.header.Get("Retry-After") == "" || a.header.Get("X-Wx-Openid") != "" {
				t.Errorf("%s, %s: got %s with Retry-After %q, want 503", what, path, a, a.header.Get("Retry-After"))
			}
		}
		wantIdentity(t, "what is public, "+what, f.get("/health", token).got(t, "/health, "+what), nil)
	}
	f.wire.cut()
	refused("Caddy is away")
	f.wire.join()
	f.get("/hello", token).got(t, "Caddy is back")

	for _, status := range []int{200, 204, 302, 500} {
		other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
		defer other.Close()
		g := &front{world: f.world, wire: newProxy(t, strings.TrimPrefix(other.URL, "http://"))}
		g.startNginx(t, strings.TrimPrefix(echoBackend(t), "http://"))
		for _, path := range []string{"/hello", "/orders/1", "/ws/chat"} {
			if a := g.send("GET", path, "", "X-WX-OPENID", "victim"); a.status != 503 && a.status != 500 {
				t.Errorf("somebody else answers %d, %s: got %s, want 503", status, path, a)
			}
		}
	}

	f.wire.mute()
	defer f.wire.join()
	start := time.Now()
	want(t, "Caddy is silent", f.get("/hello", token), 503, "auth_unavailable")
	if waited := time.Since(start); waited > patience/2 {
		t.Errorf("a silent Caddy takes %s", waited)
	}
}
