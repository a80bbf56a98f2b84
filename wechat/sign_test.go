// Signed calls and answers.

package wechat_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/wechat"
	"github.com/caddy-wechat/wechatauth/wechat/wechattest"
)

const (
	testKeySerial     = "1111aaaa1111aaaa1111aaaa1111aaaa"
	testPrivateSerial = "2222bbbb2222bbbb2222bbbb2222bbbb"
	testSymmetricKey  = "U1lNTUVUUklDS0VZc3ltbWV0cmlja2V5MTIzNDU2Nzg="
)

// newKey makes a key of 2048 bits once: it takes a while.
var newKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

func pkcs1(key *rsa.PrivateKey) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
}

func pkcs8(key any) []byte {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		panic(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// secured is a fake that demands signatures, and a user of it.
type secured struct {
	*wechattest.Server
	api  string
	user *wechattest.User
}

func newSecured(t *testing.T, change ...func(*wechattest.Security)) *secured {
	t.Helper()
	fake := wechattest.New(wechattest.App{ID: testAppID, Secret: testSecret})
	key, _ := base64.StdEncoding.DecodeString(testSymmetricKey)
	sec := wechattest.Security{KeySerial: testKeySerial, Key: key, PublicKeySerial: testPrivateSerial, PublicKey: &newKey().PublicKey}
	for _, c := range change {
		c(&sec)
	}
	fake.Secure(testAppID, sec)
	return &secured{Server: fake, api: fake.Start(t), user: fake.NewUser(testAppID)}
}

// signing has the fake's certificates, or those given.
func (s *secured) signing(t *testing.T, certificates ...wechattest.Certificate) *wechat.Signing {
	t.Helper()
	if len(certificates) == 0 {
		certificates = append(certificates, s.PlatformCertificate())
	}
	byNumber := map[string][]byte{}
	for _, c := range certificates {
		byNumber[c.Serial] = c.PEM
	}
	signing, err := wechat.NewSigning(testKeySerial, testSymmetricKey, testPrivateSerial, pkcs1(newKey()), byNumber)
	if err != nil {
		t.Fatal(err)
	}
	return signing
}

func (s *secured) client(t *testing.T, signing *wechat.Signing, change ...func(*wechat.Config)) *wechat.Client {
	t.Helper()
	return newClient(t, nil, append([]func(*wechat.Config){func(cfg *wechat.Config) {
		cfg.BaseURLs, cfg.Signing = []string{s.api}, signing
	}}, change...)...)
}

// phone exchanges a code of the fake's user.
func (s *secured) phone(t *testing.T, client *wechat.Client) error {
	t.Helper()
	phone, err := client.PhoneNumber(t.Context(), s.PhoneCode(s.user, testNumber), s.user.OpenID)
	if err == nil && phone.E164() != "+86"+testNumber {
		t.Errorf("phone: got another number, want the user's")
	}
	return err
}

func TestOnlyCallsThatSupportItAreSigned(t *testing.T) {
	t.Parallel()
	fake := newSecured(t)
	client := fake.client(t, fake.signing(t))
	session, err := client.Code2Session(t.Context(), fake.LoginCode(fake.user))
	if err != nil || session.OpenID != fake.user.OpenID {
		t.Fatalf("login: got %v, want success", err)
	}
	if err := fake.phone(t, client); err != nil {
		t.Fatalf("phone: got %v, want success", err)
	}
	if err := client.CheckNickname(t.Context(), fake.user.OpenID, testName); err != nil {
		t.Fatalf("nickname: got %v, want success", err)
	}
	if valid, err := client.CheckSession(t.Context(), fake.user.OpenID, session.SessionKey); !valid || err != nil {
		t.Fatalf("session_key: got valid %t, error %v, want valid", valid, err)
	}
	if _, err := client.PhoneFromCloudID(t.Context(), fake.CloudID(fake.user, testNumber), fake.user.OpenID); err != nil {
		t.Fatalf("cloudID: got %v, want success", err)
	}
	for _, call := range fake.Calls() {
		if want := call.Endpoint == wechattest.Phone || call.Endpoint == wechattest.CheckContent; call.Signed != want {
			t.Errorf("%s: got signed %t, want %t", call.Endpoint, call.Signed, want)
		}
		if call.Endpoint == wechattest.Phone && call.Body["openid"] != fake.user.OpenID {
			t.Error("the signed call lacks the openid")
		}
	}
	if v := fake.Violations(); len(v) != 0 {
		t.Errorf("violations: got %q, want none", v)
	}
}

func TestASigningServesManyCallsAtOnce(t *testing.T) {
	t.Parallel()
	fake := newSecured(t)
	signing := fake.signing(t)
	var calls sync.WaitGroup
	for range 4 {
		client := fake.client(t, signing)
		for range 5 {
			calls.Go(func() {
				if err := fake.phone(t, client); err != nil {
					t.Errorf("got %v, want success", err)
				}
			})
		}
	}
	calls.Wait()
}

func TestWhatWeChatSaysOfOtherKeys(t *testing.T) {
	t.Parallel()
	otherKey := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte("k"), 32))
	tests := []struct {
		name   string
		app    func(*wechattest.Security)
		client func(t *testing.T, certificates map[string][]byte) (*wechat.Signing, error)
		late   time.Duration
		code   int
		reason string
	}{
		{name: "no signing here", client: func(*testing.T, map[string][]byte) (*wechat.Signing, error) { return nil, nil }, code: 934011, reason: "configure signing"},
		{name: "no symmetric key there", app: func(s *wechattest.Security) { s.Key = nil }, code: 40238, reason: "no symmetric key"},
		{name: "no public key there", app: func(s *wechattest.Security) { s.PublicKey = nil }, code: 40239, reason: "no public key"},
		{name: "another number of the key", app: func(s *wechattest.Security) { s.KeySerial = "3" }, code: 40235, reason: "its number"},
		{name: "another key", client: func(_ *testing.T, certs map[string][]byte) (*wechat.Signing, error) {
			return wechat.NewSigning(testKeySerial, otherKey, testPrivateSerial, pkcs1(newKey()), certs)
		}, code: 40235, reason: "symmetric key"},
		{name: "another private key", client: func(t *testing.T, certs map[string][]byte) (*wechat.Signing, error) {
			t.Helper()
			key, err := rsa.GenerateKey(rand.Reader, 2048)
			if err != nil {
				return nil, err
			}
			return wechat.NewSigning(testKeySerial, testSymmetricKey, testPrivateSerial, pkcs8(key), certs)
		}, code: 40234, reason: "private key"},
		{name: "clock behind", late: 6 * time.Minute, code: 40240, reason: "clock"},
		{name: "clock ahead", late: -6 * time.Minute, code: 40240, reason: "clock"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			fake := newSecured(t, func(s *wechattest.Security) {
				if tt.app != nil {
					tt.app(s)
				}
			})
			signing := fake.signing(t)
			if tt.client != nil {
				c := fake.PlatformCertificate()
				var err error
				if signing, err = tt.client(t, map[string][]byte{c.Serial: c.PEM}); err != nil {
					t.Fatal(err)
				}
			}
			fake.Now = func() time.Time { return time.Now().Add(tt.late) }
			err := fake.phone(t, fake.client(t, signing))
			if e := asError(t, err); e.Class != wechat.ClassConfig || e.Code != tt.code || !strings.Contains(e.Reason, tt.reason) {
				t.Errorf("got %v, want config, %d, %s", err, tt.code, tt.reason)
			}
			checkErrorClean(t, err)
		})
	}
}

