// The worked example of WeChat's own guide, byte for byte.
//
// https://developers.weixin.qq.com/miniprogram/dev/server/getting_started/api_signature.html

package wechat

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"
)

const (
	guideURL        = "https://api.weixin.qq.com/wxa/getuserriskrank"
	guideAppID      = "wxba6223c06417af7b"
	guideKeySerial  = "fa05fe1e5bcc79b81ad5ad4b58acf787"
	guideKey        = "otUpngOjU+nVQaWJIC3D/yMLV17RKaP6t4Ot9tbnzLY="
	guideCertSerial = "79ba700ea147819f640941bceb38b1d1"

	guideCallTime  = "1635927954"
	guideCallIV    = "fmW/zNxXlytUZBgj"
	guideCallPlain = `{"_n":"o89QaPVsRu1yppIZzvSZc4","_appid":"wxba6223c06417af7b","_timestamp":1635927954,"appid":"wxba6223c06417af7b","openid":"oEWzBfmdLqhFS2mTXCo2E4Y9gJAM","scene":0,"client_ip":"127.0.0.1"}`
	guideCall      = `{"iv":"fmW/zNxXlytUZBgj","data":"0IDVdrPtSPF/Oe2CTXCV2vVNPbVJdJlP2WaTMQnoYLh5iCrrSNfQFh25EnStDMf0hLlVNBCZQtf9NaV0m4aRA4AAYIO7oR/Ge+4yY4EmZp5EVPB42xjScgMx5X3D4VdLCfynXIUKUtZHZvk1zmLVE3RauzJgiM1BB1CPmwcENo3MTJ0z8Vfkf5tMv54kOXobDLlV5rfqKdAX7gM/rP82DgZdt9vvZX44ipdbHIjJvw83ZXAFtvftdVw2Qd8=","authtag":"5qeM/2vZv+6KtScN94IpMg=="}`
	guideCallSig   = "wcSSWHZunjz9VKl9q+If9deiyECXDAELfAJNZ4+5T+NhFr8zfhkwdQtlgQ7nN5xs99R57La9UjBTRBGge2KYyshWtw7HIMPAqWNsnpHvx0b2f7s6Bt7OpfOQLlIfNgepgTVmUwrqW8/7A12szj7tCe/bRFilwnaX6N0w4duHlfL7ic7IIZXouvy9dLRAa5GtEk1eD/LPWRiKh0SvJ3znPY/pSiQW9zSkXVdj9UGGM8qcKLzPGJ7gSmt3ZOPkFapk9wqFmhJwQj//xN5+hUlr2UiNPMNSHve5Y2ADLsNHqk5t7RfAZ8nW9/8lzhVt4t+toy1FeehxCGIC8qgmjIl1hg=="

	guideAnswerTime  = "1635927956"
	guideAnswerPlain = `{"_n":"ShYZpqdVgY+yQVAxNSWhYg","_appid":"wxba6223c06417af7b","_timestamp":1635927956,"errcode":0,"errmsg":"getuserriskrank succ","risk_rank":0,"unoin_id":2258658297}`
	guideAnswer      = `{"iv":"r2WDQt56rEAmMuoR","data":"HExs66Ik3el+iM4IpeQ7SMEN934FRLFYOd3EmeaIrpP4EPTHckoco6O+PaoRZRa3lqaPRZT7r52f7LUok6gLxc6cdR8C4vpIIfh4xfLC4L7FNy9GbuMK1hcoi8b7gkWJcwZMkuCFNEDmqn3T49oWzAQOrY4LZnnnykv6oUJotdAsnKvmoJkLK7hRh7M2B1d2UnTnRuoIyarXc5Iojwoghx4BOvnV","authtag":"z2BFD8QctKXTuBlhICGOjQ=="}`
	guideAnswerHash  = "f797cafd9e323df336fb427569fbe67e20d5bc96dd68a3f54d66b54e6e08bb27"
	guideAnswerSig   = "Ht0VfQkkEweJ4hU266C14Aj64H9AXfkwNi5zxUZETCvR2svU1ZYdosDhFX/voLj1TyszqKsVxAlENGt7PPZZ8RQX7jnA4SKhiPUhW4LTbyTenisHJ+ohSfDjYnXavjQsBHspFS+BlPHuSSJ2xyQzw1+HuC6nid09ZL4FnGSYo4OI5MJrSb9xLzIVZMIDuUQchGKi/KaB1KzxECLEZcfjqbAgmxC7qOmuBLyO1WkHYDM95NJrHJWba5xv4wrwPru9yYTJSNRnlM+zrW5w9pOubC4Jtj3szTAEuOz9AcqUmgaAvMLNAIa8hfODLRe3n/cu4SgYlN/ZkNRU4QXVNbPGMg=="
)

