// Calls as they are sent, and answers as they are read.

package wechat_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/wechat"
)

func TestCode2SessionAsks(t *testing.T) {
	t.Parallel()
	fake := newFake()
	if _, err := newClient(t, fake).Code2Session(t.Context(), testCode); err != nil {
		t.Fatal(err)
	}

	r := fake.seen[0]
	if r.Method != http.MethodGet || r.URL.Host != "api.weixin.qq.com" || r.URL.Path != loginPath || r.URL.Fragment != "" {
		t.Errorf("got %s %s%s, want GET api.weixin.qq.com%s", r.Method, r.URL.Host, r.URL.Path, loginPath)
	}
	want := map[string]string{"appid": testAppID, "secret": testSecret, "js_code": testCode, "grant_type": "authorization_code"}
	query := r.URL.Query()
	if len(query) != len(want) {
		t.Errorf("got %d parameters, want %d", len(query), len(want))
	}
	for name, value := range want {
		if got := query[name]; len(got) != 1 || got[0] != value {
			t.Errorf("%s: got %q, want %q once", name, got, value)
		}
	}
}

func TestPhoneNumberAsks(t *testing.T) {
	t.Parallel()
	fake := newFake()
	if _, err := newClient(t, fake).PhoneNumber(t.Context(), testCode, testOpenID); err != nil {
		t.Fatal(err)
	}

	tests := []struct {
		name, path, query string
		body              map[string]string
	}{
		{"token", tokenPath, "", map[string]string{"grant_type": "client_credential", "appid": testAppID, "secret": testSecret}},
		{"phone", phonePath, "access_token=" + testToken, map[string]string{"code": testCode, "openid": testOpenID}},
	}
	for i, tt := range tests {
		r := fake.seen[i]
		if r.Method != http.MethodPost || r.URL.Path != tt.path || r.URL.RawQuery != tt.query {
			t.Errorf("%s: got %s %s?%s, want POST %s?%s", tt.name, r.Method, r.URL.Path, r.URL.RawQuery, tt.path, tt.query)
		}
		if got := r.Header.Get("Content-Type"); got != "application/json" {
			t.Errorf("%s: Content-Type: got %q, want application/json", tt.name, got)
		}
		var body map[string]string
		if err := json.Unmarshal([]byte(fake.bodies[i]), &body); err != nil {
			t.Fatal(err)
		}
		if len(body) != len(tt.body) {
			t.Errorf("%s: got %d fields, want %d", tt.name, len(body), len(tt.body))
		}
		for name, value := range tt.body {
			if body[name] != value {
				t.Errorf("%s: %s: got %q, want %q", tt.name, name, body[name], value)
			}
		}
	}
}

// The swapped phone code: without an openid WeChat does not check whose code it is, and any client
// could attach somebody else's number to its own session.
// Threats: T75.
func TestAttackPhoneCodeSwapNeedsAnEmptyOpenID(t *testing.T) {
	t.Parallel()
	for _, openid := range []string{"", "a b", strings.Repeat("o", 129), "o\"x"} {
		fake := newFake()
		_, err := newClient(t, fake).PhoneNumber(t.Context(), testCode, openid)
		if got := asError(t, err).Class; got != wechat.ClassConfig {
			t.Errorf("openid %q: got %v, want config", openid, got)
		}
		if len(fake.seen) != 0 {
			t.Errorf("openid %q: got %d requests, want 0", openid, len(fake.seen))
		}
	}
}

func TestImpossibleCodesAreNotSent(t *testing.T) {
	t.Parallel()
	for _, code := range []string{"", strings.Repeat("c", 129), "c&appid=wxevil&secret=x#", "a b", "a\n", "码"} {
		fake := newFake()
		client := newClient(t, fake)
		_, err := client.Code2Session(t.Context(), code)
		if got := asError(t, err).Class; got != wechat.ClassCode {
			t.Errorf("login: got %v, want code", got)
		}
		_, err = client.PhoneNumber(t.Context(), code, testOpenID)
		if got := asError(t, err).Class; got != wechat.ClassCode {
			t.Errorf("phone: got %v, want code", got)
		}
		if len(fake.seen) != 0 {
			t.Errorf("got %d requests, want 0", len(fake.seen))
		}
	}
}

