// Targets and headers that two readers understand differently.

package attack_test

import (
	"fmt"
	"strings"
	"testing"
)

// An empty target is read as / by the upstream and an opaque one as who knows what, while a matcher
// of paths sees neither: both went round phone_required.
func TestPhoneIsRequiredWhateverTheTarget(t *testing.T) {
	t.Parallel()
	wantPhoneRequired(t, "walled", "http://site.test", "http://site.test?x", "x:", "x:?y", "*", "x:*", "x:a", "x:a/b", "http://site.test#x")
}

// wantPhoneRequired checks that no target reaches the upstream with the token of a user without a
// phone.
func wantPhoneRequired(t *testing.T, site string, targets ...string) {
	t.Helper()
	r := caddyRig(t)
	alice := r.login(t, site)
	for _, target := range targets {
		t.Run(strings.ReplaceAll(target, "/", "∕"), func(t *testing.T) {
			t.Parallel()
			if got := r.exchange(t, site, raw("GET "+target, bearer(alice.token))); len(got.reached) > 0 {
				t.Errorf("got %d, upstream %s", got.status, got.reached[0].line)
			}
		})
	}
}

// The upstream gets the raw path. Express reads /vip/..%2fopen as /vip/:id, others decode it once
// or twice, clean it, cut it at a ; or take \ for a separator: what any of them reads as restricted
// is restricted.
func TestPhoneIsRequiredHoweverThePathIsRead(t *testing.T) {
	t.Parallel()
	wantPhoneRequired(t, "main",
		"x:vip/x", "x:admin", "/vip/..%2fopen", "/vip/../open", "/vip/x%2f..%2f..%2fa", "/vip/%2e%2e/a", "/vip/..", "/admin/.",
		"/vip;a=b/x", "/;/vip/x", "/admin;x", "/x/..;/vip/x", `/vip\x`, "/vip%5cx", "/%2576ip/x", "/vip%252fx", "/admin%00",
		"/admin#x", "/admin%23", "/admin%3f")
}

// An overlong or cut UTF-8 sequence is a dot or a slash to old decoders, and Windows forgets
// spaces.
func TestPathsThatSomeDecoderBendsAreNotPublic(t *testing.T) {
	t.Parallel()
	r := caddyRig(t)
	for _, target := range []string{"/public/%c0%ae%c0%ae/api/me", "/public/%ff", "/public/%c0%af..", "/public/..%20/x", "/public/.%20%20"} {
		if got := r.exchange(t, "main", raw("GET "+target)); len(got.reached) > 0 {
			t.Errorf("%s is open", target)
		}
	}
}

// Upgrade: h2c on a public path makes a tunnel to upstreams that speak it; requests inside, with
// whatever identity, pass no guard. Only WebSockets are upgraded.
func TestNoTunnelButWebSocket(t *testing.T) {
	t.Parallel()
	r := caddyRig(t)
	for _, protocol := range []string{"h2c", "H2C", "foo", "TLS/1.0", "websocket, h2c"} {
		got := r.exchange(t, "main", raw("GET /public/x", "Connection: Upgrade, HTTP2-Settings", "Upgrade: "+protocol, "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA"))
		if len(got.reached) != 1 {
			t.Fatalf("%s: got %d, reached %d times", protocol, got.status, len(got.reached))
		}
		if sent := strings.ToLower(fmt.Sprint(got.reached)); strings.Contains(sent, "upgrade") {
			t.Errorf("%s: the upstream got %s", protocol, sent)
		}
	}
}

// RFC 8470 section 5.1: a proxy's header counts as 1 whatever is wrong with it.
func TestEarlyDataHeaderOfAnyForm(t *testing.T) {
	t.Parallel()
	r := caddyRig(t)
	for _, fields := range [][]string{{"Early-Data: 1"}, {"Early-Data: 0", "Early-Data: 1"}, {"Early-Data: 1", "Early-Data: 1"}, {"Early-Data: true"}, {"Early-Data: 1, 1"}, {"Early-Data:"}} {
		if got := r.exchange(t, "main", raw("POST /auth/login", append(fields, "Content-Length: 2")...)+"{}"); got.status != 425 {
			t.Errorf("%q: got %d, want 425", fields, got.status)
		}
	}
}

// A JWT in JSON serialization is a token, and not one that is taken (RFC 8725bis, format
// confusion).
// Threats: T47, C12.
func TestTokenInJSONSerialization(t *testing.T) {
	t.Parallel()
	r := caddyRig(t)
	parts := strings.Split(r.login(t, "main").token, ".")
	token := `{"protected":"` + parts[0] + `","payload":"` + parts[1] + `","signature":"` + parts[2] + `"}`
	wantInvalid(t, r.exchange(t, "main", raw("GET /api", bearer(token))))
}

// A refused request goes to the site's error service: with authorization strip, the token must not
// go along (CVE-2026-41181).
// Threats: T10.
func TestErrorServiceGetsNoToken(t *testing.T) {
	t.Parallel()
	r := caddyRig(t)
	token := r.login(t, "main").token + "x"
	for _, request := range []string{
		raw("GET /api", bearer(token), "Host: error-service.test"),
		raw("GET /api?access_token="+token, "Host: error-service.test"),
	} {
		if got := r.exchange(t, "errors", request); strings.Contains(fmt.Sprint(got.reached), token) {
			t.Errorf("the error service got the token: %v", got.reached)
		}
	}
}

// Trailers come behind the body, when all headers have been looked at, and some servers merge them
// into those. An announced one lets others through that were not announced.
func TestIdentityInTrailersIsRemoved(t *testing.T) {
	t.Parallel()
	r := caddyRig(t)
	alice := r.login(t, "main")
	for _, tt := range []trailerAttack{
		{"declared", []string{"Trailer: X-WX-OPENID"}, []string{"X-WX-OPENID: evil"}},
		{"declared in lower case", []string{"trailer: x-wx-openid"}, []string{"x-wx-openid: evil"}},
		{"declared twice", []string{"Trailer: X-WX-OPENID", "Trailer: X-WX-PHONE"}, []string{"X-WX-OPENID: evil", "X-WX-PHONE: 1"}},
		{"undeclared", nil, []string{"X-WX-OPENID: evil"}},
		{"undeclared beside a declared one", []string{"Trailer: X-Sum"}, []string{"X-Sum: 1", "X-WX-OPENID: evil"}},
		{"declared beside a harmless one", []string{"Trailer: X-Sum, X-WX-OPENID"}, []string{"X-Sum: 1", "X-WX-OPENID: evil"}},
		{"declared with underscores", []string{"Trailer: X_WX_OPENID"}, []string{"X_WX_OPENID: evil"}},
		{"declared with dots", []string{"Trailer: X.WX.OPENID"}, []string{"X.WX.OPENID: evil"}},
		{"declared as a folded sibling", []string{"Trailer: X-Sum"}, []string{"X_WX_OPENID: evil"}},
		{"configured name", []string{"Trailer: X-User"}, []string{"X-User: evil"}},
		{"declared but not sent", []string{"Trailer: X-WX-OPENID"}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.run(t, r, alice)
		})
	}
}
