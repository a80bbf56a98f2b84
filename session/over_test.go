package session_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-wechat/wechatauth/session"
	"github.com/caddy-wechat/wechatauth/session/sessiontest"
)

// mapDB is the simplest DB there is, and what a Store of one needs at least.
type mapDB struct {
	mu     sync.RWMutex // guards what follows
	values mapTx
	closed bool
}

type mapTx map[string][]byte

func newMapDB() *mapDB { return &mapDB{values: mapTx{}} }

func (db *mapDB) View(ctx context.Context, read func(session.Tx) error) error {
	db.mu.RLock()
	defer db.mu.RUnlock()
	if db.closed {
		return session.ErrClosed
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return read(db.values)
}

func (db *mapDB) Update(ctx context.Context, change func(session.Tx) error) error {
	db.mu.Lock()
	defer db.mu.Unlock()
	if db.closed {
		return session.ErrClosed
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	changed := maps.Clone(db.values)
	if err := change(changed); err != nil {
		return err
	}
	db.values = changed
	return nil
}

func (db *mapDB) Close() error {
	db.mu.Lock()
	defer db.mu.Unlock()
	db.closed = true
	return nil
}

func (tx mapTx) Get(key []byte) ([]byte, error) { return tx[string(key)], nil }

func (tx mapTx) Put(key, value []byte, _ time.Time) error {
	tx[string(key)] = value
	return nil
}

func (tx mapTx) Delete(key []byte) error {
	delete(tx, string(key))
	return nil
}

func (tx mapTx) Scan(prefix []byte, each func(key, value []byte) error) error {
	for key, value := range tx {
		if bytes.HasPrefix([]byte(key), prefix) {
			if err := each([]byte(key), value); err != nil {
				return err
			}
		}
	}
	return nil
}

func TestAStoreOverAnyDBKeepsTheContract(t *testing.T) {
	t.Parallel()
	sessiontest.Run(t, func(*testing.T) sessiontest.Fixture {
		return sessiontest.Fixture{Store: session.Over(newMapDB())}
	})
}

// slowDB reads slowly, and as it was when the reading began.
type slowDB struct{ *mapDB }

func (db slowDB) View(ctx context.Context, read func(session.Tx) error) error {
	db.mu.RLock()
	before := maps.Clone(db.values)
	db.mu.RUnlock()
	time.Sleep(time.Second)
	return read(before)
}

func TestThePastIsReportedBeforeTheNews(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := session.Over(slowDB{newMapDB()})
		now := time.Now()
		past, _ := session.New(bob, now)
		news, _ := session.New(bob, now)
		if err := s.End(t.Context(), past.SID, now, memoryPolicy); err != nil {
			t.Fatal(err)
		}
		var reported []session.SID
		go func() {
			_ = s.Follow(t.Context(), now, func(revoked []session.Revocation) {
				for _, r := range revoked {
					reported = append(reported, r.SID)
				}
			})
		}()
		synctest.Wait()
		if err := s.End(t.Context(), news.SID, now, memoryPolicy); err != nil {
			t.Fatal(err)
		}
		if want := []session.SID{past.SID, news.SID}; !slices.Equal(reported, want) {
			t.Errorf("got %v, want %v", reported, want)
		}
	})
}

// brokenDB fails each write but the first few.
type brokenDB struct {
	*mapDB
	writes int
}

type brokenTx struct {
	session.Tx
	db *brokenDB
}

var errBroken = errors.New("broken")

func (db *brokenDB) Update(ctx context.Context, change func(session.Tx) error) error {
	return db.mapDB.Update(ctx, func(tx session.Tx) error { return change(brokenTx{tx, db}) })
}

func (tx brokenTx) Put(key, value []byte, expires time.Time) error {
	if tx.db.writes--; tx.db.writes < 0 {
		return errBroken
	}
	return tx.Tx.Put(key, value, expires)
}

