// Secrets in logs and in answers.

package attack_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/caddy-wechat/wechatauth/wechat/wechattest"
)

const rigPhone = "13800138099"

// After logins, phones and failures of every kind, with all levels
// logged, no secret is in what the module logged or in what it told a client it is not for.
// Threats: T72, T88, T89, C46.
func TestNothingSecretIsLoggedOrTold(t *testing.T) { // not parallel: it makes the fake WeChat fail
	r := caddyRig(t)
	s := newSecretive(t, r, "main")

	// Everything succeeds.
	alice, bob := s.login(), s.login()
	s.phone(alice, s.phoneCode(alice, rigPhone), 200)
	s.answerOf("one tap", r.post(t, "main", "/auth/login", "", object("code", s.code(bob), "phone_code", s.phoneCode(bob, rigPhone), "nonce", "n1")))

	// The client errs.
	used := s.code(alice)
	for range 2 {
		s.told(r.post(t, "main", "/auth/login", "", object("code", used)))
	}
	s.told(r.post(t, "main", "/auth/login", "", object("code", s.add("code", "0f3NoSuchCode0f3NoSuchCode00000"))))
	s.told(r.post(t, "main", "/auth/login", "", object("code", s.add("code", "code\nwith\"line\\breaks"))))
	s.told(r.post(t, "main", "/auth/login", "", `{"code":"`+s.add("code", "0f3Cut0f3Cut0f3Cut0f3Cut")+`"`))
	s.told(r.post(t, "main", "/auth/login", "", object("code", used, "appid", "wxother", "nonce", s.add("nonce", "0f3nonce0f3nonce"))))
	s.told(r.post(t, "main", "/auth/login", "", object("code", s.code(alice), "encryptedData", s.add("data", "ZW5jcnlwdGVkZGF0YQ=="), "iv", s.add("iv", "aXZpdml2aXZpdg=="))))
	s.phone(alice, s.phoneCode(bob, rigPhone), 401)
	s.phone(alice, s.add("phone code", "0f3NoSuchPhoneCode"), 401)
	for _, request := range []string{
		raw("GET /api", bearer(alice.token+"x")), raw("GET /api", bearer(alice.token), bearer(bob.token)),
		raw("GET /vip/x", bearer(s.login().token)), raw("GET /api?access_token=" + alice.token), raw("GET /auth/" + alice.token), raw("GET /public/../" + alice.OpenID),
		raw("GET /api", "X-WX-OPENID: "+alice.OpenID, "X-WX-PHONE: "+rigPhone), raw("TRACE /api", bearer(alice.token)),
	} {
		s.told(r.exchange(t, "main", request).answer)
	}

	// WeChat errs, before and after it has done its work.
	for _, fault := range []wechattest.Fault{
		wechattest.ErrCode(-1), wechattest.ErrCode(40013), wechattest.ErrCode(40125), wechattest.ErrCode(40164), wechattest.ErrCode(45011),
		wechattest.ErrCode(48001), wechattest.ErrCode(40226), wechattest.ErrCode(99999), wechattest.Raw(500, "text/html", "<html>"+rigSecret+"</html>"),
		wechattest.Raw(200, "application/json", `{"errcode":40029,"errmsg":"`+rigSecret+` code"}`), wechattest.Redirect("http://127.0.0.1:1/?secret=" + rigSecret),
		wechattest.Cut(), wechattest.Truncate(), wechattest.Huge(),
		wechattest.Edit(func(body map[string]any) { body["openid"] = "a\r\nX-WX-OPENID: b"; body["phone_info"] = "x" }),
	} {
		u := s.login()
		r.fake.Fail(wechattest.Login, 3, fault)
		s.told(r.post(t, "main", "/auth/login", "", object("code", s.code(u))))
		r.fake.ClearFaults()
		r.fake.Fail(wechattest.Phone, 3, fault)
		s.told(r.post(t, "main", "/auth/phone", u.token, object("code", s.phoneCode(u, rigPhone))))
		r.fake.ClearFaults()
		r.fake.ExpireTokens()
		r.fake.Fail(wechattest.StableToken, 3, fault)
		s.told(r.post(t, "main", "/auth/phone", u.token, object("code", s.phoneCode(u, rigPhone))))
		r.fake.ClearFaults()
	}
	s.check()
}

// secretive collects secrets, and what must not have them.
type secretive struct {
	t       *testing.T
	r       *rig
	site    string
	secrets map[string]string // secret → what it is
	answers []string
}

func newSecretive(t *testing.T, r *rig, site string) *secretive {
	t.Helper()
	return &secretive{t: t, r: r, site: site, secrets: map[string]string{
		rigSecret: "AppSecret", rigPhone: "phone", rigHookSecret: "hook secret", r.hook.url: "hook address", rigHookPath: "hook path",
	}}
}

func (s *secretive) add(what, secret string) string {
	s.secrets[secret] = what
	return secret
}

// code is of a new wx.login, which makes a new session_key.
func (s *secretive) code(u rigUser) string {
	code := s.add("login code", s.r.fake.LoginCode(u.User))
	for _, key := range s.r.fake.SessionKeys(u.User) {
		raw, err := base64.StdEncoding.DecodeString(key)
		if err != nil {
			s.t.Fatal(err)
		}
		for _, spelling := range []string{key, base64.RawURLEncoding.EncodeToString(raw), hex.EncodeToString(raw)} {
			s.add("session_key", spelling)
		}
	}
	return code
}

