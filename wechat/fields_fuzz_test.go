// Fuzzing of answers beside another reader of JSON: what is taken from them, and what is refused.

package wechat_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/caddy-wechat/wechatauth/wechat"
)

const riskPath = "/wxa/getuserriskrank"

// FuzzAnswerFields: what a call returns is what the standard library finds under that very name, and
// an errcode other than 0 is never a success.
func FuzzAnswerFields(f *testing.F) {
	for _, body := range []string{
		goodSession, goodPhone, goodCheck, goodNick, `{"errcode":0,"risk_rank":3}`, `{"errcode":"0","risk_rank":"3"}`, `{"risk_rank":5}`, `{"risk_rank":-0}`,
		`{"errcode":61010}`, `{"errcode":40029,"openid":"o1","risk_rank":0}`, "\ufeff " + goodSession, `{"openid":"o1","OpenID":"o2","session_key":"k","openid":"o3"}`,
		`{"errcode":4294967296,"openid":"o1"}`, `{"errcode":null,"openid":"o1","unionid":null}`, `{"errcode":1e0,"openid":"o"}`, `{"errcode":" 0 ","openid":"o"}`, `{"\u006fpenid":"o1"}`,
		`{"openid":"o1\n"}`, `{"openid":"` + strings.Repeat("o", 129) + `"}`, `{"result":{"suggest":"risky"}}`, `{"result":{"suggest":"pass"}}`,
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var want map[string]any
		dec := json.NewDecoder(bytes.NewReader(bytes.TrimSpace(bytes.TrimPrefix(body, []byte("\ufeff")))))
		dec.UseNumber()
		readable := dec.Decode(&want) == nil && want != nil && !dec.More()
		code, coded := whole(want["errcode"])
		synctest.Test(t, func(t *testing.T) { // the pause after -1 costs nothing here
			check := func(call string, err error) bool {
				t.Helper()
				if err == nil && (!readable || want["errcode"] != nil && (!coded || code != 0)) {
					t.Errorf("%s: got success of %q", call, body)
				}
				if err != nil && readable && coded && code != 0 && code == int64(int32(code)) && asError(t, err).Code != int(code) {
					t.Errorf("%s: got errcode %d, want %d", call, asError(t, err).Code, code)
				}
				return err == nil
			}
			session, err := newClient(t, newFake().on(loginPath, text(string(body)))).Code2Session(t.Context(), testCode)
			if check("session", err) && (session.OpenID != want["openid"] || session.UnionID != textIn(want, "unionid") || session.SessionKey != textIn(want, "session_key")) {
				t.Errorf("%q: got the openid %q, unionid %q", body, session.OpenID, session.UnionID)
			}
			phone, err := newClient(t, newFake().on(phonePath, text(string(body)))).PhoneNumber(t.Context(), testCode, testOpenID)
			if check("phone", err) {
				info, _ := want["phone_info"].(map[string]any)
				mark, _ := info["watermark"].(map[string]any)
				if mark["appid"] != testAppID || phone.Number != fmt.Sprint(info["phoneNumber"]) && !strings.HasSuffix(phone.Number, fmt.Sprint(info["purePhoneNumber"])) {
					t.Errorf("%q: got the number %q", body, phone.Number)
				}
			}
			rank, err := newClient(t, newFake().on(riskPath, text(string(body)))).UserRisk(t.Context(), testOpenID, "192.0.2.1", wechat.RiskRegister)
			if given, ok := whole(want["risk_rank"]); check("risk", err) && (!ok || int64(rank) != given || rank < 0 || rank > wechat.MaxRisk) {
				t.Errorf("%q: got the rank %d", body, rank)
			}
			err = newClient(t, newFake().on(nickPath, text(string(body)))).CheckNickname(t.Context(), testOpenID, testName)
			if result, _ := want["result"].(map[string]any); check("nickname", err) && result["suggest"] != "pass" {
				t.Errorf("%q: the nickname passed", body)
			}
		})
	})
}

// whole is a whole number, or a text of one.
func whole(value any) (int64, bool) {
	text := ""
	switch value := value.(type) {
	case json.Number:
		text = value.String()
	case string:
		text = strings.TrimSpace(value)
	}
	n, err := strconv.ParseInt(text, 10, 64)
	return n, err == nil
}

func textIn(object map[string]any, name string) string {
	text, _ := object[name].(string)
	return text
}
