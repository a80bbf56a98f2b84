package session

import (
	"bytes"
	"strings"
)

// scanChunk is how many pairs of the bolt file Scan copies at a time.
const scanChunk = 64

// Scan implements Tx. In an update it passes what was there when it began.
func (t *boltTx) Scan(prefix []byte, each func(key, value []byte) error) error {
	newer := t.over.findAll(string(prefix))
	changes := map[string]boltChange{}
	for key, c := range t.changes {
		if strings.HasPrefix(key, string(prefix)) {
			changes[key] = c
		}
	}
	isNewer := func(key []byte) bool {
		_, changed := changes[string(key)]
		_, found := newer[string(key)]
		return changed || found
	}
	if err := t.scanBolt(prefix, isNewer, each); err != nil {
		return err
	}
	for key, c := range changes {
		delete(newer, key)
		if c.deleted {
			continue
		}
		if err := each([]byte(key), c.value); err != nil {
			return err
		}
	}
	return scanOverlay(newer, each)
}

// scanBolt passes what the bolt file has, except for some keys. A few pairs are read at a time, so that
// the caller may take as long as it likes with each.
func (t *boltTx) scanBolt(prefix []byte, except func([]byte) bool, each func(key, value []byte) error) error {
	type pair struct{ key, value []byte }
	next := bytes.Clone(prefix)
	for more := true; more; {
		var pairs []pair
		more = false
		err := t.guard(func() error {
			c := t.records.Cursor()
			for k, v := c.Seek(next); k != nil && bytes.HasPrefix(k, prefix); k, v = c.Next() {
				if len(pairs) == scanChunk {
					more = true
					return nil
				}
				if len(v) < recordHeader {
					return errShortRecord
				}
				if next = append(bytes.Clone(k), 0); !except(k) { // the least key behind it
					pairs = append(pairs, pair{bytes.Clone(k), append([]byte{}, v[recordHeader:]...)})
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		for _, p := range pairs {
			if err := each(p.key, p.value); err != nil {
				return err
			}
		}
	}
	return nil
}

// scanOverlay passes what the journal has.
func scanOverlay(found map[string]overlaid, each func(key, value []byte) error) error {
	for key, v := range found {
		if v.size < 0 {
			continue
		}
		value, err := v.segment.value(v.boltVersion)
		if err != nil {
			return err
		}
		if err := each([]byte(key), value); err != nil {
			return err
		}
	}
	return nil
}
