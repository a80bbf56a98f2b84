// The platform certificates that answers are signed with.

package wechattest

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"math/big"
	"sync"
	"time"
)

// Certificate is a platform certificate as WeChat's console offers it for download.
type Certificate struct {
	Serial string // the number in the console, not the one inside
	PEM    []byte // one CERTIFICATE block
}

// platform signs the answers, with the certificate in use and for a while with the one before.
type platform struct {
	current, deprecated *platformKey
}

type platformKey struct {
	serial string
	key    *rsa.PrivateKey
	pem    []byte
}

// firstKey is the first key of all fakes of a process: making one takes a while, and tests make
// many fakes.
var firstKey = sync.OnceValue(generateKey)

func generateKey() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic("wechattest: " + err.Error())
	}
	return key
}

// newPlatformKey gives the key a number and a certificate of five years, like WeChat's.
func newPlatformKey(key *rsa.PrivateKey, now time.Time) *platformKey {
	template := &x509.Certificate{
		SerialNumber: new(big.Int).SetBytes(random(20)),
		Subject:      pkix.Name{CommonName: "wechattest"},
		NotBefore:    now,
		NotAfter:     now.AddDate(5, 0, 0),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		panic("wechattest: " + err.Error())
	}
	return &platformKey{
		serial: hex.EncodeToString(random(16)),
		key:    key,
		pem:    pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
	}
}

// signer returns the key in use, made on first use. The caller holds mu.
func (s *Server) signer() *platformKey {
	if s.platform.current == nil {
		s.platform.current = newPlatformKey(firstKey(), s.now())
	}
	return s.platform.current
}

// PlatformCertificate returns the certificate that verifies the answers to signed calls.
func (s *Server) PlatformCertificate() Certificate {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.signer().certificate()
}

func (k *platformKey) certificate() Certificate {
	return Certificate{Serial: k.serial, PEM: k.pem}
}

// RotateCertificate puts a new platform certificate in use and returns it. Until EndRotation,
// answers are signed by the one before, too, under the headers that end in Deprecated.
func (s *Server) RotateCertificate() Certificate {
	key := generateKey()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.platform.deprecated = s.signer()
	s.platform.current = newPlatformKey(key, s.now())
	return s.platform.current.certificate()
}

// EndRotation retires the platform certificate before the one in use.
func (s *Server) EndRotation() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.platform.deprecated = nil
}
