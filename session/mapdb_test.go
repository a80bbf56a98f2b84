// A DB in a map, as simple as can be, for the tests of what stands above it.

package session_test

import (
	"cmp"
	"context"
	"maps"
	"slices"
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
	marks   session.Marks
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
	tx[string(key)] = mapRecord{append([]byte{}, value...), expires, tx[string(key)].marks}
	return nil
}

func (tx mapTx) Delete(key []byte) error {
	delete(tx, string(key))
	return nil
}

func (tx mapTx) Scan(prefix, from []byte, each func(key, value []byte) error) error {
	for _, key := range slices.Sorted(maps.Keys(tx)) {
		if strings.HasPrefix(key, string(prefix)) && key >= string(from) {
			if err := each([]byte(key), tx[key].value); err != nil {
				return err
			}
		}
	}
	return nil
}

func (tx mapTx) Mark(key []byte, m session.Marks) error {
	if r, ok := tx[string(key)]; ok {
		r.marks = m
		tx[string(key)] = r
	}
	return nil
}

func (tx mapTx) Newest(order int64, after []byte, each func(int64, []byte) error) error {
	type place struct {
		order int64
		key   string
	}
	var found []place
	for key, r := range tx {
		if o := r.marks.Order; o != 0 && (o < order || o == order && key < string(after)) {
			found = append(found, place{o, key})
		}
	}
	slices.SortFunc(found, func(a, b place) int { return cmp.Or(cmp.Compare(b.order, a.order), cmp.Compare(b.key, a.key)) })
	for _, p := range found {
		if err := each(p.order, []byte(p.key)); err != nil {
			return err
		}
	}
	return nil
}

func (tx mapTx) Labeled(label string, after []byte, each func([]byte) error) error {
	for _, key := range slices.Sorted(maps.Keys(tx)) {
		if m := tx[key].marks; (m.Labels[0] == label || m.Labels[1] == label) && key > string(after) {
			if err := each([]byte(key)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (tx mapTx) Totals() (records, weight int64, err error) {
	for _, r := range tx {
		if r.marks.Order != 0 {
			records, weight = records+1, weight+r.marks.Weight
		}
	}
	return records, weight, nil
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
