// Pages of other origins: what they may read with cors, and what they must not do with a user's
// cookie.

package attack_test

import (
	"slices"
	"strings"
	"testing"
)

const page = "https://m.example.com" // listed at the site "cors"

// A page whose origin is listed reads every answer and every refusal, whoever wrote it.
func TestListedPagesReadEverything(t *testing.T) {
	t.Parallel()
	r := caddyRig(t)
	alice := r.login(t, "cors")
	for _, tt := range []struct {
		name, line string
		fields     []string
		status     int
		body       string
	}{
		{"own route", "GET /auth/profile", []string{bearer(alice.token)}, 200, alice.OpenID},
		{"own route, refused", "GET /auth/profile", nil, 401, "token_missing"},
		{"own route, unknown", "GET /auth/nope", nil, 404, "not_found"},
		{"own route, wrong method", "GET /auth/login", nil, 405, "method_not_allowed"},
		{"proxied", "GET /api", []string{bearer(alice.token)}, 200, "upstream"},
		{"proxied, public", "GET /public/x", nil, 200, "upstream"},
		{"refused, by handle_errors", "GET /api", nil, 401, "401 token_missing []"},
		{"CONNECT-like target", "GET *", []string{bearer(alice.token)}, 400, "invalid_request"},
		{"upstream away", "GET /away", []string{bearer(alice.token)}, 502, "502  []"},
		{"upstream with CORS of its own", "GET /star", []string{bearer(alice.token)}, 200, "upstream"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := r.exchange(t, "cors", raw(tt.line, append(tt.fields, "Host: cors.test", "Origin: "+page)...))
			if got.status != tt.status || !strings.Contains(string(got.body), tt.body) {
				t.Fatalf("got %d %s, want %d with %q", got.status, got.body, tt.status, tt.body)
			}
			if strings.HasSuffix(tt.body, "[]") && string(got.body) != tt.body {
				t.Errorf("got %q, want %q: what is unknown is empty on an error page", got.body, tt.body)
			}
			for name, want := range map[string]string{
				"Access-Control-Allow-Origin":      page,
				"Access-Control-Allow-Credentials": "true",
				"Access-Control-Expose-Headers":    "Retry-After, WWW-Authenticate, X-Auth-Error",
			} {
				if values := got.header.Values(name); !slices.Equal(values, []string{want}) {
					t.Errorf("%s: got %q, want %q alone", name, values, want)
				}
			}
			if !slices.Contains(got.header.Values("Vary"), "Origin") {
				t.Errorf("Vary: got %q, want Origin among them", got.header.Values("Vary"))
			}
			// A page of no listed origin gets the same, and cannot read it.
			for _, origin := range []string{"https://evil.example", page + ".evil.example", page + ":8443", "http://m.example.com", "null", page + "\r\nOrigin: " + page} {
				got := r.exchange(t, "cors", raw(tt.line, append(tt.fields, "Host: cors.test", "Origin: "+origin)...))
				if got.status != tt.status {
					t.Errorf("Origin %q: got %d, want %d", origin, got.status, tt.status)
				}
				if values := got.header.Values("Access-Control-Allow-Origin"); len(values) > 0 {
					t.Errorf("Origin %q: got Access-Control-Allow-Origin %q, want none", origin, values)
				}
				if !slices.Contains(got.header.Values("Vary"), "Origin") {
					t.Errorf("Origin %q: got Vary %q, want Origin, or a cache gives this answer to the listed page", origin, got.header.Values("Vary"))
				}
			}
		})
	}
}

// Two values are as good as none to a browser, which does not say where the second comes from: the
// log does.
func TestUpstreamWithCORSOfItsOwnIsLogged(t *testing.T) {
	t.Parallel()
	r := caddyRig(t)
	alice := r.login(t, "cors")
	for range 2 {
		r.exchange(t, "cors", raw("GET /twice", "Host: cors.test", "Origin: "+page, bearer(alice.token)))
	}
	found := 0
	for _, line := range r.logLines(t) {
		if message, _ := line["msg"].(string); strings.Contains(message, "header_down -Access-Control-Allow-*") {
			found++
		}
	}
	if found != 1 {
		t.Errorf("got %d log lines that say what to write, want 1", found)
	}
}