// TestAFailedWriteFailsTheStep fails each write of each step, one after the other.
func TestAFailedWriteFailsTheStep(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for name, step := range map[string]func(session.Store, session.Session, session.RefreshToken) error{
		"login": func(s session.Store, _ session.Session, _ session.RefreshToken) error {
			made, _ := session.New(bob, now)
			one := memoryPolicy
			one.MaxPerUser = 1
			return s.Login(t.Context(), session.Login{
				Session: made, Learned: session.User{UserID: bob}, Policy: one,
				Note: session.Note{Key: session.Digest{1}, Value: []byte("note"), Until: now.Add(time.Hour)},
			})
		},
		"refresh": func(s session.Store, _ session.Session, token session.RefreshToken) error {
			_, err := s.Refresh(t.Context(), session.NewSpend(token, now, memoryPolicy))
			return err
		},
		"reuse": func(s session.Store, _ session.Session, token session.RefreshToken) error {
			_, err := s.Refresh(t.Context(), session.NewSpend(token.Successor(nil), now, memoryPolicy))
			return err
		},
		"end": func(s session.Store, made session.Session, _ session.RefreshToken) error {
			return s.End(t.Context(), made.SID, now, memoryPolicy)
		},
		"learn": func(s session.Store, made session.Session, _ session.RefreshToken) error {
			_, err := s.Learn(t.Context(), session.Lesson{
				SID: made.SID, User: session.User{UserID: bob, Phone: "1"}, Claims: json.RawMessage(`{"a":1}`),
				Note: session.Note{Key: session.Digest{1}, Value: []byte("note"), Until: now.Add(time.Hour)},
			})
			return err
		},
		"forget": func(s session.Store, _ session.Session, _ session.RefreshToken) error {
			_, err := s.Forget(t.Context(), bob, now.Add(-time.Minute), memoryPolicy)
			return err
		},
		"count": func(s session.Store, _ session.Session, _ session.RefreshToken) error {
			_, err := s.Count(t.Context(), session.Digest{1}, 1, now.Add(time.Hour), now)
			return err
		},
		"end all": func(s session.Store, _ session.Session, _ session.RefreshToken) error {
			return s.EndAll(t.Context(), bob, now, memoryPolicy)
		},
	} {
		for writes := range 10 {
			db := &brokenDB{newMapDB(), 1000}
			s := session.Over(db)
			made, token := session.New(bob, now)
			err := s.Login(t.Context(), session.Login{
				Session: made, Learned: session.User{UserID: bob}, Policy: memoryPolicy,
			})
			if err != nil {
				t.Fatal(err)
			}
			before := db.values
			db.writes = writes
			if err := step(s, made, token); err == nil {
				if writes == 0 {
					t.Errorf("%s: wrote nothing", name)
				}
				break
			} else if !errors.Is(err, errBroken) {
				t.Errorf("%s: got %v, want %v", name, err, errBroken)
			}
			if !maps.EqualFunc(before, db.values, bytes.Equal) {
				t.Errorf("%s: a failed step wrote something", name)
			}
		}
	}
}

// liarDB returns every user's record for every other.
type liarDB struct{ *mapDB }

func (db liarDB) View(ctx context.Context, read func(session.Tx) error) error {
	return db.mapDB.View(ctx, func(tx session.Tx) error { return read(liarTx{tx}) })
}

type liarTx struct{ session.Tx }

func (tx liarTx) Get([]byte) (value []byte, err error) {
	err = tx.Scan([]byte("u"), func(_, v []byte) error {
		value = v
		return nil
	})
	return value, err
}

func TestARecordOfAnotherUserIsAnError(t *testing.T) {
	t.Parallel()
	s := session.Over(liarDB{newMapDB()})
	if _, err := s.Learn(t.Context(), session.Lesson{User: session.User{UserID: bob, Phone: "13800138000"}}); err != nil {
		t.Fatal(err)
	}
	if got, err := s.User(t.Context(), session.UserID{AppID: bob.AppID, OpenID: "oEve"}); err == nil || got.Phone != "" {
		t.Errorf("got %+v, %v, want an error", got, err)
	}
}
