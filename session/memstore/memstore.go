// Package memstore keeps sessions in the memory of the process: a restart ends them all.
package memstore

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/caddy-wechat/wechatauth/session"
)

const (
	// overhead is the room that a record takes beside its key and value: its place in the map, and
	// what allocations round up.
	overhead = 208

	sweepEvery = time.Minute

	// sweepPause is the least time between two sweeps, however full it is.
	sweepPause = time.Second
)

// New returns a Store that holds at most so many bytes. The process may take twice as much until
// its garbage is collected. What has no room is refused with session.ErrFull; nothing is dropped
// before its time.
func New(maxBytes int64) session.Store { return session.NewKVStore(newDB(maxBytes)) }

// db is a session.DB in a map.
type db struct {
	max   int64
	clock *session.Clock

	mu      sync.RWMutex // guards what follows
	closed  bool
	records map[string]record
	size    int64
	swept   time.Duration // by the clock's Elapsed
}

type record struct {
	value   []byte // nil for none
	expires int64  // Unix time in nanoseconds; 0 is never
	marks   session.Marks
}

func newDB(maxBytes int64) *db {
	return &db{max: maxBytes, clock: session.NewClock(), records: map[string]record{}}
}

// View implements session.DB.
func (d *db) View(ctx context.Context, read func(session.Tx) error) error {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if err := d.usable(ctx); err != nil {
		return err
	}
	return read(&tx{d: d})
}

// Update implements session.DB.
func (d *db) Update(ctx context.Context, change func(session.Tx) error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.usable(ctx); err != nil {
		return err
	}
	d.sweep(sweepEvery)
	t := &tx{d: d, old: map[string]record{}}
	size, number := d.size, len(d.records)
	err := errPanic
	defer func() {
		if err != nil {
			t.undo()
		}
	}()
	if err = errors.Join(change(t), ctx.Err()); err == nil && !d.fits(d.size-size, len(d.records)-number) {
		err = session.ErrFull
	}
	return err
}

func (d *db) usable(ctx context.Context) error {
	if d.closed {
		return session.ErrClosed
	}
	return ctx.Err()
}

// Close implements session.DB.
func (d *db) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed, d.records = true, nil
	return nil
}

// fits reports whether there is room for a change that is made. Records that grow have a quarter of
// it for themselves, so that sessions go on, and end, when there is no room for new ones.
func (d *db) fits(grown int64, added int) bool {
	most := d.max
	if added > 0 {
		most -= most / 4
	}
	if grown > 0 && d.size > most {
		d.sweep(sweepPause)
	}
	return grown <= 0 || d.size <= most
}

// sweep drops the records that are over, if the last sweep is as long ago.
func (d *db) sweep(pause time.Duration) {
	if now := d.clock.Elapsed(); now-d.swept >= pause {
		over := d.clock.Over().UnixNano()
		for key, r := range d.records {
			if r.expires != 0 && r.expires < over {
				d.set(key, record{})
			}
		}
		d.swept = now
	}
}

// set writes a record, or removes it if its value is nil, and returns the one before.
func (d *db) set(key string, r record) (old record) {
	old = d.records[key]
	if old.value != nil {
		d.size -= room(key, old)
	}
	if r.value == nil {
		delete(d.records, key)
		return old
	}
	d.records[key] = r
	d.size += room(key, r)
	return old
}

func room(key string, r record) int64 {
	return int64(overhead + len(key) + len(r.value) + len(r.marks.Labels[0]) + len(r.marks.Labels[1]))
}

// tx is the map inside one View or Update.
type tx struct {
	d   *db
	old map[string]record // what an Update has replaced; nil in a View
}

var (
	errReadOnly = errors.New("memstore: write in a view")
	errPanic    = errors.New("memstore: an update did not return")
)

func (t *tx) undo() {
	for key, r := range t.old {
		t.d.set(key, r)
	}
}

// Get implements session.Tx.
func (t *tx) Get(key []byte) ([]byte, error) { return t.d.records[string(key)].value, nil }

// Put implements session.Tx.
func (t *tx) Put(key, value []byte, expires time.Time) error {
	r := record{value: append([]byte{}, value...), marks: t.d.records[string(key)].marks} // never nil
	if !expires.IsZero() {
		r.expires = expires.UnixNano()
	}
	return t.write(key, r)
}

// Delete implements session.Tx.
func (t *tx) Delete(key []byte) error { return t.write(key, record{}) }

func (t *tx) write(key []byte, r record) error {
	if t.old == nil {
		return errReadOnly
	}
	old := t.d.set(string(key), r)
	if _, ok := t.old[string(key)]; !ok {
		t.old[string(key)] = old
	}
	return nil
}
