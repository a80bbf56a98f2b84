package session

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"time"

	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

// A record is a header and the value. The header is two times in seconds since 1970, as a big-endian
// uint32 each: when the record expires, and where it stands in the expiry index. Zero is never.
//
// The index has an entry, time then key, for each record that expires. It stands at the record's time or
// before: a record whose life was prolonged stays where it is, and the sweeper moves it on when it gets
// there. So the refresh of a session, by far the most frequent update, leaves the index alone.
const recordHeader = 8

var errShortRecord = errors.New("session: the store has a damaged record")

// boltTx is the Tx of a boltDB. Nothing it returns lies in the mapped file: where a page can't be read,
// an error comes from here and no fault from elsewhere.
type boltTx struct {
	d        *boltDB
	tx       *bolt.Tx
	writable bool
	records  *bolt.Bucket
	expiry   *bolt.Bucket

	undos  []boltUndo // takes back the running update, last first
	dirty  bool       // an update that is kept has written
	failed error      // nothing of this may be committed
}

// boltUndo is what a key had before.
type boltUndo struct {
	bucket *bolt.Bucket
	key    []byte
	old    []byte // nil: nothing
}

// Get implements Tx.
func (t *boltTx) Get(key []byte) (value []byte, err error) {
	err = t.guard(func() error {
		record := t.records.Get(key)
		if record == nil {
			return nil
		}
		if len(record) < recordHeader {
			return errShortRecord
		}
		value = make([]byte, len(record)-recordHeader)
		copy(value, record[recordHeader:])
		return nil
	})
	return value, err
}

// Put implements Tx.
func (t *boltTx) Put(key, value []byte, expires time.Time) error {
	return t.change(func() error {
		old := t.records.Get(key)
		_, entry, err := readHeader(old)
		if err != nil {
			return err
		}
		at := boltSeconds(expires)
		moved := entry
		if at == 0 || entry == 0 || at < entry {
			moved = at
		}
		if err := t.index(key, entry, moved); err != nil {
			return err
		}
		record := make([]byte, 0, recordHeader+len(value))
		record = binary.BigEndian.AppendUint32(record, at)
		record = binary.BigEndian.AppendUint32(record, moved)
		return t.set(t.records, key, old, append(record, value...))
	})
}

// Delete implements Tx.
func (t *boltTx) Delete(key []byte) error {
	return t.change(func() error {
		old := t.records.Get(key)
		if old == nil {
			return nil
		}
		_, entry, err := readHeader(old)
		if err != nil {
			return err
		}
		if err := t.index(key, entry, 0); err != nil {
			return err
		}
		return t.set(t.records, key, old, nil)
	})
}

// Scan implements Tx. In an update it passes what was there when it began.
func (t *boltTx) Scan(prefix []byte, each func(key, value []byte) error) error {
	type pair struct{ key, value []byte }
	next := append([]byte(nil), prefix...)
	for {
		// A change would confuse a cursor that is under way, so a few pairs are read at a time, and all
		// of them where there may be changes.
		var pairs []pair
		err := t.guard(func() error {
			c := t.records.Cursor()
			for k, v := c.Seek(next); k != nil && bytes.HasPrefix(k, prefix); k, v = c.Next() {
				if len(v) < recordHeader {
					return errShortRecord
				}
				pairs = append(pairs, pair{bytes.Clone(k), append([]byte{}, v[recordHeader:]...)})
				if len(pairs) == scanChunk && !t.writable {
					return nil
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
		if len(pairs) < scanChunk || t.writable {
			return nil
		}
		next = append(pairs[len(pairs)-1].key, 0) // the least key behind it
	}
}

// scanChunk is how many pairs Scan copies at a time.
const scanChunk = 64

// index moves a record's entry in the expiry index; zero is no entry.
func (t *boltTx) index(key []byte, from, to uint32) error {
	if from == to {
		return nil
	}
	if from != 0 {
		if err := t.set(t.expiry, expiryKey(from, key), []byte{}, nil); err != nil {
			return err
		}
	}
	if to == 0 {
		return nil
	}
	return t.set(t.expiry, expiryKey(to, key), nil, []byte{})
}

// set replaces what a key has and writes down how to undo that; nil is nothing.
func (t *boltTx) set(b *bolt.Bucket, key, old, value []byte) error {
	t.undos = append(t.undos, boltUndo{b, bytes.Clone(key), old})
	return setBolt(b, key, value)
}

// undo takes back the running update.
func (t *boltTx) undo() {
	err := t.guard(func() error {
		for _, u := range slices.Backward(t.undos) {
			if err := setBolt(u.bucket, u.key, u.old); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil && t.failed == nil {
		t.failed = err
	}
	t.undos = nil
}

// keep lets the running update stay.
func (t *boltTx) keep() {
	t.dirty = t.dirty || len(t.undos) > 0
	t.undos = nil
}

// guard runs what reads the file.
func (t *boltTx) guard(read func() error) error {
	t.d.touched.Add(1)
	return guardBolt(t.d.file.path, read)
}

// change runs what alters the transaction. When that breaks off in the middle, nobody knows what the
// transaction holds: then nothing of it may be committed.
func (t *boltTx) change(alter func() error) error {
	if !t.writable {
		return berrors.ErrTxNotWritable
	}
	err := t.guard(alter)
	if damage := (*boltDamage)(nil); errors.As(err, &damage) && t.failed == nil {
		t.failed = err
	}
	return err
}

func setBolt(b *bolt.Bucket, key, value []byte) error {
	if value == nil {
		return b.Delete(key)
	}
	return b.Put(key, value)
}

// readHeader returns when a record expires and where it stands in the index; zero for no record.
func readHeader(record []byte) (expires, entry uint32, err error) {
	if record == nil {
		return 0, 0, nil
	}
	if len(record) < recordHeader {
		return 0, 0, errShortRecord
	}
	return binary.BigEndian.Uint32(record), binary.BigEndian.Uint32(record[4:]), nil
}

// expiryKey is the key of an entry in the expiry index.
func expiryKey(at uint32, key []byte) []byte {
	entry := make([]byte, 4, 4+len(key))
	binary.BigEndian.PutUint32(entry, at)
	return append(entry, key...)
}

// boltSeconds returns the first whole second at or after a time, so that nothing goes too early. What
// lies after 2106 is never; what lies before 1971 is over.
func boltSeconds(t time.Time) uint32 {
	if t.IsZero() {
		return 0
	}
	seconds := t.Unix()
	if t.Nanosecond() > 0 {
		seconds++
	}
	switch {
	case seconds > math.MaxUint32:
		return 0
	case seconds < 1:
		return 1
	default:
		return uint32(seconds)
	}
}

// forgetAfter is how many lookups there may be between two rounds of forget. A lookup makes a few pages
// resident that others do not use, and Linux maps up to 64 KiB around each: some 30 MiB. To have them
// back later costs a few microseconds each.
const forgetAfter = 128

// forget keeps the part of the mapped file that counts as memory of this process small.
func (d *boltDB) forget(tx *boltTx) {
	if n := d.touched.Load(); n > forgetAfter && d.touched.CompareAndSwap(n, 0) {
		forgetPages(d.db, tx.tx)
	}
}
