// Keys, sites and forged tokens for the tests.

package jwt_test

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	gojwt "github.com/golang-jwt/jwt/v5"

	"github.com/caddy-wechat/wechatauth/jwt"
)

const (
	testIssuer = "wechat_auth"
	testAppID  = "wx0123456789abcdef"
	testOpenID = "oAbC-123_xyz"
	testSID    = "SIDSIDSIDSIDSIDSIDSIDSIDSI"
	testTTL    = time.Hour
)

// testNow has a fraction of a second, which tokens must not show.
var testNow = time.Date(2026, 11, 22, 8, 0, 0, 987654321, time.UTC)

func fixedClock() time.Time { return testNow }

// keyCache holds one key an algorithm: making RSA keys takes longer than all other tests together.
var keyCache sync.Map // algorithm → *jwt.Key

func keyFor(tb testing.TB, alg string) *jwt.Key {
	tb.Helper()
	generate := sync.OnceValues(func() (*jwt.Key, error) { return jwt.GenerateKey(alg) })
	cached, _ := keyCache.LoadOrStore(alg, generate)
	key, err := cached.(func() (*jwt.Key, error))()
	if err != nil {
		tb.Fatalf("GenerateKey(%q): %v", alg, err)
	}
	return key
}

func freshKey(tb testing.TB, alg string) *jwt.Key {
	tb.Helper()
	key, err := jwt.GenerateKey(alg)
	if err != nil {
		tb.Fatalf("GenerateKey(%q): %v", alg, err)
	}
	return key
}

// site is one issuer and verifier, and a forger who has its signing key.
type site struct {
	key      *jwt.Key
	ring     *jwt.Ring
	issuer   *jwt.Issuer
	verifier *jwt.Verifier

	method  gojwt.SigningMethod
	private any
}

func newSite(tb testing.TB, alg string, others ...*jwt.Key) *site {
	tb.Helper()
	return siteWithKey(tb, keyFor(tb, alg), others...)
}

func siteWithKey(tb testing.TB, key *jwt.Key, others ...*jwt.Key) *site {
	tb.Helper()
	ring, err := jwt.NewRing(key, others...)
	if err != nil {
		tb.Fatalf("NewRing: %v", err)
	}
	return &site{
		key:  key,
		ring: ring,
		issuer: &jwt.Issuer{
			Ring: ring, Name: testIssuer, TTL: testTTL, Now: fixedClock,
		},
		verifier: &jwt.Verifier{
			Ring: ring, Issuer: testIssuer, AppIDs: []string{testAppID}, TTL: testTTL, Now: fixedClock,
		},
		method:  gojwt.GetSigningMethod(key.Algorithm()),
		private: privateOf(tb, key),
	}
}

// privateOf returns the key in the type golang-jwt signs with.
func privateOf(tb testing.TB, key *jwt.Key) any {
	tb.Helper()
	exported, err := key.ExportPrivate()
	if err != nil {
		tb.Fatalf("ExportPrivate: %v", err)
	}
	if strings.HasPrefix(key.Algorithm(), "HS") {
		return exported
	}
	block, _ := pem.Decode(exported)
	private, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		tb.Fatalf("ParsePKCS8PrivateKey: %v", err)
	}
	return private
}

func (s *site) issue(tb testing.TB) string {
	tb.Helper()
	token, _, err := s.issuer.Issue(testClaims())
	if err != nil {
		tb.Fatalf("Issue: %v", err)
	}
	return token
}

func testClaims() jwt.Claims {
	return jwt.Claims{AppID: testAppID, OpenID: testOpenID, SID: testSID}
}

// header is the JSON of the one header the site accepts.
func (s *site) header() string {
	return fmt.Sprintf(`{"alg":%q,"kid":%q,"typ":"JWT"}`, s.key.Algorithm(), s.key.ID())
}

// forge signs any header and payload with the site's own key.
func (s *site) forge(tb testing.TB, header, payload string) string {
	tb.Helper()
	return forgeWith(tb, s.method, s.private, header, payload)
}

func forgeWith(tb testing.TB, method gojwt.SigningMethod, key any, header, payload string) string {
	tb.Helper()
	signed := encode(header) + "." + encode(payload)
	signature, err := method.Sign(signed, key)
	if err != nil {
		tb.Fatalf("Sign: %v", err)
	}
	return signed + "." + encode(string(signature))
}

func encode(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

func decode(tb testing.TB, s string) string {
	tb.Helper()
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		tb.Fatalf("decode: %v", err)
	}
	return string(b)
}

// payload is a good payload in which some claims have other values, written as
// pairs of name and raw JSON. An empty value leaves the claim out.
func payload(changes ...string) string {
	now := testNow.Unix()
	members := [][2]string{
		{"iss", `"` + testIssuer + `"`},
		{"sub", `"` + testOpenID + `"`},
		{"aud", `"` + testAppID + `"`},
		{"iat", fmt.Sprint(now)},
		{"nbf", fmt.Sprint(now)},
		{"exp", fmt.Sprint(now + 600)},
		{"jti", `"JTIJTIJTI"`},
		{"sid", `"` + testSID + `"`},
		{"appid", `"` + testAppID + `"`},
		{"openid", `"` + testOpenID + `"`},
	}

change:
	for i := 0; i < len(changes); i += 2 {
		for j := range members {
			if members[j][0] == changes[i] {
				members[j][1] = changes[i+1]
				continue change
			}
		}
		members = append(members, [2]string{changes[i], changes[i+1]})
	}

	var written []string
	for _, m := range members {
		if m[1] != "" {
			written = append(written, `"`+m[0]+`":`+m[1])
		}
	}
	return "{" + strings.Join(written, ",") + "}"
}

// wantAccepted is the control of the attack tests: without it, a refusal may
// be due to a mistake in the test.
func wantAccepted(tb testing.TB, v *jwt.Verifier, token string) *jwt.Claims {
	tb.Helper()
	claims, err := v.Verify(token)
	if err != nil {
		tb.Fatalf("got %v, want the token to be accepted", err)
	}
	return claims
}

func wantInvalid(tb testing.TB, v *jwt.Verifier, token string) {
	tb.Helper()
	claims, err := v.Verify(token)
	if !errors.Is(err, jwt.ErrInvalid) || errors.Is(err, jwt.ErrExpired) || claims != nil {
		tb.Errorf("got claims %t, error %v, want no claims and ErrInvalid", claims != nil, err)
	}
}
