package session

import (
	"bytes"
	"errors"
	"math"
	"slices"
	"time"

	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

var errShortRecord = errors.New("session: the store has a damaged record")

// boltTx is the Tx of a boltDB: what this update has changed, over the journal, over the bolt file.
// Nothing it returns lies in the mapped file: where a page can't be read, an error comes from here and no
// fault from elsewhere.
type boltTx struct {
	d        *boltDB
	over     snapshot
	tx       *bolt.Tx
	records  *bolt.Bucket
	tree     pages // of the records
	writable bool

	read    string                // a key that was found in the bolt file, or not
	there   bool                  // it was
	changes map[string]boltChange // of the batch
	size    int                   // of these, about
	undos   []boltUndo            // takes back the running update, last first
	dirty   bool                  // an update that is kept has written
}

// boltChange is what a key is to have.
type boltChange struct {
	value   []byte
	expires uint32
	deleted bool
}

// boltUndo is what the batch had of a key before.
type boltUndo struct {
	key     string
	old     boltChange
	changed bool // there was such a thing
}

// Get implements Tx.
func (t *boltTx) Get(key []byte) (value []byte, err error) {
	if c, ok := t.changes[string(key)]; ok {
		return c.value, nil
	}
	if v, in, ok := t.over.find(key); ok {
		if v.size < 0 {
			return nil, nil
		}
		return in.value(v)
	}
	record, err := t.record(key)
	if err != nil {
		return nil, err
	}
	if record != nil {
		value = record[recordHeader:]
	}
	if t.writable { // a view may be read by several at once
		t.read, t.there = string(key), record != nil
	}
	return value, nil
}

// record returns what the bolt file has of a key, with its header; nil is nothing.
func (t *boltTx) record(key []byte) (record []byte, err error) {
	if t.tree.root != 0 {
		record, err = t.tree.get(key)
	} else { // the tree is so small that bbolt keeps it in another one's page
		err = t.guard(func() error {
			record = bytes.Clone(t.records.Get(key))
			return nil
		})
	}
	if err == nil && record != nil && len(record) < recordHeader {
		err = errShortRecord
	}
	return record, err
}

// Put implements Tx.
func (t *boltTx) Put(key, value []byte, expires time.Time) error {
	if value == nil {
		value = []byte{}
	}
	if _, err := t.check(key, value); err != nil {
		return err
	}
	t.set(key, boltChange{value: value, expires: boltSeconds(expires)})
	return nil
}

// Delete implements Tx.
func (t *boltTx) Delete(key []byte) error {
	if there, err := t.check(key, nil); err != nil || !there {
		return err
	}
	t.set(key, boltChange{deleted: true})
	return nil
}

// check tells whether a key may be changed, and whether it has a value. A record of the bolt file is
// looked up, too, for if that can't be read it can't be replaced: its caller should know, not the merger.
func (t *boltTx) check(key, value []byte) (there bool, err error) {
	switch {
	case !t.writable:
		return false, berrors.ErrTxNotWritable
	case len(key) == 0:
		return false, berrors.ErrKeyRequired
	case len(key) > bolt.MaxKeySize-4: // the expiry index puts a time before it
		return false, berrors.ErrKeyTooLarge
	case len(value) > math.MaxInt32/2:
		return false, berrors.ErrValueTooLarge
	}
	if c, ok := t.changes[string(key)]; ok {
		return !c.deleted, nil
	}
	if v, _, ok := t.over.find(key); ok {
		return v.size >= 0, nil
	}
	if string(key) != t.read {
		_, err = t.Get(key)
	}
	return err == nil && t.there, err
}

// set notes a change and how to undo it.
func (t *boltTx) set(key []byte, c boltChange) {
	name := string(key)
	old, changed := t.changes[name]
	t.undos = append(t.undos, boltUndo{name, old, changed})
	t.changes[name] = c
	t.size += len(key) + len(c.value)
}

// keep lets the running update stay.
func (t *boltTx) keep() {
	t.dirty = t.dirty || len(t.undos) > 0
	t.undos = nil
}

// undo takes back the running update.
func (t *boltTx) undo() {
	for _, u := range slices.Backward(t.undos) {
		if u.changed {
			t.changes[u.key] = u.old
		} else {
			delete(t.changes, u.key)
		}
	}
	t.undos = nil
}

// guard runs what reads the mapped file.
func (t *boltTx) guard(read func() error) error {
	t.d.touched.Add(scanChunk)
	return guardBolt(t.d.file.path, read)
}
