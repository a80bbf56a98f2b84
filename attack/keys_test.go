// The keys of the sites that attacks go to.

package attack_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
)

// rigKeys are the keys of the sites that do not use automatic ones: a forger who has them is the
// control of every attack with a forged token.
type rigKeys struct {
	hs    []byte
	rs    *rsa.PrivateKey
	es    *ecdsa.PrivateKey
	ed    ed25519.PrivateKey
	rsPub []byte // PKIX PEM
	esPub []byte
}

func newRigKeys(dir string) (k rigKeys, err error) {
	k.hs = []byte("9b1c7e55fd0a4e0e8b7d6a3f2c1908e7-hs256")
	if k.rs, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
		return k, err
	}
	if k.es, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return k, err
	}
	if _, k.ed, err = ed25519.GenerateKey(rand.Reader); err != nil {
		return k, err
	}
	if k.rsPub, err = pemOfPublic(&k.rs.PublicKey); err != nil {
		return k, err
	}
	if k.esPub, err = pemOfPublic(&k.es.PublicKey); err != nil {
		return k, err
	}
	for name, key := range map[string]any{"rs.pem": k.rs, "es.pem": k.es, "ed.pem": k.ed} {
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			return k, err
		}
		text := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			return k, err
		}
	}
	if err := writeCertificate(dir, k.es); err != nil {
		return k, err
	}
	return k, os.WriteFile(filepath.Join(dir, "hs.secret"), k.hs, 0o600)
}

func pemOfPublic(key any) ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(key)
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), err
}
