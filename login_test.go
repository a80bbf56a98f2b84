// Logins.

package wechatauth_test

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/wechat/wechattest"
)

func TestLoginAnswersWithATokenForTheUser(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	alice := s.fake.NewUser(s.appID)
	a := s.login("code", s.fake.LoginCode(alice))
	want(t, a, 200, "")
	for path, want := range map[string]any{
		"token_type": "Bearer", "expires_in": 3600.0,
		"user.appid": s.appID, "user.openid": alice.OpenID, "user.unionid": alice.UnionID, "user.new": true,
		"user.phone": nil, "phone_error": nil,
	} {
		if got := a.field(strings.Split(path, ".")...); got != want {
			t.Errorf("%s: got %v, want %v", path, got, want)
		}
	}
	c := claims(t, a.text("access_token"))
	for name, want := range map[string]any{
		"iss": "wechat_auth", "sub": alice.OpenID, "aud": s.appID, "appid": s.appID, "openid": alice.OpenID, "unionid": alice.UnionID,
	} {
		if c[name] != want {
			t.Errorf("claim %s: got %v, want %v", name, c[name], want)
		}
	}
	if got := a.header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("Cache-Control: got %q, want no-store", got)
	}
	if again := s.login("code", s.fake.LoginCode(alice)); again.field("user", "new") != false {
		t.Errorf("second login: got new %v, want false", again.field("user", "new"))
	}
	if v := s.fake.Violations(); len(v) > 0 {
		t.Errorf("violations of WeChat's protocol: %v", v)
	}
}

// Threats: T67.
func TestLoginCodeWorksOnce(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	code := s.fake.LoginCode(s.fake.NewUser(s.appID))
	want(t, s.login("code", code), 200, "")
	want(t, s.login("code", code), 401, "code_used")
	want(t, s.login("code", code, "nonce", "n1"), 401, "code_used")
	if got := s.fake.Count(wechattest.Login); got != 1 {
		t.Errorf("WeChat calls: got %d, want 1", got)
	}
}

// Mobile networks lose answers: a client that sent a nonce gets its answer again, and nobody else
// does.
func TestLoginNonceReplaysTheAnswer(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	code := s.fake.LoginCode(s.fake.NewUser(s.appID))
	first := s.login("code", code, "nonce", "n1")
	want(t, first, 200, "")
	s.advance(29 * time.Second)
	if again := s.login("code", code, "nonce", "n1"); !bytes.Equal(again.body, first.body) {
		t.Errorf("replay: got %s, want %s", again.body, first.body)
	}
	want(t, s.login("code", code, "nonce", "n2"), 401, "code_used")
	want(t, s.login("code", code), 401, "code_used")
	want(t, s.login("code", code, "nonce", "n1", "phone_code", "other"), 401, "code_used")
	s.advance(2 * time.Second)
	want(t, s.login("code", code, "nonce", "n1"), 401, "code_used")
	if got := s.fake.Count(wechattest.Login); got != 1 {
		t.Errorf("WeChat calls: got %d, want 1", got)
	}
}

// A double tap sends the same code twice at once; only one exchange can succeed at WeChat.
func TestLoginAtTheSameMomentMakesOneCall(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.fake.Fail(wechattest.Login, 1, wechattest.Delay(200*time.Millisecond))
	code := s.fake.LoginCode(s.fake.NewUser(s.appID))
	answers := make([]answer, 20)
	var wg sync.WaitGroup
	for i := range answers {
		wg.Go(func() {
			nonce := []string{"", "other"}[i%2]
			answers[i] = s.do("POST", "/auth/login", "", object("code", code, "nonce", nonce))
		})
	}
	wg.Wait()
	if got := s.fake.Count(wechattest.Login); got != 1 {
		t.Errorf("WeChat calls: got %d, want 1", got)
	}
	tokens := map[string]bool{}
	for _, a := range answers {
		if a.status == 200 {
			tokens[a.text("access_token")] = true
		} else if a.text("error") != "code_used" {
			t.Errorf("got %d %s", a.status, a.body)
		}
	}
	if len(tokens) != 1 {
		t.Errorf("got %d different tokens, want 1", len(tokens))
	}
}

// The code is spent even when the client hangs up, so its retry with the nonce must find the
// answer.
func TestLoginGoesOnWhenTheClientLeaves(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.fake.Fail(wechattest.Login, 1, wechattest.Delay(300*time.Millisecond))
	code := s.fake.LoginCode(s.fake.NewUser(s.appID))
	hangUpAfter(t, s, 100*time.Millisecond, "/auth/login", object("code", code, "nonce", "n1"))
	want(t, s.login("code", code, "nonce", "n1"), 200, "")
	if got := s.fake.Count(wechattest.Login); got != 1 {
		t.Errorf("WeChat calls: got %d, want 1", got)
	}
}

