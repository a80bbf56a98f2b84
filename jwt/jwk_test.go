// Published keys and thumbprints.

package jwt_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"

	gojwt "github.com/golang-jwt/jwt/v5"

	"github.com/caddy-wechat/wechatauth/jwt"
)

func publicPEM(tb testing.TB, public any) []byte {
	tb.Helper()
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		tb.Fatalf("MarshalPKIXPublicKey: %v", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

// publicOf returns what golang-jwt verifies the site's tokens with.
func publicOf(tb testing.TB, s *site) any {
	tb.Helper()
	switch private := s.private.(type) {
	case *ecdsa.PrivateKey:
		return &private.PublicKey
	case *rsa.PrivateKey:
		return &private.PublicKey
	case ed25519.PrivateKey:
		return private.Public()
	default:
		return private
	}
}

func bytesOf(tb testing.TB, s string) []byte {
	tb.Helper()
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil {
		tb.Fatalf("%q is not base64url: %v", s, err)
	}
	return b
}

// The published examples: RFC 7638, section 3.1, and RFC 8037, appendix A.3.
func TestThumbprintVectors(t *testing.T) {
	t.Parallel()
	modulus := "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3okn" +
		"jhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQv" +
		"RL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"
	tests := []struct {
		name, alg string
		public    any
		want      string
	}{
		{
			"RFC 7638", "RS256", &rsa.PublicKey{N: new(big.Int).SetBytes(bytesOf(t, modulus)), E: 65537},
			"NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs",
		},
		{
			"RFC 8037", "EdDSA", ed25519.PublicKey(bytesOf(t, "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo")),
			"kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			key, err := jwt.ParsePreviousKey(tt.alg, publicPEM(t, tt.public))
			if err != nil {
				t.Fatalf("ParsePreviousKey: %v", err)
			}
			if key.ID() != tt.want {
				t.Errorf("got %s, want %s", key.ID(), tt.want)
			}
		})
	}
}

type webKey struct{ Kty, Use, Alg, Kid, Crv, X, Y, N, E, D, K string }

func webKeys(tb testing.TB, r *jwt.Ring) []webKey {
	tb.Helper()
	var set struct{ Keys []webKey }
	if err := json.Unmarshal(r.JWKS(), &set); err != nil {
		tb.Fatalf("JWKS: %v", err)
	}
	return set.Keys
}

// public rebuilds the key from what was published, as a backend would.
func (k webKey) public(tb testing.TB) any {
	tb.Helper()
	curves := map[string]elliptic.Curve{"P-256": elliptic.P256(), "P-384": elliptic.P384(), "P-521": elliptic.P521()}
	switch k.Kty {
	case "EC":
		x, y := bytesOf(tb, k.X), bytesOf(tb, k.Y)
		size := (curves[k.Crv].Params().BitSize + 7) / 8
		if len(x) != size || len(y) != size {
			tb.Errorf("got coordinates of %d and %d bytes, want %d", len(x), len(y), size)
		}
		public, err := ecdsa.ParseUncompressedPublicKey(curves[k.Crv], append(append([]byte{4}, x...), y...))
		if err != nil {
			tb.Fatalf("the published point: %v", err)
		}
		return public
	case "OKP":
		return ed25519.PublicKey(bytesOf(tb, k.X))
	default:
		return &rsa.PublicKey{
			N: new(big.Int).SetBytes(bytesOf(tb, k.N)), E: int(new(big.Int).SetBytes(bytesOf(tb, k.E)).Int64()),
		}
	}
}

func TestTokensVerifyWithThePublishedKey(t *testing.T) {
	t.Parallel()
	for _, alg := range jwt.Algorithms() {
		t.Run(alg, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, alg)
			keys := webKeys(t, s.ring)
			if strings.HasPrefix(alg, "HS") {
				if got := string(s.ring.JWKS()); got != `{"keys":[]}` {
					t.Errorf("got %s, want no published secret", got)
				}
				return
			}

			if len(keys) != 1 {
				t.Fatalf("got %d keys, want 1", len(keys))
			}
			k := keys[0]
			if k.Use != "sig" || k.Alg != alg || k.Kid != s.key.ID() || k.D != "" || k.K != "" {
				t.Errorf("got use %q, alg %q, kid %q, private %t, want sig, %q, %q, false", k.Use, k.Alg, k.Kid, k.D+k.K != "", alg, s.key.ID())
			}
			token := s.issue(t)
			cut := strings.LastIndex(token, ".")
			err := gojwt.GetSigningMethod(alg).Verify(token[:cut], bytesOf(t, token[cut+1:]), k.public(t))
			if err != nil {
				t.Errorf("got %v, want the signature to verify", err)
			}
		})
	}
}

// One point in 128 has a coordinate with a leading zero byte. Without padding
// such a key fails in a strict backend, one deployment in a hundred.
func TestCoordinatesArePaddedToTheCurve(t *testing.T) {
	t.Parallel()
	padded := 0
	for range 2000 {
		key := freshKey(t, "ES256")
		ring, err := jwt.NewRing(key)
		if err != nil {
			t.Fatalf("NewRing: %v", err)
		}
		k := webKeys(t, ring)[0]
		k.public(t)
		if bytesOf(t, k.X)[0] == 0 || bytesOf(t, k.Y)[0] == 0 {
			padded++
		}
	}
	if padded == 0 {
		t.Error("got no padded coordinate in 2000 keys, want some")
	}
}
