// The client against the fake.

package wechat_test

import (
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/wechat"
	"github.com/caddy-wechat/wechatauth/wechat/wechattest"
)

// The fake is written from WeChat's documentation by another hand, so it does not share the
// client's mistakes.
func TestTheClientKeepsWeChatsRules(t *testing.T) {
	t.Parallel()
	fake := wechattest.New(wechattest.App{ID: testAppID, Secret: testSecret, OpenPlatform: true})
	client := overNetwork(t, fake.Start(t))
	alice, mallory := fake.NewUser(testAppID), fake.NewUser(testAppID)

	code := fake.LoginCode(alice)
	session, err := client.Code2Session(t.Context(), code)
	if err != nil || session.OpenID != alice.OpenID || session.UnionID != alice.UnionID || session.SessionKey == "" {
		t.Errorf("login: got error %v, want alice's session", err)
	}
	_, err = client.Code2Session(t.Context(), code)
	if got := wechat.ClassOf(err); got != wechat.ClassCodeUsed {
		t.Errorf("login again: got %v, want code_used", got)
	}

	for number, want := range map[string]string{"13800138000": "+8613800138000", "+852 91234567": "+85291234567"} {
		phone, err := client.PhoneNumber(t.Context(), fake.PhoneCode(alice, number), alice.OpenID)
		if err != nil || phone.E164() != want {
			t.Errorf("phone %s: got %q, error %v, want %s", number, phone.E164(), err, want)
		}
	}
	_, err = client.PhoneNumber(t.Context(), fake.PhoneCode(alice, "13800138000"), mallory.OpenID)
	if got := wechat.ClassOf(err); got != wechat.ClassCode {
		t.Errorf("somebody else's phone code: got %v (%v), want code", got, err)
	}

	fake.ExpireTokens()
	if _, err := client.PhoneNumber(t.Context(), fake.PhoneCode(alice, "13800138000"), alice.OpenID); err != nil {
		t.Errorf("phone after the token expired: got %v, want success", err)
	}
	late := fake.LoginCode(alice)
	fake.Advance(6 * time.Minute)
	_, err = client.Code2Session(t.Context(), late)
	if got := wechat.ClassOf(err); got != wechat.ClassCode {
		t.Errorf("a late code: got %v, want code", got)
	}
	fake.SetApp(wechattest.App{ID: testAppID, Secret: testSecret, AllowIPs: []string{"192.0.2.1"}})
	_, err = client.Code2Session(t.Context(), fake.LoginCode(alice))
	if e := asError(t, err); e.Code != 40164 || e.IP != "127.0.0.1" {
		t.Errorf("not on the whitelist: got %d, IP %q, want 40164, 127.0.0.1", e.Code, e.IP)
	}
	if v := fake.Violations(); len(v) != 0 {
		t.Errorf("violations: got %q, want none", v)
	}
}

