// The table of algorithms, with the signing method and the keys of each.

package jwt

import (
	"crypto/elliptic"
	"crypto/rsa"
	"fmt"
	"strings"

	gojwt "github.com/golang-jwt/jwt/v5"
)

type family int

const (
	familyEC family = iota
	familyEd25519
	familyRSA
	familyHMAC
)

// minRSABits is the floor of RFC 7518, sections 3.3 and 3.5.
const minRSABits = 2048

type algorithm struct {
	name   string
	family family
	method gojwt.SigningMethod

	curve      elliptic.Curve // familyEC
	secretSize int            // familyHMAC: bytes, the hash length (RFC 7518, section 3.2)
	recipe     string         // a command that makes a fitting key
}

const rsaRecipe = "openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:3072 -out token.pem"

// algorithms are in the order in which error texts list them.
var algorithms = []*algorithm{
	ecAlgorithm(gojwt.SigningMethodES256, elliptic.P256()),
	ecAlgorithm(gojwt.SigningMethodES384, elliptic.P384()),
	ecAlgorithm(gojwt.SigningMethodES512, elliptic.P521()),
	{
		name: "EdDSA", family: familyEd25519, method: gojwt.SigningMethodEdDSA,
		recipe: "openssl genpkey -algorithm ed25519 -out token.pem",
	},
	{name: "RS256", family: familyRSA, method: gojwt.SigningMethodRS256, recipe: rsaRecipe},
	{name: "RS384", family: familyRSA, method: gojwt.SigningMethodRS384, recipe: rsaRecipe},
	{name: "RS512", family: familyRSA, method: gojwt.SigningMethodRS512, recipe: rsaRecipe},
	pssAlgorithm(gojwt.SigningMethodPS256),
	pssAlgorithm(gojwt.SigningMethodPS384),
	pssAlgorithm(gojwt.SigningMethodPS512),
	hmacAlgorithm(gojwt.SigningMethodHS256),
	hmacAlgorithm(gojwt.SigningMethodHS384),
	hmacAlgorithm(gojwt.SigningMethodHS512),
}

func ecAlgorithm(method *gojwt.SigningMethodECDSA, curve elliptic.Curve) *algorithm {
	return &algorithm{
		name: method.Alg(), family: familyEC, method: method, curve: curve,
		recipe: "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:" + curve.Params().Name + " -out token.pem",
	}
}

// pssAlgorithm takes golang-jwt's method without its VerifyOptions. Those let
// through salts of any length, for tokens of old versions of that library;
// RFC 7518, section 3.5, wants the salt as long as the hash.
func pssAlgorithm(method *gojwt.SigningMethodRSAPSS) *algorithm {
	strict := &gojwt.SigningMethodRSAPSS{
		SigningMethodRSA: method.SigningMethodRSA,
		Options:          &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash},
	}
	return &algorithm{name: method.Alg(), family: familyRSA, method: strict, recipe: rsaRecipe}
}

func hmacAlgorithm(method *gojwt.SigningMethodHMAC) *algorithm {
	size := method.Hash.Size()
	return &algorithm{
		name: method.Alg(), family: familyHMAC, method: method, secretSize: size,
		recipe: fmt.Sprintf("openssl rand -hex %d", size),
	}
}

// Algorithms returns the names that [GenerateKey] and [ParseKey] understand.
func Algorithms() []string {
	names := make([]string, len(algorithms))
	for i, a := range algorithms {
		names[i] = a.name
	}
	return names
}

func algorithmNamed(name string) (*algorithm, error) {
	for _, a := range algorithms {
		if a.name == name {
			return a, nil
		}
	}
	return nil, fmt.Errorf("%w: unknown algorithm %q; write one of %s", ErrKey, name, strings.Join(Algorithms(), ", "))
}

// algorithmForCurve returns nil for a curve that no algorithm uses, such as P-224.
func algorithmForCurve(curve elliptic.Curve) *algorithm {
	for _, a := range algorithms {
		if a.family == familyEC && a.curve == curve {
			return a
		}
	}
	return nil
}
