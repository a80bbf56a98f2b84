// Keys: reading, generating, exporting and printing them.

package jwt_test

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/jwt"
)

func pemOf(tb testing.TB, kind string, der []byte, err error) []byte {
	tb.Helper()
	if err != nil {
		tb.Fatalf("writing %s: %v", kind, err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func privatePEM(tb testing.TB, private any) []byte {
	tb.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(private)
	return pemOf(tb, "PRIVATE KEY", der, err)
}

func ecKey(tb testing.TB, curve elliptic.Curve) *ecdsa.PrivateKey {
	tb.Helper()
	private, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		tb.Fatalf("ecdsa.GenerateKey: %v", err)
	}
	return private
}

func certificatePEM(tb testing.TB, private *ecdsa.PrivateKey) []byte {
	tb.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: testNow.Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	return pemOf(tb, "CERTIFICATE", der, err)
}

func concat(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

func TestParseKeyReadsEveryForm(t *testing.T) {
	t.Parallel()
	rsaKey := privateOf(t, keyFor(t, "RS256")).(*rsa.PrivateKey)
	ec := ecKey(t, elliptic.P256())
	sec1, err := x509.MarshalECPrivateKey(ec)
	ecPEM := pemOf(t, "EC PRIVATE KEY", sec1, err)
	parameters := pem.EncodeToMemory(&pem.Block{Type: "EC PARAMETERS", Bytes: []byte{6, 8, 42, 134, 72, 206, 61, 3, 1, 7}})
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}

	tests := []struct {
		name, alg string
		data      []byte
		public    crypto.PublicKey
	}{
		{"PKCS#8 EC", "ES256", privatePEM(t, ec), ec.Public()},
		{"SEC 1", "ES256", ecPEM, ec.Public()},
		{"SEC 1 after its parameters", "ES256", concat(parameters, ecPEM), ec.Public()},
		{"text around the block", "ES256", concat([]byte("Bag Attributes\n"), ecPEM, []byte("\nend")), ec.Public()},
		{"Windows line ends", "ES256", bytes.ReplaceAll(ecPEM, []byte("\n"), []byte("\r\n")), ec.Public()},
		{"bundle", "ES256", concat(certificatePEM(t, ec), publicPEM(t, ec.Public()), ecPEM), ec.Public()},
		{"PKCS#8 Ed25519", "EdDSA", privatePEM(t, ed), ed.Public()},
		{"PKCS#8 RSA", "PS384", privatePEM(t, rsaKey), rsaKey.Public()},
		{"PKCS#1", "RS512", pemOf(t, "RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rsaKey), nil), rsaKey.Public()},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			want, err := jwt.ParsePreviousKey(tt.alg, publicPEM(t, tt.public))
			if err != nil {
				t.Fatalf("ParsePreviousKey: %v", err)
			}
			for _, parse := range []func(string, []byte) (*jwt.Key, error){jwt.ParseKey, jwt.ParsePreviousKey} {
				key, err := parse(tt.alg, tt.data)
				if err != nil {
					t.Fatalf("got %v, want a key", err)
				}
				if key.Algorithm() != tt.alg || key.ID() != want.ID() || !key.CanSign() {
					t.Errorf("got %v, signing %t, want %v, true", key, key.CanSign(), want)
				}
				s := siteWithKey(t, key)
				wantAccepted(t, s.verifier, s.issue(t))
			}
		})
	}
}

func TestParseKeyRefusesWithAdvice(t *testing.T) {
	t.Parallel()
	rsaKey := privateOf(t, keyFor(t, "RS256")).(*rsa.PrivateKey)
	p256 := ecKey(t, elliptic.P256())
	good := privatePEM(t, p256)
	block, _ := pem.Decode(good)
	// A key of 1024 bits, which Go no longer makes.
	weak := rsa.PublicKey{N: new(big.Int).SetBit(big.NewInt(1), 1023, 1), E: 65537}
	dh, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}

	tests := []struct {
		name, alg string
		data      []byte
		say       string
	}{
		{"unknown algorithm", "ES256K", good, "ES256, ES384"},
		{"algorithm in small letters", "es256", good, "write one of"},
		{"none", "none", nil, "write one of"},
		{"empty", "ES256", nil, "openssl genpkey"},
		{"secret for a signature", "ES256", []byte(strings.Repeat("abcdefgh", 8)), "needs a key in PEM form"},
		{"truncated PEM", "ES256", good[:len(good)/2], "needs a key in PEM form"},
		{"damaged DER", "ES256", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: block.Bytes[:20]}), "cannot be read"},
		{"other curve", "ES256", privatePEM(t, ecKey(t, elliptic.P384())), "P-384"},
		{"curve nobody uses", "ES256", privatePEM(t, ecKey(t, elliptic.P224())), "P-224"},
		{"RSA for EC", "ES256", privatePEM(t, rsaKey), "an RSA key"},
		{"EC for RSA", "RS256", good, "an EC key on P-256"},
		{"EC for Ed25519", "EdDSA", good, "an EC key on P-256"},
		{"X25519", "EdDSA", privatePEM(t, dh), "signs no tokens"},
		{"public key", "ES256", publicPEM(t, p256.Public()), "write the private key"},
		{"certificate", "ES256", certificatePEM(t, p256), "write the private key"},
		{"short RSA", "RS256", publicPEM(t, &weak), "1024 bits"},
		{"encrypted PKCS#8", "ES256", pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: block.Bytes}), "without a passphrase"},
		{"encrypted the old way", "ES256", pem.EncodeToMemory(&pem.Block{
			Type: "EC PRIVATE KEY", Headers: map[string]string{"Proc-Type": "4,ENCRYPTED", "DEK-Info": "AES-128-CBC,00"}, Bytes: block.Bytes,
		}), "without a passphrase"},
		{"private PEM as secret", "HS256", good, "takes a secret"},
		{"public PEM as secret", "HS256", publicPEM(t, p256.Public()), "takes a secret"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			parse := jwt.ParseKey
			if strings.HasPrefix(tt.name, "short RSA") {
				parse = jwt.ParsePreviousKey
			}
			key, err := parse(tt.alg, tt.data)
			if !errors.Is(err, jwt.ErrKey) || key != nil {
				t.Fatalf("got %v, %v, want no key and ErrKey", key, err)
			}
			if !strings.HasPrefix(err.Error(), "jwt: ") || !strings.Contains(err.Error(), tt.say) {
				t.Errorf("got %q, want the prefix jwt: and %q", err, tt.say)
			}
		})
	}
}

