// Parsing of keys.

package jwt

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
)

var pemMark = []byte("-----BEGIN ")

// ParseKey reads a signing key: for HS256 and kin the secret's bytes as they
// are, for all others a private key in PEM (PKCS#8, PKCS#1 or SEC 1).
func ParseKey(alg string, data []byte) (*Key, error) {
	a, err := algorithmNamed(alg)
	if err != nil {
		return nil, err
	}

	isPEM := bytes.Contains(data, pemMark)
	if a.family == familyHMAC {
		// A public key taken for a secret is the classic confusion, with the
		// operator's help: anyone with the published key could sign.
		if isPEM {
			return nil, fmt.Errorf("%w: %s takes a secret, and this is a PEM key; write an algorithm of the key's kind, or make a secret with: %s", ErrKey, a.name, a.recipe)
		}
		return newSecretKey(a, bytes.Clone(data))
	}

	private, _, err := firstPEMKey(a, data)
	if err != nil {
		return nil, err
	}
	if private == nil {
		return nil, fmt.Errorf("%w: this PEM holds only a public key or a certificate, which cannot sign; write the private key that belongs to it", ErrKey)
	}
	return newPrivateKey(a, private)
}

// ParsePreviousKey reads a key that still verifies but no longer signs. Beyond
// what [ParseKey] reads it takes public keys (PKIX, PKCS#1), and it takes a
// PEM key of another kind than the algorithm's, so that the algorithm can be
// changed: such a key is bound to the algorithm of its own type, RSA to RS256.
func ParsePreviousKey(alg string, data []byte) (*Key, error) {
	a, err := algorithmNamed(alg)
	if err != nil {
		return nil, err
	}
	if !bytes.Contains(data, pemMark) {
		return ParseKey(alg, data)
	}

	private, public, err := firstPEMKey(a, data)
	if err != nil {
		return nil, err
	}
	if private != nil {
		return newPrivateKey(ownAlgorithm(a, private.Public()), private)
	}
	if public == nil {
		return nil, fmt.Errorf("%w: this PEM holds a certificate; write its public key (openssl x509 -in cert.pem -noout -pubkey)", ErrKey)
	}
	return newPublicKey(ownAlgorithm(a, public), public)
}

// ownAlgorithm returns the algorithm for a key's type. It falls back on the
// wanted one, against which the caller then refuses the key.
func ownAlgorithm(wanted *algorithm, public crypto.PublicKey) *algorithm {
	var own *algorithm
	switch p := public.(type) {
	case *ecdsa.PublicKey:
		own = algorithmForCurve(p.Curve)
	case ed25519.PublicKey:
		own, _ = algorithmNamed("EdDSA")
	case *rsa.PublicKey:
		if wanted.family != familyRSA {
			own, _ = algorithmNamed("RS256")
		}
	}
	if own == nil {
		return wanted
	}
	return own
}

// firstPEMKey returns the first private key of a PEM file, else its first public key. Other blocks
// are passed over: openssl writes EC PARAMETERS in front of a key, and bundles carry certificates.
// Both results are nil when there was nothing but a certificate.
func firstPEMKey(a *algorithm, data []byte) (private crypto.Signer, public crypto.PublicKey, err error) {
	var certificate bool

	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		var key any
		var parseErr error

		// The legacy encryption of PEM keeps the type and says so in a header.
		if block.Type == "ENCRYPTED PRIVATE KEY" || block.Headers["DEK-Info"] != "" {
			return nil, nil, fmt.Errorf("%w: this PEM key is encrypted; write it without a passphrase (openssl pkey -in key.pem -out plain.pem) and let file permissions protect it", ErrKey)
		}

		switch block.Type {
		case "PRIVATE KEY":
			key, parseErr = x509.ParsePKCS8PrivateKey(block.Bytes)
		case "RSA PRIVATE KEY":
			key, parseErr = x509.ParsePKCS1PrivateKey(block.Bytes)
		case "EC PRIVATE KEY":
			key, parseErr = x509.ParseECPrivateKey(block.Bytes)
		case "PUBLIC KEY":
			key, parseErr = x509.ParsePKIXPublicKey(block.Bytes)
		case "RSA PUBLIC KEY":
			key, parseErr = x509.ParsePKCS1PublicKey(block.Bytes)
		case "CERTIFICATE":
			certificate = true
			continue
		default:
			continue
		}
		// The parser's own text may quote its input.
		if parseErr != nil {
			return nil, nil, fmt.Errorf("%w: the %s block cannot be read: damaged, or a kind that signs no tokens; make a key with: %s", ErrKey, block.Type, a.recipe)
		}

		switch k := key.(type) {
		case *ecdsa.PrivateKey, ed25519.PrivateKey, *rsa.PrivateKey:
			return k.(crypto.Signer), nil, nil
		case *ecdsa.PublicKey, ed25519.PublicKey, *rsa.PublicKey:
			if public == nil {
				public = k
			}
		default:
			return nil, nil, wrongKey(a, "a key of a kind that signs no tokens")
		}
	}

	if public == nil && !certificate {
		return nil, nil, fmt.Errorf("%w: %s needs a key in PEM form; make one with: %s", ErrKey, a.name, a.recipe)
	}
	return nil, public, nil
}