const guidePublicKey = `-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA3FoQOmOl5/CF5hF7ta4E
zCy2LaU3Eu2k9DBwQ73J82I53Sx9LAgM1DH3IsYohRRx/BESfbdDI2powvr6QYKV
IC+4Yavwg7gzhZRxWWmT1HruEADCZAgkUCu+9Il/9FPuitPSoIpBd07NqdkkRe82
NBOfrKTdhge/5zd457fl7J81Q5VTIxO8vvq7FSw7k6Jtv+eOjR6SZOWbbUO7f9r4
UuUkXmvdGv21qiqtaO1EMw4tUCELzY73M7NpCH3RorlommYX3P6q0VrkDHrCE0/Q
MhmHsF+46E+IRcJ3wtEj3p/mO1VoCpEhawC1U728ZUTwWNEii8hPEhcNAZTKaQMa
TQIDAQAB
-----END PUBLIC KEY-----
`

const guideCertificate = `-----BEGIN CERTIFICATE-----
MIID0jCCArqgAwIBAgIUeE+Yy7vM/o+eHHsfM+1bGJJEZTQwDQYJKoZIhvcNAQEL
BQAwXjELMAkGA1UEBhMCQ04xEzARBgNVBAoTClRlbnBheS5jb20xHTAbBgNVBAsT
FFRlbnBheS5jb20gQ0EgQ2VudGVyMRswGQYDVQQDExJUZW5wYXkuY29tIFJvb3Qg
Q0EwHhcNMjIwOTA1MDgzOTIyWhcNMjcwOTA0MDgzOTIyWjBkMRswGQYDVQQDDBJ3
eGQ5MzBlYTVkNWEyNThmNGYxFTATBgNVBAoMDFRlbmNlbnQgSW5jLjEOMAwGA1UE
CwwFV3hnTXAxCzAJBgNVBAYMAkNOMREwDwYDVQQHDAhTaGVuWmhlbjCCASIwDQYJ
KoZIhvcNAQEBBQADggEPADCCAQoCggEBAM5D9qlkCmk1kr3FpF0e9pc3kGsvz5RA
0/YRny9xPKIyV2UVMDZvRQ+mDHsiQQFE6etg457KFYSxTDKtItbdl6hJQVGeAvg0
mqPYE9SkHRGTfL/AnXRbKBG2GC2OcaPSAprsLOersjay2me+9pF8VHybV8aox78A
NsU75G/OO3V1iEE0s5Pmglqk8DEiw9gB/dGJzsNfXwzvyJyiUP9ZujYexyjsS+/Z
GdSOUkqL/th+16yHj8alcdyga6YGfWEDyWkt/i/B28cwx4nzwk8xgrurifPaLuMk
0+9wJQLCfAn/f7zyHrC8PcD1XvvRt9VBNMBASXs3710ODyyVf2lkMgkCAwEAAaOB
gTB/MAkGA1UdEwQCMAAwCwYDVR0PBAQDAgTwMGUGA1UdHwReMFwwWqBYoFaGVGh0
dHA6Ly9ldmNhLml0cnVzLmNvbS5jbi9wdWJsaWMvaXRydXNjcmw/Q0E9MUJENDIy
MEU1MERCQzA0QjA2QUQzOTc1NDk4NDZDMDFDM0U4RUJEMjANBgkqhkiG9w0BAQsF
AAOCAQEAL2MK9tYu+ljLVBlSbfEeaKyF07TN+G31Ya5NBzeS1ZCx4joUEIyACWmG
fUkKNKiKV+EMzxeEhKRso1Qif3E7Ipl+PQBoQw6OSR/jFHciYurnGR9CLkL03Zo1
qw1Xetv9OipsvlpA0SOWc207e/XpGdm8C7FMXM6bzvVp8I/STTjC1vqjIZu9WavI
RgGM4jyAPz2XogUq0BNijef8BXbbav9fAsXjHSwn5BQv4iLms3fiLm/eoyQ6dZ2R
oTudrlcyr1bG4vwETLmHF+3yfVp9dpvJ+lyfiviwDwyfa8t2WlJm27DuF4vWoxir
mjgj9tDutIFqxLIovLyg3uiAYtSQ/Q==
-----END CERTIFICATE-----
`

