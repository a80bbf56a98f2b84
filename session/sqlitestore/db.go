// The session.DB in a file: one writer that commits all waiting updates together, and a few
// readers.

package sqlitestore

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddy-wechat/wechatauth/session"
)

// maxBatch bounds the updates of one commit, so that the first of them does not wait long.
const maxBatch = 256

type db struct {
	file  string
	lock  *lock
	clock *session.Clock
	lived lived // of the goroutine of upkeep
	log   *slog.Logger

	pool, views *sql.DB
	writer      *conn // of the goroutine of write
	checkpoints *conn // of the goroutine of upkeep
	queue       chan *update
	readers     chan *conn // those that nobody uses
	conns       []*conn    // all, to be closed

	writing sync.Mutex  // held during a transaction of the writer
	written atomic.Bool // since the last checkpoint

	empty   bool          // the log is; this and the next are of the goroutine of upkeep
	emptyAt time.Duration // by the clock, when the log is emptied whoever writes

	copying sync.Mutex // held during a backup

	once    sync.Once
	closing chan struct{}
	running sync.WaitGroup
	closed  error
}

// update is an Update that waits.
type update struct {
	change   func(session.Tx) error
	err      error
	panicked any
	done     chan struct{}
}

var errPanic = errors.New("sqlitestore: an update did not return")

// run runs the function, and keeps its panic for the caller of Update.
func (u *update) run(c *conn) (err error) {
	defer func() {
		if u.panicked = recover(); u.panicked != nil {
			err = errPanic
		}
	}()
	return u.change(c)
}

// View implements session.DB.
func (d *db) View(ctx context.Context, read func(session.Tx) error) error {
	if err := d.usable(ctx); err != nil {
		return err
	}
	select {
	case c := <-d.readers:
		defer func() { d.readers <- c }()
		return d.view(c, read)
	case <-d.closing:
		return session.ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (d *db) view(c *conn, read func(session.Tx) error) error {
	c.failed = nil
	if err := c.run(c.begin); err != nil {
		return explain(d.file, err)
	}
	defer func() { _ = c.run(c.back) }() // nothing was written
	return explain(d.file, read(c))
}

// Update implements session.DB.
func (d *db) Update(ctx context.Context, change func(session.Tx) error) error {
	if err := d.usable(ctx); err != nil {
		return err
	}
	u := &update{change: change, done: make(chan struct{})}
	select {
	case d.queue <- u:
	case <-d.closing:
		return session.ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	<-u.done // whatever ctx says: the function must not run after Update has returned
	if u.panicked != nil {
		panic(u.panicked)
	}
	return explain(d.file, u.err)
}

func (d *db) usable(ctx context.Context) error {
	select {
	case <-d.closing:
		return session.ErrClosed
	default:
		return ctx.Err()
	}
}

// write carries out updates until the DB is closed.
func (d *db) write() {
	for {
		select {
		case u := <-d.queue:
			d.commit(u)
		case <-d.closing:
			return
		}
	}
}

// commit carries out an update and all that wait behind it in one transaction. If that fails, each
// is tried alone: what spoils one must not spoil the others. It does not wait for another program
// that writes, once for each.
func (d *db) commit(first *update) {
	d.writing.Lock()
	defer d.writing.Unlock()
	batch, err := d.together(first)
	for _, u := range batch {
		switch {
		case isBusy(err), err != nil && len(batch) == 1:
			u.err = err
		case err != nil:
			u.err = d.transaction(u.run)
		}
		close(u.done)
	}
	d.written.Store(true)
}

func (d *db) together(first *update) (batch []*update, err error) {
	err = d.transaction(func(c *conn) error {
		for u := first; u != nil; u = d.next(len(batch)) {
			batch = append(batch, u)
			if err := c.run(c.savepoint); err != nil {
				return err
			}
			if u.err = u.run(c); u.err != nil && c.failed == nil {
				_ = c.run(c.backToSavepoint)
			}
			if err := c.run(c.forget); err != nil || c.failed != nil {
				return errors.Join(c.failed, err)
			}
		}
		return nil
	})
	if len(batch) == 0 { // it did not begin
		for u := first; u != nil; u = d.next(len(batch)) {
			batch = append(batch, u)
		}
	}
	return batch, err
}

// next returns an update that waits, nil if none does.
func (d *db) next(batch int) *update {
	if batch == maxBatch {
		return nil
	}
	select {
	case u := <-d.queue:
		return u
	default:
		return nil
	}
}

// transaction runs a function in a transaction of the writer, and commits it unless there is an
// error.
func (d *db) transaction(do func(*conn) error) error {
	c := d.writer
	c.failed = nil
	if err := c.run(c.beginWrite); err != nil {
		return err
	}
	err := do(c)
	if err == nil {
		err = c.run(c.commit)
	}
	if err != nil {
		_ = c.run(c.back) // fails when SQLite has rolled back on its own
	}
	return err
}

// Close implements session.DB.
func (d *db) Close() error {
	d.once.Do(func() {
		close(d.closing)
		d.running.Wait()
		for range readers {
			<-d.readers // nobody uses it any more
		}
		d.closed = d.release()
	})
	return d.closed
}

// release ends what open began.
func (d *db) release() (err error) {
	for _, c := range d.conns {
		err = errors.Join(err, c.close())
	}
	for _, pool := range []*sql.DB{d.views, d.pool} { // the last one to close moves the last writes into the file
		if pool != nil {
			err = errors.Join(err, pool.Close())
		}
	}
	return errors.Join(err, d.lock.release())
}
