// The keys of WeChat's server API signature.

package wechat

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// Signing holds the keys of WeChat's server API signature (服务端 API 签名): calls that support it
// go out encrypted and signed, and their answers must come back so. Several clients may share it.
// Printing or logging it shows no key.
type Signing struct {
	redacted

	keySerial     string
	key           cipher.AEAD
	privateSerial string
	private       *rsa.PrivateKey
	platform      map[string]certificate // by the number that the console shows
	seen          *replays
	replacing     atomic.Bool // the operator was told of WeChat's next certificate
}

// certificate is one of WeChat's that answers are signed with.
type certificate struct {
	key  *rsa.PublicKey
	ends time.Time // zero for a bare public key
}

// serialPattern is wider than the 32 hex digits of the console. It lets a number appear in errors
// and in lists of them.
var serialPattern = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// minRSABits is the size of WeChat's own keys.
const minRSABits = 2048

// NewSigning reads the keys as the console hands them out (开发管理, 开发设置, API安全), set to
// AES256_GCM and RSAwithSHA256: the symmetric key in base64, our private key in PEM (PKCS #1 or
// PKCS #8, not encrypted), and WeChat's platform certificates, or their public keys, in PEM. Each
// has the number that the console shows beside it. Two certificates are needed while WeChat changes
// from one to the other.
//
// No error quotes a key. A certificate past its end is taken, since WeChat decides what it signs
// with; [New] logs a warning.
func NewSigning(keySerial, key, privateSerial string, private []byte, certificates map[string][]byte) (*Signing, error) {
	s := &Signing{keySerial: keySerial, privateSerial: privateSerial, platform: map[string]certificate{}, seen: newReplays()}
	if !serialPattern.MatchString(keySerial) {
		return nil, errors.New("wechat: signing: the symmetric key needs its number, as the console shows it")
	}
	if !serialPattern.MatchString(privateSerial) {
		return nil, errors.New("wechat: signing: the private key needs the number of its public key, as the console shows it")
	}

	var err error
	if s.key, err = parseSymmetricKey(key); err != nil {
		return nil, fmt.Errorf("wechat: signing: %w", err)
	}
	if s.private, err = parsePrivateKey(private); err != nil {
		return nil, fmt.Errorf("wechat: signing: %w", err)
	}
	if len(certificates) == 0 {
		return nil, errors.New("wechat: signing: a platform certificate is missing; the console offers it for download")
	}
	for _, serial := range slices.Sorted(maps.Keys(certificates)) {
		if !serialPattern.MatchString(serial) {
			return nil, errors.New("wechat: signing: a platform certificate needs its number, as the console shows it")
		}
		c, err := parseCertificate(serial, certificates[serial])
		if err == nil && c.key.Equal(&s.private.PublicKey) {
			err = errors.New("is our own public key, not WeChat's")
		}
		if err != nil {
			return nil, fmt.Errorf("wechat: signing: platform certificate %s: %w", serial, err)
		}
		s.platform[serial] = c
	}
	return s, nil
}

func parseSymmetricKey(text string) (cipher.AEAD, error) {
	key, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(key) != 32 {
		return nil, errors.New("the symmetric key must be 32 bytes in base64, for AES256_GCM; SM4 is not supported")
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, errors.New("the symmetric key is unusable")
	}
	return cipher.NewGCM(block)
}

// parsePrivateKey drops the errors of crypto/x509, which may quote what they stumbled over.
func parsePrivateKey(text []byte) (*rsa.PrivateKey, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("the private key is not PEM")
	}
	var parsed any
	var err error
	switch {
	case block.Type == "ENCRYPTED PRIVATE KEY" || block.Headers["DEK-Info"] != "":
		return nil, errors.New("the private key is encrypted; decrypt it by openssl rsa -in <file> -out <file>")
	case block.Type == "RSA PRIVATE KEY":
		parsed, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case block.Type == "PRIVATE KEY":
		parsed, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	default:
		return nil, errors.New("the PEM of the private key holds something else; it begins with RSA PRIVATE KEY or PRIVATE KEY")
	}
	if err != nil {
		return nil, errors.New("the private key is damaged, too short, or not RSA; SM2 is not supported")
	}
	key, ok := parsed.(*rsa.PrivateKey)
	if !ok {
		return nil, errors.New("the private key is not RSA; the console must be set to RSAwithSHA256")
	}
	if key.N.BitLen() < minRSABits {
		return nil, fmt.Errorf("the private key has less than %d bits", minRSABits)
	}
	return key, nil
}

func parseCertificate(serial string, text []byte) (certificate, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return certificate{}, errors.New("is not PEM")
	}
	var c certificate
	var parsed any
	var err error
	switch block.Type {
	case "CERTIFICATE":
		var cert *x509.Certificate
		if cert, err = x509.ParseCertificate(block.Bytes); err == nil {
			parsed, c.ends = cert.PublicKey, cert.NotAfter
			if sameNumber(serial, cert.SerialNumber.Bytes()) {
				return c, errors.New("has the number inside the certificate; take the one that the console shows")
			}
		}
	case "PUBLIC KEY":
		parsed, err = x509.ParsePKIXPublicKey(block.Bytes)
	case "RSA PUBLIC KEY":
		parsed, err = x509.ParsePKCS1PublicKey(block.Bytes)
	default:
		return c, errors.New("is something else; its PEM begins with CERTIFICATE or PUBLIC KEY")
	}
	if err != nil {
		return c, errors.New("is damaged")
	}
	key, ok := parsed.(*rsa.PublicKey)
	if !ok || key.N.BitLen() < minRSABits {
		return c, fmt.Errorf("is not RSA of at least %d bits", minRSABits)
	}
	c.key = key
	return c, nil
}

// sameNumber compares a number in hex with its bytes.
func sameNumber(serial string, number []byte) bool {
	digits := fmt.Sprintf("%x", number)
	return strings.TrimLeft(strings.ToLower(serial), "0") == strings.TrimLeft(digits, "0")
}

// warn logs certificates past their end.
func (s *Signing) warn(logger *slog.Logger, now time.Time) {
	for _, serial := range slices.Sorted(maps.Keys(s.platform)) {
		if ends := s.platform[serial].ends; !ends.IsZero() && now.After(ends) {
			logger.Warn("WeChat's platform certificate is past its end; download the new one from the console (开发设置, API安全)",
				"serial", serial, "ended", ends)
		}
	}
}
