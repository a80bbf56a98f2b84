// Public keys as JSON Web Keys (RFC 7517, 7518, 8037) and their thumbprints.

package jwt

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"math/big"
)

// jwk is a public key. The fields of other kinds are empty and left out.
type jwk struct {
	Type      string `json:"kty"`
	Use       string `json:"use,omitempty"`
	Algorithm string `json:"alg,omitempty"`
	ID        string `json:"kid,omitempty"`
	Curve     string `json:"crv,omitempty"`
	X         string `json:"x,omitempty"`
	Y         string `json:"y,omitempty"`
	Modulus   string `json:"n,omitempty"`
	Exponent  string `json:"e,omitempty"`
}

func newJWK(public crypto.PublicKey) (jwk, error) {
	encode := base64.RawURLEncoding.EncodeToString

	switch p := public.(type) {
	case *ecdsa.PublicKey:
		// The uncompressed point: 4, then both coordinates padded on the left
		// to the curve's size, which RFC 7518, section 6.2.1.2, demands.
		point, err := p.Bytes()
		if err != nil {
			return jwk{}, fmt.Errorf("%w: the EC point is not on its curve", ErrKey)
		}
		size := len(point) / 2
		return jwk{
			Type: "EC", Curve: p.Curve.Params().Name,
			X: encode(point[1 : 1+size]), Y: encode(point[1+size:]),
		}, nil
	case ed25519.PublicKey:
		return jwk{Type: "OKP", Curve: "Ed25519", X: encode(p)}, nil
	case *rsa.PublicKey:
		return jwk{
			Type:    "RSA",
			Modulus: encode(p.N.Bytes()), Exponent: encode(big.NewInt(int64(p.E)).Bytes()),
		}, nil
	default:
		return jwk{}, fmt.Errorf("%w: a kind that cannot be published", ErrKey)
	}
}

// thumbprint is RFC 7638: the hash of the required members alone, in the order
// of their names. No value needs escaping.
func (j jwk) thumbprint() string {
	var members string
	switch j.Type {
	case "EC":
		members = `{"crv":"` + j.Curve + `","kty":"EC","x":"` + j.X + `","y":"` + j.Y + `"}`
	case "OKP":
		members = `{"crv":"` + j.Curve + `","kty":"OKP","x":"` + j.X + `"}`
	default:
		members = `{"e":"` + j.Exponent + `","kty":"RSA","n":"` + j.Modulus + `"}`
	}

	sum := sha256.Sum256([]byte(members))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
