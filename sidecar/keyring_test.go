// Rotation of automatic keys.

package sidecar

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/jwt"
	"github.com/caddy-wechat/wechatauth/session"
)

// keyStore is the half of a store that keyrings use, for several nodes.
type keyStore struct {
	session.Store

	mu      sync.Mutex
	record  []byte
	version int64
	err     error
}

func (s *keyStore) Keys(context.Context) ([]byte, int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.record, s.version, s.err
}

func (s *keyStore) SwapKeys(_ context.Context, version int64, record []byte) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil || s.version != version {
		return false, s.err
	}
	s.record, s.version = record, version+1
	return true, nil
}

// node is a keyring whose clock and store the test holds.
type node struct {
	*Keyring
	t     *testing.T
	store *keyStore
}

func newNode(t *testing.T, store *keyStore, now *time.Time) node {
	t.Helper()
	k := NewKeyring(KeyringConfig{"ES256", "wechat_auth", 30 * 24 * time.Hour, time.Hour}, nil)
	k.now = func() time.Time { return *now }
	return node{k, t, store}
}

func (n node) poll() {
	n.t.Helper()
	if err := n.refresh(n.t.Context(), n.store); err != nil {
		n.t.Fatal(err)
	}
}

// sign returns a token and the id of the key that made it.
func (n node) sign() (token, kid string) {
	n.t.Helper()
	issuer := jwt.Issuer{Ring: &n.ring, Name: "wechat_auth", TTL: n.ttl, Now: n.now}
	token, c, err := issuer.Issue(jwt.Claims{AppID: "wx1", OpenID: "o1", SID: "s1"})
	if err != nil {
		n.t.Fatal(err)
	}
	return token, c.KeyID
}

func (n node) published() (kids []string) {
	n.t.Helper()
	var set struct {
		Keys []struct {
			ID string `json:"kid"`
		} `json:"keys"`
	}
	if err := json.Unmarshal(n.ring.JWKS(), &set); err != nil {
		n.t.Fatal(err)
	}
	for _, k := range set.Keys {
		kids = append(kids, k.ID)
	}
	return kids
}