func TestPreviousKeyIsBoundToItsOwnAlgorithm(t *testing.T) {
	t.Parallel()
	rsaKey := privateOf(t, keyFor(t, "RS256")).(*rsa.PrivateKey)
	ed := privateOf(t, keyFor(t, "EdDSA")).(ed25519.PrivateKey)
	p256, p384, p521 := ecKey(t, elliptic.P256()), ecKey(t, elliptic.P384()), ecKey(t, elliptic.P521())

	tests := []struct {
		name, alg string
		data      []byte
		want      string
		signs     bool
	}{
		{"P-256 under HMAC", "HS256", privatePEM(t, p256), "ES256", true},
		{"P-384 under ES256", "ES256", privatePEM(t, p384), "ES384", true},
		{"public P-521 under RSA", "PS256", publicPEM(t, p521.Public()), "ES512", false},
		{"Ed25519 under ES256", "ES256", privatePEM(t, ed), "EdDSA", true},
		{"RSA under ES256", "ES256", privatePEM(t, rsaKey), "RS256", true},
		{"RSA under PS384", "PS384", publicPEM(t, rsaKey.Public()), "PS384", false},
		{"PKCS#1 public under RS512", "RS512", pemOf(t, "RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(&rsaKey.PublicKey), nil), "RS512", false},
		{"secret under HS384", "HS384", secretOf(t, "HS384"), "HS384", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			key, err := jwt.ParsePreviousKey(tt.alg, tt.data)
			if err != nil {
				t.Fatalf("ParsePreviousKey: %v", err)
			}
			if key.Algorithm() != tt.want || key.CanSign() != tt.signs {
				t.Errorf("got %s, signing %t, want %s, %t", key.Algorithm(), key.CanSign(), tt.want, tt.signs)
			}
		})
	}

	for name, data := range map[string][]byte{
		"certificate": certificatePEM(t, p256), "P-224": publicPEM(t, ecKey(t, elliptic.P224()).Public()),
		"secret under ES256": secretOf(t, "HS256"), "empty": nil,
	} {
		if key, err := jwt.ParsePreviousKey("ES256", data); !errors.Is(err, jwt.ErrKey) {
			t.Errorf("%s: got %v, %v, want ErrKey", name, key, err)
		}
	}
}

func secretOf(tb testing.TB, alg string) []byte {
	tb.Helper()
	secret, err := keyFor(tb, alg).ExportPrivate()
	if err != nil {
		tb.Fatalf("ExportPrivate: %v", err)
	}
	return secret
}

func TestExportedKeysAreReadBack(t *testing.T) {
	t.Parallel()
	for _, alg := range jwt.Algorithms() {
		key := keyFor(t, alg)
		exported, err := key.ExportPrivate()
		if err != nil {
			t.Fatalf("%s: ExportPrivate: %v", alg, err)
		}
		again, err := jwt.ParseKey(alg, exported)
		if err != nil {
			t.Fatalf("%s: ParseKey: %v", alg, err)
		}
		if again.ID() != key.ID() {
			t.Errorf("%s: got kid %s, want %s", alg, again.ID(), key.ID())
		}
	}

	public, err := jwt.ParsePreviousKey("ES256", publicPEM(t, ecKey(t, elliptic.P256()).Public()))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := public.ExportPrivate(); !errors.Is(err, jwt.ErrKey) {
		t.Errorf("got %v of a public key, want ErrKey", err)
	}
}

// A key ends up in a log line or an error sooner or later.
func TestPrintingAKeyDoesNotRevealIt(t *testing.T) {
	t.Parallel()
	const secret = "Zx8-Q!v2#Lm9@Tr4$Wk7%Yp1^Bn6&Hd3"
	key, err := jwt.ParseKey("HS256", []byte(secret))
	if err != nil {
		t.Fatalf("ParseKey: %v", err)
	}
	encoded, err := json.Marshal(map[string]any{"key": key, "value": *key})
	if err != nil {
		t.Fatalf("Marshal: %v", err)
	}
	var log bytes.Buffer
	logger := slog.New(slog.NewJSONHandler(&log, nil))
	logger.LogAttrs(t.Context(), slog.LevelInfo, "x", slog.Any("key", key), slog.Any("value", *key))

	seen := []string{string(encoded), log.String(), key.String(), key.GoString()}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x"} {
		hidden := struct {
			key   *jwt.Key
			value jwt.Key
		}{key, *key}
		seen = append(seen, fmt.Sprintf(verb, key), fmt.Sprintf(verb, *key), fmt.Sprintf(verb, []any{key, *key}),
			fmt.Sprintf(verb, hidden), fmt.Sprintf(verb, &hidden))
	}
	for _, text := range seen {
		for _, leak := range []string{secret, secret[:6], fmt.Sprintf("%x", secret), "90 120 56", "0x5a, 0x78"} {
			if strings.Contains(text, leak) {
				t.Errorf("got the secret in %q", text)
			}
		}
	}
	if want := "jwt.Key(HS256 " + key.ID() + ")"; key.String() != want {
		t.Errorf("got %s, want %s", key, want)
	}
}

