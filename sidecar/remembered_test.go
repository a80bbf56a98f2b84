// Tests of remembered tokens: what they are bound to.

package sidecar

import (
	"crypto/rand"
	"fmt"
	"strings"
	"testing"
	"time"

	gojwt "github.com/golang-jwt/jwt/v5"

	"github.com/caddy-wechat/wechatauth/jwt"
)

const otherKey = "9vBn3mK7xQ1zL5cW8rT2yU6iO4pA0sDfG7hJ1kZ3xC5vB9nM2qW4eR6t"

// keyed gives a site another key.
func keyed(t *testing.T, alg, key string) func(*Config, *Deps) {
	t.Helper()
	keys := newTestKeys(t, alg, key)
	return func(c *Config, d *Deps) { c.Token.Algorithm, d.Keys = alg, keys }
}

func parseKey(t testing.TB, text string) *jwt.Key {
	t.Helper()
	key, err := jwt.ParseKey("HS256", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// token makes the token of a user.
func (s *testSite) token(openid string, change ...func(*jwt.Claims)) string {
	s.t.Helper()
	c := jwt.Claims{AppID: testAppID, OpenID: openid, SID: rand.Text()}
	for _, f := range change {
		f(&c)
	}
	token, _, err := s.tokens.issue(c)
	if err != nil {
		s.t.Fatal(err)
	}
	return token
}

// remembers reports whether a token is in memory, true or not.
func (s *testSite) remembers(token string) bool {
	v := &s.tokens.verified
	return v.recall(v.key(token)) != nil
}

// remembered returns how many tokens are in memory, and how many bytes they take.
func (s *testSite) remembered() (tokens, bytes int) {
	entries := s.tokens.verified.cache.entries
	return entries.Len(), entries.Capacity()
}

// warm has a token verified and sees to it that it is remembered.
func (s *testSite) warm(token, openid string) {
	s.t.Helper()
	if s.remembers(token) {
		s.t.Fatal("a token is remembered that was never sent")
	}
	s.want("first sight", token, openid)
	if !s.remembers(token) {
		s.t.Fatal("a verified token is not remembered")
	}
	s.want("second sight", token, openid)
}

// forge makes a token with the given times, in seconds from now, and the right signature.
func (s *testSite) forge(iat, nbf, exp int64) string {
	s.t.Helper()
	now := time.Now().Unix()
	token := gojwt.NewWithClaims(gojwt.SigningMethodHS256, gojwt.MapClaims{
		"iss": "wechat_auth", "sub": "o1", "openid": "o1", "aud": "wx0000000000000001", "appid": "wx0000000000000001",
		"iat": now + iat, "nbf": now + nbf, "exp": now + exp, "jti": "J", "sid": "S",
	})
	token.Header["kid"] = parseKey(s.t, testKey).ID()
	text, err := token.SignedString([]byte(testKey))
	if err != nil {
		s.t.Fatal(err)
	}
	return text
}

// Time goes on for remembered tokens, and a clock that is set back counts, too.
// Threats: T60, T62.
func TestRememberedTokenIsBoundToItsTime(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name          string
		iat, nbf, exp int64
		moved         time.Duration
		want          string
	}{
		{"expired", -60, -60, 60, 60 * time.Second, "401 token_expired"},
		{"about to expire", -60, -60, 3540, 3500 * time.Second, "o1"},
		{"before nbf", -3000, -20, 60, -60 * time.Second, "401 token_invalid"},
		{"before iat", -20, -3000, 60, -60 * time.Second, "401 token_invalid"},
		{"a little before both", -20, -20, 60, -40 * time.Second, "o1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newTestSite(t)
			token := s.forge(tt.iat, tt.nbf, tt.exp)
			s.warm(token, "o1")
			s.ahead.Store(int64(tt.moved))
			s.want("later", token, tt.want)
			s.ahead.Store(0)
			s.want("back again", token, "o1")
		})
	}
}

// When nobody knows who was revoked, nobody passes, remembered or not.
// Threats: T84, C47.
func TestRememberedTokenNeedsTheStore(t *testing.T) {
	t.Parallel()
	s := newTestSite(t)
	token := s.token("o1")
	s.warm(token, "o1")
	s.tokens.stale = 0
	s.want("with the store silent", token, "503 store_unavailable")
}

// A key that is taken out takes its tokens along, and a key that is put back brings them back.
func TestRememberedTokenNeedsItsKey(t *testing.T) {
	t.Parallel()
	s := newTestSite(t)
	token := s.token("o1")
	s.warm(token, "o1")
	own, other := parseKey(t, testKey), parseKey(t, otherKey)
	for _, step := range []struct {
		name string
		keys []*jwt.Key
		want string
	}{
		{"rotated", []*jwt.Key{other, own}, "o1"},
		{"key removed", []*jwt.Key{other}, "401 token_invalid"},
		{"key put back", []*jwt.Key{own}, "o1"},
	} {
		if err := s.deps.Keys.(*ConfiguredKeys).ring.Replace(step.keys[0], step.keys[1:]...); err != nil {
			t.Fatal(err)
		}
		s.want(step.name, token, step.want)
	}
}