// A preflight of a listed page is answered on every path and opens none; every other OPTIONS
// is guarded as ever.
// Threats: T28.
func TestPreflight(t *testing.T) {
	t.Parallel()
	r := caddyRig(t)
	const asks = "Access-Control-Request-Method: POST"
	for _, path := range []string{"/api", "/auth/login", "/auth/nope", "/public/x", "/public/..%2fadmin", "/auth/verify"} {
		got := r.exchange(t, "cors", raw("OPTIONS "+path, "Host: cors.test", "Origin: "+page, asks, "Access-Control-Request-Headers: x-trace,X-Access-Token, x-wx-openid, bad name"))
		if got.status != 204 || len(got.body) > 0 || len(got.reached) > 0 {
			t.Errorf("%s: got %d %s, want 204 and nothing upstream", path, got.status, got.body)
		}
		for name, want := range map[string]string{
			"Access-Control-Allow-Origin":      page,
			"Access-Control-Allow-Credentials": "true",
			"Access-Control-Allow-Methods":     "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT",
			"Access-Control-Allow-Headers":     "authorization, content-type, x-trace, X-Access-Token",
			"Access-Control-Max-Age":           "7200",
		} {
			if got := got.header.Get(name); got != want {
				t.Errorf("%s: %s: got %q, want %q", path, name, got, want)
			}
		}
	}
	got := r.exchange(t, "cors", raw("OPTIONS /dav", "Host: cors.test", "Origin: "+page, "Access-Control-Request-Method: PROPFIND"))
	if methods := got.header.Get("Access-Control-Allow-Methods"); !strings.HasSuffix(methods, ", PUT, PROPFIND") {
		t.Errorf("WebDAV: got %q, want PROPFIND among them", methods)
	}
	for name, fields := range map[string][]string{
		"not listed":           {"Origin: https://evil.example", asks},
		"no origin":            {asks},
		"no method asked for":  {"Origin: " + page},
		"two origins":          {"Origin: " + page, "Origin: https://evil.example", asks},
		"origin in upper case": {"Origin: https://M.example.com", asks},
	} {
		for path, want := range map[string]int{"/api": 401, "/auth/login": 405} {
			got := r.exchange(t, "cors", raw("OPTIONS "+path, append(fields, "Host: cors.test")...))
			if got.status != want || got.header.Get("Access-Control-Allow-Methods") != "" || len(got.reached) > 0 {
				t.Errorf("%s: %s: got %d %v, want %d and no permission", name, path, got.status, got.header, want)
			}
		}
	}
	got = r.exchange(t, "main", raw("OPTIONS /api", "Origin: "+page, asks))
	wantRefused(t, got, 401, "token_missing")
	if len(got.header.Values("Vary")) > 0 || got.header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("without cors: got %v, want no header of it", got.header)
	}
}

// The page an attacker lures the user to has a form that changes the nickname, logs out everywhere,
// or posts to the backend: the browser sends the cookie along. Seen with enctype=text/plain, which
// is JSON to a server that ignores the content type.
// Threats: C40, F07.
func TestForeignPageActsWithTheCookie(t *testing.T) {
	t.Parallel()
	r := caddyRig(t)
	alice := r.login(t, "cookie")
	cookie := "Cookie: wxtoken=" + alice.token
	form := []string{cookie, "Content-Type: text/plain", "Content-Length: 18"}
	const body = `{"nickname":"pwn"}`
	foreign := map[string][]string{
		"another site":          {"Origin: https://evil.example", "Sec-Fetch-Site: cross-site"},
		"older browser":         {"Origin: https://evil.example"},
		"Origin taken away":     {"Sec-Fetch-Site: cross-site"},
		"a sibling host":        {"Origin: http://other.test", "Sec-Fetch-Site: same-site"},
		"a sibling, no Origin":  {"Sec-Fetch-Site: same-site"},
		"no-referrer":           {"Origin: null"},
		"another port":          {"Origin: http://site.test:81"},
		"longer name":           {"Origin: http://site.test.evil.example"},
		"own name in the path":  {"Origin: http://evil.example/site.test"},
		"two Origins":           {"Origin: http://site.test", "Origin: https://evil.example"},
		"empty Origin":          {"Origin:"},
		"another scheme":        {"Origin: ftp://site.test"},
		"unknown relation":      {"Sec-Fetch-Site: sideways"},
		"own Origin, same-site": {"Origin: http://site.test", "Sec-Fetch-Site: same-site"},
		"claims a proxy":        {"Origin: https://evil.example", "X-Forwarded-Host: evil.example", "X-Forwarded-Proto: https"},
	}
	for name, fields := range foreign {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, line := range []string{
				"POST /api", "PUT /api", "DELETE /api", "PATCH /api", "PROPFIND /api", "get /api",
				"POST /auth/profile", "DELETE /auth/profile", "POST /auth/phone", "POST /auth/logout", "POST /auth/verify",
			} {
				wantRefused(t, r.exchange(t, "cookie", raw(line, slices.Concat(form, fields)...)+body), 403, "cross_site")
			}
			// Cross-site WebSocket hijacking: the handshake is a GET, and what follows has no CORS.
			upgrade := append([]string{cookie, "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="}, fields...)
			wantRefused(t, r.exchange(t, "cookie", raw("GET /api", upgrade...)), 403, "cross_site")
			// What changes nothing passes: a link to the site from elsewhere works.
			wantForwarded(t, r.exchange(t, "cookie", raw("GET /api", append(fields, cookie)...)))
			wantForwarded(t, r.exchange(t, "cookie", raw("OPTIONS /api", append(fields, cookie)...)))
			// So does what the page must have got the token for.
			line := raw("POST /api", append(fields, bearer(alice.token), "Content-Length: 0")...)
			if !strings.Contains(name, "proxy") {
				wantForwarded(t, r.exchange(t, "cookie", line))
			}
		})
	}
	for name, fields := range map[string][]string{
		"own page":                    {"Origin: http://site.test", "Sec-Fetch-Site: same-origin"},
		"own page, older browser":     {"Origin: http://site.test"},
		"TLS ended in front":          {"Origin: https://site.test"},
		"the user's own doing":        {"Sec-Fetch-Site: none"},
		"no browser":                  nil,
		"default port written out":    {"Origin: http://site.test", "Host: site.test:80"},
		"another case":                {"Origin: http://site.test", "Host: SITE.test"},
		"a port":                      {"Origin: http://site.test:8080", "Host: site.test:8080"},
		"TLS in front, port 443 told": {"Origin: https://site.test", "Host: site.test:443"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantForwarded(t, r.exchange(t, "cookie", raw("POST /api", slices.Concat(form, fields)...)+body))
			wantForwarded(t, r.exchange(t, "cookie", raw("GET /api", append(fields, cookie, "Connection: Upgrade", "Upgrade: websocket")...)))
		})
	}
}