func TestOneTapLogin(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	alice := s.fake.NewUser(s.appID)
	a := s.login("code", s.fake.LoginCode(alice), "phone_code", s.fake.PhoneCode(alice, "13800138000"))
	want(t, a, 200, "")
	if got := a.text("user", "phone"); got != "13800138000" {
		t.Errorf("phone: got %q", got)
	}
	c := claims(t, a.text("access_token"))
	if c["phone"] != "13800138000" || c["phone_number"] != "+8613800138000" || c["phone_number_verified"] != true {
		t.Errorf("claims: %v", c)
	}
	again := s.login("code", s.fake.LoginCode(alice))
	if got := again.text("user", "phone_number"); got != "+8613800138000" {
		t.Errorf("phone at the next login: got %q, want it remembered", got)
	}
}

// The tap was paid for: a login with a phone code that fails stands, and says why the phone is
// missing.
func TestOneTapLoginStandsWithoutThePhone(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		fault *wechattest.Fault
		code  func(s *site, u *wechattest.User) string
		error string
		errno float64
	}{
		{"wrong code", nil, func(*site, *wechattest.User) string { return "nonsense" }, "code_invalid", 40029},
		{"another user's", nil, func(s *site, _ *wechattest.User) string {
			return s.fake.PhoneCode(s.fake.NewUser(s.appID), "13900139000")
		}, "code_invalid", 40029},
		{"quota", new(wechattest.ErrCode(45011)), goodPhone, "rate_limited", 45011},
		{"no permission", new(wechattest.ErrCode(48001)), goodPhone, "wechat_misconfigured", 48001},
		{"busy", new(wechattest.ErrCode(-1)), goodPhone, "wechat_unavailable", -1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			if tt.fault != nil {
				s.fake.Fail(wechattest.Phone, -1, *tt.fault)
			}
			u := s.fake.NewUser(s.appID)
			a := s.login("code", s.fake.LoginCode(u), "phone_code", tt.code(s, u))
			want(t, a, 200, "")
			if a.text("access_token") == "" || a.text("user", "phone") != "" {
				t.Errorf("got %s, want a token without phone", a.body)
			}
			if a.text("phone_error", "error") != tt.error || a.field("phone_error", "errcode") != tt.errno {
				t.Errorf("phone_error: got %v, want %s %v", a.field("phone_error"), tt.error, tt.errno)
			}
		})
	}
}

func goodPhone(s *site, u *wechattest.User) string { return s.fake.PhoneCode(u, "13800138000") }

// Threats: T09, T68, T69, T70, T71, T80, C42.
func TestLoginErrorsOfWeChat(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		fault  wechattest.Fault
		status int
		code   string
		calls  int
	}{
		{"invalid code", wechattest.ErrCode(40029), 401, "code_invalid", 1},
		{"used code", wechattest.ErrCode(40163), 401, "code_used", 1},
		{"blocked user", wechattest.ErrCode(40226), 403, "user_blocked", 1},
		{"quota", wechattest.ErrCode(45011), 429, "rate_limited", 1},
		{"wrong secret", wechattest.ErrCode(40125), 502, "wechat_misconfigured", 1},
		{"unknown appid", wechattest.ErrCode(40013), 502, "wechat_misconfigured", 1},
		{"whitelist", wechattest.ErrCode(40164), 502, "wechat_misconfigured", 1},
		{"frozen secret", wechattest.ErrCode(40243), 502, "wechat_misconfigured", 1},
		{"busy twice", wechattest.ErrCode(-1), 503, "wechat_unavailable", 2},
		{"HTML", wechattest.Raw(200, "text/html", "<html>"), 502, "wechat_bad_answer", 1},
		{"empty", wechattest.Raw(200, "", ""), 502, "wechat_bad_answer", 1},
		{"no openid", wechattest.Raw(200, "text/plain", `{"session_key":"x"}`), 502, "wechat_bad_answer", 1},
		{"openid is a number", wechattest.Raw(200, "text/plain", `{"openid":12}`), 502, "wechat_bad_answer", 1},
		{"openid splits headers", wechattest.Raw(200, "text/plain", `{"openid":"a\r\nX: y"}`), 502, "wechat_bad_answer", 1},
		{"redirect", wechattest.Redirect("http://127.0.0.1:1/"), 502, "wechat_bad_answer", 1},
		{"huge", wechattest.Huge(), 502, "wechat_bad_answer", 1},
		{"hang", wechattest.Hang(), 503, "wechat_unavailable", 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, "timeout 500ms")
			s.fake.Fail(wechattest.Login, -1, tt.fault)
			a := s.login("code", s.fake.LoginCode(s.fake.NewUser(s.appID)))
			want(t, a, tt.status, tt.code)
			if got := s.fake.Count(wechattest.Login); got != tt.calls {
				t.Errorf("WeChat calls: got %d, want %d", got, tt.calls)
			}
			if after := a.header.Get("Retry-After"); (after != "") != slices.Contains([]int{429, 503}, tt.status) {
				t.Errorf("Retry-After: got %q with %d", after, tt.status)
			}
			if a.field("errcode") != nil && !strings.Contains(a.text("rid"), "-") {
				t.Errorf("errcode without rid: %s", a.body)
			}
		})
	}
}