func TestWhatWeChatSaysOfUnsignedApps(t *testing.T) {
	t.Parallel()
	for code := 40230; code <= 40240; code++ {
		client := newClient(t, newFake().on(phonePath, errcode(code, "LEAK")))
		_, err := client.PhoneNumber(t.Context(), testCode, testOpenID)
		if e := asError(t, err); e.Class != wechat.ClassConfig || strings.Contains(e.Reason, "not a code") {
			t.Errorf("%d: got %v, want config and what to do", code, err)
		}
	}
}

func TestRefusalsOfSignedCallsMayBePlainOrSealed(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		fault wechattest.Fault
		class wechat.Class // 0: success
		calls int
	}{
		{"plain code", wechattest.Raw(200, "", `{"errcode":40029}`), wechat.ClassCode, 1},
		{"sealed code", wechattest.ErrCode(40029), wechat.ClassCode, 1},
		{"plain token", wechattest.Raw(200, "", `{"errcode":42001}`), 0, 2},
		{"sealed token", wechattest.ErrCode(42001), 0, 2},
		{"plain busy", wechattest.Raw(200, "", `{"errcode":-1}`), 0, 2},
		{"sealed busy", wechattest.ErrCode(-1), 0, 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			fake := newSecured(t)
			fake.Fail(wechattest.Phone, 1, tt.fault)
			err := fake.phone(t, fake.client(t, fake.signing(t)))
			if got := wechat.ClassOf(err); got != tt.class {
				t.Errorf("got %v (%v), want %v", got, err, tt.class)
			}
			signatures := map[string]bool{}
			for _, call := range fake.Calls() {
				if call.Endpoint == wechattest.Phone {
					signatures[call.Header.Get("Wechatmp-Signature")] = true
				}
			}
			if len(signatures) != tt.calls {
				t.Errorf("got %d signatures, want %d: one a call", len(signatures), tt.calls)
			}
		})
	}
}

