// Malformed answers.

package wechat_test

import (
	"context"
	"strings"
	"testing"

	"github.com/caddy-wechat/wechatauth/wechat"
)

// notAnAnswer holds what no call takes for an answer.
var notAnAnswer = map[string]string{
	"empty":                 "",
	"blank":                 " \r\n",
	"byte order mark":       "\ufeff",
	"HTML":                  "<html><body>gateway</body></html>",
	"text":                  "system error",
	"null":                  "null",
	"array":                 `[{"openid":"o1"}]`,
	"string":                `"openid"`,
	"truncated":             goodSession[:len(goodSession)-4],
	"trailing data":         goodSession + goodSession,
	"deep":                  strings.Repeat(`{"a":`, 20000),
	"errcode object":        `{"errcode":{},"openid":"o1"}`,
	"errcode word":          `{"errcode":"no","openid":"o1"}`,
	"errcode true":          `{"errcode":true,"openid":"o1"}`,
	"errcode fraction":      `{"errcode":0.5,"openid":"o1"}`,
	"errcode huge":          `{"errcode":99999999999999999999,"openid":"o1"}`,
	"errcode wraps to 0":    `{"errcode":4294967296,"openid":"o1"}`,
	"empty object":          `{}`,
	"errcode 0 and no more": `{"errcode":0,"errmsg":"ok"}`,
	"over 1 MiB":            `{"openid":"o1","pad":"` + strings.Repeat("x", 1<<20) + `"}`,
}