func (s *secretive) phoneCode(u rigUser, phone string) string {
	return s.add("phone code", s.r.fake.PhoneCode(u.User, phone))
}

func (s *secretive) login() rigUser {
	s.t.Helper()
	u := rigUser{User: s.r.fake.NewUser(rigAppA)}
	u = s.r.tokenOf(s.t, u.User, s.r.post(s.t, s.site, "/auth/login", "", object("code", s.code(u))))
	s.add("openid", u.OpenID)
	s.add("unionid", u.UnionID)
	s.answerOf("login", answer{200, nil, u.body})
	return u
}

func (s *secretive) phone(u rigUser, code string, status int) {
	s.t.Helper()
	s.proof(u, status, "code", code)
}

// proof is phone with whatever the button gave.
func (s *secretive) proof(u rigUser, status int, fields ...string) {
	s.t.Helper()
	a := s.r.post(s.t, s.site, "/auth/phone", u.token, object(fields...))
	if a.status != status {
		s.t.Fatalf("phone: got %d %s, want %d", a.status, a.body, status)
	}
	s.told(a)
}

// ownKinds are the secrets that the user's own token answer has.
var ownKinds = map[string]bool{"openid": true, "unionid": true, "phone": true, "nickname": true, "JWT": true}

// answerOf takes a token answer: it may have what is the user's own, and nothing of WeChat's.
func (s *secretive) answerOf(what string, a answer) {
	s.t.Helper()
	token := a.text("access_token")
	if token == "" {
		s.t.Fatalf("%s: got %d %s, want a token answer", what, a.status, a.body)
	}
	s.add("JWT", token)
	payload := fmt.Sprint(claims(s.t, token))
	for secret, kind := range s.secrets {
		if ownKinds[kind] {
			continue
		}
		if bytes.Contains(a.body, []byte(secret)) || strings.Contains(payload, secret) {
			s.t.Errorf("%s: the answer has the %s", what, kind)
		}
	}
	for _, name := range []string{"session_key", "secret", "errmsg", "watermark"} {
		if bytes.Contains(a.body, []byte(name)) || strings.Contains(payload, name) {
			s.t.Errorf("%s: the answer has %s: %s", what, name, a.body)
		}
	}
}

// told keeps an answer that may have nothing of all.
func (s *secretive) told(a answer) {
	s.t.Helper()
	if a.text("access_token") != "" {
		s.answerOf("login", a) // the login stood whatever became of the phone
		return
	}
	s.answers = append(s.answers, fmt.Sprint(a.header, string(a.body)))
}

var (
	jwtShape   = regexp.MustCompile(`eyJ[\w-]{10,}\.[\w-]{10,}`)
	phoneShape = regexp.MustCompile(`\b(\+?86)?1[3-9]\d{9}\b`)
)

func (s *secretive) check() {
	s.t.Helper()
	// What only WeChat and the module know of.
	for _, call := range s.r.fake.Calls() {
		if token := call.Query.Get("access_token"); token != "" {
			s.secrets[token] = "WeChat access token"
		}
	}
	lines, events, texts := 0, 0, append([]string(nil), s.answers...)
	for _, line := range s.r.logLines(s.t) {
		switch logger, _ := line["logger"].(string); {
		case logger == "http.handlers.wechat_auth":
			lines++
		case logger == "events":
			if name, _ := line["name"].(string); strings.HasPrefix(name, "wechat_auth_") {
				events++
			}
		case strings.HasPrefix(logger, "http.log.error"):
			delete(line, "request") // as it came in: Caddy's own
		default:
			continue
		}
		text, err := json.Marshal(line)
		if err != nil {
			s.t.Fatal(err)
		}
		texts = append(texts, string(text))
	}
	if lines == 0 || events == 0 {
		s.t.Errorf("got %d lines and %d events of the module: this test proves nothing", lines, events)
	}
	for _, text := range texts {
		for secret, what := range s.secrets {
			if strings.Contains(text, secret) {
				s.t.Errorf("%s in %s", what, text)
			}
		}
		for what, shape := range map[string]*regexp.Regexp{"a JWT": jwtShape, "a phone number": phoneShape} {
			if found := shape.FindString(text); found != "" {
				s.t.Errorf("%s (%s) in %s", what, found, text)
			}
		}
	}
}

// Nothing the client sends makes a line of its own in the log, and session keys stay where
// they are.
// Threats: T72.
func TestSessionKeysStayInside(t *testing.T) {
	t.Parallel()
	r := caddyRig(t)
	u := r.loginWithPhone(t, "main", "13800138098")
	got := wantForwarded(t, r.exchange(t, "main", raw("GET /api", bearer(u.token))))
	verify := r.exchange(t, "main", raw("GET /auth/verify", bearer(u.token)))
	keys := r.fake.SessionKeys(u.User)
	if len(keys) == 0 {
		t.Fatal("the fake has no session_key")
	}
	for _, key := range keys {
		for what, text := range map[string]string{
			"token answer": string(u.body), "token": fmt.Sprint(claims(t, u.token)), "upstream": got.String(), "verify": fmt.Sprint(verify.header, string(verify.body)),
		} {
			if strings.Contains(text, key) {
				t.Errorf("%s has the session_key: %s", what, text)
			}
		}
		for _, line := range r.logLines(t) {
			if text := fmt.Sprint(line); strings.Contains(text, key) {
				t.Errorf("the log has the session_key: %s", text)
			}
		}
	}
}
