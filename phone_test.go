// Phone numbers.

package wechatauth_test

import (
	"bytes"
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/wechat/wechattest"
)

// hangUpAfter sends a POST and leaves before the answer.
func hangUpAfter(t *testing.T, s *site, d time.Duration, path, body string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "POST", s.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if resp, err := http.DefaultClient.Do(req); err == nil {
		resp.Body.Close()
		t.Fatal("the answer came before the client left")
	}
}

func (s *site) phone(token, code string) answer {
	s.t.Helper()
	return s.do("POST", "/auth/phone", token, object("code", code))
}

func TestPhoneAnswersWithATokenThatHasIt(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	alice := s.fake.NewUser(s.appID)
	token := s.token(alice)
	a := s.phone(token, s.fake.PhoneCode(alice, "+852 91234567"))
	want(t, a, 200, "")
	before, after := claims(t, token), claims(t, a.text("access_token"))
	if after["phone_number"] != "+85291234567" || after["sid"] != before["sid"] || after["jti"] == before["jti"] || after["unionid"] != alice.UnionID {
		t.Errorf("claims: got %v after %v", after, before)
	}
	if got := a.text("user", "phone_number"); got != "+85291234567" {
		t.Errorf("user: got %q", got)
	}
	for _, call := range s.fake.Calls() {
		if call.Endpoint == wechattest.Phone && call.Body["openid"] != alice.OpenID {
			t.Errorf("openid sent to WeChat: got %v, want %s", call.Body["openid"], alice.OpenID)
		}
	}
}

// The tap was paid for: the session that made it can ask for the answer again, and no other can.
func TestPhoneReplaysToTheSameSession(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	alice := s.fake.NewUser(s.appID)
	token, other := s.token(alice), s.token(alice)
	code := s.fake.PhoneCode(alice, "13800138000")
	answers := make([]answer, 10)
	var wg sync.WaitGroup
	for i := range answers {
		wg.Go(func() { answers[i] = s.phone(token, code) })
	}
	wg.Wait()
	s.advance(59 * time.Second)
	answers = append(answers, s.phone(token, code))
	for _, a := range answers {
		if !bytes.Equal(a.body, answers[0].body) || a.status != 200 {
			t.Errorf("got %d %s, want %s", a.status, a.body, answers[0].body)
		}
	}
	want(t, s.phone(other, code), 401, "code_invalid")
	s.advance(2 * time.Second)
	want(t, s.phone(token, code), 401, "code_invalid")
	if got := s.fake.Count(wechattest.Phone); got != 3 {
		t.Errorf("WeChat calls: got %d, want 3", got)
	}
}

// Mallory has a session of her own and somebody else's phone code, by a page of hers that the
// victim tapped: she must not get the number into her session.
// Threats: T75, T76, C37.
func TestPhoneCodeOfAnotherUserIsRefused(t *testing.T) {
	t.Parallel()
	for _, errcode := range []int{40029, 40013, 40003} {
		s := newSite(t)
		s.fake.SetOpenIDMismatch(errcode)
		victim, mallory := s.fake.NewUser(s.appID), s.fake.NewUser(s.appID)
		token := s.token(mallory)
		a := s.do("POST", "/auth/phone", token, object("code", s.fake.PhoneCode(victim, "13800138000"), "openid", victim.OpenID))
		want(t, a, 401, "code_invalid")
		if again := s.login("code", s.fake.LoginCode(mallory)); again.text("user", "phone") != "" {
			t.Errorf("errcode %d: mallory got a phone: %s", errcode, again.body)
		}
	}
}

// Threats: T74.
func TestPhoneNeedsAToken(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	want(t, s.phone("", "x"), 401, "token_missing")
	want(t, s.phone("x", "x"), 401, "token_invalid")
	if got := s.fake.Count(wechattest.Any); got != 0 {
		t.Errorf("WeChat calls: got %d, want 0", got)
	}
}

