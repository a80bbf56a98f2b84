// Placeholders of users.

package wechatauth

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-wechat/wechatauth/jwt"
)

// Placeholders tell the last decision, whoever made the one before, and other modules may go on
// from there.
func TestPlaceholdersAreTheLastDecision(t *testing.T) {
	t.Parallel()
	repl := caddy.NewReplacer()
	r := caddyhttp.PrepareRequest(httptest.NewRequest(http.MethodGet, "/", nil), repl, httptest.NewRecorder(), &caddyhttp.Server{})
	want := func(step, want string) {
		t.Helper()
		const all = "{http.auth.user.id} {http.auth.user.openid} {http.auth.user.appid} {http.auth.user.unionid} " +
			"{http.auth.user.phone} {http.auth.user.sid} {http.auth.user.role}"
		if got := repl.ReplaceAll(all, "-"); got != want {
			t.Errorf("%s: got %s, want %s", step, got, want)
		}
	}
	alice := &jwt.Claims{OpenID: "alice", AppID: "wx1", UnionID: "u", Phone: "138", SID: "s"}
	for _, name := range []string{"id", "openid", "appid", "unionid", "phone", "sid", "role"} {
		repl.Set("http.auth.user."+name, "other")
	}
	setPlaceholders(r, alice)
	want("after another module", "alice alice wx1 u 138 s other")
	repl.Set("http.auth.user.id", "staff")
	want("before another module", "staff alice wx1 u 138 s other")
	setPlaceholders(r, &jwt.Claims{OpenID: "bob", AppID: "wx2", SID: "t"})
	want("as somebody else", "bob bob wx2 - - t other")
	setPlaceholders(r, new(jwt.Claims))
	want("as nobody", "- - - - - - other")
}
