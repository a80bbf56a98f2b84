// The server API signature.

package wechattest_test

import (
	"bytes"
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/wechat/wechattest"
)

var appKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

// signer makes a signed phone call, with the parts that tests get wrong.
type signer struct {
	t         *testing.T
	fake      *wechattest.Server
	url       string // of the call
	appid     string
	keySerial string
	key       []byte
	at        time.Time
	salt      int
	fields    map[string]any
	lines     string    // more of them after the time, as older pages have it
	header    [2]string // changes one; value "-" leaves it away
	body      func([]byte) []byte
}

func newSigner(t *testing.T, change ...func(*wechattest.Security)) *signer {
	t.Helper()
	fake, api := start(t)
	sec := wechattest.Security{
		KeySerial: "k1", Key: bytes.Repeat([]byte("k"), 32), PublicKeySerial: "p1", PublicKey: &appKey().PublicKey,
	}
	for _, c := range change {
		c(&sec)
	}
	fake.Secure(appID, sec)
	alice := fake.NewUser(appID)
	at := fake.Now()
	return &signer{
		t: t, fake: fake, url: api + wechattest.Phone, appid: appID, keySerial: "k1", key: bytes.Repeat([]byte("k"), 32), at: at, salt: 32,
		fields: map[string]any{
			"code": fake.PhoneCode(alice, "13800138000"), "openid": alice.OpenID,
			"_n": "0123456789abcdef01234567", "_appid": appID, "_timestamp": at.Unix(),
		},
	}
}

