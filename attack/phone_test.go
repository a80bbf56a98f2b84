// Ways around phone_required.

package attack_test

import (
	"strings"
	"testing"
)

// vipTargets are spellings of paths below /vip/ and of /admin. The user's token has no phone, so
// whatever of them reaches the upstream has come past phone_required.
var vipTargets = []string{
	"/vip/", "/vip/x", "/vip/x/y", "/vip/x?y", "/vip/?", "/vip/%41", "/vip/%2e%2e%2fvip%2fx", "/admin", "/admin?", "/admin?x=/public/",
	// Case.
	"/VIP/x", "/Vip/x", "/vIP/X", "/ADMIN", "/Admin", "/aDMIN",
	// Escapes of letters.
	"/%76ip/x", "/v%69p/x", "/%56IP/x", "/%76%69%70/x", "/adm%69n", "/%61%64%6d%69%6e", "/%41DMIN",
	// Escapes of slashes.
	"/vip%2fx", "/vip%2Fx", "/vip%2f", "/%2fvip/x", "/%2Fvip%2Fx", "/x%2f..%2fvip%2fx", "/public%2f..%2fvip/x", "/%2fadmin", "/x%2f..%2fadmin",
	// Empty segments.
	"//vip/x", "///vip///x", "/vip//x", "/vip//", "//admin", "/./admin", "/.//vip/x", "//./vip/x",
	// Dot segments.
	"/./vip/x", "/x/../vip/x", "/public/../vip/x", "/public/./../vip/x", "/x/y/../../vip/x", "/../vip/x", "/../../vip/x", "/vip/./x", "/vip/y/../x",
	"/vip/../vip/x", "/public/../admin", "/optional/../admin", "/x/%2e%2e/vip/x", "/x/%2e./admin", "/%2e/vip/x", "/%2e%2e/admin", "/public/%2E%2E/vip/x",
	"/public/..%2fvip/x", "/public/..%2Fadmin", "/public%2f..%2fadmin", "/x/..%2f/admin",
	// Other forms of the target.
	"http://site.test/vip/x", "http://site.test/VIP/x", "http://site.test//vip/x", "http://elsewhere.test/admin", "x:/vip/x", "x:/admin", "x:///admin",
	"http://site.test/x/../admin", "http://site.test/%61dmin",
	// Where it would be public or optional in another reading.
	"/vip/../public/../vip/x", "/public/../VIP/x", "/optional/..%2fvip%2fx",
}

// TestPhoneRequiredInEverySpelling: phone_required matches as widely as Caddy's own matcher does,
// so that what an upstream may read as the path is covered.
// Threats: C28.
func TestPhoneRequiredInEverySpelling(t *testing.T) {
	t.Parallel()
	r := caddyRig(t)
	alice, bob := r.login(t, "main"), r.loginWithPhone(t, "main", "13800138001")
	for _, target := range vipTargets {
		t.Run(strings.ReplaceAll(target, "/", "∕"), func(t *testing.T) {
			t.Parallel()
			for _, method := range []string{"GET", "POST", "get", "X"} {
				got := r.exchange(t, "main", raw(method+" "+target, bearer(alice.token)))
				wantRefused(t, got, 403, "phone_required")
				if c := got.header.Get("WWW-Authenticate"); !strings.HasPrefix(c, "Bearer ") {
					t.Errorf("WWW-Authenticate: got %q, want a Bearer challenge", c)
				}
				wantRefused(t, r.exchange(t, "main", raw(method+" "+target)), 401, "token_missing")
			}
			wantRefused(t, r.exchange(t, "main", raw("GET "+target, bearer(alice.token), "X-WX-PHONE: 13800138000")), 403, "phone_required")
			got := wantForwarded(t, r.exchange(t, "main", raw("GET "+target, bearer(bob.token))))
			if phone := got.get("X-WX-PHONE"); len(phone) != 1 || phone[0] != "13800138001" {
				t.Errorf("X-WX-PHONE: got %q, want the user's", phone)
			}
		})
	}
}

