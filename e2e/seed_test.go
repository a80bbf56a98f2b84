//go:build unix

// The mini program's way through the sandbox, end to end.

package e2e_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/caddy-wechat/wechatauth/internal/testkit"
)

// phoneApp is a mini program in somebody's hand. What the phone and WeChat do for it the sandbox
// does.
type phoneApp struct {
	t       *testing.T
	sandbox client
	server  client
	token   string // of the last login
}

// sandboxed starts a Caddy with the sandbox in place of WeChat, and nothing of this process in it.
func sandboxed(t *testing.T, lines ...string) *phoneApp {
	t.Helper()
	w := &world{t: t}
	port := testkit.FreePort(t)
	w.api = "http://127.0.0.1:" + port
	n := w.newNode(lines...)
	n.more = fmt.Sprintf("http://:%s {\nwechat_sandbox {\napp %s %s\n}\n}\n", port, appID, secret)
	n.start()
	return &phoneApp{t: t, sandbox: newClient(t, w.api), server: n.client}
}

// does has the sandbox do what a user or wx does, and returns the fields that come of it.
func (p *phoneApp) does(kind, phone string) (fields []any) {
	p.t.Helper()
	pairs := []any{"user", "小明", "kind", kind}
	if phone != "" {
		pairs = append(pairs, "phone", phone)
	}
	a := p.sandbox.post("/sandbox/codes", "", pairs...)
	want(p.t, kind, a, 200, "")
	for _, name := range []string{"code", "encryptedData", "iv", "cloudID"} {
		if value := a.text(name); value != "" {
			fields = append(fields, name, value)
		}
	}
	return fields
}

// logIn is wx.login and the request with its code.
func (p *phoneApp) logIn() answer {
	p.t.Helper()
	a := p.server.post("/auth/login", "", p.does("login", "")...)
	want(p.t, "login", a, 200, "")
	p.token = a.access()
	return a
}

// tap sends on what the button gave.
func (p *phoneApp) tap(fields []any) answer {
	return p.server.post("/auth/phone", p.token, fields...)
}

func (p *phoneApp) wantUser(what string, a answer, field, value string) {
	p.t.Helper()
	want(p.t, what, a, 200, "")
	if got := a.text("user", field); got != value {
		p.t.Errorf("%s: got %s %q, want %q", what, field, got, value)
	}
	if a.access() == "" {
		p.t.Errorf("%s: no new token", what)
	}
}

// What a developer reads in 《2022年最新版微信小程序获取头像和手机号信息》 works row by row.
func TestSeedRowByRow(t *testing.T) {
	p := sandboxed(t, "encrypted_data on", "profile {\ncheck on\n}")
	p.logIn()

	t.Run("头像选择: chooseAvatar, then wx.uploadFile of the temporary file", func(t *testing.T) {
		for i, order := range [][]string{{"avatar"}, {"avatar", "nickname"}, {"nickname", "avatar"}} {
			body, contentType := formOf(t, order, plainPNG(t, 300+i, 200), "昵称"+fmt.Sprint(i))
			a := p.server.send("POST", "/auth/profile", body, "Content-Type", contentType, "Authorization", "Bearer "+p.token)
			want(t, "upload", a, 200, "")
			path := a.text("user", "avatar")
			if got := p.server.get(path, ""); got.status != 200 || got.header.Get("Content-Type") != "image/jpeg" { // <image src> sends no token
				t.Errorf("%s: got %d %s", path, got.status, got.header.Get("Content-Type"))
			}
			if len(order) > 1 {
				p.wantUser("nickname with it", a, "nickname", "昵称"+fmt.Sprint(i))
			}
		}
	})
	t.Run("昵称: input type=nickname", func(t *testing.T) {
		p.wantUser("nickname", p.server.post("/auth/profile", p.token, "nickname", "  小明🌙 "), "nickname", "小明🌙")
		if a := p.logIn(); a.text("user", "nickname") != "小明🌙" || a.text("user", "avatar") == "" {
			t.Errorf("the next login: got %s, want nickname and avatar", a)
		}
	})
	t.Run("手机号最新版: the code", func(t *testing.T) {
		tap := p.does("phone", "13800138000")
		first := p.tap(tap)
		p.wantUser("code", first, "phone", "13800138000")
		if again := p.tap(tap); string(again.body) != string(first.body) { // the answer was lost on the way
			t.Errorf("the same tap: got %s", again)
		}
		p.wantUser("a number that is not WeChat's", p.tap(p.does("phone", "+852 91234567")), "phone_number", "+85291234567")
		if a := p.logIn(); a.text("user", "phone_number") != "+85291234567" {
			t.Errorf("the next login: got %s, want the phone", a)
		}
		want(t, "each code counts once", p.tap(tap), 401, "code_invalid") // another session
	})
	t.Run("注: the codes of wx.login and of getPhoneNumber are not the same", func(t *testing.T) {
		want(t, "a login code as phone code", p.tap(p.does("login", "")), 401, "code_invalid")
		want(t, "a phone code as login code", p.server.post("/auth/login", "", p.does("phone", "13800138000")...), 401, "code_invalid")
		p.logIn() // for wx.login has made a new session_key
	})
	t.Run("手机号旧版: encryptedData and iv, after a login", func(t *testing.T) {
		p.wantUser("encryptedData", p.tap(p.does("encryptedData", "13900139000")), "phone", "13900139000")
	})
	t.Run("注意事项: wx.login in the callback", func(t *testing.T) {
		// The data came before wx.login, so they have the key before: served.
		tap := p.does("encryptedData", "13700137000")
		p.logIn()
		p.wantUser("the key before", p.tap(tap), "phone", "13700137000")
		// wx.login whose code never came here: the data have a key that is not known here.
		p.does("login", "")
		want(t, "a key that is not known", p.tap(p.does("encryptedData", "13600136000")), 409, "session_key_stale")
		want(t, "the token is as good as before", p.server.get("/", p.token), 200, "")
		// What the answer says to do.
		p.logIn()
		p.wantUser("after a login", p.tap(p.does("encryptedData", "13600136000")), "phone", "13600136000")
	})
	t.Run("返回参数: cloudID", func(t *testing.T) {
		p.wantUser("cloudID", p.tap(p.does("cloudID", "13500135000")), "phone", "13500135000")
	})
	t.Run("all that a callback may have", func(t *testing.T) {
		fields := append(p.does("phone", "13400134000"), p.does("encryptedData", "13300133000")...)
		p.wantUser("the code counts", p.tap(append(fields, p.does("cloudID", "13200132000")...)), "phone", "13400134000")
	})
	t.Run("what the backend gets", func(t *testing.T) {
		token := p.logIn().access()
		if got := string(p.server.get("/", token).body); !strings.HasSuffix(got, "phone=13400134000") {
			t.Errorf("got %q, want the phone", got)
		}
	})
}
