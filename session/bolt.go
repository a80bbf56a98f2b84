package session

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

// BoltOptions are the settings of a store made by OpenBolt. The zero value is good.
type BoltOptions struct {
	// Now is the clock by which records expire; nil is time.Now.
	Now func() time.Time
}

// OpenBolt opens the store that is kept in a file of this machine, and makes the file, readable by its
// owner alone, if there is none. A file belongs to one process at a time: where another one holds it,
// OpenBolt fails at once.
//
// What the store acknowledged survives the death of the process and, as far as the disk keeps its
// promises, that of the machine.
func OpenBolt(file string, opts BoltOptions) (Store, error) {
	db, err := openBolt(file, opts)
	if err != nil {
		return nil, err
	}
	return Over(db), nil
}

// boltDB is a DB in a bbolt file.
type boltDB struct {
	db   *bolt.DB
	file *boltFile
	now  func() time.Time

	updates chan *boltUpdate // to the writer
	stop    chan struct{}    // closed when nobody needs the writer any more
	stopped chan struct{}    // closed when it has ended
	sweeper context.CancelFunc
	swept   chan struct{} // closed when the sweeper has ended
	close   func() error  // does the work of Close once

	// broken is set when a write failed in such a way that bbolt's lock may never be free again.
	broken atomic.Pointer[error]

	touched atomic.Int64 // records looked up since forget did its work

	mu      sync.Mutex     // guards what follows
	closed  bool           // nobody may enter any more
	running sync.WaitGroup // who entered; Add only under mu while not closed
}

// Interface guard.
var _ DB = (*boltDB)(nil)

func openBolt(path string, opts BoltOptions) (*boltDB, error) {
	db, file, err := openBoltFile(path)
	if err != nil {
		return nil, err
	}
	d := &boltDB{
		db: db, file: file, now: opts.Now,
		updates: make(chan *boltUpdate), stop: make(chan struct{}), stopped: make(chan struct{}),
		swept: make(chan struct{}),
	}
	if d.now == nil {
		d.now = time.Now
	}
	d.close = sync.OnceValue(d.shut)
	ctx, cancel := context.WithCancel(context.Background())
	d.sweeper = cancel
	go d.write()
	go d.sweepOn(ctx)
	return d, nil
}

// View implements DB. Views wait neither for each other nor for updates.
func (d *boltDB) View(ctx context.Context, read func(Tx) error) error {
	if err := d.enter(ctx); err != nil {
		return err
	}
	defer d.running.Done()
	tx, err := d.begin(false)
	if err != nil {
		return err
	}
	defer d.rollback(tx)
	defer d.forget(tx)
	return read(tx)
}

// Close implements DB. It waits for what has begun.
func (d *boltDB) Close() error { return d.close() }

func (d *boltDB) shut() error {
	d.mu.Lock()
	d.closed = true
	d.mu.Unlock()

	// The writer serves whoever got in, so it must be the last to go.
	d.sweeper()
	<-d.swept
	d.running.Wait()
	close(d.stop)
	<-d.stopped
	if d.broken.Load() != nil {
		return d.file.abandon() // bbolt's own Close would wait for its lock
	}
	return guardBolt(d.file.path, d.db.Close)
}

// enter begins an operation, which ends with running.Done.
func (d *boltDB) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return ErrClosed
	}
	d.running.Add(1)
	return nil
}

// begin starts a transaction. One that writes must not begin while another is under way.
func (d *boltDB) begin(writable bool) (tx *boltTx, err error) {
	if broken := d.broken.Load(); broken != nil {
		return nil, *broken
	}
	var t *bolt.Tx
	err = guardBolt(d.file.path, func() (err error) {
		if t, err = d.db.Begin(writable); err != nil {
			return err
		}
		tx = &boltTx{
			d: d, tx: t, writable: writable,
			records: t.Bucket(boltRecords), expiry: t.Bucket(boltExpiry),
		}
		// Most entries are added behind all others of the same life, so a page that splits never
		// gets anything into its first half again: fill it.
		if writable {
			tx.expiry.FillPercent = 0.9
		}
		return nil
	})
	if err != nil && t != nil {
		d.rollback(&boltTx{tx: t, writable: writable}) // it holds bbolt's lock
	}
	return tx, err
}

// rollback ends a transaction and what it changed, unless it has ended.
func (d *boltDB) rollback(tx *boltTx) {
	err := guardBolt(d.file.path, tx.tx.Rollback)
	if err != nil && !errors.Is(err, berrors.ErrTxClosed) && tx.writable {
		d.broken.CompareAndSwap(nil, &err)
	}
}
