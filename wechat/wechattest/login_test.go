// code2Session.

package wechattest_test

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/wechat/wechattest"
)

func TestLoginAnswer(t *testing.T) {
	t.Parallel()
	fake, api := start(t)
	alice := fake.NewUser(appID)

	answer := get(t, loginURL(api, appID, secret, fake.LoginCode(alice)))
	if _, found := answer["errcode"]; found {
		t.Error("errcode: got one, want none on success")
	}
	if _, found := answer["unionid"]; found {
		t.Error("unionid: got one, want none without the Open Platform")
	}
	key, err := base64.StdEncoding.DecodeString(answer["session_key"].(string))
	if err != nil || len(key) != 16 {
		t.Errorf("session_key: got %v, want base64 of 16 bytes", answer["session_key"])
	}
}

func TestLoginMakesANewSessionKey(t *testing.T) {
	t.Parallel()
	fake, api := start(t)
	alice := fake.NewUser(appID)

	first := get(t, loginURL(api, appID, secret, fake.LoginCode(alice)))["session_key"]
	second := get(t, loginURL(api, appID, secret, fake.LoginCode(alice)))["session_key"]
	keys := fake.SessionKeys(alice)
	if len(keys) != 2 || keys[0] != second || keys[1] != first || first == second {
		t.Errorf("session keys: got %q, want %q then %q", keys, second, first)
	}
}

func TestUnionIDIsThePersons(t *testing.T) {
	t.Parallel()
	fake := wechattest.New(
		wechattest.App{ID: "wxa", Secret: "a", OpenPlatform: true},
		wechattest.App{ID: "wxb", Secret: "b", OpenPlatform: true},
		wechattest.App{ID: "wxc", Secret: "c"},
	)
	api := fake.Start(t)
	alice := fake.NewUser("wxa")
	aliceB, aliceC := fake.Same(alice, "wxb"), fake.Same(alice, "wxc")
	if fake.Same(aliceB, "wxa") != alice {
		t.Error("the same person in the same app: got another user")
	}
	if alice.UnionID == "" || alice.UnionID != aliceB.UnionID || aliceC.UnionID != "" {
		t.Errorf("unionids: got %q, %q, %q, want two equal, one empty", alice.UnionID, aliceB.UnionID, aliceC.UnionID)
	}
	if alice.OpenID == aliceB.OpenID || len(alice.OpenID) != 28 || alice.OpenID[0] != 'o' {
		t.Errorf("openids: got %q and %q", alice.OpenID, aliceB.OpenID)
	}
	answer := get(t, loginURL(api, "wxb", "b", fake.LoginCode(aliceB)))
	if got := answer["unionid"]; got != alice.UnionID {
		t.Errorf("unionid: got %v, want %v", got, alice.UnionID)
	}
}

func TestNamedUsersAreTheSameInEachFake(t *testing.T) {
	t.Parallel()
	named := func(name, appid string) *wechattest.User {
		fake := wechattest.New(wechattest.App{ID: "wxa", Secret: "a", OpenPlatform: true}, wechattest.App{ID: "wxb", Secret: "b", OpenPlatform: true})
		return fake.Same(fake.NewUserNamed(name, appid), "wxa")
	}
	alice, again, bob := named("alice", "wxa"), named("alice", "wxb"), named("bob", "wxa")
	if alice.OpenID != again.OpenID || alice.UnionID != again.UnionID {
		t.Errorf("alice: got %s %s, want %s %s", again.OpenID, again.UnionID, alice.OpenID, alice.UnionID)
	}
	if alice.OpenID == bob.OpenID || len(alice.OpenID) != 28 || alice.OpenID[0] != 'o' || alice.OpenID == alice.UnionID {
		t.Errorf("ids: got %s, %s and bob's %s, want different ones of 28 characters", alice.OpenID, alice.UnionID, bob.OpenID)
	}
}