func TestCode2SessionReads(t *testing.T) {
	t.Parallel()
	full := wechat.Session{OpenID: "o1", SessionKey: "k", UnionID: "u1"}
	tests := []struct {
		name, body string
		want       wechat.Session
	}{
		{"whole", `{"openid":"o1","session_key":"k","unionid":"u1"}`, full},
		{"errcode 0", `{"openid":"o1","session_key":"k","unionid":"u1","errcode":0,"errmsg":"ok"}`, full},
		{"errcode null", `{"openid":"o1","session_key":"k","unionid":"u1","errcode":null}`, full},
		{"errcode string", `{"openid":"o1","session_key":"k","unionid":"u1","errcode":"0"}`, full},
		{"unknown fields", `{"openid":"o1","session_key":"k","unionid":"u1","x":[{"y":1}]}`, full},
		{"byte order mark", "\ufeff" + `{"openid":"o1","session_key":"k","unionid":"u1"}` + "\r\n", full},
		{"other case is another field", `{"openid":"o1","OPENID":"o2","OpenId":"o3"}`, wechat.Session{OpenID: "o1"}},
		{"openid alone", `{"openid":"o1"}`, wechat.Session{OpenID: "o1"}},
		{"empty unionid", `{"openid":"o1","unionid":""}`, wechat.Session{OpenID: "o1"}},
		{"nulls", `{"openid":"o1","unionid":null,"session_key":null}`, wechat.Session{OpenID: "o1"}},
		{"longest openid", `{"openid":"` + strings.Repeat("o", 128) + `"}`, wechat.Session{OpenID: strings.Repeat("o", 128)}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			// The status means nothing: WeChat says 200 to errors, and a proxy may say 500 to a
			// good answer.
			for _, status := range []int{200, 404, 500} {
				answer := func(*http.Request) (*http.Response, error) { return reply(status, tt.body), nil }
				got, err := newClient(t, newFake().on(loginPath, answer)).Code2Session(t.Context(), testCode)
				if err != nil {
					t.Fatal(err)
				}
				if got != tt.want {
					t.Errorf("status %d: got %q %q %q, want %q %q %q", status,
						got.OpenID, got.SessionKey, got.UnionID, tt.want.OpenID, tt.want.SessionKey, tt.want.UnionID)
				}
			}
		})
	}
}

// The tap was paid for: what WeChat leaves out is made up for where it follows from the rest, and
// never costs the number.
func TestPhoneNumberTakesWhatIsThere(t *testing.T) {
	t.Parallel()
	const mark = `"watermark":{"timestamp":1637744274,"appid":"` + testAppID + `"}`
	for name, tt := range map[string]struct{ info, number, e164 string }{
		"no country, China":          {`"phoneNumber":"13800138000","purePhoneNumber":"13800138000",` + mark, "13800138000", "+8613800138000"},
		"no country, abroad":         {`"phoneNumber":"85291234567","purePhoneNumber":"91234567",` + mark, "85291234567", "+85291234567"},
		"no country, plus":           {`"phoneNumber":"+852 91234567","purePhoneNumber":"91234567",` + mark, "+852 91234567", "+85291234567"},
		"no country, which is open":  {`"phoneNumber":"91234567","purePhoneNumber":"91234567",` + mark, "91234567", ""},
		"no country, numbers differ": {`"phoneNumber":"13900139000","purePhoneNumber":"13800138000",` + mark, "13900139000", ""},
		"no pure, China":             {`"phoneNumber":"13800138000","countryCode":"86",` + mark, "13800138000", "+8613800138000"},
		"no pure, China with code":   {`"phoneNumber":"+86 13800138000","countryCode":86,` + mark, "+86 13800138000", "+8613800138000"},
		"no pure, abroad":            {`"phoneNumber":"85291234567","countryCode":"852",` + mark, "85291234567", "+85291234567"},
		"the number alone":           {`"phoneNumber":"13800138000",` + mark, "13800138000", ""},
		"the number alone, plus":     {`"phoneNumber":"+8613800138000",` + mark, "+8613800138000", "+8613800138000"},
		"a plus alone":               {`"phoneNumber":"+",` + mark, "+", ""},
		"a plus and writing":         {`"phoneNumber":"+ - +",` + mark, "+ - +", ""},
		"a plus and a letter":        {`"phoneNumber":"+a13800138000",` + mark, "+a13800138000", ""},
		"a plus and a zero":          {`"phoneNumber":"+0086138001380",` + mark, "+0086138001380", ""},
		"15 digits alone":            {`"phoneNumber":"+861234567890123",` + mark, "+861234567890123", "+861234567890123"},
		"empty":                      {`"phoneNumber":"13800138000","purePhoneNumber":"","countryCode":"",` + mark, "13800138000", ""},
		"null":                       {`"phoneNumber":"13800138000","purePhoneNumber":null,"countryCode":null,` + mark, "13800138000", ""},
		"an object":                  {`"phoneNumber":"13800138000","purePhoneNumber":"13800138000","countryCode":{},` + mark, "13800138000", "+8613800138000"},
		"a line break":               {`"phoneNumber":"13800138000","purePhoneNumber":"1\r\nX: 1","countryCode":"86\r\n",` + mark, "13800138000", ""},
		"pure a number":              {`"phoneNumber":"13800138000","purePhoneNumber":13800138000,"countryCode":"86",` + mark, "13800138000", "+8613800138000"},
		"number a number":            {`"phoneNumber":13800138000,"purePhoneNumber":"13800138000","countryCode":"86",` + mark, "13800138000", "+8613800138000"},
		"no number, China":           {`"purePhoneNumber":"13800138000","countryCode":"86",` + mark, "13800138000", "+8613800138000"},
		"no number, abroad":          {`"purePhoneNumber":"91234567","countryCode":"852",` + mark, "85291234567", "+85291234567"},
		"number with a line break":   {`"phoneNumber":"1\r\nX: 1","purePhoneNumber":"13800138000","countryCode":"86",` + mark, "13800138000", "+8613800138000"},
		"no time":                    {`"phoneNumber":"13800138000","purePhoneNumber":"13800138000","countryCode":"86","watermark":{"appid":"` + testAppID + `"}`, "13800138000", "+8613800138000"},
		"time zero":                  {`"phoneNumber":"13800138000","purePhoneNumber":"13800138000","countryCode":"86","watermark":{"timestamp":0,"appid":"` + testAppID + `"}`, "13800138000", "+8613800138000"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := newClient(t, newFake().on(phonePath, text(`{"errcode":0,"phone_info":{`+tt.info+`}}`)))
			got, err := client.PhoneNumber(t.Context(), testCode, testOpenID)
			if err != nil {
				t.Fatal(err)
			}
			if got.Number != tt.number || got.E164() != tt.e164 {
				t.Errorf("got %q, %q, want %q, %q", got.Number, got.E164(), tt.number, tt.e164)
			}
		})
	}
}