func TestTheClientKeepsWeChatsOtherRules(t *testing.T) {
	t.Parallel()
	fake := wechattest.New(wechattest.App{ID: testAppID, Secret: testSecret})
	client := newClient(t, nil, func(cfg *wechat.Config) { cfg.BaseURLs = []string{fake.Start(t)} })
	alice, mallory := fake.NewUser(testAppID), fake.NewUser(testAppID)
	ctx := t.Context()

	err := client.CheckNickname(ctx, alice.OpenID, "小明")
	if got := wechat.ClassOf(err); got != wechat.ClassInactive {
		t.Errorf("nickname of a user who was never here: got %v, want inactive", got)
	}
	session, err := client.Code2Session(ctx, fake.LoginCode(alice))
	if err != nil {
		t.Fatal(err)
	}
	fake.Judge("bad", "risky")
	for nickname, want := range map[string]wechat.Class{"小明 <&>": 0, "a bad name": wechat.ClassContent} {
		if got := wechat.ClassOf(client.CheckNickname(ctx, alice.OpenID, nickname)); got != want {
			t.Errorf("nickname %s: got %v, want %v", nickname, got, want)
		}
	}

	for number, want := range map[string]string{"13800138000": "+8613800138000", "+852 91234567": "+85291234567"} {
		data, iv := fake.EncryptedPhone(alice, number)
		phone, err := wechat.DecryptPhone(session.SessionKey, data, iv, testAppID, time.Now())
		if err != nil || phone.E164() != want {
			t.Errorf("encrypted %s: got %q, error %v, want %s", number, phone.E164(), err, want)
		}
		for _, objects := range []bool{false, true} {
			fake.OpenDataObjects(objects)
			phone, err = client.PhoneFromCloudID(ctx, fake.CloudID(alice, number), alice.OpenID)
			if err != nil || phone.E164() != want {
				t.Errorf("cloudID of %s, objects %t: got %q, error %v, want %s", number, objects, phone.E164(), err, want)
			}
		}
	}
	data, iv := fake.EncryptedUserInfo(alice, "13800138000")
	if _, err := wechat.DecryptPhone(session.SessionKey, data, iv, testAppID, time.Now()); err != wechat.ErrDecrypt {
		t.Errorf("a profile for a phone: got %v, want ErrDecrypt", err)
	}
	for range 3 { // WeChat says it in three ways
		_, err = client.PhoneFromCloudID(ctx, fake.CloudID(alice, "13800138000"), mallory.OpenID)
		if got := wechat.ClassOf(err); got != wechat.ClassCode {
			t.Errorf("somebody else's cloudID: got %v (%v), want code", got, err)
		}
	}

	fake.ExpireTokens()
	if valid, err := client.CheckSession(ctx, alice.OpenID, session.SessionKey); !valid || err != nil {
		t.Errorf("session_key: got valid %t, error %v, want valid", valid, err)
	}
	fake.LoginCode(alice)
	if valid, err := client.CheckSession(ctx, alice.OpenID, session.SessionKey); valid || err != nil {
		t.Errorf("session_key after wx.login: got valid %t, error %v, want not, no error", valid, err)
	}
	if valid, err := client.CheckSession(ctx, mallory.OpenID, session.SessionKey); valid || err != nil {
		t.Errorf("session_key of a user without: got valid %t, error %v, want not, no error", valid, err)
	}
	late := fake.CloudID(alice, "13800138000")
	fake.Advance(5 * time.Minute)
	_, err = client.PhoneFromCloudID(ctx, late, alice.OpenID)
	if got := wechat.ClassOf(err); got != wechat.ClassCode {
		t.Errorf("a late cloudID: got %v, want code", got)
	}
	if v := fake.Violations(); len(v) != 0 {
		t.Errorf("violations: got %q, want none", v)
	}
}

func TestTheFakesFaults(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		fault wechattest.Fault
		want  wechat.Class
	}{
		{"errcode", wechattest.ErrCode(40164), wechat.ClassConfig},
		{"busy", wechattest.ErrCode(-1), wechat.ClassBusy},
		{"cut", wechattest.Cut(), wechat.ClassBadAnswer},
		{"truncate", wechattest.Truncate(), wechat.ClassBadAnswer},
		{"huge", wechattest.Huge(), wechat.ClassBadAnswer},
		{"redirect", wechattest.Redirect("http://127.0.0.1:1/"), wechat.ClassBadAnswer},
		{"HTML", wechattest.Raw(200, "text/html; charset=gbk", ""), wechat.ClassBadAnswer},
		{"no openid", wechattest.Edit(func(body map[string]any) { delete(body, "openid") }), wechat.ClassBadAnswer},
		{"hang", wechattest.Hang(), wechat.ClassUnavailable},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			fake := wechattest.New(wechattest.App{ID: testAppID, Secret: testSecret})
			fake.Fail(wechattest.Login, -1, tt.fault)
			client := newClient(t, nil, func(cfg *wechat.Config) {
				cfg.BaseURLs = []string{fake.Start(t)}
				cfg.Timeout = time.Second
			})
			_, err := client.Code2Session(t.Context(), fake.LoginCode(fake.NewUser(testAppID)))
			if got := asError(t, err).Class; got != tt.want {
				t.Errorf("got %v (%v), want %v", got, err, tt.want)
			}
		})
	}
}