// Threats: T78.
func TestPhoneErrors(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		fault  wechattest.Fault
		times  int
		status int
		code   string
	}{
		{"invalid code", wechattest.ErrCode(40029), 1, 401, "code_invalid"},
		{"code of another app", wechattest.ErrCode(40013), 1, 401, "code_invalid"},
		{"quota", wechattest.ErrCode(45011), 1, 429, "rate_limited"},
		{"no permission", wechattest.ErrCode(48001), 1, 502, "wechat_misconfigured"},
		{"another app's watermark", wechattest.Edit(func(body map[string]any) {
			body["phone_info"].(map[string]any)["watermark"].(map[string]any)["appid"] = "wxevil"
		}), 1, 502, "wechat_bad_answer"},
		{"no phone", wechattest.Raw(200, "", `{"errcode":0}`), 1, 502, "wechat_bad_answer"},
		{"busy once", wechattest.ErrCode(-1), 1, 200, ""},
		{"busy", wechattest.ErrCode(-1), -1, 503, "wechat_unavailable"},
		{"token refused once", wechattest.ErrCode(40001), 1, 200, ""},
		{"token expired once", wechattest.ErrCode(42001), 1, 200, ""},
		{"token refused", wechattest.ErrCode(40014), -1, 503, "wechat_unavailable"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			alice := s.fake.NewUser(s.appID)
			token := s.token(alice)
			s.fake.Fail(wechattest.Phone, tt.times, tt.fault)
			want(t, s.phone(token, s.fake.PhoneCode(alice, "13800138000")), tt.status, tt.code)
		})
	}
}

// Threats: T77.
func TestPhoneLimitCountsUsers(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	alice, bob := s.fake.NewUser(s.appID), s.fake.NewUser(s.appID)
	token, other := s.token(alice), s.token(bob)
	for range 10 {
		want(t, s.phone(token, s.fake.PhoneCode(alice, "13800138000")), 200, "")
	}
	want(t, s.phone(token, s.fake.PhoneCode(alice, "13800138000")), 429, "rate_limited")
	want(t, s.phone(other, s.fake.PhoneCode(bob, "13800138000")), 200, "")
	if got := s.fake.Count(wechattest.Phone); got != 11 {
		t.Errorf("WeChat calls: got %d, want 11", got)
	}
}

func TestPhoneByEncryptedDataSaysThatItIsOff(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	token := s.token(s.fake.NewUser(s.appID))
	a := s.do("POST", "/auth/phone", token, object("encryptedData", "x", "iv", "y"))
	want(t, a, 400, "invalid_request")
	if !strings.Contains(a.text("error_description"), "not switched on") {
		t.Errorf("got %s", a.body)
	}
}

// nginx drops the body of a refusal, and Envoy appends the path and query that it asks about.
func TestVerifyForOtherProxies(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	token := s.token(s.fake.NewUser(s.appID))
	for _, row := range []struct {
		path, token string
		status      int
		code        string
	}{
		{"/auth/verify", token, 204, ""},
		{"/auth/verify/", token, 204, ""},
		{"/auth/verify/api/orders?page=2", token, 204, ""},
		{"/auth/verify//x/..%2fy;z", token, 204, ""},
		{"/auth/verify/api?bad=%zz", token, 204, ""},
		{"/auth/verify?bad=%zz", token, 400, "invalid_request"},
		{"/auth/verify?phone=required", token, 403, "phone_required"},
		{"/auth/verify/api", "", 401, "token_missing"},
		{"/auth/verify/api", "rubbish", 401, "token_invalid"},
		{"/auth/verifyx", token, 404, "not_found"},
	} {
		got := s.do("POST", row.path, row.token, "")
		if got.status != row.status || row.status != 404 && got.header.Get("X-Auth-Error") != row.code {
			t.Errorf("%s: got %d and X-Auth-Error %q, want %d %q", row.path, got.status, got.header.Get("X-Auth-Error"), row.status, row.code)
		}
		if (got.header.Get("X-WX-OPENID") != "") != (row.status == 204) {
			t.Errorf("%s: got openid %q", row.path, got.header.Get("X-WX-OPENID"))
		}
	}
	if n := len(s.reached()); n > 0 {
		t.Errorf("%d requests reached the upstream", n)
	}
}
