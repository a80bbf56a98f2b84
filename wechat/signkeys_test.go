// The keys of signed calls.

package wechat_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/caddy-wechat/wechatauth/wechat"
	"github.com/caddy-wechat/wechatauth/wechat/wechattest"
)

// keys are the arguments of NewSigning.
type keys struct {
	keySerial, key, privateSerial string
	private                       []byte
	certificates                  map[string][]byte
}

func (k keys) signing() (*wechat.Signing, error) {
	return wechat.NewSigning(k.keySerial, k.key, k.privateSerial, k.private, k.certificates)
}

func pemOf(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// publicKey is the bare key of a certificate, in the two forms of PEM.
func publicKey(t *testing.T, c wechattest.Certificate) (pkix, pkcs1 []byte) {
	t.Helper()
	block, _ := pem.Decode(c.PEM)
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(cert.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return pemOf("PUBLIC KEY", der), pemOf("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(cert.PublicKey.(*rsa.PublicKey)))
}

func TestNewSigningAccepts(t *testing.T) {
	t.Parallel()
	fake := newSecured(t)
	c := fake.PlatformCertificate()
	pkix, pkcs := publicKey(t, c)
	for name, change := range map[string]func(*keys){
		"PKCS #1":                  func(*keys) {},
		"PKCS #8":                  func(k *keys) { k.private = pkcs8(newKey()) },
		"text around the PEM":      func(k *keys) { k.private = append([]byte("our key\n"), k.private...) },
		"public key":               func(k *keys) { k.certificates[c.Serial] = pkix },
		"public key, PKCS #1":      func(k *keys) { k.certificates[c.Serial] = pkcs },
		"a line break in the key":  func(k *keys) { k.key += "\n" },
		"line breaks of Windows":   func(k *keys) { k.private = bytes.ReplaceAll(k.private, []byte("\n"), []byte("\r\n")) },
		"a second, of another key": func(k *keys) { k.certificates["3"] = newSecured(t).RotateCertificate().PEM },
	} {
		k := keys{testKeySerial, testSymmetricKey, testPrivateSerial, pkcs1(newKey()), map[string][]byte{c.Serial: c.PEM}}
		change(&k)
		signing, err := k.signing()
		if err != nil {
			t.Errorf("%s: got %v, want success", name, err)
			continue
		}
		if err := fake.phone(t, fake.client(t, signing)); err != nil {
			t.Errorf("%s: got %v, want success", name, err)
		}
	}
}

func TestNewSigningRefuses(t *testing.T) {
	t.Parallel()
	c := newSecured(t).PlatformCertificate()
	block, _ := pem.Decode(c.PEM)
	inside, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ecDER, err := x509.MarshalPKIXPublicKey(&ec.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	ours, err := x509.MarshalPKIXPublicKey(&newKey().PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	short, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	certificate := func(serial string, text []byte) func(*keys) {
		return func(k *keys) { k.certificates = map[string][]byte{serial: text} }
	}
	legacy := &pem.Block{Type: "RSA PRIVATE KEY", Headers: map[string]string{"Proc-Type": "4,ENCRYPTED", "DEK-Info": "AES-256-CBC,00"}, Bytes: []byte("LEAK")}

	tests := []struct {
		name   string
		change func(*keys)
		want   string // in the error
	}{
		{"no number of the key", func(k *keys) { k.keySerial = "" }, "symmetric key needs its number"},
		{"key and number swapped", func(k *keys) { k.keySerial, k.key = k.key, k.keySerial }, "symmetric key needs its number"},
		{"no key", func(k *keys) { k.key = "" }, "32 bytes"},
		{"short key", func(k *keys) { k.key = base64.StdEncoding.EncodeToString([]byte("SM4SM4SM4SM4SM4!")) }, "32 bytes"},
		{"key not base64", func(k *keys) { k.key = "{env." + testSymmetricKey + "}" }, "32 bytes"},
		{"no number of the private key", func(k *keys) { k.privateSerial = "a b" }, "private key needs the number"},
		{"no private key", func(k *keys) { k.private = nil }, "not PEM"},
		{"a path for the private key", func(k *keys) { k.private = []byte("/run/LEAK.pem") }, "not PEM"},
		{"a certificate for the private key", func(k *keys) { k.private = c.PEM }, "something else"},
		{"encrypted", func(k *keys) { k.private = pemOf("ENCRYPTED PRIVATE KEY", []byte("LEAK")) }, "encrypted"},
		{"encrypted the old way", func(k *keys) { k.private = pem.EncodeToMemory(legacy) }, "encrypted"},
		{"damaged", func(k *keys) { k.private = pemOf("PRIVATE KEY", []byte("LEAK")) }, "damaged"},
		{"damaged PKCS #1", func(k *keys) { k.private = pemOf("RSA PRIVATE KEY", []byte("LEAK")) }, "damaged"},
		{"elliptic", func(k *keys) { k.private = pkcs8(ec) }, "not RSA"},
		{"1024 bits", func(k *keys) { k.private = pkcs1(short) }, "2048"},
		{"no certificate", func(k *keys) { k.certificates = nil }, "certificate is missing"},
		{"no number of the certificate", certificate("", c.PEM), "needs its number"},
		{"the number inside the certificate", certificate(fmt.Sprintf("%X", inside.SerialNumber), c.PEM), "inside the certificate"},
		{"certificate not PEM", certificate(c.Serial, []byte("LEAK")), c.Serial + ": is not PEM"},
		{"certificate damaged", certificate(c.Serial, pemOf("CERTIFICATE", []byte("LEAK"))), "damaged"},
		{"a private key for the certificate", certificate(c.Serial, pkcs1(newKey())), "something else"},
		{"public key damaged", certificate(c.Serial, pemOf("PUBLIC KEY", []byte("LEAK"))), "damaged"},
		{"elliptic public key", certificate(c.Serial, pemOf("PUBLIC KEY", ecDER)), "not RSA"},
		{"public key of 1024 bits", certificate(c.Serial, pemOf("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(&short.PublicKey))), "2048"},
		{"our own public key", certificate(c.Serial, pemOf("PUBLIC KEY", ours)), "our own"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			k := keys{testKeySerial, testSymmetricKey, testPrivateSerial, pkcs1(newKey()), map[string][]byte{c.Serial: c.PEM}}
			tt.change(&k)
			_, err := k.signing()
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("got %v, want an error about %s", err, tt.want)
			}
			checkErrorClean(t, err)
		})
	}
}

func TestPrintingShowsNoKey(t *testing.T) {
	t.Parallel()
	fake := newSecured(t)
	signing := fake.signing(t)
	client := fake.client(t, signing)
	cfg := wechat.Config{AppID: testAppID, Secret: testSecret, Signing: signing}
	symmetric, _ := base64.StdEncoding.DecodeString(testSymmetricKey)
	hidden := []string{
		testSymmetricKey, string(symmetric), fmt.Sprintf("%x", symmetric), "83 89 77 77 69",
		newKey().D.String(), newKey().D.Text(16), newKey().Primes[0].String(), string(pkcs1(newKey())[40:80]),
	}
	check := func(where, text string) {
		for i, key := range hidden {
			if strings.Contains(strings.ToLower(text), strings.ToLower(key)) {
				t.Errorf("%s holds key %d, want none", where, i)
			}
		}
	}
	for name, value := range map[string]any{
		"signing": signing, "config": cfg, "client": client, "signings": []*wechat.Signing{signing}, "holder": struct{ S *wechat.Signing }{signing},
	} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%10v"} {
			check(name+" by "+verb, fmt.Sprintf(verb, value))
		}
		var log bytes.Buffer
		slog.New(slog.NewTextHandler(&log, nil)).Info("x", "value", value)
		slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "value", value)
		check(name+" in a log", log.String())
		raw, err := json.Marshal(value)
		if err != nil {
			t.Errorf("%s as JSON: got %v, want success", name, err)
		}
		check(name+" as JSON", string(raw))
	}
}