func (s *signer) gcm() cipher.AEAD {
	s.t.Helper()
	block, err := aes.NewCipher(s.key)
	if err != nil {
		s.t.Fatal(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		s.t.Fatal(err)
	}
	return gcm
}

func digest(text string) []byte {
	sum := sha256.Sum256([]byte(text))
	return sum[:]
}

// call sends it with a token of the app named.
func (s *signer) call(tokenOf string) (http.Header, map[string]any) {
	s.t.Helper()
	secrets := map[string]string{appID: secret, other: "other"}
	token, _ := post(s.t, strings.TrimSuffix(s.url, wechattest.Phone)+wechattest.StableToken, map[string]any{
		"grant_type": "client_credential", "appid": tokenOf, "secret": secrets[tokenOf],
	})["access_token"].(string)

	plain, err := json.Marshal(s.fields)
	if err != nil {
		s.t.Fatal(err)
	}
	iv := []byte("twelve bytes")
	aad := fmt.Sprintf("%s|%s|%d|%s", s.url, s.appid, s.at.Unix(), s.keySerial)
	sealed := s.gcm().Seal(nil, iv, plain, []byte(aad))
	split := len(sealed) - 16
	body, err := json.Marshal(map[string][]byte{"iv": iv, "data": sealed[:split], "authtag": sealed[split:]})
	if err != nil {
		s.t.Fatal(err)
	}
	if s.body != nil {
		body = s.body(body)
	}
	sum := digest(fmt.Sprintf("%s\n%s\n%d\n%s%s", s.url, s.appid, s.at.Unix(), s.lines, body))
	signature, err := rsa.SignPSS(rand.Reader, appKey(), crypto.SHA256, sum, &rsa.PSSOptions{SaltLength: s.salt})
	if err != nil {
		s.t.Fatal(err)
	}

	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, s.url+"?access_token="+token, bytes.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header = http.Header{
		"Content-Type": {"application/json"}, "Wechatmp-Appid": {s.appid}, "Wechatmp-Timestamp": {fmt.Sprint(s.at.Unix())},
		"Wechatmp-Signature": {base64.StdEncoding.EncodeToString(signature)}, "Wechatmp-Serial": {"p1"},
	}
	if s.header[1] == "-" {
		req.Header.Del(s.header[0])
	} else if s.header[0] != "" {
		req.Header.Set(s.header[0], s.header[1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp.Header, s.read(resp.Header, answer)
}

// read verifies and decrypts an answer, unless it is plain.
func (s *signer) read(h http.Header, body []byte) map[string]any {
	s.t.Helper()
	var fields map[string]any
	if h.Get("Wechatmp-Signature") == "" {
		if err := json.Unmarshal(body, &fields); err != nil {
			s.t.Fatal(err)
		}
		return fields
	}
	s.verify(s.fake.PlatformCertificate(), h, "", body)
	var sealed struct{ IV, Data, AuthTag []byte }
	if err := json.Unmarshal(body, &sealed); err != nil {
		s.t.Fatal(err)
	}
	aad := fmt.Sprintf("%s|%s|%s|%s", s.url, s.appid, h.Get("Wechatmp-Timestamp"), s.keySerial)
	plain, err := s.gcm().Open(nil, sealed.IV, append(sealed.Data, sealed.AuthTag...), []byte(aad))
	if err != nil {
		s.t.Fatalf("decrypting: %v", err)
	}
	if err := json.Unmarshal(plain, &fields); err != nil {
		s.t.Fatal(err)
	}
	if fields["_appid"] != s.appid || fmt.Sprintf("%.0f", fields["_timestamp"]) != h.Get("Wechatmp-Timestamp") || fields["_n"] == nil {
		s.t.Errorf("decrypted: got %v, want _appid and _timestamp as in the header", fields)
	}
	return fields
}

func (s *signer) verify(c wechattest.Certificate, h http.Header, suffix string, body []byte) {
	s.t.Helper()
	block, _ := pem.Decode(c.PEM)
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		s.t.Fatal(err)
	}
	if got := h.Get("Wechatmp-Serial" + suffix); got != c.Serial {
		s.t.Errorf("serial%s: got %s, want %s", suffix, got, c.Serial)
	}
	signature, err := base64.StdEncoding.DecodeString(h.Get("Wechatmp-Signature" + suffix))
	if err != nil {
		s.t.Fatal(err)
	}
	sum := digest(fmt.Sprintf("%s\n%s\n%s\n%s", s.url, h.Get("Wechatmp-Appid"), h.Get("Wechatmp-Timestamp"), body))
	if err := rsa.VerifyPSS(cert.PublicKey.(*rsa.PublicKey), crypto.SHA256, sum, signature, nil); err != nil {
		s.t.Errorf("signature%s: %v", suffix, err)
	}
}

func TestSignedCall(t *testing.T) {
	t.Parallel()
	s := newSigner(t)
	_, answer := s.call(appID)
	wantErrcode(t, answer, 0)
	if info, _ := answer["phone_info"].(map[string]any); info["purePhoneNumber"] != "13800138000" {
		t.Errorf("phone_info: got %v, want the number", info)
	}
	_, answer = s.call(appID)
	wantErrcode(t, answer, 40029) // the code is spent, and the refusal sealed like a success
	if answer["_appid"] != appID {
		t.Errorf("refusal: got %v, want it sealed", answer)
	}
	last := s.fake.Calls()[3]
	if !last.Signed || last.Body["code"] != s.fields["code"] || last.Body["_n"] != nil || last.ErrCode != 40029 {
		t.Errorf("call: got %+v, want it signed and decrypted", last)
	}
	if got := s.fake.Violations(); len(got) > 0 {
		t.Errorf("violations: got %q, want none", got)
	}
}

func TestSignedCallRefused(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		sec     func(*wechattest.Security)
		call    func(*signer)
		tokenOf string
		want    int
	}{
		{name: "no serial", call: func(s *signer) { s.header = [2]string{"Wechatmp-Serial", "-"} }, want: 40230},
		{name: "no time", call: func(s *signer) { s.header = [2]string{"Wechatmp-TimeStamp", "-"} }, want: 40231},
		{name: "no signature", call: func(s *signer) { s.header = [2]string{"Wechatmp-Signature", "-"} }, want: 40232},
		{name: "no AppID", call: func(s *signer) { s.header = [2]string{"Wechatmp-Appid", "-"} }, want: 40233},
		{name: "salt of 20 bytes", call: func(s *signer) { s.salt = 20 }, want: 40234},
		{name: "a fifth line", call: func(s *signer) { s.lines = "k1\n" }, want: 40234},
		{name: "no base64", call: func(s *signer) { s.header = [2]string{"Wechatmp-Signature", "!"} }, want: 40234},
		{name: "another key", call: func(s *signer) { s.key = bytes.Repeat([]byte("x"), 32) }, want: 40235},
		{name: "another key number", call: func(s *signer) { s.keySerial = "k2" }, want: 40235},
		{name: "plain and signed", call: func(s *signer) { s.body = func([]byte) []byte { return []byte(`{"code":"x"}`) } }, want: 40235},
		{name: "text time", call: func(s *signer) { s.fields["_timestamp"] = fmt.Sprint(s.at.Unix()) }, want: 40235},
		{name: "another time inside", call: func(s *signer) { s.fields["_timestamp"] = s.at.Unix() + 1 }, want: 40235},
		{name: "another app inside", call: func(s *signer) { s.fields["_appid"] = other }, want: 40235},
		{name: "unknown app", call: func(s *signer) { s.appid = "wxnobody" }, want: 40236},
		{name: "another app's token", tokenOf: other, want: 40237},
		{name: "no symmetric key", sec: func(s *wechattest.Security) { s.Key = nil }, want: 40238},
		{name: "no public key", sec: func(s *wechattest.Security) { s.PublicKey = nil }, want: 40239},
		{name: "late", call: func(s *signer) { s.at = s.at.Add(-301 * time.Second) }, want: 40240},
		{name: "early", call: func(s *signer) { s.at = s.at.Add(301 * time.Second) }, want: 40240},
		{name: "no number for a time", call: func(s *signer) { s.header = [2]string{"Wechatmp-TimeStamp", "now"} }, want: 40240},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newSigner(t, func(sec *wechattest.Security) {
				if tt.sec != nil {
					tt.sec(sec)
				}
			})
			if tt.call != nil {
				tt.call(s)
			}
			if tt.tokenOf == "" {
				tt.tokenOf = appID
			}
			h, answer := s.call(tt.tokenOf)
			wantErrcode(t, answer, tt.want)
			if h.Get("Wechatmp-Signature") != "" {
				t.Error("refusal: got it sealed, want it plain")
			}
		})
	}
}

