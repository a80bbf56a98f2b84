// Open data other than phones, and the user signature.

package wechat_test

import (
	"encoding/base64"
	"errors"
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