// Two sites, or one before and after a reload, share what they remember only if they would decide
// alike.
func TestRememberedTokenIsBoundToItsSite(t *testing.T) {
	t.Parallel()
	type change = func(*Config, *Deps)
	audience := func(name string) change {
		return func(c *Config, _ *Deps) { c.Token.Audience = []string{name} }
	}
	for _, tt := range []struct {
		name       string
		own, there change
		want       string
	}{
		{"same", nil, func(c *Config, _ *Deps) { c.PhoneRequired = []*Paths{{Paths: []string{"/vip"}}} }, "o1"},
		{"other key", nil, keyed(t, "HS256", otherKey), "401 token_invalid"},
		{"other algorithm of the same secret", nil, keyed(t, "HS384", testKey), "401 token_invalid"},
		{"other app", nil, func(_ *Config, d *Deps) {
			d.Apps = Apps{"wx0000000000000002": d.Apps[testAppID]}
		}, "401 token_invalid"},
		{"other issuer", nil, func(c *Config, _ *Deps) { c.Token.Issuer = "other" }, "401 token_invalid"},
		{"other audience", nil, audience("other"), "401 token_invalid"},
		{"audience taken away", audience("other"), audience("third"), "401 token_invalid"},
		{"shorter life", nil, func(c *Config, _ *Deps) { c.Token.TTL = 30 * time.Minute }, "401 token_invalid"},
		{"nothing remembered", nil, func(_ *Config, d *Deps) { d.Verified = nil }, "o1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var own []change
			if tt.own != nil {
				own = append(own, tt.own)
			}
			s := newTestSite(t, own...)
			token := s.token("o1")
			s.warm(token, "o1")
			s2 := s.sibling(t, tt.there)
			if got := s2.remembers(token); got != (tt.name == "same") {
				t.Errorf("got remembered %t", got)
			}
			s2.want("there", token, tt.want)
			s.want("here", token, "o1")
		})
	}
}

// One RSA key has one id under two algorithms, which a reload may change.
func TestRememberedTokenIsBoundToItsAlgorithm(t *testing.T) {
	t.Parallel()
	key, err := jwt.GenerateKey("RS256")
	if err != nil {
		t.Fatal(err)
	}
	pem, err := key.ExportPrivate()
	if err != nil {
		t.Fatal(err)
	}
	s := newTestSite(t, keyed(t, "RS256", string(pem)))
	token := s.token("o1")
	s.warm(token, "o1")
	s.sibling(t, keyed(t, "PS256", string(pem))).want("as PS256", token, "401 token_invalid")
}

type oneHash struct{}

func (oneHash) Sum64(string) uint64 { return 42 }

// Bigcache finds by 64 bits. Tokens that share them stay apart.
func TestRememberedTokensOfOneHash(t *testing.T) {
	t.Parallel()
	s := newTestSite(t)
	var err error
	if s.tokens.verified.cache, err = newTokenCache(1<<20, time.Hour, oneHash{}); err != nil {
		t.Fatal(err)
	}
	a, b := s.token("o1"), s.token("o2")
	for range 3 {
		s.want("a", a, "o1")
		if !s.remembers(a) || s.remembers(b) {
			t.Error("want a to be remembered alone")
		}
		s.want("b", b, "o2")
		if s.remembers(a) || !s.remembers(b) {
			t.Error("want b to be remembered alone")
		}
	}
	n := len(a)
	s.want("neither", a[:n-4]+"AAAA", "401 token_invalid")
}

// Only the very token is remembered.
// Threats: T44, T56.
func TestRememberedTokenIsTheWholeToken(t *testing.T) {
	t.Parallel()
	s := newTestSite(t)
	other := s.sibling(t, keyed(t, "HS256", otherKey))
	token := s.token("o1")
	s.warm(token, "o1")
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	for _, c := range alphabet {
		if altered := token[:len(token)-1] + string(c); altered != token {
			s.want("last character "+string(c), altered, "401 token_invalid")
		}
	}
	for i := range len(token) {
		other := "A"
		if token[i] == 'A' {
			other = "B"
		}
		s.want(fmt.Sprintf("byte %d", i), token[:i]+other+token[i+1:], "401 token_invalid")
	}
	cut := strings.LastIndex(token, ".")
	foreign := other.token("o1")
	for name, altered := range map[string]string{
		"no signature":        token[:cut+1],
		"another signature":   token[:cut] + foreign[strings.LastIndex(foreign, "."):],
		"padded":              token + "=",
		"something behind it": token + ".A",
		"twice":               token + token,
	} {
		s.want(name, altered, "401 token_invalid")
		if s.remembers(altered) {
			t.Errorf("%s: remembered", name)
		}
	}
	s.want("itself", token, "o1")
}
