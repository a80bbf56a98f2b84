// Codes that the fake did not make.

package wechattest_test

import (
	"strings"
	"testing"
	"time"
)

func TestAnyCodeIsTheUsersOwn(t *testing.T) {
	t.Parallel()
	fake, api := start(t)
	tools, alice := fake.NewUser(appID), fake.NewUser(appID)
	fake.AcceptAnyCode(tools, "13900139000")
	expired := fake.LoginCode(alice)
	fake.Advance(5 * time.Minute)
	fake.LoginCode(tools) // drops those that expired
	phone := fake.PhoneCode(alice, "13800138000")

	for _, step := range []struct {
		name, code string
		want       any // the openid, or the errcode
	}{
		{"a code of DevTools", "0c3w7Ykl2QfX5h4bqWnl2Yo0d41w7YkR", tools.OpenID},
		{"the same again", "0c3w7Ykl2QfX5h4bqWnl2Yo0d41w7YkR", 40163.0},
		{"another", "0e3-w7Ykl2_fX5h4bqWnl2Yo0d41w7Ykx", tools.OpenID},
		{"one of the fake", fake.LoginCode(alice), alice.OpenID},
		{"one of the fake that expired", expired, 40029.0},
		{"one of the phone button", phone, 40029.0},
		{"with quotes", `"0c3w7Ykl2QfX5h4bqWnl2Yo0d41w7Yk"`, 40029.0},
		{"far too long", strings.Repeat("0", 129), 40029.0},
	} {
		answer := get(t, loginURL(api, appID, secret, step.code))
		got := answer["openid"]
		if got == nil {
			got = answer["errcode"]
		}
		if got != step.want {
			t.Errorf("%s: got %v, want %v", step.name, got, step.want)
		}
	}
	if keys := fake.SessionKeys(tools); len(keys) != 2 || keys[0] == keys[1] {
		t.Errorf("session keys: got %q, want one for each login", keys)
	}
}

func TestAnyPhoneCodeIsTheUsersOwn(t *testing.T) {
	t.Parallel()
	fake, api := start(t)
	tools, alice := fake.NewUser(appID), fake.NewUser(appID)
	fake.AcceptAnyCode(tools, "13900139000")
	target := phoneURL(t, api, appID, secret)
	ask := func(openid, code string) map[string]any {
		return post(t, target, map[string]any{"code": code, "openid": openid})
	}
	code := strings.Repeat("0123456789abcdef", 4)
	if got := ask(alice.OpenID, code)["errcode"]; got != 40029.0 {
		t.Errorf("for another user: got errcode %v, want 40029", got)
	}
	info, _ := ask(tools.OpenID, code)["phone_info"].(map[string]any)
	if got := info["phoneNumber"]; got != "13900139000" {
		t.Errorf("phone: got %v, want 13900139000", got)
	}
	if got := ask(tools.OpenID, code)["errcode"]; got != 40029.0 {
		t.Errorf("the same again: got errcode %v, want 40029", got)
	}
}
