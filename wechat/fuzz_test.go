// Fuzzing of answers.

package wechat_test

import (
	"regexp"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-wechat/wechatauth/wechat"
)

var (
	openIDPattern = regexp.MustCompile(`^[A-Za-z0-9_-]{1,128}$`)
	e164Pattern   = regexp.MustCompile(`^\+[1-9][0-9]{1,14}$`)
)

// FuzzAnswer gives any body as the answer to any call: there is either a result that keeps its
// promises, or an *Error.
func FuzzAnswer(f *testing.F) {
	for _, body := range notAnAnswer {
		f.Add([]byte(body))
	}
	for _, body := range []string{
		goodSession, goodToken, goodPhone, goodCheck, goodNick, goodCloud(), `{"errcode":87009}`, `{"errcode":-1}`, `{"errcode":"42001"}`,
		`{"errcode":40164,"errmsg":"invalid ip 1.2.3.4 ipv6 ::ffff:1.2.3.4, not in whitelist rid: 608d5803-66b84dfc-005383b1"}`,
		`{"phone_info":{"phoneNumber":"+","watermark":{"appid":"` + testAppID + `"}}}`,
		`{"phone_info":{"phoneNumber":"13800138000","watermark":{"appid":"` + testAppID + `"}}}`,
	} {
		f.Add([]byte(body))
	}

	f.Fuzz(func(t *testing.T, body []byte) {
		synctest.Test(t, func(t *testing.T) { // the pause after -1 costs nothing here
			answer := text(string(body))
			session, err := newClient(t, newFake().on(loginPath, answer)).Code2Session(t.Context(), testCode)
			if err != nil {
				checkFailure(t, err)
			} else if !openIDPattern.MatchString(session.OpenID) {
				t.Errorf("openid: got %q, want the alphabet of openids", session.OpenID)
			}

			if valid, err := newClient(t, newFake().on(checkPath, answer)).CheckSession(t.Context(), testOpenID, testKey); err != nil {
				checkFailure(t, err)
				if valid {
					t.Error("got a valid session_key beside an error, want none")
				}
			}
			if err := newClient(t, newFake().on(nickPath, answer)).CheckNickname(t.Context(), testOpenID, testName); err != nil {
				checkFailure(t, err)
			}
			if phone, err := newClient(t, newFake().on(cloudPath, answer)).PhoneFromCloudID(t.Context(), testCloud, testOpenID); err != nil {
				checkFailure(t, err)
			} else if phone.Number == "" || time.Since(phone.At).Abs() > 6*time.Minute {
				t.Errorf("got %q %v, want a fresh phone", phone.Number, phone.At)
			}

			for _, path := range []string{phonePath, tokenPath} {
				phone, err := newClient(t, newFake().on(path, answer)).PhoneNumber(t.Context(), testCode, testOpenID)
				if err != nil {
					checkFailure(t, err)
					continue
				}
				if phone.Number == "" {
					t.Error("got no number and no error, want one of them")
				}
				if e := phone.E164(); e != "" && !e164Pattern.MatchString(e) {
					t.Errorf("E164: got %q, want a plus and up to 15 digits, or nothing", e)
				}
			}
		})
	})
}

func checkFailure(t *testing.T, err error) {
	t.Helper()
	e := asError(t, err)
	if e.Class < wechat.ClassCode || e.Class > wechat.ClassBadAnswer || e.Op == "" || e.Reason == "" {
		t.Errorf("got class %v, op %q, reason %q, want all set", e.Class, e.Op, e.Reason)
	}
	if e.Code != 0 && e.Class == wechat.ClassBadAnswer {
		t.Errorf("got errcode %d in a bad answer, want none", e.Code)
	}
}
