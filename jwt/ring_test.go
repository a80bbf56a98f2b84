// Rings of keys and their replacement.

package jwt_test

import (
	"errors"
	"sync"
	"testing"

	"github.com/caddy-wechat/wechatauth/jwt"
)

func publicHalf(tb testing.TB, key *jwt.Key) *jwt.Key {
	tb.Helper()
	s := siteWithKey(tb, key)
	public, err := jwt.ParsePreviousKey(key.Algorithm(), publicPEM(tb, publicOf(tb, s)))
	if err != nil {
		tb.Fatalf("ParsePreviousKey: %v", err)
	}
	return public
}

func TestPreviousKeysStillVerify(t *testing.T) {
	t.Parallel()
	old, older, secret := freshKey(t, "ES256"), freshKey(t, "EdDSA"), freshKey(t, "HS256")
	s := newSite(t, "ES384", old, publicHalf(t, older), secret)

	for _, key := range []*jwt.Key{old, older, secret} {
		got := wantAccepted(t, s.verifier, siteWithKey(t, key).issue(t))
		if got.KeyID != key.ID() || !s.ring.Has(key.ID()) {
			t.Errorf("got key %q, in the ring %t, want %q, true", got.KeyID, s.ring.Has(key.ID()), key.ID())
		}
	}
	if got := wantAccepted(t, s.verifier, s.issue(t)); got.KeyID != s.key.ID() {
		t.Errorf("got a token by %q, want the signing key %q", got.KeyID, s.key.ID())
	}

	var ids []string
	for _, k := range webKeys(t, s.ring) {
		ids = append(ids, k.Kid)
	}
	if len(ids) != 3 || ids[0] != s.key.ID() || ids[1] != old.ID() || ids[2] != older.ID() {
		t.Errorf("got keys %v, want the signing key first, then the old ones, and no secret", ids)
	}
}

func TestReplacedKeysNoLongerVerify(t *testing.T) {
	t.Parallel()
	s := siteWithKey(t, freshKey(t, "ES256"))
	before := s.issue(t)
	next := freshKey(t, "ES256")

	if err := s.ring.Replace(next, s.key); err != nil {
		t.Fatalf("Replace: %v", err)
	}
	wantAccepted(t, s.verifier, before)
	if got := wantAccepted(t, s.verifier, s.issue(t)); got.KeyID != next.ID() {
		t.Errorf("got a token by %q, want the new key %q", got.KeyID, next.ID())
	}

	if err := s.ring.Replace(next); err != nil {
		t.Fatalf("Replace: %v", err)
	}
	wantInvalid(t, s.verifier, before)
	if s.ring.Has(s.key.ID()) {
		t.Error("got the old key in the ring, want it gone")
	}
}

func TestRingRefusals(t *testing.T) {
	t.Parallel()
	key := keyFor(t, "ES256")
	s := siteWithKey(t, key)
	for name, err := range map[string]error{
		"no key":       s.ring.Replace(nil),
		"public key":   s.ring.Replace(publicHalf(t, key)),
		"nil previous": s.ring.Replace(freshKey(t, "ES256"), nil),
	} {
		if !errors.Is(err, jwt.ErrKey) {
			t.Errorf("%s: got %v, want ErrKey", name, err)
		}
	}
	wantAccepted(t, s.verifier, s.issue(t))

	if _, err := jwt.NewRing(nil); !errors.Is(err, jwt.ErrKey) {
		t.Errorf("got %v, want ErrKey", err)
	}
}

func TestSameKeyTwiceIsOneKey(t *testing.T) {
	t.Parallel()
	key, old := freshKey(t, "ES256"), freshKey(t, "ES256")
	s := siteWithKey(t, key, key, publicHalf(t, key), publicHalf(t, old), old)
	if got := len(webKeys(t, s.ring)); got != 2 {
		t.Errorf("got %d keys, want 2", got)
	}
	wantAccepted(t, s.verifier, s.issue(t))
}

func TestEmptyRing(t *testing.T) {
	t.Parallel()
	s := newSite(t, "ES256")
	token := s.issue(t)
	for _, ring := range []*jwt.Ring{nil, new(jwt.Ring)} {
		s.verifier.Ring = ring
		wantInvalid(t, s.verifier, token)
		if got := string(ring.JWKS()); got != `{"keys":[]}` {
			t.Errorf("got %s, want an empty set", got)
		}
	}
}

func TestJWKSBelongsToTheCaller(t *testing.T) {
	t.Parallel()
	s := newSite(t, "ES256")
	want := string(s.ring.JWKS())
	clear(s.ring.JWKS())
	if got := string(s.ring.JWKS()); got != want {
		t.Errorf("got %q after a caller wrote into it, want %q", got, want)
	}
}

func TestRingUnderConcurrentRotation(t *testing.T) {
	t.Parallel()
	a, b := freshKey(t, "EdDSA"), freshKey(t, "EdDSA")
	s := siteWithKey(t, a, b)

	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 100 {
				token, _, err := s.issuer.Issue(testClaims())
				if err != nil {
					t.Errorf("Issue: %v", err)
				}
				if _, err := s.verifier.Verify(token); err != nil {
					t.Errorf("got %v, want every token to verify", err)
				}
				s.ring.JWKS()
			}
		})
	}
	wg.Go(func() {
		for i := range 100 {
			signing, other := a, b
			if i%2 == 0 {
				signing, other = b, a
			}
			if err := s.ring.Replace(signing, other); err != nil {
				t.Errorf("Replace: %v", err)
			}
		}
	})
	wg.Wait()
}
