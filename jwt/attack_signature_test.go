// Attacks on the signature.

package jwt_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"math/big"
	"strings"
	"testing"

	gojwt "github.com/golang-jwt/jwt/v5"

	"github.com/caddy-wechat/wechatauth/jwt"
)

const base64urlAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

// TestTrailingBits: the last character of a part carries bits that belong to no
// byte. A lax decoder passes over them, and anyone can make from a valid token
// a second text that is as valid: past a cache or a list of revoked texts.
// Threats: T44, T56.
func TestTrailingBits(t *testing.T) {
	t.Parallel()
	for _, alg := range jwt.Algorithms() {
		t.Run(alg, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, alg)
			token := s.issue(t)
			parts := strings.Split(token, ".")
			for i, part := range parts {
				for _, c := range base64urlAlphabet {
					twin := append([]string(nil), parts...)
					twin[i] = part[:len(part)-1] + string(c)
					if text := strings.Join(twin, "."); text != token {
						wantInvalid(t, s.verifier, text)
					}
				}
			}
		})
	}
}

// TestEveryFlippedBitCounts changes each character of a token once.
func TestEveryFlippedBitCounts(t *testing.T) {
	t.Parallel()
	for _, alg := range []string{"ES256", "EdDSA", "HS256", "PS256"} {
		s := newSite(t, alg)
		token := s.issue(t)
		for i := range len(token) {
			for _, c := range []byte{token[i] ^ 1, 'A', '.'} {
				if c != token[i] {
					wantInvalid(t, s.verifier, token[:i]+string(rune(c))+token[i+1:])
				}
			}
			wantInvalid(t, s.verifier, token[:i])
			wantInvalid(t, s.verifier, token[:i]+token[i+1:])
		}
	}
}

// TestPsychicSignature: r = s = 0 verified under every key in one Java release
// (CVE-2022-21449). The neighbours of the group order are next of kin.
// Threats: T46.
func TestPsychicSignature(t *testing.T) {
	t.Parallel()
	for alg, size := range map[string]int{"ES256": 32, "ES384": 48, "ES512": 66} {
		s := newSite(t, alg)
		n := s.private.(*ecdsa.PrivateKey).Params().N
		p := s.private.(*ecdsa.PrivateKey).Params().P
		one := big.NewInt(1)
		values := []*big.Int{
			new(big.Int), one, new(big.Int).Sub(n, one), n, new(big.Int).Add(n, one), p,
			new(big.Int).Rsh(n, 1), new(big.Int).Sub(new(big.Int).Lsh(one, uint(8*size)), one),
		}
		signed := encode(s.header()) + "." + encode(payload())
		for _, r := range values {
			for _, sv := range values {
				sig := make([]byte, 2*size)
				r.FillBytes(sig[:size])
				sv.FillBytes(sig[size:])
				wantInvalid(t, s.verifier, signed+"."+encode(string(sig)))
			}
		}
		for _, length := range []int{1, size, 2*size - 1, 2*size + 1, 4 * size} {
			wantInvalid(t, s.verifier, signed+"."+encode(string(make([]byte, length))))
		}
	}
}

// TestDERSignature: the signature is right and written in ASN.1, as TLS does
// it. JOSE has one encoding; a second one is a second text of the same token.
// Threats: T46.
func TestDERSignature(t *testing.T) {
	t.Parallel()
	s := newSite(t, "ES256")
	signed := encode(s.header()) + "." + encode(payload())
	hash := sha256.Sum256([]byte(signed))
	der, err := ecdsa.SignASN1(rand.Reader, s.private.(*ecdsa.PrivateKey), hash[:])
	if err != nil {
		t.Fatal(err)
	}
	wantInvalid(t, s.verifier, signed+"."+encode(string(der)))
}

