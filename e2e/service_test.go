//go:build unix

// A backend that works with users by its own door.

package e2e_test

import (
	"strings"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/session/redisstore/redistest"
)

// A backend bans at one of two nodes, and the other refuses the user within a second; it brings
// users along, whose phones the next login has.
func TestBackendUsesTheServiceDoor(t *testing.T) {
	const secret = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
	w := newWorld(t)
	redis := redistest.Start(t)
	a, b := w.pair("store redis " + redis.URL + sealed + "\nservice {\nsecret " + secret + "\n}")
	service := func(n *node, method, path, body string) answer {
		return n.send(method, "/auth/service/"+path, body, "Authorization", "Bearer "+secret)
	}
	alice := w.fake.NewUser(appID)
	login := b.login(alice)
	want(t, "ban", service(a, "PUT", "users/-/"+alice.OpenID+"/ban", `{"reason":"spam"}`), 204, "")
	within(t, time.Second, "the other node refuses the token", func() bool { return b.revoked(login.access()) })
	if got := b.tryLogin(alice); !got.is(403, "denied") || got.text("error_description") != "spam" {
		t.Errorf("login: got %s, want 403 denied and the reason", got)
	}
	want(t, "unban", service(b, "DELETE", "users/-/"+alice.OpenID+"/ban", ""), 204, "")
	want(t, "login after unban", a.tryLogin(alice), 200, "")

	bob := w.fake.NewUser(appID)
	want(t, "import", service(a, "POST", "users", `{"openid":"`+bob.OpenID+`","phone":"13800138000"}`), 200, "")
	if found := service(b, "GET", "users?phone=13800138000", ""); !strings.Contains(found.String(), bob.OpenID) {
		t.Errorf("users by phone: got %s, want bob", found)
	}
	if got := b.login(bob); got.text("user", "phone") != "13800138000" {
		t.Errorf("login: got %s, want the phone that was brought along", got)
	}
	want(t, "wrong secret", a.send("GET", "/auth/service/users", "", "Authorization", "Bearer "+login.access()), 401, "token_invalid")
}