// What WeChat could not answer is no verdict on the code: the client may try again with it.
func TestLoginCanBeRepeatedAfterAnOutage(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.fake.Fail(wechattest.Login, 2, wechattest.ErrCode(-1))
	code := s.fake.LoginCode(s.fake.NewUser(s.appID))
	want(t, s.login("code", code), 503, "wechat_unavailable")
	want(t, s.login("code", code), 200, "")
}

// Threats: T27, T73, T83.
func TestLoginRefusesBadRequestsBeforeWeChatIsCalled(t *testing.T) {
	s := newSite(t)
	long := strings.Repeat("a", 129)
	tests := []struct {
		name, body string
		status     int
		code       string
	}{
		{"no body", ``, 400, "invalid_request"},
		{"not JSON", `code=x`, 400, "invalid_request"},
		{"null", `null`, 400, "invalid_request"},
		{"array", `[]`, 400, "invalid_request"},
		{"string", `"x"`, 400, "invalid_request"},
		{"no code", `{}`, 400, "invalid_request"},
		{"empty code", `{"code":""}`, 400, "invalid_request"},
		{"code of another case", `{"CODE":"x"}`, 400, "invalid_request"},
		{"code is a number", `{"code":1}`, 400, "invalid_request"},
		{"code is an array", `{"code":["a"]}`, 400, "invalid_request"},
		{"code is null", `{"code":null}`, 400, "invalid_request"},
		{"code too long", object("code", long), 400, "invalid_request"},
		{"code with a path", `{"code":"../x"}`, 400, "invalid_request"},
		{"code with a parameter", `{"code":"x&appid=y"}`, 400, "invalid_request"},
		{"code with a newline", `{"code":"x\nlevel=error"}`, 400, "invalid_request"},
		{"two codes", `{"code":"x","code":"y"}`, 400, "invalid_request"},
		{"two codes, one escaped", `{"code":"x","c\u006fde":"y"}`, 400, "invalid_request"},
		{"repeated key deep inside", `{"code":"x","a":[{"b":1,"b":2}]}`, 400, "invalid_request"},
		{"trailing data", `{"code":"x"}{}`, 400, "invalid_request"},
		{"trailing garbage", `{"code":"x"} y`, 400, "invalid_request"},
		{"not UTF-8", "{\"code\":\"x\",\"nonce\":\"\xff\"}", 400, "invalid_request"},
		{"nonce is a number", `{"code":"x","nonce":1}`, 400, "invalid_request"},
		{"nonce too long", object("code", "x", "nonce", long), 400, "invalid_request"},
		{"phone_code is an object", `{"code":"x","phone_code":{}}`, 400, "invalid_request"},
		{"phone_code with spaces", `{"code":"x","phone_code":"a b"}`, 400, "invalid_request"},
		{"unknown appid", `{"code":"x","appid":"wx1"}`, 400, "invalid_request"},
		{"deep nesting", `{"code":"x","a":` + strings.Repeat("[", 30000), 400, "invalid_request"},
		{"too large", `{"code":"` + strings.Repeat("a", 70000) + `"}`, 413, "payload_too_large"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			want(t, s.do("POST", "/auth/login", "", tt.body), tt.status, tt.code)
		})
	}
	t.Run("form", func(t *testing.T) {
		for _, body := range []string{"", "code=x", "%7B%22code%22%3A%22x%22%7D", "\ufeff{}"} {
			a := s.do("POST", "/auth/login", "", body, "Content-Type", "application/x-www-form-urlencoded")
			want(t, a, 415, "unsupported_media_type")
		}
	})
	t.Run("multipart", func(t *testing.T) {
		a := s.do("POST", "/auth/login", "", "", "Content-Type", "multipart/form-data; boundary=x")
		want(t, a, 415, "unsupported_media_type")
	})
	t.Run("wrong method", func(t *testing.T) {
		a := s.do("GET", "/auth/login", "", "")
		want(t, a, 405, "method_not_allowed")
		if got := a.header.Get("Allow"); got != "POST" {
			t.Errorf("Allow: got %q, want POST", got)
		}
	})
	t.Run("early data", func(t *testing.T) {
		want(t, s.do("POST", "/auth/login", "", `{"code":"x"}`, "Early-Data", "1"), 425, "too_early")
	})
	if got := s.fake.Count(wechattest.Any); got != 0 {
		t.Errorf("WeChat calls: got %d, want 0", got)
	}
}

