// A DB in a map, as simple as can be, for the tests of what stands above it.

package session_test

import (
	"context"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/session"
	"github.com/caddy-wechat/wechatauth/session/sessiontest"
)

// mapDB copies the map for each update.
type mapDB struct {
	mu      sync.RWMutex // guards what follows
	records map[string]mapRecord
	fails   error // what every call returns, if not nil
}

type mapRecord struct {
	value   []byte
	expires time.Time
}

func (d *mapDB) View(ctx context.Context, read func(session.Tx) error) error {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if err := d.usable(ctx); err != nil {
		return err
	}
	return read(mapTx(d.records))
}

func (d *mapDB) Update(ctx context.Context, change func(session.Tx) error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.usable(ctx); err != nil {
		return err
	}
	tx := mapTx(maps.Clone(d.records))
	if tx == nil {
		tx = mapTx{}
	}
	if err := change(tx); err != nil {
		return err
	}
	d.records = tx
	return nil
}

func (d *mapDB) usable(ctx context.Context) error {
	if d.fails != nil {
		return d.fails
	}
	return ctx.Err()
}

func (d *mapDB) Close() error {
	d.fail(session.ErrClosed)
	return nil
}

// fail has every call fail from now on, or none.
func (d *mapDB) fail(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fails = err
}

// sweep drops what is over.
func (d *mapDB) sweep(over time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	maps.DeleteFunc(d.records, func(_ string, r mapRecord) bool {
		return !r.expires.IsZero() && r.expires.Before(over)
	})
}

// mapTx is the map inside one View or Update.
type mapTx map[string]mapRecord

func (tx mapTx) Get(key []byte) ([]byte, error) { return tx[string(key)].value, nil }

func (tx mapTx) Put(key, value []byte, expires time.Time) error {
	tx[string(key)] = mapRecord{append([]byte{}, value...), expires}
	return nil
}

func (tx mapTx) Delete(key []byte) error {
	delete(tx, string(key))
	return nil
}

func (tx mapTx) Scan(prefix []byte, each func(key, value []byte) error) error {
	for key, r := range tx {
		if strings.HasPrefix(key, string(prefix)) {
			if err := each([]byte(key), r.value); err != nil {
				return err
			}
		}
	}
	return nil
}

func TestAStoreOverAMap(t *testing.T) {
	t.Parallel()
	sessiontest.Run(t, func(_ *testing.T, clock, _ *session.Clock) sessiontest.Fixture {
		db := &mapDB{}
		return sessiontest.Fixture{
			Store: session.NewKVStore(db),
			Reopen: func(*testing.T) session.Store {
				db = &mapDB{records: db.records}
				return session.NewKVStore(db)
			},
			Sweep: func(*testing.T) { db.sweep(clock.Over()) },
		}
	})
}
