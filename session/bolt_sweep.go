package session

import (
	"context"
	"encoding/binary"
	"time"
)

const (
	// sweepStep is how many entries of the expiry index one step handles. Each may change a page of its
	// own, which an update in the same batch has to wait for.
	sweepStep = 128

	// sweepPause lies between two steps while there is more to do: room for thousands of updates.
	sweepPause = 20 * time.Millisecond

	// sweepRest follows when nothing is left, or when a step failed. The next update then tells its
	// caller why, so the sweeper need not tell anybody.
	sweepRest = 5 * time.Second
)

// sweepOn removes what has expired until ctx ends.
func (d *boltDB) sweepOn(ctx context.Context) {
	defer close(d.swept)
	timer := time.NewTimer(sweepRest)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		pause := sweepRest
		if more, err := d.sweep(ctx); more && err == nil {
			pause = sweepPause
		}
		timer.Reset(pause)
	}
}

// sweep is one step of the sweeper. It reports whether there may be more to do.
func (d *boltDB) sweep(ctx context.Context) (more bool, err error) {
	now := boltSeconds(d.now().Truncate(time.Second))
	due, err := d.due(now)
	if err != nil || len(due) == 0 {
		return false, err
	}
	err = d.update(ctx, func(tx *boltTx) error {
		for _, entry := range due {
			if err := tx.sweep(entry, now); err != nil {
				return err
			}
		}
		return nil
	})
	return len(due) == sweepStep, err
}

// due returns the first entries of the expiry index up to a time. It is not part of the update, so that
// a sweeper without work disturbs nobody.
func (d *boltDB) due(now uint32) (due [][]byte, err error) {
	tx, err := d.begin(false)
	if err != nil {
		return nil, err
	}
	defer d.rollback(tx)
	err = tx.guard(func() error {
		c := tx.expiry.Cursor()
		for k, _ := c.First(); len(k) > 4 && binary.BigEndian.Uint32(k) <= now && len(due) < sweepStep; k, _ = c.Next() {
			due = append(due, append([]byte(nil), k...))
		}
		return nil
	})
	return due, err
}

// sweep removes the record that an entry of the expiry index points to, if its time has come, or moves
// the entry to where that is.
func (t *boltTx) sweep(entry []byte, now uint32) error {
	return t.change(func() error {
		at, key := binary.BigEndian.Uint32(entry), entry[4:]
		old := t.records.Get(key)
		expires, stands, err := readHeader(old)
		if err != nil {
			return err
		}
		switch {
		case stands != at: // gone or moved since due was called
			return nil
		case expires <= now:
			if err := t.index(key, at, 0); err != nil {
				return err
			}
			return t.set(t.records, key, old, nil)
		default:
			if err := t.index(key, at, expires); err != nil {
				return err
			}
			record := append([]byte(nil), old...)
			binary.BigEndian.PutUint32(record[4:], expires)
			return t.set(t.records, key, old, record)
		}
	})
}
