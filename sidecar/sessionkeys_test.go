// What a backend gets of the session_key: signatures and open data.

package sidecar

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/session"
	"github.com/caddy-wechat/wechatauth/wechat/wechattest"
)

func withKeyUses(cfg *Config, deps *Deps) {
	withService(cfg, deps)
	deps.Limits.KeyUses = NewLimiter(MaxKeyUses, time.Minute, func() {})
}

func signBody(openid, data string) string {
	text, _ := json.Marshal(map[string]string{"openid": openid, "data": data})
	return string(text)
}

// The signature is over the bytes that the mini program hands to WeChat, escapes and blanks and all.
func TestSignSignsTheVeryBytes(t *testing.T) {
	t.Parallel()
	s := newTestSite(t, withKeyUses)
	alice := s.fake.NewUser(testAppID)
	s.loginAs(alice)
	for name, data := range map[string]string{
		"as payment sends it": `{"offerId":"123","buyQuantity":1,"env":0,"currencyType":"CNY","outTradeNo":"order-1"}`,
		"odd blanks":          "{ \"a\" :\t1 }\n",
		"what JSON escapes":   `<b> & "x" ` + "\u2028 \U0001F600",
		"no JSON":             "x",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			signed := s.wantService("POST", "sign", signBody(alice.OpenID, data), 200, "")
			mac := hmac.New(sha256.New, []byte(s.fake.SessionKeys(alice)[0]))
			mac.Write([]byte(data))
			if got, want := text(signed, "signature"), hex.EncodeToString(mac.Sum(nil)); got != want || len(signed) != 1 {
				t.Errorf("got %v, want %s alone", signed, want)
			}
			if code := s.fake.CheckPayment(alice, data, text(signed, "signature")); code != 0 {
				t.Errorf("payment: got %d, want 0", code)
			}
		})
	}
}

// wx.login in the mini program ends the key, whether its code came here or not.
func TestSignRefusesAKeyThatWeChatReplaced(t *testing.T) {
	t.Parallel()
	s := newTestSite(t, withKeyUses)
	alice := s.fake.NewUser(testAppID)
	s.loginAs(alice)
	code := s.fake.LoginCode(alice)
	s.wantService("POST", "sign", signBody(alice.OpenID, "x"), 409, "session_key_stale")
	if status, answer := s.do("POST", "/auth/login", "", `{"code":"`+code+`"}`); status != 200 {
		t.Fatalf("login: got %d %v, want 200", status, answer)
	}
	s.wantService("POST", "sign", signBody(alice.OpenID, "x"), 200, "")
}

func TestSignRefuses(t *testing.T) {
	t.Parallel()
	s := newTestSite(t, withKeyUses)
	alice := s.fake.NewUser(testAppID)
	_, login := s.loginAs(alice)
	for _, tt := range map[string]struct {
		body   string
		status int
		code   string
	}{
		"nothing to sign":               {signBody(alice.OpenID, ""), 400, "invalid_request"},
		"no data":                       {`{"openid":"` + alice.OpenID + `"}`, 400, "invalid_request"},
		"data that is an object":        {`{"openid":"` + alice.OpenID + `","data":{}}`, 400, "invalid_request"},
		"a field that would be ignored": {`{"openid":"` + alice.OpenID + `","data":"x","session_key":"y"}`, 400, "invalid_request"},
		"a user nobody knows":           {signBody("nobody", "x"), 404, "not_found"},
		"another mini program":          {`{"appid":"wx-other","openid":"` + alice.OpenID + `","data":"x"}`, 404, "not_found"},
	} {
		s.wantService("POST", "sign", tt.body, tt.status, tt.code)
	}
	s.fake.Fail(wechattest.CheckSession, 9, wechattest.ErrCode(-1))
	s.wantService("POST", "sign", signBody(alice.OpenID, "x"), 503, "wechat_unavailable")
	s.fake.ClearFaults()
	if status, answer := s.do("POST", "/auth/service/sign", text(login, "access_token"), signBody(alice.OpenID, "x")); status != 401 {
		t.Errorf("with the user's token: got %d %v, want 401", status, answer)
	}
	for range MaxKeyUses {
		s.do("POST", "/auth/service/sign", testServiceSecret, signBody(alice.OpenID, "x"))
	}
	s.wantService("POST", "sign", signBody(alice.OpenID, "x"), 429, "rate_limited")
}

