// A key bound to its algorithm, and its public side.

package jwt

import (
	"crypto"
	"crypto/cipher"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
)

// ErrKey is wrapped by every refusal of a key. The text around it names the remedy and holds
// nothing of the key.
var ErrKey = errors.New("jwt: unusable key")

// generatedRSABits is enough for rotated keys: they live for weeks, not decades.
const generatedRSABits = minRSABits

// hmacIDLabel separates the kid of a secret from everything it signs: no token
// starts with it, because a space is not in a token's alphabet.
const hmacIDLabel = "wechatauth key id"

// Key is a key bound to one algorithm. It is immutable, and printing, logging
// or encoding it shows its algorithm and id alone.
type Key struct {
	id     string
	alg    *algorithm
	header string // base64url of the only header this key's tokens have

	// material is behind a function because fmt follows a pointer in a copied
	// Key, or in an unexported field that holds one, without asking String.
	// Through a function neither fmt nor a dumper sees anything.
	material func() *material
}

type material struct {
	public  any         // what golang-jwt verifies with; the secret for HMAC
	private any         // what golang-jwt signs with; nil in a public key
	seal    cipher.AEAD // nil in a public key
}

// GenerateKey makes a new random key for the algorithm.
func GenerateKey(alg string) (*Key, error) {
	a, err := algorithmNamed(alg)
	if err != nil {
		return nil, err
	}

	switch a.family {
	case familyEC:
		private, err := ecdsa.GenerateKey(a.curve, rand.Reader)
		if err != nil {
			return nil, fmt.Errorf("jwt: making a key: %w", err)
		}
		return newPrivateKey(a, private)
	case familyEd25519:
		_, private, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			return nil, fmt.Errorf("jwt: making a key: %w", err)
		}
		return newPrivateKey(a, private)
	case familyRSA:
		private, err := rsa.GenerateKey(rand.Reader, generatedRSABits)
		if err != nil {
			return nil, fmt.Errorf("jwt: making a key: %w", err)
		}
		return newPrivateKey(a, private)
	default:
		// Text rather than raw bytes, so that it can be stored and shown like
		// a secret an operator wrote.
		random := make([]byte, a.secretSize)
		rand.Read(random)
		return newSecretKey(a, []byte(base64.RawURLEncoding.EncodeToString(random)))
	}
}

// ID returns the key's kid: the RFC 7638 thumbprint, or for an HMAC secret a value derived from it.
func (k *Key) ID() string { return k.id }

// Algorithm returns the name of the one algorithm the key is for.
func (k *Key) Algorithm() string { return k.alg.name }

// CanSign reports whether the key has a private half.
func (k *Key) CanSign() bool { return k.material().private != nil }

// ExportPrivate returns the private key in the form [ParseKey] reads: PKCS#8
// in PEM, or the bytes of the secret. It is the only way to get it out.
func (k *Key) ExportPrivate() ([]byte, error) {
	if !k.CanSign() {
		return nil, fmt.Errorf("%w: a public key has no private half to export", ErrKey)
	}
	if secret, ok := k.material().private.([]byte); ok {
		return append([]byte(nil), secret...), nil
	}

	der, err := x509.MarshalPKCS8PrivateKey(k.material().private)
	if err != nil {
		return nil, fmt.Errorf("%w: it cannot be written as PKCS#8", ErrKey)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// String names the key without revealing it.
func (k *Key) String() string { return "jwt.Key(" + k.alg.name + " " + k.id + ")" }

// GoString is [Key.String], for %#v.
func (k *Key) GoString() string { return k.String() }

// LogValue is [Key.String], for log/slog.
func (k *Key) LogValue() slog.Value { return slog.StringValue(k.String()) }

// MarshalJSON is [Key.String] as a JSON string.
func (k *Key) MarshalJSON() ([]byte, error) { return json.Marshal(k.String()) }

func newPrivateKey(a *algorithm, private crypto.Signer) (*Key, error) {
	public := private.Public()
	if err := checkPublic(a, public); err != nil {
		return nil, err
	}

	secret, err := privateBytes(private)
	if err != nil {
		return nil, fmt.Errorf("%w: the private half is out of range", ErrKey)
	}
	seal, err := newSeal(secret)
	if err != nil {
		return nil, err
	}
	return newKey(a, &material{public: public, private: private, seal: seal})
}

func newPublicKey(a *algorithm, public crypto.PublicKey) (*Key, error) {
	if err := checkPublic(a, public); err != nil {
		return nil, err
	}
	return newKey(a, &material{public: public})
}

func newSecretKey(a *algorithm, secret []byte) (*Key, error) {
	if err := checkSecret(a, secret); err != nil {
		return nil, err
	}

	seal, err := newSeal(secret)
	if err != nil {
		return nil, err
	}
	return newKey(a, &material{public: secret, private: secret, seal: seal})
}

func newKey(a *algorithm, m *material) (*Key, error) {
	k := &Key{alg: a, material: func() *material { return m }}

	if secret, ok := m.public.([]byte); ok && a.family == familyHMAC {
		k.id = secretID(secret)
	} else {
		j, err := newJWK(m.public)
		if err != nil {
			return nil, err
		}
		k.id = j.thumbprint()
	}

	// Neither value needs escaping: both are base64url or letters and digits.
	k.header = base64.RawURLEncoding.EncodeToString(
		[]byte(`{"alg":"` + a.name + `","kid":"` + k.id + `","typ":"JWT"}`))
	return k, nil
}

// secretID derives a kid that reveals nothing of the secret. A thumbprint would
// be a plain hash of it, ready for a dictionary.
func secretID(secret []byte) string {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(hmacIDLabel))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// privateBytes returns the bytes that make the key secret, the same for every
// encoding of the same key.
func privateBytes(private crypto.Signer) ([]byte, error) {
	switch p := private.(type) {
	case *ecdsa.PrivateKey:
		return p.Bytes()
	case ed25519.PrivateKey:
		return p.Seed(), nil
	case *rsa.PrivateKey:
		return p.D.Bytes(), nil
	default:
		return nil, fmt.Errorf("%w: a kind that signs no tokens", ErrKey)
	}
}

// checkPublic refuses a key of another type, curve or size than the algorithm's.
func checkPublic(a *algorithm, public crypto.PublicKey) error {
	switch p := public.(type) {
	case *ecdsa.PublicKey:
		if a.family == familyEC && a.curve == p.Curve {
			return nil
		}
		return wrongKey(a, "an EC key on "+p.Curve.Params().Name)
	case ed25519.PublicKey:
		if a.family == familyEd25519 {
			return nil
		}
		return wrongKey(a, "an Ed25519 key")
	case *rsa.PublicKey:
		if a.family != familyRSA {
			return wrongKey(a, "an RSA key")
		}
		if p.N.BitLen() < minRSABits {
			return wrongKey(a, fmt.Sprintf("an RSA key of %d bits, under %d", p.N.BitLen(), minRSABits))
		}
		return nil
	default:
		return wrongKey(a, "a key of a kind that signs no tokens")
	}
}

func wrongKey(a *algorithm, got string) error {
	return fmt.Errorf("%w: this is %s, which does not fit %s; change the algorithm, or make a key with: %s",
		ErrKey, got, a.name, a.recipe)
}
