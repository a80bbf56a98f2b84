// The upkeep of the file: last writes are moved into it, what is over is removed, and it shrinks.

package sqlitestore

import (
	"context"
	"fmt"
	"time"

	"github.com/caddy-wechat/wechatauth/session"
)

const (
	// checkpointEvery is short, so that each checkpoint is small, and long enough that of a hundred
	// updates in a row none or one has to share the disk with it.
	checkpointEvery = 500 * time.Millisecond

	// restartPages is the length of the log of last writes at which it begins anew. Under a load
	// that never rests it would grow on and on.
	restartPages = 4096

	// emptyEvery is the longest time between two emptyings of the log, if somebody writes all the time.
	emptyEvery = 10 * time.Minute

	// A step of the sweep is small for the same reason. There is one a checkpoint while there is
	// more to do, else one in sweepRest.
	sweepStep = 512
	sweepRest = 10 * time.Second

	// shrinkStep is the number of pages that a step gives back while more than a quarter of the
	// file is unused.
	shrinkStep = 512
)

// upkeep takes care of the file until the DB is closed.
func (d *db) upkeep() {
	ticker := time.NewTicker(checkpointEvery)
	defer ticker.Stop()
	failing := false
	sweepAt := d.clock.Elapsed() + sweepRest // a clock that is set soon after the start is right by then
	for {
		select {
		case <-d.closing:
			return
		case <-ticker.C:
		}
		err := d.checkpoint()
		if now := d.clock.Elapsed(); err == nil && now >= sweepAt {
			var more bool
			if more, err = d.sweep(); !more {
				sweepAt = now + sweepRest
			}
		}
		if failed := err != nil; failed != failing {
			failing = failed
			d.report(err)
		}
	}
}

func (d *db) report(err error) {
	if err != nil {
		d.log.Error("the session file can't be kept up, which is tried again", "error", explain(d.file, err))
		return
	}
	d.log.Info("the session file is kept up again")
}

// checkpoint moves the last writes into the file. When the log has grown it waits for readers, but
// not for long.
func (d *db) checkpoint() error {
	written := d.written.Swap(false)
	d.empty = d.empty && !written
	if !written || d.clock.Elapsed() >= d.emptyAt {
		return d.emptyLog()
	}
	pages, _, err := d.moveWrites("PASSIVE")
	if err == nil && pages > restartPages {
		d.writing.Lock() // little is left to move by now
		_, _, err = d.moveWrites("RESTART")
		d.writing.Unlock()
	}
	if err != nil {
		d.written.Store(true)
	}
	return err
}

// emptyLog cuts the log once nobody writes, or it was long ago: it still has the records of users
// who were erased. It does not wait for readers for long, and is tried again.
func (d *db) emptyLog() error {
	d.emptyAt = d.clock.Elapsed() + emptyEvery
	if d.empty {
		return nil
	}
	d.writing.Lock()
	defer d.writing.Unlock()
	_, busy, err := d.moveWrites("TRUNCATE")
	d.empty = !busy && err == nil
	return err
}

// moveWrites returns the length of the log, and whether readers were in the way.
func (d *db) moveWrites(mode string) (pages int, busy bool, err error) {
	var moved int
	err = d.checkpoints.row("PRAGMA wal_checkpoint("+mode+")", nil, &busy, &pages, &moved)
	return pages, busy, err
}

// sweep removes some of what is over, and gives some unused pages back. It reports whether there
// may be more to do.
func (d *db) sweep() (more bool, err error) {
	over := d.lived.over()
	err = d.Update(context.Background(), func(session.Tx) error {
		if err = d.lived.save(d.writer, over); err == nil {
			more, err = sweepStepOf(d.writer, over.Unix())
		}
		return err
	})
	return more, err
}

func sweepStepOf(c *conn, over int64) (more bool, err error) {
	// The time of a record has come, or it was moved and its entry in the index is early.
	const due = `rowid IN (SELECT rowid FROM records WHERE due < ?1 ORDER BY due LIMIT ?2)`
	if _, err := c.Exec(`DELETE FROM records WHERE expires < ?1 AND `+due, over, sweepStep); err != nil {
		return false, err
	}
	if _, err := c.Exec(`UPDATE records SET due = expires WHERE expires >= ?1 AND `+due, over, sweepStep); err != nil {
		return false, err
	}
	var unused, pages int
	if err := c.row(`SELECT EXISTS (SELECT 1 FROM records WHERE due < ?1), freelist_count, page_count
		FROM pragma_freelist_count, pragma_page_count`, []any{over}, &more, &unused, &pages); err != nil {
		return false, err
	}
	if unused > 64 && unused > pages/4 {
		more = true
		_, err = c.Exec(fmt.Sprintf("PRAGMA incremental_vacuum(%d)", shrinkStep))
	}
	return more, err
}
