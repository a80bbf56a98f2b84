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

	// How many bytes one generation of the journal has; zero is generationBytes. Tests have smaller ones.
	generation int64
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

// boltDB is a DB in a bbolt file and its journal. Updates go to the journal, from where the merger carries
// them over; see bolt_journal.go.
type boltDB struct {
	db      *bolt.DB
	file    *boltFile
	top     topPages
	over    overlay
	journal *journal
	now     func() time.Time

	updates   chan *boltUpdate // to the writer
	rotations chan chan error  // to the writer: begin a new generation
	stop      chan struct{}    // closed when nobody needs the writer any more
	stopped   chan struct{}    // closed when it has ended
	room      room             // the writer's
	merge     merge
	close     func() error // does the work of Close once

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
		updates: make(chan *boltUpdate), rotations: make(chan chan error),
		stop: make(chan struct{}), stopped: make(chan struct{}), merge: newMerge(),
	}
	if d.now == nil {
		d.now = time.Now
	}
	if d.over.room = opts.generation; d.over.room == 0 {
		d.over.room = generationBytes
	}
	if d.journal, err = attachJournal(db, path, &d.over); err != nil {
		return nil, errors.Join(err, guardBolt(path, db.Close))
	}
	d.close = sync.OnceValue(d.shut)
	go d.write()
	go d.mergeOn()
	return d, nil
}

// View implements DB. Views wait neither for each other nor for updates.
func (d *boltDB) View(ctx context.Context, read func(Tx) error) error {
	if err := d.enter(ctx); err != nil {
		return err
	}
	defer d.running.Done()
	tx, err := d.begin(true)
	if err != nil {
		return err
	}
	defer d.end(tx)
	return read(tx)
}

// Close implements DB. It waits for what has begun, and for all of the journal to be in the bolt file.
func (d *boltDB) Close() error { return d.close() }

func (d *boltDB) shut() error {
	d.mu.Lock()
	d.closed = true
	d.mu.Unlock()

	// The writer serves whoever got in, and may wait for the merger.
	d.running.Wait()
	close(d.stop)
	<-d.stopped
	<-d.merge.ended
	err := d.mergeAll()
	if err == nil {
		err = d.journal.detach(d.db)
	} else {
		_ = d.journal.close() // all of it is on the disk, for the next start
	}
	if d.broken.Load() != nil {
		return errors.Join(err, d.file.abandon()) // bbolt's own Close would wait for its lock
	}
	return errors.Join(err, guardBolt(d.file.path, d.db.Close))
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

// begin starts a transaction that sees the store as it is now: a view's, or one of the writer.
func (d *boltDB) begin(view bool) (*boltTx, error) {
	for {
		drops := d.over.drops.Load()
		t, err := d.beginBolt(false)
		if err != nil {
			return nil, err
		}
		over, ok := d.over.look(drops, view)
		if !ok {
			d.rollback(t)
			continue
		}
		tx := &boltTx{d: d, over: over, tx: t, writable: !view}
		err = guardBolt(d.file.path, func() error {
			tx.records = t.Bucket(boltRecords)
			tx.tree = newPages(d.file, &d.top, t, tx.records)
			return nil
		})
		if err != nil {
			d.end(tx)
			return nil, err
		}
		return tx, nil
	}
}

// beginBolt starts a transaction on the bolt file.
func (d *boltDB) beginBolt(writable bool) (t *bolt.Tx, err error) {
	if broken := d.broken.Load(); broken != nil {
		return nil, *broken
	}
	err = guardBolt(d.file.path, func() (err error) {
		t, err = d.db.Begin(writable)
		return err
	})
	if err != nil && t != nil {
		d.rollback(t) // it holds bbolt's lock
	}
	return t, err
}

// end ends what begin has begun.
func (d *boltDB) end(tx *boltTx) {
	if !tx.writable {
		tx.over.leave()
	}
	d.forget(tx.tx)
	d.rollback(tx.tx)
}

// rollback ends a transaction and what it changed, unless it has ended.
func (d *boltDB) rollback(t *bolt.Tx) {
	writable := t.Writable()
	err := guardBolt(d.file.path, t.Rollback)
	if err != nil && !errors.Is(err, berrors.ErrTxClosed) && writable {
		d.broken.CompareAndSwap(nil, &err)
	}
}

// change runs a transaction that changes the bolt file. One must end before the next.
func (d *boltDB) change(alter func(*boltFileTx) error) error {
	t, err := d.beginBolt(true)
	if err != nil {
		return err
	}
	err = guardBolt(d.file.path, func() error {
		if err := alter(newBoltFileTx(t)); err != nil {
			return err
		}
		return t.Commit()
	})
	if err != nil {
		d.rollback(t) // what bbolt has rolled back itself is let alone
	}
	return err
}

// forgetAfter is how many records may be looked up in the mapped file between two rounds of forget. A
// lookup makes a few pages resident that others do not use, and Linux maps up to 64 KiB around each: some
// 30 MiB. To have them back later costs a few microseconds each.
const forgetAfter = 128

// forget keeps the part of the mapped file that counts as memory of this process small.
func (d *boltDB) forget(t *bolt.Tx) {
	if n := d.touched.Load(); n > forgetAfter && d.touched.CompareAndSwap(n, 0) {
		forgetPages(d.db, t)
	}
}

// forgetChanged does the same after n records of the bolt file have changed.
func (d *boltDB) forgetChanged(n int) {
	d.touched.Add(int64(n))
	if t, err := d.beginBolt(false); err == nil {
		d.forget(t)
		d.rollback(t)
	}
}