// A server that asks before it forwards sends GET, whatever the page sent: the Origin tells.
func TestForeignPageActsThroughVerify(t *testing.T) {
	t.Parallel()
	r := caddyRig(t)
	cookie := "Cookie: wxtoken=" + r.login(t, "cookie").token
	wantRefused(t, r.exchange(t, "cookie", raw("GET /auth/verify", cookie, "Origin: https://evil.example")), 403, "cross_site")
	wantRefused(t, r.exchange(t, "cookie", raw("GET /auth/verify", cookie, "Origin: null")), 403, "cross_site")
	for _, fields := range [][]string{nil, {"Origin: http://site.test"}, {"Sec-Fetch-Site: cross-site"}} { // the last: a link
		got := r.exchange(t, "cookie", raw("GET /auth/verify", append(fields, cookie)...))
		if got.status != 204 {
			t.Errorf("%q: got %d %s, want 204", fields, got.status, got.body)
		}
	}
}

// Behind a declared proxy the origin is the one that the browser sees.
func TestOwnOriginBehindAProxy(t *testing.T) {
	t.Parallel()
	r := caddyRig(t)
	cookie := "Cookie: wxtoken=" + r.login(t, "behind-proxy").token
	for _, tt := range []struct {
		name   string
		fields []string
		ok     bool
	}{
		{"public name", []string{"Origin: https://app.example.com", "X-Forwarded-Host: app.example.com", "X-Forwarded-Proto: https"}, true},
		{"two proxies", []string{"Origin: https://app.example.com", "X-Forwarded-Host: app.example.com, inner", "X-Forwarded-Proto: https, http"}, true},
		{"another name", []string{"Origin: https://evil.example", "X-Forwarded-Host: app.example.com", "X-Forwarded-Proto: https"}, false},
		{"http page of an https site", []string{"Origin: http://app.example.com", "X-Forwarded-Host: app.example.com", "X-Forwarded-Proto: https"}, false},
		{"http page, Host kept", []string{"Origin: http://site.test", "X-Forwarded-Proto: https"}, false},
		{"Host kept", []string{"Origin: https://site.test", "X-Forwarded-Proto: https"}, true},
	} {
		got := r.exchange(t, "behind-proxy", raw("POST /api", append(tt.fields, cookie, "Content-Length: 0")...))
		if tt.ok {
			wantForwarded(t, got)
		} else {
			wantRefused(t, got, 403, "cross_site")
		}
	}
}

// A listed page may act with the cookie: that is what it is listed for.
func TestListedPageActsWithTheCookie(t *testing.T) {
	t.Parallel()
	r := caddyRig(t)
	cookie := "Cookie: wxtoken=" + r.login(t, "cors").token
	for origin, want := range map[string]int{page: 200, "http://localhost:5173": 200, "http://localhost:5174": 403} {
		got := r.exchange(t, "cors", raw("POST /api", cookie, "Host: cors.test", "Content-Length: 0", "Origin: "+origin, "Sec-Fetch-Site: cross-site"))
		if got.status != want {
			t.Errorf("%s: got %d %s, want %d", origin, got.status, got.body, want)
		}
	}
}
