// Encrypted phone numbers.

package wechat_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/wechat"
)

// The session_key and the time of the tests of encrypted data.
const (
	ownKey   = "tiihtNczf5v6AKRyjwEUhQ=="
	tapped   = 1637744274
	ownPhone = `{"phoneNumber":"13800138000","purePhoneNumber":"13800138000","countryCode":"86","watermark":{"timestamp":1637744274,"appid":"` +
		testAppID + `"}}`
)

var tapTime = time.Unix(tapped, 0)

// sealed is a text encrypted as WeChat does.
type sealed struct {
	iv, data []byte
	text     string
}

// seal encrypts like WeChat, each time with another iv.
func seal(t testing.TB, text string) sealed {
	t.Helper()
	pad := aes.BlockSize - len(text)%aes.BlockSize
	return sealBlocks(t, text+strings.Repeat(string(rune(pad)), pad))
}

// sealBlocks encrypts a text that has its padding.
func sealBlocks(t testing.TB, text string) sealed {
	t.Helper()
	key, err := base64.StdEncoding.DecodeString(ownKey)
	if err != nil {
		t.Fatal(err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	iv := sha256.Sum256([]byte(text))
	s := sealed{iv: iv[:aes.BlockSize], data: make([]byte, len(text)), text: text}
	cipher.NewCBCEncrypter(block, s.iv).CryptBlocks(s.data, []byte(text))
	return s
}

// open decrypts like a server that got the two strings.
func (s sealed) open(now time.Time) (wechat.Phone, error) {
	encode := base64.StdEncoding.EncodeToString
	return wechat.DecryptPhone(ownKey, encode(s.data), encode(s.iv), testAppID, now)
}

// wantRefused checks that there is neither a phone nor any error but the one.
func wantRefused(t *testing.T, name string, s sealed) {
	t.Helper()
	p, err := s.open(tapTime)
	if err != wechat.ErrDecrypt || p != (wechat.Phone{}) {
		t.Errorf("%s: got phone %q, error %v, want none, ErrDecrypt", name, p.Number, err)
	}
}

func TestDecryptPhoneReads(t *testing.T) {
	t.Parallel()
	mark := fmt.Sprintf(`"watermark":{"timestamp":%d,"appid":"%s"}`, tapped, testAppID)
	phone := func(number, pure, country string) string {
		return `{"phoneNumber":"` + number + `","purePhoneNumber":"` + pure + `","countryCode":` + country + `,` + mark + `}`
	}
	tests := []struct {
		name, text string
		e164       string
	}{
		{"China", ownPhone, "+8613800138000"},
		{"country code as number", phone("13800138000", "13800138000", "86"), "+8613800138000"},
		{"China with country code", phone("+8613800138000", "13800138000", `"86"`), "+8613800138000"},
		{"abroad", phone("85291234567", "91234567", `"852"`), "+85291234567"},
		{"abroad, plus", phone("+12025550143", "2025550143", `"1"`), "+12025550143"},
		{"abroad, blank", phone("+852 91234567", "91234567", `"852"`), "+85291234567"},
		{"abroad, hyphen", phone("852-91234567", "91234567", `"852"`), "+85291234567"},
		{"abroad without country code", phone("91234567", "91234567", `"852"`), "+85291234567"},
		{"Jamaica", phone("18765551234", "5551234", `"1876"`), "+18765551234"},
		{"number begins like the country code", phone("86138001380", "86138001380", `"86"`), "+8686138001380"},
		{"as the documentation writes it", `{
    "phoneNumber": "13580006666",
    "purePhoneNumber": "13580006666",
    "countryCode": "86",
    "watermark":
    {
        "appid":"` + testAppID + `",
        "timestamp": 1637744274
    }
}`, "+8613580006666"},
		{
			"sorted", `{"countryCode":"86","phoneNumber":"13800138000","purePhoneNumber":"13800138000",` +
				`"watermark":{"appid":"` + testAppID + `","timestamp":1637744274}}`,
			"+8613800138000",
		},
		{"watermark first", `{` + mark + `,"phoneNumber":"13800138000","purePhoneNumber":"13800138000","countryCode":86}`, "+8613800138000"},
		{"whole block of padding", wholeBlocks(ownPhone), "+8613800138000"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := seal(t, tt.text).open(tapTime)
			if err != nil {
				t.Fatal(err)
			}
			if got.E164() != tt.e164 {
				t.Errorf("E164: got %q, want %q", got.E164(), tt.e164)
			}
			if !got.At.Equal(tapTime) {
				t.Errorf("At: got %v, want %v", got.At, tapTime)
			}
		})
	}
}

// wholeBlocks lengthens an object to a multiple of 16 bytes.
func wholeBlocks(object string) string {
	return object[:len(object)-1] + strings.Repeat(" ", 16-len(object)%16) + "}"
}

func TestDecryptPhoneIsForFiveMinutes(t *testing.T) {
	t.Parallel()
	s := seal(t, ownPhone)
	for after, want := range map[time.Duration]bool{
		0: true, 5 * time.Minute: true, 5*time.Minute + 1: false, -time.Minute: true, -time.Minute - 1: false,
		24 * time.Hour: false, -24 * time.Hour: false, 100 * 365 * 24 * time.Hour: false,
	} {
		if _, err := s.open(tapTime.Add(after)); (err == nil) != want {
			t.Errorf("after %v: got error %v, want success %t", after, err, want)
		}
	}
}

func TestDecryptPhoneRefusesOtherTexts(t *testing.T) {
	t.Parallel()
	const (
		number  = `"phoneNumber":"13800138000"`
		pure    = `"purePhoneNumber":"13800138000"`
		country = `"countryCode":"86"`
		stamp   = `"timestamp":1637744274`
		app     = `"appid":"` + testAppID + `"`
		mark    = `"watermark":{` + stamp + `,` + app + `}`
	)
	object := func(members ...string) string { return "{" + strings.Join(members, ",") + "}" }
	tests := map[string]string{
		"empty":                     "",
		"a block of blanks":         strings.Repeat(" ", 32),
		"not JSON":                  strings.Repeat("phone", 10),
		"not UTF-8":                 strings.Repeat("\xff\xfe", 40),
		"array":                     "[" + ownPhone + "]",
		"string":                    `"` + strings.Repeat("1", 40) + `"`,
		"null":                      "null                          ",
		"wrapped":                   `{"phone_info":` + ownPhone + `}`,
		"trailing data":             ownPhone + "x",
		"trailing object":           ownPhone + ownPhone,
		"trailing newline":          ownPhone + "\n",
		"trailing NUL":              ownPhone + "\x00",
		"byte order mark":           "\ufeff" + ownPhone,
		"cut off":                   ownPhone[:len(ownPhone)-1],
		"comma at the end":          object(number, pure, country, mark)[:len(ownPhone)-1] + ",}",
		"no phoneNumber":            object(pure, country, mark),
		"no purePhoneNumber":        object(number, country, mark),
		"no countryCode":            object(number, pure, mark),
		"no watermark":              object(number, pure, country),
		"no appid":                  object(number, pure, country, `"watermark":{`+stamp+`}`),
		"no timestamp":              object(number, pure, country, `"watermark":{`+app+`}`),
		"one key more":              object(number, pure, country, mark, `"nickName":"x"`),
		"one key more inside":       object(number, pure, country, `"watermark":{`+stamp+`,`+app+`,"x":1}`),
		"null beside":               object(number, pure, country, mark, `"x":null`),
		"openId":                    object(`"openId":"o1"`, number, pure, country, mark),
		"key twice":                 object(`"phoneNumber":"13900139000"`, number, pure, country, mark),
		"same key twice":            object(number, number, pure, country, mark),
		"pure key twice":            object(number, `"purePhoneNumber":"13900139000"`, pure, country, mark),
		"watermark twice":           object(number, pure, country, `"watermark":{`+`"timestamp":1`+`,`+app+`}`, mark),
		"timestamp twice":           object(number, pure, country, `"watermark":{"timestamp":1,`+stamp+`,`+app+`}`),
		"country twice, as numbers": object(number, pure, `"countryCode":1`, `"countryCode":86`, mark),
		"other case":                object(`"PhoneNumber":"13800138000"`, pure, country, mark),
		"escaped key":               object(`"phoneNumbe\u0072":"13800138000"`, pure, country, mark),
		"escaped digit":             object(`"phoneNumber":"1380013800\u0030"`, pure, country, mark),
		"escaped slash":             object(`"phoneNumber":"13800138000\/"`, pure, country, mark),
		"number a number":           object(`"phoneNumber":13800138000`, pure, country, mark),
		"number null":               object(`"phoneNumber":null`, pure, country, mark),
		"number empty":              object(`"phoneNumber":""`, `"purePhoneNumber":""`, country, mark),
		"number an object":          object(`"phoneNumber":{}`, pure, country, mark),
		"number with letters":       object(`"phoneNumber":"1380013800x"`, `"purePhoneNumber":"1380013800x"`, country, mark),
		"number masked":             object(`"phoneNumber":"138****8000"`, `"purePhoneNumber":"138****8000"`, country, mark),
		"number in other digits":    object(`"phoneNumber":"１３８００１３８０００"`, `"purePhoneNumber":"１３８００１３８０００"`, country, mark),
		"number with a line break":  object("\"phoneNumber\":\"13800138000\n\"", pure, country, mark),
		"number too short":          object(`"phoneNumber":"138"`, `"purePhoneNumber":"138"`, country, mark),
		"number too long":           object(`"phoneNumber":"138001380001380"`, `"purePhoneNumber":"138001380001380"`, country, mark),
		"numbers differ":            object(`"phoneNumber":"13900139000"`, pure, country, mark),
		"other country in front":    object(`"phoneNumber":"85213800138000"`, pure, country, mark),
		"number and more":           object(`"phoneNumber":"138001380001"`, pure, country, mark),
		"country twice in front":    object(`"phoneNumber":"868613800138000"`, pure, country, mark),
		"plus without country":      object(`"phoneNumber":"+13800138000"`, pure, country, mark),
		"two blanks":                object(`"phoneNumber":"86  13800138000"`, pure, country, mark),
		"country empty":             object(number, pure, `"countryCode":""`, mark),
		"country 0":                 object(number, pure, `"countryCode":0`, mark),
		"country with plus":         object(number, pure, `"countryCode":"+86"`, mark),
		"country negative":          object(number, pure, `"countryCode":-86`, mark),
		"country a fraction":        object(number, pure, `"countryCode":86.0`, mark),
		"country too long":          object(number, pure, `"countryCode":"86866"`, mark),
		"country an array":          object(number, pure, `"countryCode":["86"]`, mark),
		"country of four digits":    object(`"phoneNumber":"868613800138000"`, pure, `"countryCode":"8686"`, mark),
		"country null":              object(number, pure, `"countryCode":null`, mark),
		"pure a number":             object(number, `"purePhoneNumber":13800138000`, country, mark),
		"pure null":                 object(number, `"purePhoneNumber":null`, country, mark),
		"no country, another key":   object(number, pure, `"country":"86"`, mark),
		"country as number, first":  object(`"countryCode":86`, number, pure, mark),
		"other appid":               object(number, pure, country, `"watermark":{`+stamp+`,"appid":"wxother"}`),
		"appid in other case":       object(number, pure, country, `"watermark":{`+stamp+`,"appid":"`+strings.ToUpper(testAppID)+`"}`),
		"appid a number":            object(number, pure, country, `"watermark":{`+stamp+`,"appid":1}`),
		"timestamp a string":        object(number, pure, country, `"watermark":{"timestamp":"1637744274",`+app+`}`),
		"timestamp a fraction":      object(number, pure, country, `"watermark":{"timestamp":1637744274.0,`+app+`}`),
		"timestamp in milliseconds": object(number, pure, country, `"watermark":{"timestamp":1637744274000,`+app+`}`),
		"timestamp old":             object(number, pure, country, `"watermark":{"timestamp":1637740000,`+app+`}`),
		"timestamp to come":         object(number, pure, country, `"watermark":{"timestamp":1637749999,`+app+`}`),
		"timestamp negative":        object(number, pure, country, `"watermark":{"timestamp":-1,`+app+`}`),
		"watermark a string":        object(number, pure, country, `"watermark":"`+testAppID+`"`),
		"steps":                     `{"stepInfoList":[{"timestamp":1637744274,"step":100}],` + mark + `}`,
		"group":                     `{"openGId":"tG1",` + mark + `}`,
		"deep":                      strings.Repeat(`{"a":`, 200),
	}
	for name, text := range tests {
		wantRefused(t, name, seal(t, text))
	}
	if _, err := seal(t, object(number, pure, country, mark)).open(tapTime); err != nil {
		t.Errorf("the object that the others vary: got %v, want success", err)
	}
}

func TestDecryptPhoneRefusesOtherKeys(t *testing.T) {
	t.Parallel()
	s := seal(t, ownPhone)
	encode := base64.StdEncoding.EncodeToString
	for i := range 600 { // some two of them give a good padding
		key := sha256.Sum256(fmt.Append(nil, i))
		if _, err := wechat.DecryptPhone(encode(key[:16]), encode(s.data), encode(s.iv), testAppID, tapTime); err != wechat.ErrDecrypt {
			t.Errorf("key %d: got %v, want ErrDecrypt", i, err)
		}
	}
	for name, key := range map[string]string{"none": "", "short": "AAAA", "not base64": "????????????????????????"} {
		if _, err := wechat.DecryptPhone(key, encode(s.data), encode(s.iv), testAppID, tapTime); err != wechat.ErrDecrypt {
			t.Errorf("key %s: got %v, want ErrDecrypt", name, err)
		}
	}
}

func TestDecryptPhoneRefusesOtherPaddings(t *testing.T) {
	t.Parallel()
	for last := range 256 {
		for _, blocks := range []int{0, 1} {
			missing := 16 - len(ownPhone)%16 + 16*blocks
			if last == missing && blocks == 0 {
				continue // that is the right one
			}
			wantRefused(t, fmt.Sprintf("%d bytes of %d", missing, last), sealBlocks(t, ownPhone+strings.Repeat(string([]byte{byte(last)}), missing)))
			zeros := ownPhone + strings.Repeat("\x00", missing-1) + string([]byte{byte(last)})
			wantRefused(t, fmt.Sprintf("%d zeros and %d", missing-1, last), sealBlocks(t, zeros))
		}
	}
	whole := wholeBlocks(ownPhone)
	wantRefused(t, "no padding", sealBlocks(t, whole))
	wantRefused(t, "two blocks of padding", sealBlocks(t, whole+strings.Repeat("\x20", 32)))
}

// FuzzDecryptPhone gives any three strings, and encrypts any text: there is either a phone that
// keeps its promises, or the one error.
func FuzzDecryptPhone(f *testing.F) {
	s := seal(f, ownPhone)
	f.Add(ownKey, base64.StdEncoding.EncodeToString(s.data), base64.StdEncoding.EncodeToString(s.iv), ownPhone)
	f.Add("", "", "", "")
	f.Add(ownKey, "aaaa", "r7BXXKkLb8qrSNn05n0qiA==\n", `{"countryCode":86,`+ownPhone[1:])
	f.Add(ownKey, " A B\r\n\tC==", "r7BXXKkLb8qr SNn05n0qiA==", strings.ReplaceAll(ownPhone, ":", ": "))

	f.Fuzz(func(t *testing.T, key, data, iv, text string) {
		p, err := wechat.DecryptPhone(key, data, iv, testAppID, tapTime)
		checkDecrypted(t, p, err)
		p, err = seal(t, text).open(tapTime)
		checkDecrypted(t, p, err)
		if err == nil && bytes.Count([]byte(text), []byte(p.PureNumber)) < 2 {
			t.Errorf("got number %q, want one that the text has twice", p.PureNumber)
		}
	})
}

func checkDecrypted(t *testing.T, p wechat.Phone, err error) {
	t.Helper()
	if err != nil {
		if err != wechat.ErrDecrypt || p != (wechat.Phone{}) {
			t.Errorf("got phone %q, error %v, want none, ErrDecrypt", p.Number, err)
		}
		return
	}
	if !strings.HasSuffix(p.Number, p.PureNumber) || len(p.PureNumber) < 4 || p.CountryCode == "" || p.At.Sub(tapTime).Abs() > 5*time.Minute {
		t.Errorf("got %q %q %q %v, want a fresh phone", p.Number, p.PureNumber, p.CountryCode, p.At)
	}
}
