// Codes of WeChat DevTools.

package sandbox_test

import (
	"fmt"
	"testing"

	"github.com/caddy-wechat/wechatauth/sandbox"
)

// DevTools gets its codes from WeChat, which no fake knows. With accept_any_code they are those of
// one user, and the sandbox's own ones work as before.
func TestCodesOfDevToolsAreOneUsers(t *testing.T) {
	t.Parallel()
	a, b := t.Name()+"A", t.Name()+"B"
	h := provision(t, &sandbox.Handler{
		Apps:          []sandbox.App{{AppID: a, Secret: "sa"}, {AppID: b, Secret: "sb"}},
		AcceptAnyCode: true, OpenPlatform: true,
	})
	first := login(t, h, a, "sa", "0c3w7Ykl2QfX5h4bqWnl2Yo0d41w7YkR")
	second := login(t, h, a, "sa", "0d3w7Ykl2QfX5h4bqWnl2Yo0d41w7YkR")
	inB := login(t, h, b, "sb", "0e3w7Ykl2QfX5h4bqWnl2Yo0d41w7YkR")
	if first["openid"] == nil || first["openid"] != second["openid"] {
		t.Errorf("two codes: got %v and %v, want one user", first, second)
	}
	if inB["unionid"] != first["unionid"] || inB["openid"] == first["openid"] {
		t.Errorf("in another app: got %v, want the person of %v", inB, first)
	}
	if _, user := post(t, h, "/sandbox/users", fmt.Sprintf(`{"name":"devtools","appid":%q}`, a)); user["openid"] != first["openid"] {
		t.Errorf("the user named devtools: got %v, want %v", user, first)
	}
	_, code := post(t, h, "/sandbox/codes", fmt.Sprintf(`{"user":"alice","kind":"login","appid":%q}`, a))
	if alice := login(t, h, a, "sa", code["code"]); alice["openid"] == nil || alice["openid"] == first["openid"] {
		t.Errorf("a code of the sandbox: got %v, want another user than %v", alice, first)
	}
}

func TestCodesOfDevToolsAreRefusedByDefault(t *testing.T) {
	t.Parallel()
	if got := login(t, oneApp(t), t.Name(), "s3cret", "0c3w7Ykl2QfX5h4bqWnl2Yo0d41w7YkR")["errcode"]; got != 40029.0 {
		t.Errorf("got errcode %v, want 40029", got)
	}
}
