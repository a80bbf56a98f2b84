// Open data other than phones, and the user signature.

package wechat_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/wechat"
)

// WeChat publishes these two, on the page of virtual payment and on that of B2b payment.
func TestSignUserIsWeChats(t *testing.T) {
	t.Parallel()
	const key = "9hAb/NEYUlkaMBEsmFgzig=="
	for data, want := range map[string]string{
		`{"openid": "xxx", "user_ip": "127.0.0.1", "env": 0}`:                    "089d9e8dc5d308977360c4b79ec600a93d736802802a807d634192328032f6c7",
		`{"mchid": "1230000109","out_trade_no": "1217752501201407033233368018"}`: "47784191c740b0522d39d0a3926a19aa0e30c77975f689a9739c9553ffac2d9d",
	} {
		if got := wechat.SignUser(key, data); got != want {
			t.Errorf("%s: got %s, want %s", data, got, want)
		}
	}
}

func TestDecryptDataReadsWeChatsExample(t *testing.T) {
	t.Parallel()
	const (
		appID = "wx4f4bc4dec97d474b"
		iv    = "r7BXXKkLb8qrSNn05n0qiA=="
		data  = "CiyLU1Aw2KjvrjMdj8YKliAjtP4gsMZMQmRzooG2xrDcvSnxIMXFufNstNGTyaGS9uT5geRa0W4oTOb1WT7fJlAC+oNPdbB+3hVbJSRgv+4lGOETKUQz6O" +
			"YStslQ142dNCuabNPGBzlooOmB231qMM85d2/fV6ChevvXvQP8Hkue1poOFtnEtpyxVLW1zAo6/1Xx1COxFvrc2d7UL/lmHInNlxuacJXwu0fjpXfz/YqYzBIBzD6WUf" +
			"TIF9GRHpOn/Hz7saL8xz+W//FRAUid1OksQaQx4CMs8LOddcQhULW4ucetDf96JcR3g0gfRK4PC7E/r7Z6xNrXd2UIeorGj5Ef7b1pJAYB6Y5anaHqZ9J6nKEBvB4DnNL" +
			"IVWSgARns/8wR2SiRS7MNACwTyrGvt9ts8p12PKFdlqYTopNHR1Vf7XjfhQlVsAJdNiKdYmYVoKlaRv85IfVunYzO0IKXsyl7JCUjCpoG20f0a04COwfneQAGGwd5oa+T" +
			"8yO5hzuyDb/XcxxmK01EpqOyuxINew=="
	)
	at := time.Unix(1477314187, 0)
	got, err := wechat.DecryptData(ownKey, data, iv, appID, at.Add(time.Minute))
	if err != nil || !strings.HasPrefix(string(got), `{"openId":"oGZUI0egBJY1zhBYw2KhdUfwVJJE","nickName":"Band"`) {
		t.Errorf("got %s, error %v, want the user Band", got, err)
	}
	if _, err := wechat.DecryptData(ownKey, data, iv, testAppID, at); !errors.Is(err, wechat.ErrDecrypt) {
		t.Errorf("another app's data: got error %v, want ErrDecrypt", err)
	}
	if _, err := wechat.DecryptData(ownKey, data, iv, appID, at.Add(time.Hour)); !errors.Is(err, wechat.ErrDecrypt) {
		t.Errorf("an hour later: got error %v, want ErrDecrypt", err)
	}
}

func TestDecryptDataRefuses(t *testing.T) {
	t.Parallel()
	mark := `"watermark":{"timestamp":1637744274,"appid":"` + testAppID + `"}`
	encode := base64.StdEncoding.EncodeToString
	for name, tt := range map[string]struct {
		text string
		want error
	}{
		"a group":                    {`{"openGId":"tG","futureField":[1],` + mark + `}`, nil},
		"a phone":                    {ownPhone, wechat.ErrPhoneData},
		"a phone beside others":      {`{"openGId":"tG","purePhoneNumber":"13800138000",` + mark + `}`, wechat.ErrPhoneData},
		"a phone in disguise":        {`{"openGId":"tG","purePhone\u004eumber":"13800138000",` + mark + `}`, wechat.ErrPhoneData},
		"no watermark":               {`{"openGId":"tG"}`, wechat.ErrDecrypt},
		"two watermarks":             {`{"openGId":"tG","watermark":{},` + mark + `}`, wechat.ErrDecrypt},
		"the word in a text":         {`{"openGId":"\"watermark\"",` + mark + `}`, nil},
		"text that is no UTF-8":      {"{\"openGId\":\"\xff\"," + mark + `}`, wechat.ErrDecrypt},
		"a list":                     {`[` + mark + `]`, wechat.ErrDecrypt},
		"a timestamp that is a word": {`{"watermark":{"timestamp":"now","appid":"` + testAppID + `"}}`, wechat.ErrDecrypt},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := seal(t, tt.text)
			got, err := wechat.DecryptData(ownKey, encode(s.data), encode(s.iv), testAppID, tapTime)
			if !errors.Is(err, tt.want) || (err == nil) != (string(got) == tt.text) {
				t.Errorf("got %s, error %v, want %v", got, err, tt.want)
			}
		})
	}
}