// Per method it covers what servers take for that method.
func TestPhoneRequiredPerMethod(t *testing.T) {
	t.Parallel()
	r := caddyRig(t)
	alice := r.login(t, "main")
	for _, line := range []string{"POST /orders", "post /orders", "Post /orders", "pOsT /ORDERS", "POST //orders", "POST /x/../orders"} {
		wantRefused(t, r.exchange(t, "main", raw(line, bearer(alice.token))), 403, "phone_required")
	}
	for _, line := range []string{"GET /orders", "PUT /orders", "POSTX /orders", "POST /orders/1", "POST /order"} {
		wantForwarded(t, r.exchange(t, "main", raw(line, bearer(alice.token))))
	}
}

// phone_required wins over public and optional, and a whole site can stand behind it.
func TestPhoneRequiredOnAWholeSite(t *testing.T) {
	t.Parallel()
	r := caddyRig(t)
	alice, bob := r.login(t, "walled"), r.loginWithPhone(t, "walled", "13800138002")
	for _, target := range []string{
		"/", "/x", "//", "/../", "/..", "/.", "/%2e%2e", "/%2f", "/?x", "/*", "/vip;x", `/\`, "/%5c", "/%00", "/%25", "/\xff", "http://site.test/",
		"http://site.test/x", "x:/", "x:///x",
	} {
		t.Run(strings.ReplaceAll(target, "/", "∕"), func(t *testing.T) {
			t.Parallel()
			wantRefused(t, r.exchange(t, "walled", raw("GET "+target, bearer(alice.token))), 403, "phone_required")
			wantRefused(t, r.exchange(t, "walled", raw("GET "+target)), 401, "token_missing")
			wantForwarded(t, r.exchange(t, "walled", raw("GET "+target, bearer(bob.token))))
		})
	}
}

// The step-up of forward authentication.
func TestVerifyAsksForThePhone(t *testing.T) {
	t.Parallel()
	r := caddyRig(t)
	alice, bob := r.login(t, "main"), r.loginWithPhone(t, "main", "13800138003")
	for _, tt := range []struct {
		query, token, code string
		status             int
	}{
		{"", "", "token_missing", 401},
		{"", alice.token, "", 204},
		{"", bob.token, "", 204},
		{"?phone=required", "", "token_missing", 401},
		{"?phone=required", alice.token, "phone_required", 403},
		{"?phone=required", bob.token, "", 204},
		{"?phone=required", alice.token + "x", "token_invalid", 401},
	} {
		var fields []string
		if tt.token != "" {
			fields = []string{bearer(tt.token), "X-Forwarded-Uri: /public/x", "X-WX-OPENID: evil", "X-Original-Method: OPTIONS"}
		}
		for _, method := range []string{"GET", "POST", "HEAD", "DELETE", "PROPFIND"} {
			got := r.exchange(t, "main", raw(method+" /auth/verify"+tt.query, fields...))
			if got.status != tt.status || method != "HEAD" && got.text("error") != tt.code {
				t.Errorf("%s verify%s: got %d %s, want %d %q", method, tt.query, got.status, got.body, tt.status, tt.code)
			}
			if len(got.reached) > 0 {
				t.Errorf("%s verify%s reached the upstream", method, tt.query)
			}
			openid := got.header.Get("X-WX-OPENID")
			if want := claimOpenID(t, tt.token); tt.status == 204 && openid != want || tt.status != 204 && openid != "" {
				t.Errorf("%s verify%s: X-WX-OPENID: got %q, want %q", method, tt.query, openid, want)
			}
			if phone := got.header.Get("X-WX-PHONE"); (phone != "") != (tt.status == 204 && tt.token == bob.token) {
				t.Errorf("%s verify%s: X-WX-PHONE: got %q", method, tt.query, phone)
			}
		}
	}
}

func claimOpenID(t *testing.T, token string) string {
	t.Helper()
	if token == "" {
		return ""
	}
	id, _ := claims(t, token)["openid"].(string)
	return id
}