// Threats: T52, C04.
func TestWeakSecretsAreRefused(t *testing.T) {
	t.Parallel()
	const random = "q8ZrT2vXw5LkB9nHs3JdY6mPc1GfA7uE"
	tests := []struct {
		name, alg, secret string
		refused           bool
	}{
		{"empty", "HS256", "", true},
		{"the word secret", "HS256", "secret", true},
		{"31 bytes", "HS256", random[:31], true},
		{"47 bytes", "HS384", random + random[:15], true},
		{"63 bytes", "HS512", random + random[1:], true},
		{"zeros", "HS256", strings.Repeat("\x00", 64), true},
		{"five distinct bytes", "HS256", "abcdeabdceabcedabecdaebcdeabcdacbde", true},
		{"a piece twice", "HS256", random[:20] + random[:20], true},
		{"a piece and a half", "HS384", random + random[:16], false},
		{"a short piece cut off", "HS256", strings.Repeat("q8ZrT2vXw5L", 3), true},
		{"a whole secret twice", "HS256", random + random, false},
		{"jwt.io 256", "HS256", "a-string-secret-at-least-256-bits-long", true},
		{"jwt.io 512", "HS512", "a-valid-string-secret-that-is-at-least-512-bits-long-which-is-very-long", true},
		{"jwt.io in capitals", "HS256", "A_STRING_SECRET_AT_LEAST_256_BITS_LONG", true},
		{"jwt.io old, padded", "HS256", "your-256-bit-secret0000000000000", true},
		{"jwt.io old, twice", "HS256", "your-256-bit-secret your-256-bit-secret", true},
		{"RFC 7515", "HS256", "AyM1SysPpbyfDfZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr9Z1CAow", true},
		{"change me", "HS256", "changeme-changeme-please-changeme", true},
		{"famous start, repeated rest", "HS256", "password" + strings.Repeat(random[:8], 4), true},
		{"famous start, random rest", "HS256", "my-secret-key:" + random, false},
		{"random", "HS256", random, false},
		{"random raw bytes", "HS256", "\xff\xfe\x00\x01\x80\x9c\x41\x42\x13\x37\xaa\x55\x0f\xf0\x77\x31\xc3\x28\xe2\x82\xed\xa0\x80\x05\x66\x12\xd9\x4b\x21\x7f\x90\x3c", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := jwt.ParseKey(tt.alg, []byte(tt.secret))
			if refused := errors.Is(err, jwt.ErrKey); refused != tt.refused {
				t.Fatalf("got %v, want refused %t", err, tt.refused)
			}
			if !tt.refused {
				return
			}
			if !strings.Contains(err.Error(), "openssl rand -hex") {
				t.Errorf("got %q, want it to say how to make a secret", err)
			}
			if len(tt.secret) > 8 && strings.Contains(err.Error(), tt.secret[:8]) {
				t.Errorf("got %q, want nothing of the secret in it", err)
			}
		})
	}
}

// A kid is public. A plain hash of the secret there could be looked up.
func TestSecretIDIsNoHashOfTheSecret(t *testing.T) {
	t.Parallel()
	secret := secretOf(t, "HS256")
	id := keyFor(t, "HS256").ID()
	for _, h := range []crypto.Hash{crypto.SHA256, crypto.SHA512} {
		hash := h.New()
		hash.Write(secret)
		if strings.Contains(id, encode(string(hash.Sum(nil)))[:16]) {
			t.Errorf("got the plain %v of the secret as kid", h)
		}
	}
	again, err := jwt.ParseKey("HS256", secret)
	if err != nil {
		t.Fatal(err)
	}
	if again.ID() != id {
		t.Errorf("got kid %s on another node, want %s", again.ID(), id)
	}
}