func TestPlainCallOfASecuredApp(t *testing.T) {
	t.Parallel()
	s := newSigner(t)
	k := tokens{t, s.fake, strings.TrimSuffix(s.url, wechattest.Phone)}
	token, _ := k.stable(false) // not signed, like every call without support
	k.want(token, 934011)
	k.want("unknown", 40001)

	_, answer := s.call("")
	wantErrcode(t, answer, 41001) // before anything else
}

func TestCertificateRotation(t *testing.T) {
	t.Parallel()
	s := newSigner(t)
	first := s.fake.PlatformCertificate()
	second := s.fake.RotateCertificate()
	if first.Serial == second.Serial || bytes.Equal(first.PEM, second.PEM) {
		t.Error("rotation: got the same certificate, want another")
	}
	h, answer := s.call(appID)
	wantErrcode(t, answer, 0)
	if got := h.Get("Wechatmp-Serial-Deprecated"); got != first.Serial {
		t.Errorf("deprecated: got %q, want %s", got, first.Serial)
	}
	s.fake.EndRotation()
	if h, _ := s.call(appID); h.Get("Wechatmp-Serial-Deprecated") != "" || h.Get("Wechatmp-Serial") != second.Serial {
		t.Error("after the rotation: got the old certificate, want the new one alone")
	}
}

func TestSecureWantsAnAppAndAKey(t *testing.T) {
	t.Parallel()
	fake, _ := start(t)
	for name, secure := range map[string]func(){
		"unknown app": func() { fake.Secure("wxnobody", wechattest.Security{}) },
		"short key":   func() { fake.Secure(appID, wechattest.Security{Key: []byte("short")}) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: got no panic, want one", name)
				}
			}()
			secure()
		}()
	}
}