func TestMalformedAnswersAreBadAnswers(t *testing.T) {
	t.Parallel()
	login := map[string]string{
		"openid null":        `{"openid":null,"session_key":"k"}`,
		"openid empty":       `{"openid":"","session_key":"k"}`,
		"openid number":      `{"openid":12345,"session_key":"k"}`,
		"openid array":       `{"openid":["o1"],"session_key":"k"}`,
		"openid alphabet":    `{"openid":"o1/../x"}`,
		"openid line break":  `{"openid":"o1\r\nX-Evil: 1"}`,
		"openid newline":     `{"openid":"o1\n"}`,
		"openid NUL":         `{"openid":"o1\u0000"}`,
		"openid not UTF-8":   "{\"openid\":\"o1\xff\"}",
		"openid too long":    `{"openid":"` + strings.Repeat("o", 129) + `"}`,
		"openid other case":  `{"OpenID":"o1"}`,
		"unionid alphabet":   `{"openid":"o1","unionid":"u 1"}`,
		"unionid number":     `{"openid":"o1","unionid":1}`,
		"session_key number": `{"openid":"o1","session_key":1}`,
	}
	mark := `"watermark":{"timestamp":1637744274,"appid":"` + testAppID + `"}`
	phone := map[string]string{
		"phone_info null":        `{"phone_info":null}`,
		"phone_info string":      `{"phone_info":"x"}`,
		"phone_info array":       `{"phone_info":[]}`,
		"phoneNumber absent":     `{"phone_info":{"countryCode":"86",` + mark + `}}`,
		"phoneNumber empty":      `{"phone_info":{"phoneNumber":"","countryCode":"86",` + mark + `}}`,
		"phoneNumber fraction":   `{"phone_info":{"phoneNumber":1.5,"countryCode":"86",` + mark + `}}`,
		"phoneNumber line break": `{"phone_info":{"phoneNumber":"1\r\nX: 1","countryCode":"86",` + mark + `}}`,
		"phoneNumber too long":   `{"phone_info":{"phoneNumber":"` + strings.Repeat("1", 33) + `","countryCode":"86",` + mark + `}}`,
		"watermark absent":       `{"phone_info":{"phoneNumber":"1","purePhoneNumber":"1","countryCode":"86"}}`,
		"watermark appid absent": `{"phone_info":{"phoneNumber":"1","purePhoneNumber":"1","countryCode":"86","watermark":{"timestamp":1}}}`,
		"watermark of another":   `{"phone_info":{"phoneNumber":"1","purePhoneNumber":"1","countryCode":"86","watermark":{"timestamp":1,"appid":"wxother"}}}`,
	}
	token := map[string]string{
		"access_token absent":   `{"expires_in":7200}`,
		"access_token empty":    `{"access_token":"","expires_in":7200}`,
		"access_token number":   `{"access_token":1,"expires_in":7200}`,
		"access_token blank":    `{"access_token":"a b","expires_in":7200}`,
		"access_token too long": `{"access_token":"` + strings.Repeat("t", 2049) + `","expires_in":7200}`,
		"expires_in absent":     `{"access_token":"t"}`,
		"expires_in zero":       `{"access_token":"t","expires_in":0}`,
		"expires_in negative":   `{"access_token":"t","expires_in":-1}`,
		"expires_in absurd":     `{"access_token":"t","expires_in":86401}`,
		"expires_in overflows":  `{"access_token":"t","expires_in":9223372036854775807}`,
		"expires_in word":       `{"access_token":"t","expires_in":"soon"}`,
	}

	cloud := map[string]string{
		"data_list null":     `{"data_list":null}`,
		"data_list string":   `{"data_list":"x"}`,
		"data_list object":   `{"data_list":{}}`,
		"entry string":       `{"data_list":["x"]}`,
		"of another cloudID": cloudAnswer(testCloud, `{"cloudID":"other","data":`+phoneObject(testAppID, tapTime)+`}`),
		"watermark":          cloudAnswer(testCloud, `{"data":`+phoneObject("wxother", tapTime)+`}`),
		"number too long":    cloudAnswer(testCloud, `{"data":{"phoneNumber":"`+strings.Repeat("1", 33)+`"}}`),
		"no watermark":       cloudAnswer(testCloud, `{"data":{"phoneNumber":"1","purePhoneNumber":"1"}}`),
	}
	nick := map[string]string{
		"result null":     `{"errcode":0,"errmsg":"ok","result":null}`,
		"result string":   `{"errcode":0,"errmsg":"ok","result":"pass"}`,
		"suggest absent":  `{"errcode":0,"errmsg":"ok","result":{"label":100}}`,
		"suggest unknown": `{"errcode":0,"errmsg":"ok","result":{"suggest":"Pass","label":100}}`,
		"suggest number":  `{"errcode":0,"errmsg":"ok","result":{"suggest":0}}`,
		"other case":      `{"errcode":0,"errmsg":"ok","Result":{"Suggest":"pass"}}`,
	}

	for _, calls := range []struct {
		path, op string
		bodies   map[string]string
	}{
		{loginPath, wechat.OpCode2Session, login},
		{phonePath, wechat.OpPhoneNumber, phone},
		{tokenPath, wechat.OpToken, token},
		{cloudPath, wechat.OpOpenData, cloud},
		{nickPath, wechat.OpCheckNickname, nick},
		{checkPath, wechat.OpCheckSession, nil},
	} {
		for _, bodies := range []map[string]string{notAnAnswer, calls.bodies} {
			for name, body := range bodies {
				if calls.path == checkPath && body == goodCheck {
					continue // there it is all that is promised
				}
				t.Run(calls.op+"/"+name, func(t *testing.T) {
					t.Parallel()
					fake := newFake().on(calls.path, text(body))
					err := callEither(t, newClient(t, fake), calls.path)
					if e := asError(t, err); e.Class != wechat.ClassBadAnswer || e.Op != calls.op {
						t.Errorf("got %s %v, want %s bad_answer", e.Op, e.Class, calls.op)
					}
					if got := fake.calls(calls.path); got != 1 {
						t.Errorf("got %d calls, want 1: an answer is never asked for twice", got)
					}
				})
			}
		}
	}
}

// callEither makes the call that leads to path, and returns its error alone.
func callEither(t *testing.T, client *wechat.Client, path string) error {
	t.Helper()
	return callWith(t.Context(), t, client, path)
}

func callWith(ctx context.Context, t *testing.T, client *wechat.Client, path string) error {
	t.Helper()
	var beside bool // a result beside an error
	var err error
	switch path {
	case loginPath:
		var session wechat.Session
		session, err = client.Code2Session(ctx, testCode)
		beside = session != (wechat.Session{})
	case phonePath, tokenPath:
		var phone wechat.Phone
		phone, err = client.PhoneNumber(ctx, testCode, testOpenID)
		beside = phone != (wechat.Phone{})
	case cloudPath:
		var phone wechat.Phone
		phone, err = client.PhoneFromCloudID(ctx, testCloud, testOpenID)
		beside = phone != (wechat.Phone{})
	case checkPath:
		beside, err = client.CheckSession(ctx, testOpenID, testKey)
		if err == nil && !beside {
			t.Error("got an invalid session_key, want a valid one or an error")
		}
	case nickPath:
		err = client.CheckNickname(ctx, testOpenID, testName)
	default:
		t.Fatalf("no call leads to %s", path)
	}
	if err != nil && beside {
		t.Error("got a result beside an error, want none")
	}
	return err
}
