// What sites ask of the store.

package sidecar

import (
	"context"
	"crypto/rand"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/session"
	"github.com/caddy-wechat/wechatauth/session/memstore"
)

type countingStore struct {
	session.Store

	writes atomic.Int64
}

func (s *countingStore) Update(ctx context.Context, u session.Update) (session.Updated, error) {
	s.writes.Add(1)
	return s.Store.Update(ctx, u)
}

func (s *countingStore) PutReplay(ctx context.Context, r session.Replay, now time.Time) error {
	s.writes.Add(1)
	return s.Store.PutReplay(ctx, r, now)
}

func (s *countingStore) Count(ctx context.Context, key session.Digest, delta int, until, now time.Time) (int, error) {
	s.writes.Add(1)
	return s.Store.Count(ctx, key, delta, until, now)
}

// Somebody holds one token and hammers: what is refused costs the store no write.
// Threats: F17.
func TestLimitsComeBeforeTheStore(t *testing.T) {
	t.Parallel()
	store := &countingStore{Store: memstore.New(64 << 20)}
	s := newTestSite(t, func(_ *Config, d *Deps) {
		d.Store, d.Limits.Phone = newTestStore(t, store), NewLimiter(10, time.Minute, func() {})
	})
	token := s.login()
	before := store.writes.Load()
	for range 50 {
		s.do("POST", "/auth/phone", token, `{"code":"wrong-code-`+rand.Text()+`"}`)
	}
	if got := store.writes.Load() - before; got > 0 {
		t.Errorf("got %d writes for 50 phone requests of which none succeeds, want 0", got)
	}
}

// A site with short tokens ends a session that has a long one from another site: the revocation
// must last as long as that.
// Threats: F09.
func TestRevocationOutlivesTheTokensOfAllSites(t *testing.T) {
	t.Parallel()
	s := newTestSite(t)
	short := s.sibling(t, func(c *Config, _ *Deps) { c.Token.TTL = time.Second })
	if got := short.store.policy(short.cfg.Session).TokenTTL; got < time.Hour {
		t.Errorf("got %v, want an hour at least", got)
	}
}