func TestWeChatReplacesItsCertificate(t *testing.T) {
	t.Parallel()
	fake := newSecured(t)
	before := fake.PlatformCertificate()
	var log bytes.Buffer
	logger := func(cfg *wechat.Config) { cfg.Logger = slog.New(slog.NewTextHandler(&log, nil)) }
	old := fake.client(t, fake.signing(t), logger)
	after := fake.RotateCertificate()

	for range 3 {
		if err := fake.phone(t, old); err != nil {
			t.Errorf("with the old one, meanwhile: got %v, want success", err)
		}
	}
	if got := strings.Count(log.String(), "replacing its platform certificate"); got != 1 || !strings.Contains(log.String(), after.Serial) {
		t.Errorf("log: got %d lines, want 1 that names the new certificate", got)
	}
	for name, certificates := range map[string][]wechattest.Certificate{"both": {before, after}, "the new one": {after}} {
		if err := fake.phone(t, fake.client(t, fake.signing(t, certificates...))); err != nil {
			t.Errorf("with %s: got %v, want success", name, err)
		}
	}

	fake.EndRotation()
	err := fake.phone(t, old)
	if e := asError(t, err); e.Class != wechat.ClassBadAnswer || !strings.Contains(e.Reason, "platform certificate "+after.Serial) {
		t.Errorf("with the old one, at last: got %v, want bad_answer that names the new certificate", err)
	}
}

func TestTheNextHostIsSignedUnderItsOwnName(t *testing.T) {
	t.Parallel()
	fake := newSecured(t)
	gone := closedPort(t)
	client := fake.client(t, fake.signing(t), func(cfg *wechat.Config) { cfg.BaseURLs = []string{gone, fake.api} })
	if err := fake.phone(t, client); err != nil {
		t.Errorf("got %v, want success", err)
	}
}

func TestAPlatformCertificatePastItsEndIsToldOf(t *testing.T) {
	t.Parallel()
	fake := newSecured(t)
	signing := fake.signing(t)
	for years, want := range map[int]int{0: 0, 6: 1} {
		var log bytes.Buffer
		fake.client(t, signing, func(cfg *wechat.Config) {
			cfg.Now = func() time.Time { return time.Now().AddDate(years, 0, 0) }
			cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
		})
		if got := strings.Count(log.String(), "past its end"); got != want {
			t.Errorf("after %d years: got %d lines, want %d", years, got, want)
		}
	}
}
