// Unusual request targets and methods.

package attack_test

import (
	"strings"
	"testing"
)

// Request targets that are not a plain path: the absolute form, the asterisk, the authority, and
// what Go's parser calls opaque. None of them opens anything without a token.
func TestUnusualTargetsAreClosed(t *testing.T) {
	t.Parallel()
	r := caddyRig(t)
	for _, line := range []string{
		"GET http://site.test/api", "GET http://public/api", "GET http://site.test", "GET http://site.test?/public/x", "GET https://site.test/api",
		"GET HTTP://SITE.TEST/api", "GET http://site.test//public/x", "GET http://site.test/public/../api", "GET http://site.test/x/../public/x",
		"GET http://site.test/public%2f..%2fapi", "GET http://site.test#/public/x", "GET http://site.test/PUBLIC/x", "GET http://site.test/public",
		"GET http:///api", "GET http://@/api", "GET http://a:b@site.test/api", "GET ftp://site.test/api", "GET file:///public/../etc/passwd", "GET x:/api",
		"GET x:public/x", "GET x:open", "GET http:public/x", "GET http:open", "GET public/x", "GET open", "GET api", "GET x:", "GET x:?/public/x", "GET x:*",
		"GET x:%2fpublic%2fx", "GET x:/../public/x", "GET x://", "GET //site.test/public/x", "GET //public/x", "GET ///public/x",
		"GET *", "GET /*", "POST *", "OPTIONS /*", "OPTIONS /", "OPTIONS /api", "options *", "HEAD *", "GET **", "GET *public/x", "GET ?/public/x", "GET #/public/x",
		"GET .", "GET ..", "GET ./public/x", "GET ../public/x", "GET %2fpublic/x", "GET %2Fopen", "GET \\public\\x", "GET :80/public/x", "GET site.test:80",
		"GET /" + strings.Repeat("a", 100000), "GET /public" + strings.Repeat("/..", 30000), "GET /" + strings.Repeat("/", 100000) + "public/x",
		"GET /public/" + strings.Repeat("%2e", 30000), "GET /" + strings.Repeat("%", 1000), "GET /%ff", "GET /%c3%28", "GET /\xff\xfe/public/x", "GET /\x80",
		"GET /%e0%80%af", "GET /%f8%80%80%80%80", "GET /%ed%a0%80", "GET /api\u2044..\u2044public", "GET /\u00e9",
	} {
		t.Run(strings.ReplaceAll(line[:min(len(line), 50)], "/", "∕"), func(t *testing.T) {
			t.Parallel()
			got := r.exchange(t, "main", raw(line))
			if got.status < 400 || got.status >= 500 {
				t.Errorf("got %d %s, want 4xx", got.status, got.body)
			}
			if len(got.reached) > 0 {
				t.Errorf("reached the upstream as %v", got.reached)
			}
		})
	}
}

// The absolute form of what is public is public, and of what is the sidecar's own is its own: RFC
// 9112 has servers take both forms, and the upstream gets the path.
func TestAbsoluteFormIsReadAsItsPath(t *testing.T) {
	t.Parallel()
	r := caddyRig(t)
	alice := r.login(t, "main")
	for _, tt := range []struct{ line, upstream string }{
		{"GET http://site.test/public/x", "GET /public/x HTTP/1.1"},
		{"GET http://elsewhere.test/public/x?a=1", "GET /public/x?a=1 HTTP/1.1"},
		{"GET https://site.test/open", "GET /open HTTP/1.1"},
		{"GET javascript:/public/x", "GET /public/x HTTP/1.1"},
	} {
		if got := wantForwarded(t, r.exchange(t, "main", raw(tt.line))); got.line != tt.upstream {
			t.Errorf("%s: got %q upstream, want %q", tt.line, got.line, tt.upstream)
		}
	}
	if got := wantForwarded(t, r.exchange(t, "main", raw("GET http://site.test/api", bearer(alice.token)))); got.line != "GET /api HTTP/1.1" {
		t.Errorf("got %q upstream, want GET /api", got.line)
	}
	for _, line := range []string{
		"GET http://site.test/auth/nope", "GET http://site.test/auth", "POST x:/auth/nope", "GET http://site.test//auth/x", "GET http://site.test/x/../auth/x",
	} {
		wantRefused(t, r.exchange(t, "main", raw(line, bearer(alice.token))), 404, "not_found")
	}
	wantRefused(t, r.exchange(t, "main", raw("GET http://site.test/auth/login")), 405, "method_not_allowed")
}