func TestLoginCodes(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		code func(*wechattest.Server) string
		want int
	}{
		{"fresh", func(s *wechattest.Server) string {
			return s.LoginCode(s.NewUser(appID))
		}, 0},
		{"a moment before its end", func(s *wechattest.Server) string {
			defer s.Advance(5*time.Minute - time.Nanosecond)
			return s.LoginCode(s.NewUser(appID))
		}, 0},
		{"expired", func(s *wechattest.Server) string {
			defer s.Advance(5 * time.Minute)
			return s.LoginCode(s.NewUser(appID))
		}, 40029},
		{"unknown", func(*wechattest.Server) string { return "made up" }, 40029},
		{"of another app", func(s *wechattest.Server) string {
			return s.LoginCode(s.NewUser(other))
		}, 40029},
		{"of the phone button", func(s *wechattest.Server) string {
			return s.PhoneCode(s.NewUser(appID), "13800138000")
		}, 40029},
		{"of a blocked user", func(s *wechattest.Server) string {
			u := s.NewUser(appID)
			s.Block(u)
			return s.LoginCode(u)
		}, 40226},
		{"crowded out", func(s *wechattest.Server) string {
			s.KeepCodes(1)
			defer s.LoginCode(s.NewUser(appID))
			return s.LoginCode(s.NewUser(appID))
		}, 40029},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			fake, api := start(t)
			wantErrcode(t, get(t, loginURL(api, appID, secret, tt.code(fake))), tt.want)
		})
	}
}

func TestLoginCodeWorksOnce(t *testing.T) {
	t.Parallel()
	fake, api := start(t)
	code := fake.LoginCode(fake.NewUser(appID))
	wantErrcode(t, get(t, loginURL(api, other, "other", code)), 40029)
	wantErrcode(t, get(t, loginURL(api, appID, secret, code)), 0) // a refused call does not spend it
	wantErrcode(t, get(t, loginURL(api, appID, secret, code)), 40163)
	fake.Advance(5 * time.Minute)
	wantErrcode(t, get(t, loginURL(api, appID, secret, code)), 40029)
}

func TestLoginParameters(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		change func(url.Values)
		want   int
	}{
		{"all right", func(url.Values) {}, 0},
		{"no appid", func(q url.Values) { q.Del("appid") }, 41002},
		{"unknown appid", func(q url.Values) { q.Set("appid", "wxnobody") }, 40013},
		{"no secret", func(q url.Values) { q.Del("secret") }, 41004},
		{"wrong secret", func(q url.Values) { q.Set("secret", "other") }, 40125},
		{"no code", func(q url.Values) { q.Del("js_code") }, 41008},
		{"no grant type", func(q url.Values) { q.Del("grant_type") }, 40002},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			fake, api := start(t)
			query := url.Values{
				"appid": {appID}, "secret": {secret}, "grant_type": {"authorization_code"},
				"js_code": {fake.LoginCode(fake.NewUser(appID))},
			}
			tt.change(query)
			wantErrcode(t, get(t, api+wechattest.Login+"?"+query.Encode()), tt.want)
			if got := fake.Calls()[0].ErrCode; got != tt.want {
				t.Errorf("recorded errcode: got %d, want %d", got, tt.want)
			}
		})
	}
}

func TestLoginByPostMissesTheAppID(t *testing.T) {
	t.Parallel()
	_, api := start(t)
	answer := call(t, http.MethodPost, api+wechattest.Login, "application/x-www-form-urlencoded", "appid="+appID)
	wantErrcode(t, answer, 41002)
}

func TestWhitelist(t *testing.T) {
	t.Parallel()
	fake, api := start(t)
	fake.SetApp(wechattest.App{ID: appID, Secret: secret, AllowIPs: []string{"192.0.2.7"}})
	target := loginURL(api, appID, secret, fake.LoginCode(fake.NewUser(appID)))

	answer := get(t, target)
	wantErrcode(t, answer, 40164)
	want := "invalid ip 127.0.0.1 ipv6 ::ffff:127.0.0.1, not in whitelist rid: "
	if got := answer["errmsg"].(string); !strings.HasPrefix(got, want) {
		t.Errorf("errmsg: got %q, want %q…", got, want)
	}
	wantErrcode(t, get(t, api+wechattest.Token+"?grant_type=client_credential&appid="+appID+"&secret="+secret), 40164)

	fake.SetApp(wechattest.App{ID: appID, Secret: secret, AllowIPs: []string{"127.0.0.1"}})
	wantErrcode(t, get(t, target), 0)
}

func TestLoginQuotaIsPerUserAndMinute(t *testing.T) {
	t.Parallel()
	fake, api := start(t)
	fake.SetQuota(wechattest.Login, 1)
	alice, bob := fake.NewUser(appID), fake.NewUser(appID)
	login := func(u *wechattest.User) map[string]any {
		return get(t, loginURL(api, appID, secret, fake.LoginCode(u)))
	}
	wantErrcode(t, login(alice), 0)
	wantErrcode(t, login(alice), 45011)
	wantErrcode(t, login(bob), 0)
	fake.Advance(time.Minute)
	wantErrcode(t, login(alice), 0)
}
