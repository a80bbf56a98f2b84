// Refusals that pass through a site's own error routes.

package attack_test

import (
	"strings"
	"testing"
)

// Guard refusals of a site with handle_errors go through its error routes; its neighbour on the
// same listener, whose errors Caddy keeps in the same list, still gets the module's JSON.
func TestErrorRoutes(t *testing.T) {
	t.Parallel()
	r := caddyRig(t)
	alice := r.login(t, "main")
	const challenge, invalid = `Bearer realm="wechat_auth"`, `Bearer realm="wechat_auth", error="invalid_token"`
	for _, tt := range []struct {
		name, line string
		fields     []string
		status     int
		code       string
		challenge  string
	}{
		{"no token", "GET /api", nil, 401, "token_missing", challenge},
		{"bad token", "GET /api", []string{bearer("a.b.c")}, 401, "token_invalid", invalid},
		{"two tokens", "GET /api", []string{bearer("a"), bearer("b")}, 400, "invalid_request", `Bearer realm="wechat_auth", error="invalid_request"`},
		{"phone required", "GET /vip/x", []string{bearer(alice.token)}, 403, "phone_required", `Bearer realm="wechat_auth", error="insufficient_scope"`},
		{"TRACE", "TRACE /public/x", nil, 405, "method_not_allowed", ""},
		{"POST with body", "POST /api", []string{"Content-Length: 0", "X-WX-OPENID: evil"}, 401, "token_missing", challenge},
		{"placeholder in the path", "GET /{http.wechat_auth.error}", nil, 401, "token_missing", challenge},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := r.exchange(t, "errors", raw(tt.line, append(tt.fields, "Host: with-errors.test")...))
			if want := itoa(tt.status) + " " + tt.code; got.status != tt.status || string(got.body) != want || got.header.Get("X-Page") != "errors" {
				t.Errorf("with handle_errors: got %d %q, want %d %q from the error route", got.status, got.body, tt.status, want)
			}
			wantSameHead(t, got, tt.challenge)

			if strings.HasPrefix(tt.line, "GET /vip/") {
				return // the neighbour has no such paths
			}
			got = r.exchange(t, "errors", raw(tt.line, append(tt.fields, "Host: without-errors.test")...))
			wantRefused(t, got, tt.status, tt.code)
			if got.header.Get("X-Page") != "" {
				t.Error("the neighbour's error route answered")
			}
			wantSameHead(t, got, tt.challenge)
		})
	}
}

func wantSameHead(t *testing.T, got reply, challenge string) {
	t.Helper()
	if c := got.header.Get("WWW-Authenticate"); c != challenge {
		t.Errorf("WWW-Authenticate: got %q, want %q", c, challenge)
	}
	if c := got.header.Get("Cache-Control"); c != "no-store" {
		t.Errorf("Cache-Control: got %q, want no-store", c)
	}
	if allow := got.header.Get("Allow"); (got.status == 405) != (allow != "") {
		t.Errorf("Allow: got %q with status %d", allow, got.status)
	}
	if len(got.reached) > 0 {
		t.Errorf("reached the upstream as %v", got.reached)
	}
}

// The sidecar's own routes answer in JSON on every site: mini programs read them.
func TestOwnRoutesIgnoreErrorRoutes(t *testing.T) {
	t.Parallel()
	r := caddyRig(t)
	for _, host := range []string{"with-errors.test", "without-errors.test"} {
		for _, tt := range []struct {
			line, code string
			status     int
		}{
			{"GET /auth/nope", "not_found", 404},
			{"GET /auth/login", "method_not_allowed", 405},
			{"GET /auth/verify", "token_missing", 401},
			{"POST /auth/phone", "token_missing", 401},
			{"POST /auth/login", "invalid_request", 400},
		} {
			got := r.exchange(t, "errors", raw(tt.line, "Host: "+host, "Content-Length: 0"))
			wantRefused(t, got, tt.status, tt.code)
			if got.header.Get("X-Page") != "" {
				t.Errorf("%s %s: the error route answered", host, tt.line)
			}
		}
	}
}

// An error route may proxy to a service of its own: spoofed identity must not get there either.
func TestErrorServiceSeesNoSpoofedIdentity(t *testing.T) {
	t.Parallel()
	r := caddyRig(t)
	for _, fields := range [][]string{
		{"X-WX-OPENID: evil", "x-wx-phone: 1"},
		{"X-WX-OPENID: evil", bearer("a.b.c"), "Connection: close, X-WX-OPENID"},
	} {
		got := r.exchange(t, "errors", raw("GET /api", append(fields, "Host: error-service.test")...))
		if len(got.reached) != 1 {
			t.Fatalf("got %d %s, want the error service's answer", got.status, got.body)
		}
		wantIdentity(t, got.reached[0], map[string][]string{})
	}
}
