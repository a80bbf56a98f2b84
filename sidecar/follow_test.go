// The goroutines of a store: they survive a fault, and leave a store that fails in peace.

package sidecar

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-wechat/wechatauth/session"
)

// followedStore is a store of which only some methods are used, in a bubble of synctest.
type followedStore struct {
	session.Store

	follows, keys atomic.Int64 // calls
	panics        bool         // at each first call
	away          atomic.Bool  // of Follow
	fails         atomic.Bool  // of Account
	record        []byte
}

var errAway = fmt.Errorf("%w: no route to host", session.ErrUnavailable)

func (s *followedStore) Follow(ctx context.Context, report func([]session.Revocation)) error {
	if n := s.follows.Add(1); n == 1 && s.panics {
		panic("a fault")
	}
	if s.away.Load() {
		return errAway
	}
	for {
		report(nil)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(500 * time.Millisecond):
		}
		if s.away.Load() {
			return errAway
		}
	}
}

func (s *followedStore) Account(context.Context, session.Tag) (a session.Account, err error) {
	if s.fails.Load() {
		err = errAway
	}
	return a, err
}

func (s *followedStore) Keys(context.Context) ([]byte, int64, error) {
	if n := s.keys.Add(1); n == 1 && s.panics {
		panic("a fault")
	}
	return s.record, 0, nil
}

func (s *followedStore) SwapKeys(_ context.Context, _ int64, record []byte) (bool, error) {
	s.record = record
	return true, nil
}

func (s *followedStore) Close() error { return nil }

// withStore runs a test with the handle of a store, and counts faults.
func withStore(t *testing.T, store *followedStore, test func(*testing.T, *StoreHandle, *atomic.Int64)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		faults := new(atomic.Int64)
		handle := NewStoreHandle(StoreConfig{
			Open: func() (session.Store, error) { return store, nil }, Logger: slog.New(slog.DiscardHandler),
			Count: func(c Counter, _ ...string) {
				if c == InternalErrors {
					faults.Add(1)
				}
			},
		})
		test(t, handle, faults)
		if err := handle.Close(); err != nil {
			t.Error(err)
		}
	})
}

// A fault of this program in a goroutine of its own would end the process with all sites.
func TestPanicsInTheBackgroundEndNothing(t *testing.T) {
	t.Parallel()
	store := &followedStore{panics: true}
	withStore(t, store, func(t *testing.T, handle *StoreHandle, faults *atomic.Int64) {
		keys := NewKeyring(KeyringConfig{"ES256", "wechat_auth", 30 * 24 * time.Hour, time.Hour}, handle)
		keys.Start()
		time.Sleep(5 * time.Second)
		if got := faults.Load(); got != 2 {
			t.Errorf("got %d faults counted, want 2", got)
		}
		if age := handle.deny.Age(); age > time.Second {
			t.Errorf("got a list of age %v, want one that is followed", age)
		}
		if _, err := keys.get(); err != nil {
			t.Errorf("got %v, want keys", err)
		}
		if err := keys.Close(); err != nil {
			t.Error(err)
		}
	})
}

// Each login of a busy site asked for the revocations once more while the store did not give them.
func TestAStoreThatFailsIsLeftInPeace(t *testing.T) {
	t.Parallel()
	store := &followedStore{}
	store.away.Store(true)
	withStore(t, store, func(t *testing.T, handle *StoreHandle, _ *atomic.Int64) {
		opened, err := handle.get()
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		for range 100 {
			if _, err := opened.Account(t.Context(), session.Tag{}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(10 * time.Millisecond)
		}
		if got, took := store.follows.Load(), time.Since(began); got > 10 || took > 5*time.Second {
			t.Errorf("got %d attempts, and 100 operations in %v; want a few, in about a second", got, took)
		}
	})
}

// The first success after an outage has the revocations read before the client gets its answer.
func TestAnOutageEndsWithTheFirstSuccess(t *testing.T) {
	t.Parallel()
	store := &followedStore{}
	withStore(t, store, func(t *testing.T, handle *StoreHandle, _ *atomic.Int64) {
		opened, err := handle.get()
		if err != nil {
			t.Fatal(err)
		}
		store.away.Store(true)
		store.fails.Store(true)
		time.Sleep(time.Minute) // the pauses have grown
		if _, err := opened.Account(t.Context(), session.Tag{}); !errors.Is(err, session.ErrUnavailable) {
			t.Fatalf("got %v, want %v", err, session.ErrUnavailable)
		}
		store.away.Store(false)
		store.fails.Store(false)
		if _, err := opened.Account(t.Context(), session.Tag{}); err != nil {
			t.Fatal(err)
		}
		if age := handle.deny.Age(); age > 0 {
			t.Errorf("got a list of age %v after the first success, want a new one", age)
		}
	})
}