func TestNodesThatStartAtOnceAgreeOnTheKey(t *testing.T) {
	t.Parallel()
	store, now := new(keyStore), time.Unix(1700000000, 0)
	nodes := make([]node, 8)
	var wg sync.WaitGroup
	for i := range nodes {
		nodes[i] = newNode(t, store, &now)
		wg.Go(func() {
			if err := nodes[i].refresh(t.Context(), store); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	_, first := nodes[0].sign()
	for _, n := range nodes {
		if _, kid := n.sign(); kid != first || len(n.published()) != 1 {
			t.Errorf("got key %s of %v, want %s alone", kid, n.published(), first)
		}
	}
}

// A key is published before it signs, signs for a rotation, and verifies until its last token has
// expired.
func TestKeysRotate(t *testing.T) {
	t.Parallel()
	store, now := new(keyStore), time.Unix(1700000000, 0)
	a, b := newNode(t, store, &now), newNode(t, store, &now)
	start := now
	at := func(d time.Duration) {
		now = start.Add(d)
		a.poll()
		b.poll()
	}
	at(0)
	_, first := a.sign()
	at(a.rotate - a.publish() - time.Second)
	if len(a.published()) != 1 {
		t.Fatalf("before its time: got %v", a.published())
	}
	at(a.rotate - a.publish())
	if _, kid := b.sign(); kid != first || len(a.published()) != 2 || len(b.published()) != 2 {
		t.Fatalf("published: got %v and %v, signing %s, want two and still %s", a.published(), b.published(), kid, first)
	}
	at(a.rotate - time.Second)
	old, kid := a.sign()
	if kid != first {
		t.Fatalf("a second early: got %s, want %s", kid, first)
	}
	at(a.rotate)
	_, second := a.sign()
	if _, other := b.sign(); second == first || other != second {
		t.Fatalf("rotated: got %s and %s after %s", second, other, first)
	}
	verifier := jwt.Verifier{Ring: &b.ring, Issuer: "wechat_auth", AppIDs: []string{"wx1"}, TTL: time.Hour, Now: b.now}
	at(a.rotate + time.Hour - 2*time.Second)
	if _, err := verifier.Verify(old); err != nil {
		t.Errorf("token of the old key: %v", err)
	}
	at(a.rotate + a.ttl + a.publish() + time.Second)
	if kids := a.published(); len(kids) != 1 || kids[0] != second {
		t.Errorf("after the last token: got %v, want %s alone", kids, second)
	}
}

// Nobody was there when the next key was due: it still is published before it signs.
func TestKeysRotateAfterALongAbsence(t *testing.T) {
	t.Parallel()
	store, now := new(keyStore), time.Unix(1700000000, 0)
	n := newNode(t, store, &now)
	n.poll()
	_, first := n.sign()
	now = now.Add(365 * 24 * time.Hour)
	n.poll()
	if _, kid := n.sign(); kid != first || len(n.published()) != 2 {
		t.Errorf("got %s of %v, want %s to sign and the next to be published", kid, n.published(), first)
	}
	now = now.Add(n.publish())
	n.poll()
	if _, kid := n.sign(); kid == first {
		t.Error("the next key does not sign after it was published")
	}
}

// A machine came up with a clock a year ahead, and made the next key for then. The operator has it sign
// as soon as it is published.
func TestRotateHurriesTheKeyOfAClockAhead(t *testing.T) {
	t.Parallel()
	store, now := new(keyStore), time.Unix(1700000000, 0)
	n := newNode(t, store, &now)
	n.poll()
	token, first := n.sign()
	right := now
	now = now.Add(365 * 24 * time.Hour)
	n.poll()
	now = right
	n.poll()
	if _, kid := n.sign(); kid != first {
		t.Errorf("got %s, want the key from before to sign", kid)
	}
	if err := n.change(t.Context(), store, n.hurried); err != nil {
		t.Fatal(err)
	}
	now = now.Add(n.publish())
	n.poll()
	if _, kid := n.sign(); kid == first {
		t.Error("the next key does not sign after rotate and its publication")
	}
	verifier := jwt.Verifier{Ring: &n.ring, Issuer: "wechat_auth", AppIDs: []string{"wx1"}, TTL: time.Hour, Now: func() time.Time { return right }}
	if _, err := verifier.Verify(token); err != nil {
		t.Errorf("a token from before: %v", err)
	}
}

func TestKeysOfIssuersAndAlgorithmsAreApart(t *testing.T) {
	t.Parallel()
	store, now := new(keyStore), time.Unix(1700000000, 0)
	a, b := newNode(t, store, &now), newNode(t, store, &now)
	b.name = "ES256 another"
	a.poll()
	b.poll()
	a.poll()
	_, first := a.sign()
	if _, second := b.sign(); first == second {
		t.Error("two issuers share a key")
	}
}

// A site with longer tokens must not lose the key under them to a site with shorter ones.
func TestKeysLiveForTheLongestToken(t *testing.T) {
	t.Parallel()
	store, now := new(keyStore), time.Unix(1700000000, 0)
	short, long := newNode(t, store, &now), newNode(t, store, &now)
	long.ttl = 24 * time.Hour
	short.poll()
	long.poll()
	_, first := long.sign()
	for range 60 * 24 {
		now = now.Add(time.Hour)
		short.poll()
		if _, kid := short.sign(); kid != first {
			break
		}
	}
	now = now.Add(12 * time.Hour)
	short.poll()
	long.poll()
	if !long.ring.Has(first) {
		t.Error("the old key is gone while tokens of it live")
	}
}

func TestKeysWaitForTheStore(t *testing.T) {
	t.Parallel()
	store, now := &keyStore{err: errors.New("away")}, time.Unix(1700000000, 0)
	n := newNode(t, store, &now)
	if err := n.refresh(t.Context(), store); err == nil {
		t.Error("got no error from a store that is away")
	}
	store.err = nil
	store.record = []byte(`{"damaged`)
	if err := n.refresh(t.Context(), store); err == nil || strings.Contains(err.Error(), `{"`) {
		t.Errorf("damaged record: got %v", err)
	}
	store.record = nil
	n.poll()
	n.sign()
}