// Mini program libraries send JSON under all sorts of names.
func TestLoginReadsJSONWhateverItsContentType(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, contentType := range []string{"application/json; charset=utf-8", "text/plain", "", "application/octet-stream", "garbage;;"} {
		code := s.fake.LoginCode(s.fake.NewUser(s.appID))
		a := s.do("POST", "/auth/login", "", "", "Content-Type", contentType)
		want(t, a, 400, "invalid_request") // no body: it was read as JSON
		req := object("code", code)
		a = s.do("POST", "/auth/login", "", req)
		want(t, a, 200, "")
	}
}

func TestLoginLimitCountsAddresses(t *testing.T) {
	t.Parallel()
	s := newSite(t, "limit login 3/1m")
	for range 3 {
		want(t, s.login("code", "nonsense"), 401, "code_invalid")
	}
	a := s.login("code", s.fake.LoginCode(s.fake.NewUser(s.appID)))
	want(t, a, 429, "rate_limited")
	if seconds, err := strconv.Atoi(a.header.Get("Retry-After")); err != nil || seconds < 1 || seconds > 20 {
		t.Errorf("Retry-After: got %q, want 1 to 20", a.header.Get("Retry-After"))
	}
	if got := s.fake.Count(wechattest.Login); got != 3 {
		t.Errorf("WeChat calls: got %d, want 3", got)
	}
	s.advance(time.Minute)
	want(t, s.token200(), 200, "")
}

func (s *site) token200() answer {
	return s.login("code", s.fake.LoginCode(s.fake.NewUser(s.appID)))
}

func TestLoginChoosesTheApp(t *testing.T) {
	t.Parallel()
	const second = "wx00000000000000b2"
	s := newSite(t, "app "+second+" "+testSecret)
	s.fake.SetApp(wechattest.App{ID: second, Secret: testSecret})
	u := s.fake.NewUser(second)
	referer := "https://servicewechat.com/" + second + "/0/page-frame.html"
	want(t, s.login("code", s.fake.LoginCode(u)), 400, "invalid_request")
	if a := s.login("code", s.fake.LoginCode(u), "appid", second); a.text("user", "appid") != second {
		t.Errorf("by appid: got %s", a.body)
	}
	a := s.do("POST", "/auth/login", "", object("code", s.fake.LoginCode(u)), "Referer", referer)
	if a.text("user", "appid") != second || claims(t, a.text("access_token"))["aud"] != second {
		t.Errorf("by Referer: got %s", a.body)
	}
	a = s.do("POST", "/auth/login", "", object("code", s.fake.LoginCode(u), "appid", s.appID), "Referer", referer)
	want(t, a, 401, "code_invalid")
	for _, bad := range []string{"http://servicewechat.com/" + second + "/", "https://evil.com/" + second + "/", "https://servicewechat.com/wxunknown/0/", "%"} {
		a = s.do("POST", "/auth/login", "", object("code", "x"), "Referer", bad)
		want(t, a, 400, "invalid_request")
	}
}

// Two sites may serve one mini program and make different tokens. An answer of the one, remembered
// or under way, must not be given out by the other (compare CVE-2026-71326).
// Threats: F02.
func TestLoginAnswersAreNotSharedBetweenSites(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	first := s.handler
	second := provision(t, "wechat_auth {\napp "+s.appID+" "+testSecret+"\napi "+s.api+"\nstore memory\ntoken {\naudience other\n}\n}")
	code := s.fake.LoginCode(s.fake.NewUser(s.appID))
	want(t, s.login("code", code, "nonce", "n1"), 200, "")
	s.handler = second
	want(t, s.login("code", code, "nonce", "n1"), 401, "code_used")
	s.handler = first
	want(t, s.login("code", code, "nonce", "n1"), 200, "")
}