// ownKey is made once: it takes a while.
var ownKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

// guideCaller is the caller of the example, a second after the answer.
func guideCaller(tb testing.TB, certificates map[string][]byte) *caller {
	tb.Helper()
	private := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(ownKey())})
	s, err := NewSigning(guideKeySerial, guideKey, "97845f6ed842ea860df6fdf65941ff56", private, certificates)
	if err != nil {
		tb.Fatal(err)
	}
	now := func() time.Time { return time.Unix(1635927957, 0) }
	return &caller{appID: guideAppID, signing: s, now: now, closeIdle: func() {}, logger: slog.New(slog.DiscardHandler)}
}

func TestTheGuidesCall(t *testing.T) {
	t.Parallel()
	c := guideCaller(t, map[string][]byte{guideCertSerial: []byte(guideCertificate)})
	iv, err := base64.StdEncoding.DecodeString(guideCallIV)
	if err != nil {
		t.Fatal(err)
	}
	got := c.signing.seal(iv, []byte(guideCallPlain), guideURL, guideAppID, guideCallTime)
	if string(got) != guideCall {
		t.Errorf("body: got %s, want %s", got, guideCall)
	}

	block, _ := pem.Decode([]byte(guidePublicKey))
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	signature, err := base64.StdEncoding.DecodeString(guideCallSig)
	if err != nil {
		t.Fatal(err)
	}
	digest := signedDigest(guideURL, guideAppID, guideCallTime, []byte(guideCall))
	options := &rsa.PSSOptions{SaltLength: saltSize}
	if err := rsa.VerifyPSS(key.(*rsa.PublicKey), crypto.SHA256, digest[:], signature, options); err != nil {
		t.Errorf("the guide's signature: got %v, want it to verify", err)
	}
}

func TestTheGuidesAnswer(t *testing.T) {
	t.Parallel()
	digest := signedDigest(guideURL, guideAppID, guideAnswerTime, []byte(guideAnswer))
	if got := hex.EncodeToString(digest[:]); got != guideAnswerHash {
		t.Errorf("hash: got %s, want %s", got, guideAnswerHash)
	}

	c := guideCaller(t, map[string][]byte{guideCertSerial: []byte(guideCertificate)})
	header := http.Header{}
	header.Set(headerAppID, guideAppID)
	header.Set(headerTime, guideAnswerTime)
	header.Set(headerSerial, guideCertSerial)
	header.Set(headerSignature, guideAnswerSig)
	a, err := c.read(t.Context(), OpPhoneNumber, reply{url: guideURL, header: header, body: []byte(guideAnswer), sealed: true})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for name := range a {
		names = append(names, name)
	}
	slices.Sort(names)
	if want := []string{"errcode", "errmsg", "risk_rank", "unoin_id"}; !slices.Equal(names, want) {
		t.Errorf("fields: got %v, want %v", names, want)
	}
	plain, _ := parseObject([]byte(guideAnswerPlain))
	for _, name := range names {
		if string(a[name]) != string(plain[name]) {
			t.Errorf("%s: got %s, want %s", name, a[name], plain[name])
		}
	}
}