// CVE-2026-71324: a proxied CONNECT poisons connections to the upstream that users share. TRACE
// echoes credentials. Neither is ever forwarded, not even where everything else is.
// Threats: C38.
func TestConnectAndTraceAreRefused(t *testing.T) {
	t.Parallel()
	r := caddyRig(t)
	alice := r.login(t, "main")
	for _, line := range []string{
		"CONNECT site.test:443", "CONNECT site.test", "CONNECT 127.0.0.1:" + r.upstream.addr[len("127.0.0.1:"):], "CONNECT /public/x", "CONNECT /api",
		"CONNECT /open", "CONNECT /get-only", "CONNECT /", "CONNECT /optional/x", "CONNECT http://site.test/public/x", "CONNECT *", "CONNECT [::1]:80",
		"CONNECT :80", "CONNECT /hooks/x", "CONNECT /public/../api", "TRACE /public/x", "TRACE /api", "TRACE /", "TRACE /optional/x", "trace /public/x",
		"Trace /api", "TRACE http://site.test/public/x", "TRACE *",
	} {
		t.Run(strings.ReplaceAll(line, "/", "∕"), func(t *testing.T) {
			t.Parallel()
			for _, fields := range [][]string{
				nil, {bearer(alice.token)}, {"Upgrade: websocket", "Connection: Upgrade"}, {"X-HTTP-Method-Override: GET"}, {"Max-Forwards: 0"},
			} {
				got := r.exchange(t, "main", raw(line, fields...))
				if got.status != 405 && got.status != 400 {
					t.Errorf("%v: got %d %s, want 405 or 400", fields, got.status, got.body)
				}
				if got.status == 405 && (got.text("error") != "method_not_allowed" || got.header.Get("Allow") == "") {
					t.Errorf("%v: got %s with Allow %q, want method_not_allowed with Allow", fields, got.body, got.header.Get("Allow"))
				}
				if len(got.reached) > 0 {
					t.Errorf("%v: reached the upstream as %v", fields, got.reached)
				}
			}
		})
	}
}

// OPTIONS * is answered by Go's server itself, and says nothing.
func TestOptionsAsteriskReachesNobody(t *testing.T) {
	t.Parallel()
	r := caddyRig(t)
	for _, fields := range [][]string{nil, {"X-WX-OPENID: evil"}, {"Max-Forwards: 0"}} {
		got := r.exchange(t, "main", raw("OPTIONS *", fields...))
		if len(got.reached) > 0 || len(got.body) > 0 || got.header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("got %d %s %v, %d requests upstream, want nothing at all", got.status, got.body, got.header, len(got.reached))
		}
	}
}

// Methods are forwarded as they came, and long or odd ones open nothing.
func TestOddMethods(t *testing.T) {
	t.Parallel()
	r := caddyRig(t)
	alice := r.login(t, "main")
	for _, method := range []string{"get", "pOST", "X", "PURGE", "LINK", "SEARCH", "QUERY", "BREW", "connecty", "GET.", "G'ET", "M-SEARCH", "_", "PRI"} {
		wantRefused(t, r.exchange(t, "main", raw(method+" /api")), 401, "token_missing")
		got := wantForwarded(t, r.exchange(t, "main", raw(method+" /api", bearer(alice.token))))
		if got.method() != method {
			t.Errorf("method upstream: got %q, want %q", got.method(), method)
		}
		wantIdentity(t, got, rigIdentity(alice))
	}
	for _, line := range []string{strings.Repeat("A", 33) + " /public/x", strings.Repeat("A", 10000) + " /public/x"} {
		if got := r.exchange(t, "main", raw(line)); got.status != 405 || len(got.reached) > 0 {
			t.Errorf("long method: got %d, %d requests upstream, want 405 and none", got.status, len(got.reached))
		}
	}
	for _, line := range []string{"GE(T /public/x", "G\xe9T /public/x", " GET /public/x", "GET\t/public/x", "GET  /public/x", "GET /public/x x", "G:T /public/x"} {
		got := r.exchange(t, "main", raw(line))
		if got.status != 400 && got.status != 401 || len(got.reached) > 0 {
			t.Errorf("%q: got %d, %d requests upstream, want 400 and none", line, got.status, len(got.reached))
		}
	}
}

// What another directive did to the request before is what the decision is about: the upstream sees
// the path after the rewrite.
func TestDecisionIsOnTheRewrittenPath(t *testing.T) {
	t.Parallel()
	r := caddyRig(t)
	alice := r.login(t, "rewritten")
	for _, tt := range []struct {
		target   string
		upstream string // "" means refused
		vip      bool
	}{
		{"/old/x", "/public/old/x", false},
		{"/mount/public/x", "/public/x", false},
		{"/mount/api", "", false},
		{"/mount/vip/x", "", true},
		{"/mount/VIP/x", "", true},
		{"/mount//vip/x", "", true},
		{"/old/../api", "", false},
		{"/old/..%2fapi", "", false},
		{"/old/%2e%2e/%2e%2e/api", "", false},
		{"/mount/public/../api", "", false},
		{"/mount/public/..%2fapi", "", false},
	} {
		t.Run(strings.ReplaceAll(tt.target, "/", "∕"), func(t *testing.T) {
			t.Parallel()
			got := r.exchange(t, "rewritten", raw("GET "+tt.target))
			if tt.upstream == "" {
				wantRefused(t, got, 401, "token_missing")
			} else if w := wantForwarded(t, got); w.target() != tt.upstream {
				t.Errorf("got %q upstream, want %q", w.target(), tt.upstream)
			}
			if tt.vip {
				wantRefused(t, r.exchange(t, "rewritten", raw("GET "+tt.target, bearer(alice.token))), 403, "phone_required")
			}
		})
	}
}
