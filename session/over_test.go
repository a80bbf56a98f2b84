package session_test

import (
	"bytes"
	"context"
	"maps"
	"sync"
	"testing"
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