// Without the door there is nobody to sign for, and no key is kept.
func TestKeysAreKeptOnlyForAService(t *testing.T) {
	t.Parallel()
	s := newTestSite(t)
	alice := s.fake.NewUser(testAppID)
	s.loginAs(alice)
	s.wantOperation("POST", "sign", signBody(alice.OpenID, "x"), 404, "not_found")
	store, _ := s.store.get()
	id := session.UserID{AppID: testAppID, OpenID: alice.OpenID}
	if account, err := store.Account(t.Context(), id.Tag()); err != nil || account.User.Key != nil {
		t.Errorf("got a key, error %v, want none", err)
	}
}

func decryptBody(openid, data, iv string) string {
	return fmt.Sprintf(`{"appid":"-","openid":"%s","encryptedData":"%s","iv":"%s"}`, openid, data, iv)
}

func TestDecryptReadsOpenDataButNoPhone(t *testing.T) {
	t.Parallel()
	s := newTestSite(t, withKeyUses)
	alice, bob := s.fake.NewUser(testAppID), s.fake.NewUser(testAppID)
	s.loginAs(alice)
	s.loginAs(bob)
	data, iv := s.fake.EncryptedSteps(alice, 4_000, 12_000)
	steps := s.wantService("POST", "decrypt", decryptBody(alice.OpenID, data, iv), 200, "")
	if list, _ := steps["stepInfoList"].([]any); len(list) != 2 || text(steps, "watermark", "appid") != testAppID {
		t.Errorf("got %v, want two days and the watermark", steps)
	}
	s.wantService("POST", "decrypt", decryptBody(bob.OpenID, data, iv), 409, "session_key_stale")
	s.wantService("POST", "decrypt", decryptBody(alice.OpenID, data[4:], iv), 400, "invalid_request")
	data, iv = s.fake.EncryptedPhone(alice, "13800138000")
	if answer := s.wantService("POST", "decrypt", decryptBody(alice.OpenID, data, iv), 400, "invalid_request"); strings.Contains(fmt.Sprint(answer), "138001") {
		t.Errorf("got %v, want nothing of the phone", answer)
	}
}

// Whoever can have the backend decrypt what he likes has five guesses an hour, as at the phone
// route; good data counts nothing.
func TestAttackPaddingOracleThroughDecrypt(t *testing.T) {
	t.Parallel()
	s := newTestSite(t, withKeyUses)
	alice := s.fake.NewUser(testAppID)
	s.loginAs(alice)
	good, iv := s.fake.EncryptedSteps(alice, 1)
	for range 2 * maxDecryptFailures {
		s.wantService("POST", "decrypt", decryptBody(alice.OpenID, good, iv), 200, "")
	}
	bad, badIV := s.fake.Encrypt(alice, "garbage")
	for range maxDecryptFailures {
		s.wantService("POST", "decrypt", decryptBody(alice.OpenID, bad, badIV), 409, "session_key_stale")
	}
	s.wantService("POST", "decrypt", decryptBody(alice.OpenID, good, iv), 409, "session_key_stale")
}

func TestTokenIsTheOneThatWeUse(t *testing.T) {
	t.Parallel()
	s := newTestSite(t, withKeyUses)
	answer := s.wantService("GET", "token", "", 200, "")
	life, _ := answer["expires_in"].(float64)
	if text(answer, "access_token") == "" || life < 6000 || life > 7200 || len(answer) != 2 {
		t.Errorf("got %v, want a token for nearly two hours", answer)
	}
	again := s.wantService("GET", "token?appid="+testAppID, "", 200, "")
	if text(again, "access_token") != text(answer, "access_token") || s.fake.Count(wechattest.StableToken) != 1 {
		t.Errorf("again: got %v after %d fetches, want the same after one", again, s.fake.Count(wechattest.StableToken))
	}
	s.wantService("GET", "token?appid=wx-other", "", 404, "not_found")
	s.wantService("POST", "token", "", 405, "method_not_allowed")
}