// FuzzDecryptData encrypts any text: what is opened is that text, has one reading, is of this mini
// program and fresh, and no phone. Everything else is the one error, damaged data in whatever way too.
func FuzzDecryptData(f *testing.F) {
	mark := `"watermark":{"timestamp":1637744274,"appid":"` + testAppID + `"}`
	for _, text := range []string{
		`{"openGId":"tG",` + mark + `}`, `{` + mark + `}`, ownPhone, `{"w\u0061termark":{},` + mark + `}`, `{"PhoneNumber":"1",` + mark + `}`, `{"a":1,"a":2,` + mark + `}`,
		`{"stepInfoList":[{"timestamp":1637744274,"step":100}],` + mark + `}`, mark, `{` + mark + `} `, `{"watermark":{"timestamp":"1637744274","appid":"` + testAppID + `","appid":"x"}}`,
	} {
		f.Add(text, uint16(0), byte(0), "", "")
		f.Add(text, uint16(len(text)), byte(3), "AAAA", "r7BXXKkLb8qrSNn05n0qiA==")
	}
	encode := base64.StdEncoding.EncodeToString
	f.Fuzz(func(t *testing.T, text string, at uint16, flip byte, data, iv string) {
		s := seal(t, text)
		got, err := wechat.DecryptData(ownKey, encode(s.data), encode(s.iv), testAppID, tapTime)
		if err != nil && err != wechat.ErrDecrypt && err != wechat.ErrPhoneData || err == nil && string(got) != text {
			t.Errorf("got %q %v of %q", got, err, text)
		}
		if err == nil {
			checkOpenData(t, text)
		}
		damaged := slices.Concat(s.iv, s.data)
		damaged[int(at)%len(damaged)] ^= flip
		for _, pair := range [][2]string{{encode(damaged[16:]), encode(damaged[:16])}, {data, iv}} {
			got, err := wechat.DecryptData(ownKey, pair[0], pair[1], testAppID, tapTime)
			switch {
			case err == nil:
				checkOpenData(t, string(got))
			case got != nil || err != wechat.ErrDecrypt && err != wechat.ErrPhoneData:
				t.Errorf("got %q %v", got, err)
			}
		}
	})
}

// checkOpenData reads data as a backend does, which may ignore case, and take either of two names.
func checkOpenData(t *testing.T, text string) {
	t.Helper()
	marks := 0
	dec := json.NewDecoder(strings.NewReader(text))
	if token, err := dec.Token(); err != nil || token != json.Delim('{') {
		t.Fatalf("%q is no object", text)
	}
	seen := map[string]bool{}
	for dec.More() {
		token, err := dec.Token()
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		name, _ := token.(string)
		var value struct {
			AppID     string      `json:"appid"`
			Timestamp json.Number `json:"timestamp"`
		}
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if seen[name] {
			t.Errorf("%q has %q twice", text, name)
		}
		seen[name] = true
		switch strings.ToLower(name) {
		case "phonenumber", "purephonenumber":
			t.Errorf("%q is a phone", text)
		case "watermark":
			marks++
			_ = json.Unmarshal(raw, &value)
			if at, err := value.Timestamp.Int64(); value.AppID != testAppID || err != nil || tapTime.Sub(time.Unix(at, 0)).Abs() > 5*time.Minute {
				t.Errorf("%q is not fresh, or of %q", text, value.AppID)
			}
		}
	}
	if marks != 1 {
		t.Errorf("%q has %d watermarks", text, marks)
	}
}
