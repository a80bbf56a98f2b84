//go:build unix

// The questions of Envoy, to the Caddyfile of examples/envoy.

package e2e_test

import (
	"testing"
)

// Envoy asks with the method, the path and the query of the request that it is about, and takes 200 alone for a
// yes: any other answer goes to the client.
func TestCaddyAnswersEnvoy(t *testing.T) {
	t.Parallel()
	f := &front{world: newWorld(t)}
	f.startCaddy(t, "envoy")
	c := f.caddy
	alice := f.world.fake.NewUser(appID)
	token := c.post("/auth/login", "", "code", f.world.fake.LoginCode(alice)).access()
	ask := func(method, path, token string) answer {
		return c.send(method, "/auth/verify"+path, "", "Authorization", "Bearer "+token)
	}
	for _, method := range []string{"GET", "HEAD", "POST", "DELETE"} {
		a := ask(method, "/hello?x=1", token)
		if a.status != 200 || a.header.Get("X-Wx-Openid") != alice.OpenID || len(a.body) > 0 {
			t.Errorf("%s: got %s for %q, want 200 for %q", method, a, a.header.Get("X-Wx-Openid"), alice.OpenID)
		}
	}
	want(t, "no token", c.get("/auth/verify/hello", ""), 401, "token_missing")
	want(t, "a bad token", ask("POST", "/hello", "spoiled"), 401, "token_invalid")
	for _, path := range []string{"/orders", "/orders/1", "/Orders/1", "/orders;x", "/orders/1?phone=no"} {
		want(t, path+" without a phone", ask("GET", path, token), 403, "phone_required")
	}
	phone := c.post("/auth/phone", token, "code", f.world.fake.PhoneCode(alice, "13800138000"))
	want(t, "phone", phone, 200, "")
	if a := ask("POST", "/orders/1", phone.access()); a.status != 200 || a.header.Get("X-Wx-Phone") != "13800138000" {
		t.Errorf("with a phone: got %s", a)
	}
	want(t, "logout, which says 204 all the same", c.logout(token), 204, "")
	want(t, "after logout", ask("GET", "/hello", token), 401, "session_revoked")
}