// A server with the keys may still answer something unreadable.
func TestSignedNonsenseIsABadAnswer(t *testing.T) {
	t.Parallel()
	platform, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&platform.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	c := guideCaller(t, map[string][]byte{"P1": pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})})
	seal := func(plain string) []byte {
		iv := make([]byte, ivSize)
		_, _ = rand.Read(iv)
		return c.signing.seal(iv, []byte(plain), guideURL, guideAppID, guideAnswerTime)
	}
	const inner = `{"_n":"n","_appid":"` + guideAppID + `","_timestamp":1635927956,"x":1}`
	tests := []struct {
		name string
		body []byte
		ok   bool
	}{
		{"as it should be", seal(inner), true},
		{"blanks around", append([]byte("\n"), seal(inner)...), true},
		{"errcode 0 beside the envelope", append([]byte(`{"errcode":0,`), seal(inner)[1:]...), true},
		{"no JSON inside", seal("x"), false},
		{"null inside", seal("null"), false},
		{"nothing inside", seal(""), false},
		{"no AppID inside", seal(`{"_timestamp":1635927956}`), false},
		{"another AppID inside", seal(`{"_appid":"wxother","_timestamp":1635927956}`), false},
		{"no time inside", seal(`{"_appid":"` + guideAppID + `"}`), false},
		{"another time inside", seal(`{"_appid":"` + guideAppID + `","_timestamp":1635927955}`), false},
		{"errcode inside no number", seal(`{"_appid":"` + guideAppID + `","_timestamp":1635927956,"errcode":"x"}`), false},
		{"short iv", []byte(`{"iv":"AAAA","data":"AAAA","authtag":"5qeM/2vZv+6KtScN94IpMg=="}`), false},
		{"no iv", []byte(`{"iv":"","data":"AAAA","authtag":"5qeM/2vZv+6KtScN94IpMg=="}`), false},
		{"short tag", []byte(`{"iv":"fmW/zNxXlytUZBgj","data":"AAAA","authtag":"AAAA"}`), false},
		{"no data", []byte(`{"iv":"fmW/zNxXlytUZBgj","data":"","authtag":"5qeM/2vZv+6KtScN94IpMg=="}`), false},
		{"null data", []byte(`{"iv":"fmW/zNxXlytUZBgj","data":null,"authtag":"5qeM/2vZv+6KtScN94IpMg=="}`), false},
		{"no base64", []byte(`{"iv":"!","data":"!","authtag":"!"}`), false},
		{"numbers", []byte(`{"iv":1,"data":2,"authtag":3}`), false},
		{"the guide's own answer", []byte(guideAnswer), true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			digest := signedDigest(guideURL, guideAppID, guideAnswerTime, tt.body)
			signature, err := rsa.SignPSS(rand.Reader, platform, crypto.SHA256, digest[:], nil)
			if err != nil {
				t.Fatal(err)
			}
			header := http.Header{}
			header.Set(headerAppID, guideAppID)
			header.Set(headerTime, guideAnswerTime)
			header.Set(headerSerial, "P1")
			header.Set(headerSignature, base64.StdEncoding.EncodeToString(signature))
			_, err = c.read(t.Context(), OpPhoneNumber, reply{url: guideURL, header: header, body: tt.body, sealed: true})
			if tt.ok != (err == nil) || !tt.ok && ClassOf(err) != ClassBadAnswer {
				t.Errorf("got %v, want success: %t, else bad_answer", err, tt.ok)
			}
		})
	}
}

// FuzzSealedAnswer gives any answer to a signed call: only the guide's own verifies, and only once.
func FuzzSealedAnswer(f *testing.F) {
	f.Add(guideAppID, guideAnswerTime, guideCertSerial, guideAnswerSig, []byte(guideAnswer))
	f.Add("", "", "", "", []byte(`{"errcode":0}`))
	f.Add(guideAppID, "-1", "x", "!", []byte(`{"iv":"","data":"","authtag":""}`))
	c := guideCaller(f, map[string][]byte{guideCertSerial: []byte(guideCertificate)})
	f.Fuzz(func(t *testing.T, appID, at, serial, signature string, body []byte) {
		c.signing.seen = newReplays()
		header := http.Header{}
		header.Set(headerAppID, appID)
		header.Set(headerTime, at)
		header.Set(headerSerial, serial)
		header.Set(headerSignature, signature)
		for i := range 2 {
			a, err := c.read(t.Context(), OpPhoneNumber, reply{url: guideURL, header: header, body: body, sealed: true})
			if _, ok := err.(*Error); err != nil && !ok {
				t.Errorf("got %T, want *Error", err)
			}
			if err == nil && (i > 0 || string(body) != guideAnswer || a.has("_appid")) {
				t.Errorf("time %d: got success, want it for the guide's answer alone, and once", i+1)
			}
		}
	})
}
