package session

import (
	"encoding/binary"
	"time"
)

const (
	// sweepStep is how many entries of the expiry index one step handles. Each may change a page of its
	// own.
	sweepStep = 128

	// sweepPause lies between two steps while there is more to do: time for many updates.
	sweepPause = 100 * time.Millisecond

	// sweepRest follows when nothing is left, or when a step failed. The merger's next step then tells
	// why.
	sweepRest = 5 * time.Second
)

// sweepPaced is a step of the sweeper, and tells how long to wait for the next.
func (d *boltDB) sweepPaced() time.Duration {
	if more, err := d.sweep(); more && err == nil {
		return sweepPause
	}
	return sweepRest
}

// sweep removes some of what has expired. It reports whether there may be more to do.
func (d *boltDB) sweep() (more bool, err error) {
	d.merge.mu.Lock()
	defer d.merge.mu.Unlock()
	now := boltSeconds(d.now().Truncate(time.Second))
	due, err := d.due(now)
	if err != nil || len(due) == 0 {
		return false, err
	}
	err = d.change(func(t *boltFileTx) error {
		for _, entry := range due {
			if err := t.sweep(entry, now); err != nil {
				return err
			}
		}
		return nil
	})
	d.forgetChanged(len(due))
	return len(due) == sweepStep, err
}

// due returns the first entries of the expiry index up to a time. Those of keys that have something newer
// in the journal are left for later. It only reads, so that a sweeper without work disturbs nobody.
func (d *boltDB) due(now uint32) (due [][]byte, err error) {
	tx, err := d.beginBolt(false)
	if err != nil {
		return nil, err
	}
	defer d.rollback(tx)
	err = guardBolt(d.file.path, func() error {
		c := tx.Bucket(boltExpiry).Cursor()
		for k, _ := c.First(); len(k) > 4 && binary.BigEndian.Uint32(k) <= now && len(due) < sweepStep; k, _ = c.Next() {
			if !d.over.has(k[4:]) {
				due = append(due, append([]byte(nil), k...))
			}
		}
		return nil
	})
	return due, err
}
