//go:build unix

// Signed calls to WeChat.

package e2e_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-wechat/wechatauth/wechat/wechattest"
)

// signed is a world whose WeChat takes signed calls only.
type signed struct {
	*world
	dir, key string
}

func newSigned(t *testing.T) *signed {
	t.Helper()
	w := &signed{newWorld(t), t.TempDir(), ""}
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	w.file("private.pem", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	key := make([]byte, 32)
	_, _ = rand.Read(key)
	w.key = base64.StdEncoding.EncodeToString(key)
	w.file("key", []byte(w.key))
	w.fake.Secure(appID, wechattest.Security{KeySerial: "key1", Key: key, PublicKeySerial: "private1", PublicKey: &private.PublicKey})
	return w
}

func (w *signed) file(name string, content []byte) string {
	w.t.Helper()
	file := filepath.Join(w.dir, name)
	if err := os.WriteFile(file, content, 0o600); err != nil {
		w.t.Fatal(err)
	}
	return file
}

// app is the app with its keys, as an operator writes it.
func (w *signed) app(certificates ...wechattest.Certificate) string {
	w.t.Helper()
	lines := fmt.Sprintf("app %s %s {\nsigning {\nkey key1 {file.%s}\nprivate_key private1 %s\n", appID, secret, filepath.Join(w.dir, "key"), filepath.Join(w.dir, "private.pem"))
	for _, c := range certificates {
		lines += fmt.Sprintf("platform_certificate %s %s\n", c.Serial, w.file(c.Serial+".pem", c.PEM))
	}
	return lines + "}\n}"
}

func (n *node) phone(alice *wechattest.User, login answer) answer {
	return n.post("/auth/phone", login.access(), "code", n.fake.PhoneCode(alice, "13800138000"))
}

// count returns the number of log lines that contain a text.
func (n *node) count(text string) int { return strings.Count(n.log(), text) }

func TestSignedCalls(t *testing.T) {
	t.Parallel()
	w := newSigned(t)
	n := w.start(w.app(w.fake.PlatformCertificate()), "profile {\ncheck on\n}", "encrypted_data on", "limit profile off")
	alice := w.fake.NewUser(appID)
	login := n.login(alice)
	want(t, "phone", n.phone(alice, login), 200, "")
	want(t, "nickname", n.post("/auth/profile", login.access(), "nickname", "小明 <&> 👋"), 200, "")
	w.fake.Judge("坏", "risky")
	want(t, "a risky nickname", n.post("/auth/profile", login.access(), "nickname", "坏人"), 403, "denied")
	want(t, "another's phone code", n.post("/auth/phone", login.access(), "code", w.fake.PhoneCode(w.fake.NewUser(appID), "13800138000")), 401, "code_invalid")
	data, iv := w.fake.EncryptedPhone(alice, "13900139000")
	want(t, "encrypted phone", n.post("/auth/phone", login.access(), "encryptedData", data, "iv", iv), 200, "")
	counts := map[string]int{}
	for _, call := range w.fake.Calls() {
		if call.Signed {
			counts[call.Endpoint]++
		}
	}
	if counts[wechattest.Phone] != 2 || counts[wechattest.CheckContent] != 2 {
		t.Errorf("got signed calls %v, want two for phones and two for nicknames", counts)
	}
	if v := w.fake.Violations(); len(v) > 0 {
		t.Errorf("against the protocol: %q", v)
	}
	if strings.Contains(n.log(), w.key) || strings.Contains(n.log(), "PRIVATE KEY") {
		t.Error("the log has a key")
	}
}

// WeChat's certificates end, and the next one comes before that.
func TestPlatformCertificateIsReplaced(t *testing.T) {
	t.Parallel()
	w := newSigned(t)
	first := w.fake.PlatformCertificate()
	n := w.newNode(w.app(first)).patient()
	n.start()
	alice := w.fake.NewUser(appID)
	login := n.login(alice)
	want(t, "before", n.phone(alice, login), 200, "")

	second := w.fake.RotateCertificate()
	for range 3 {
		want(t, "while answers are signed by both", n.phone(alice, login), 200, "")
	}
	const replaced = `"WeChat is replacing its platform certificate; download`
	if got := n.count(replaced); got != 1 {
		t.Errorf("the log says %d times that the certificate is replaced, want once", got)
	}
	for line := range strings.Lines(n.log()) {
		if strings.Contains(line, replaced) && !strings.Contains(line, `"appid":"`+appID+`"`) {
			t.Errorf("the log does not say of which app: %s", line)
		}
	}
	w.fake.EndRotation()
	want(t, "with the new one only", n.phone(alice, login), 502, "wechat_bad_answer")
	for _, text := range []string{"platform certificate " + second.Serial + ", which is not configured", "download it"} {
		if n.count(text) == 0 {
			t.Errorf("the log does not say %q: %s", text, tail(n.log(), 600))
		}
	}
	if a := n.reload(n.global() + n.server(w.app(first, second))); a.status != 200 {
		t.Fatalf("reload: got %s", a)
	}
	want(t, "with both configured", n.phone(alice, login), 200, "")
}

// Who stands between and has not WeChat's keys can say nothing that counts.
func TestAttackForgedAnswers(t *testing.T) {
	t.Parallel()
	w := newSigned(t)
	n := w.start(w.app(w.fake.PlatformCertificate()), "profile {\ncheck on\n}", "limit profile off")
	alice := w.fake.NewUser(appID)
	login := n.login(alice)
	flip := func(at int) wechattest.Fault {
		return wechattest.EditSealed(func(_ http.Header, body []byte) []byte {
			body[at] ^= 1
			return body
		})
	}
	drop := func(name string) wechattest.Fault {
		return wechattest.EditSealed(func(header http.Header, body []byte) []byte {
			header.Del(name)
			return body
		})
	}
	plain := `{"errcode":0,"errmsg":"ok","phone_info":{"phoneNumber":"13900139000","purePhoneNumber":"13900139000","countryCode":"86","watermark":{"timestamp":1,"appid":"` + appID + `"}},"result":{"suggest":"pass","label":100}}`
	faults := map[string]wechattest.Fault{
		"wrong signature": wechattest.WrongSignature(), "unknown certificate": wechattest.UnknownCertificate(), "in plain": wechattest.Unsealed(),
		"another app's": wechattest.SealedFor("wxfedcba9876543210"), "again": wechattest.Replay(), "one bit": flip(30), "another bit": flip(12),
		"no signature": drop("Wechatmp-Signature"), "no serial": drop("Wechatmp-Serial"), "no appid": drop("Wechatmp-Appid"), "no time": drop("Wechatmp-TimeStamp"),
		"made up": wechattest.Raw(200, "application/json", plain), "of 1970": wechattest.EditSealed(func(h http.Header, body []byte) []byte {
			h.Set("Wechatmp-TimeStamp", "1")
			return body
		}),
	}
	for name, fault := range faults {
		// What is given again is the answer before, which has to be one that was taken.
		want(t, "an answer to give again", n.phone(alice, login), 200, "")
		w.fake.Fail(wechattest.Phone, 1, fault)
		want(t, name, n.phone(alice, login), 502, "wechat_bad_answer")
		w.fake.ClearFaults()
		want(t, "an answer to give again", n.phone(alice, login), 200, "")
		w.fake.Fail(wechattest.CheckContent, 1, fault)
		want(t, name, n.post("/auth/profile", login.access(), "nickname", "小明"), 502, "wechat_bad_answer")
		w.fake.ClearFaults()
	}
	if a := n.get("/auth/profile", login.access()); a.text("nickname") != "" || a.text("phone") != "13800138000" {
		t.Errorf("got %s, want the phone from before and no nickname", a)
	}
}

// A difference between the console and the configuration is logged once.
func TestSigningIsMisconfigured(t *testing.T) {
	t.Parallel()
	for code, text := range map[int]string{40234: "errcode 40234", 40239: "errcode 40239"} {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			w := newSigned(t)
			n := w.start(w.app(w.fake.PlatformCertificate()))
			alice := w.fake.NewUser(appID)
			login := n.login(alice)
			w.fake.Fail(wechattest.Phone, -1, wechattest.ErrCode(code))
			for range 5 {
				want(t, "phone", n.phone(alice, login), 502, "wechat_misconfigured")
			}
			if got := n.count(text); got != 1 {
				t.Errorf("the log says %d times %q, want once: %s", got, text, n.log())
			}
			w.fake.ClearFaults()
			want(t, "when it is repaired", n.phone(alice, login), 200, "")
		})
	}
	t.Run("not configured at all", func(t *testing.T) {
		t.Parallel()
		w := newSigned(t)
		n := w.start()
		alice := w.fake.NewUser(appID)
		want(t, "phone", n.phone(alice, n.login(alice)), 502, "wechat_misconfigured")
		if n.count("errcode 934011") != 1 {
			t.Errorf("the log does not tell why: %s", tail(n.log(), 600))
		}
	})
}