// TestTwinOfAnECDSASignature documents what cannot be refused: with (r, s) also
// (r, n-s) is a signature by RFC 7518, and other libraries make either. Both
// texts have one jti and one sid, by which tokens are revoked.
func TestTwinOfAnECDSASignature(t *testing.T) {
	t.Parallel()
	s := newSite(t, "ES256")
	token := s.issue(t)
	cut := strings.LastIndex(token, ".") + 1
	sig := []byte(decode(t, token[cut:]))
	twin := new(big.Int).SetBytes(sig[32:])
	twin.Sub(s.private.(*ecdsa.PrivateKey).Params().N, twin).FillBytes(sig[32:])

	a, b := wantAccepted(t, s.verifier, token), wantAccepted(t, s.verifier, token[:cut]+encode(string(sig)))
	if a.ID != b.ID || a.SID != b.SID {
		t.Error("got two identities, want one to revoke")
	}
}

// TestPSSSaltLength: RFC 7518 wants the salt as long as the hash. golang-jwt verifies any length.
func TestPSSSaltLength(t *testing.T) {
	t.Parallel()
	s := newSite(t, "PS256")
	signed := encode(s.header()) + "." + encode(payload())
	hash := sha256.Sum256([]byte(signed))
	for salt, accepted := range map[int]bool{0: false, 20: false, 31: false, 32: true, 33: false, 64: false} {
		sig, err := rsa.SignPSS(rand.Reader, s.private.(*rsa.PrivateKey), crypto.SHA256, hash[:], &rsa.PSSOptions{SaltLength: salt})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.verifier.Verify(signed + "." + encode(string(sig))); (err == nil) != accepted {
			t.Errorf("salt of %d bytes: got %v, want accepted %t", salt, err, accepted)
		}
	}
}

// TestSplicedTokens: parts of valid tokens put together anew.
func TestSplicedTokens(t *testing.T) {
	t.Parallel()
	for _, alg := range []string{"ES256", "HS256"} {
		s := newSite(t, alg)
		a := strings.Split(s.issue(t), ".")
		c := testClaims()
		c.OpenID = "oVictim"
		token, _, err := s.issuer.Issue(c)
		if err != nil {
			t.Fatal(err)
		}
		b := strings.Split(token, ".")
		wantInvalid(t, s.verifier, a[0]+"."+a[1]+"."+b[2])
		wantInvalid(t, s.verifier, a[0]+"."+b[1]+"."+a[2])
		wantInvalid(t, s.verifier, b[1]+"."+a[0]+"."+a[2])
	}
}

// TestOtherSitesToken: same issuer name, same appid, other key; under its own kid and under ours.
// Threats: T42.
func TestOtherSitesToken(t *testing.T) {
	t.Parallel()
	for _, alg := range []string{"ES256", "EdDSA", "HS256", "RS256"} {
		s, other := newSite(t, alg), siteWithKey(t, freshKey(t, alg))
		wantInvalid(t, s.verifier, other.issue(t))
		wantInvalid(t, s.verifier, other.forge(t, s.header(), payload()))
	}
}

// TestWellKnownSecrets: what a cracker tries first against a token.
// Threats: C04.
func TestWellKnownSecrets(t *testing.T) {
	t.Parallel()
	s := newSite(t, "HS256")
	for _, secret := range []string{"", "secret", "password", "your-256-bit-secret", "a-string-secret-at-least-256-bits-long", strings.Repeat("\x00", 32)} {
		wantInvalid(t, s.verifier, forgeWith(t, gojwt.SigningMethodHS256, []byte(secret), s.header(), payload()))
	}
}

// TestErrorsTellNothing: the text of a refusal once held the right signature
// (CVE-2019-7644). Here all refusals are one value.
// Threats: T51.
func TestErrorsTellNothing(t *testing.T) {
	t.Parallel()
	s := newSite(t, "HS256")
	for _, token := range []string{"", "a.b.c", s.issue(t) + "A", s.forge(t, s.header(), payload("sub", `"x"`))} {
		if _, err := s.verifier.Verify(token); err != jwt.ErrInvalid {
			t.Errorf("got %v, want ErrInvalid itself", err)
		}
	}
}
