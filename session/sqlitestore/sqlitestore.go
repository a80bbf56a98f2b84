// Package sqlitestore keeps sessions in one SQLite file of this machine.
//
// What was acknowledged is on the disk. One process at a time uses the file; sqlite3 and backups
// may look in while it runs.
package sqlitestore

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"time"

	"modernc.org/sqlite"

	"github.com/caddy-wechat/wechatauth/session"
)

// readers is the number of Views that run at once.
const readers = 3

// Options are details of a store. The zero Options will do.
type Options struct {
	// Wait bounds the wait of Open for another process that uses the file. Below zero it does not.
	// Default: 30 seconds.
	Wait time.Duration

	// Logger gets a line when Open begins to wait, and when the upkeep of the file fails. Default:
	// none.
	Logger *slog.Logger
}

// Store is a session.Store in a file.
type Store struct {
	session.Store
	db *db
}

var _ session.Backuper = (*Store)(nil)

// Backup implements session.Backuper.
func (s *Store) Backup(ctx context.Context, file string) error { return s.db.backup(ctx, file) }

// Open opens the store in a file, and makes the file and its folder if there are none.
func Open(file string, opts Options) (*Store, error) {
	d, err := openDB(file, opts, session.NewClock())
	if err != nil {
		return nil, err
	}
	d.running.Go(d.upkeep)
	return &Store{session.NewKVStore(d), d}, nil
}

// openDB opens the DB below a Store, without its upkeep.
func openDB(file string, opts Options, clock *session.Clock) (d *db, err error) {
	if file, err = makeFile(file); err != nil {
		return nil, err
	}
	log := cmp.Or(opts.Logger, slog.New(slog.DiscardHandler)).With("file", file)
	lock, err := acquire(file+".lock", cmp.Or(opts.Wait, 30*time.Second), log)
	if err != nil {
		return nil, err
	}
	d = &db{
		file: file, lock: lock, clock: clock, log: log,
		queue: make(chan *update), readers: make(chan *conn, readers), closing: make(chan struct{}),
	}
	if err := d.open(); err != nil {
		return nil, errors.Join(err, d.release())
	}
	d.running.Go(d.write)
	return d, nil
}

// open opens the file, and the connections to it.
func (d *db) open() (err error) {
	// POSIX locks vanish when anything in this process opens and closes the file; where there are
	// none of the other kind, the file is safe as long as nothing does.
	_, _ = sqlite.OFDLocking(true)
	_, _ = sqlite.Fdatasync(true) // a commit that is as durable, and faster, where it is known
	if err := hide(d.file); err != nil {
		return err
	}
	if err := check(d.file); err != nil {
		return err
	}
	if d.pool, err = sql.Open("sqlite", address(d.file, writePragmas)); err != nil {
		return err
	}
	if d.views, err = sql.Open("sqlite", address(d.file, viewPragmas)); err != nil {
		return err
	}
	if err := d.prepare(); err != nil {
		return explain(d.file, err)
	}
	return nil
}

func (d *db) prepare() (err error) {
	if d.writer, err = d.connect(d.pool); err != nil {
		return err
	}
	if d.checkpoints, err = d.connect(d.pool); err != nil {
		return err
	}
	// A backup reads for long, and the writer waits while a checkpoint waits for it.
	if _, err := d.checkpoints.Exec("PRAGMA busy_timeout = 20"); err != nil {
		return err
	}
	for range readers {
		c, err := d.connect(d.views)
		if err != nil {
			return err
		}
		d.readers <- c
	}
	if d.lived, err = openLived(d.pool, d.clock); err != nil {
		return err
	}
	return probe(d.views)
}

func (d *db) connect(pool *sql.DB) (*conn, error) {
	c, err := newConn(pool)
	if err != nil {
		return nil, err
	}
	d.conns = append(d.conns, c)
	return c, nil
}