func TestPhoneNumberReads(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, number, pure, country string
		e164                        string
	}{
		{"China", `"13800138000"`, `"13800138000"`, `"86"`, "+8613800138000"},
		{"country code as number", `"13800138000"`, `"13800138000"`, `86`, "+8613800138000"},
		{"abroad", `"+15005550006"`, `"5005550006"`, `"1"`, "+15005550006"},
		{"country code with plus", `"13800138000"`, `"13800138000"`, `"+86"`, "+8613800138000"},
		{"Jamaica", `"18765551234"`, `"5551234"`, `"1876"`, "+18765551234"},
		{"Jamaica, as number", `"+1876 5551234"`, `"5551234"`, `1876`, "+18765551234"},
		{"country code 0", `"13800138000"`, `"13800138000"`, `0`, ""},
		{"country code negative", `"13800138000"`, `"13800138000"`, `-86`, ""},
		{"country code too long", `"138001380"`, `"138001380"`, `"8686"`, ""},
		{"masked", `"138****8000"`, `"138****8000"`, `"86"`, ""},
		{"15 digits", `"1234567890123"`, `"1234567890123"`, `"86"`, "+861234567890123"},
		{"16 digits", `"12345678901234"`, `"12345678901234"`, `"86"`, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			body := `{"errcode":0,"phone_info":{"phoneNumber":` + tt.number + `,"purePhoneNumber":` + tt.pure + `,"countryCode":` + tt.country +
				`,"watermark":{"timestamp":"1637744274","appid":"` + testAppID + `"}}}`
			got, err := newClient(t, newFake().on(phonePath, text(body))).PhoneNumber(t.Context(), testCode, testOpenID)
			if err != nil {
				t.Fatal(err)
			}
			if got.E164() != tt.e164 {
				t.Errorf("E164: got %q, want %q", got.E164(), tt.e164)
			}
			if want := strings.Trim(tt.number, `"`); got.Number != want {
				t.Errorf("Number: got %q, want %q", got.Number, want)
			}
			if want := strings.Trim(tt.pure, `"`); got.PureNumber != want {
				t.Errorf("PureNumber: got %q, want %q", got.PureNumber, want)
			}
			if want := strings.Trim(tt.country, `"`); got.CountryCode != want {
				t.Errorf("CountryCode: got %q, want %q", got.CountryCode, want)
			}
			if want := time.Unix(1637744274, 0); !got.At.Equal(want) {
				t.Errorf("At: got %v, want %v", got.At, want)
			}
		})
	}
}
