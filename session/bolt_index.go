package session

import (
	"encoding/binary"
	"math"
	"time"

	bolt "go.etcd.io/bbolt"
)

// A record of the bolt file is a header and the value. The header is two times in seconds since 1970, as
// a big-endian uint32 each: when the record expires, and where it stands in the expiry index. Zero is
// never.
//
// The index has an entry, time then key, for each record that expires. It stands at the record's time or
// before: a record whose life was prolonged stays where it is, and the sweeper moves it on when it gets
// there. So the refresh of a session, by far the most frequent update, leaves the index alone.
const recordHeader = 8

// boltFileTx changes the bolt file. Only the merger has one, or who opens and closes the file.
type boltFileTx struct {
	tx      *bolt.Tx
	records *bolt.Bucket
	expiry  *bolt.Bucket
}

func newBoltFileTx(tx *bolt.Tx) *boltFileTx {
	t := &boltFileTx{tx: tx, records: tx.Bucket(boltRecords), expiry: tx.Bucket(boltExpiry)}
	// Most entries are added behind all others of the same life, so a page that splits never gets
	// anything into its first half again: fill it.
	t.expiry.FillPercent = 0.9
	return t
}

// put writes a record.
func (t *boltFileTx) put(key, value []byte, expires uint32) error {
	_, entry, err := readHeader(t.records.Get(key))
	if err != nil {
		return err
	}
	moved := entry
	if expires == 0 || entry == 0 || expires < entry {
		moved = expires
	}
	if err := t.index(key, entry, moved); err != nil {
		return err
	}
	record := make([]byte, 0, recordHeader+len(value))
	record = binary.BigEndian.AppendUint32(record, expires)
	record = binary.BigEndian.AppendUint32(record, moved)
	return t.records.Put(key, append(record, value...))
}

// delete removes a record, if there is one.
func (t *boltFileTx) delete(key []byte) error {
	record := t.records.Get(key)
	if record == nil {
		return nil
	}
	_, entry, err := readHeader(record)
	if err != nil {
		return err
	}
	if err := t.index(key, entry, 0); err != nil {
		return err
	}
	return t.records.Delete(key)
}

// sweep removes the record that an entry of the expiry index points to, if its time has come, or moves
// the entry to where that is.
func (t *boltFileTx) sweep(entry []byte, now uint32) error {
	at, key := binary.BigEndian.Uint32(entry), entry[4:]
	old := t.records.Get(key)
	expires, stands, err := readHeader(old)
	if err != nil {
		return err
	}
	switch {
	case stands != at: // gone or moved since it was looked up
		return nil
	case expires <= now:
		if err := t.index(key, at, 0); err != nil {
			return err
		}
		return t.records.Delete(key)
	default:
		if err := t.index(key, at, expires); err != nil {
			return err
		}
		record := append([]byte(nil), old...)
		binary.BigEndian.PutUint32(record[4:], expires)
		return t.records.Put(key, record)
	}
}

// index moves a record's entry in the expiry index; zero is no entry.
func (t *boltFileTx) index(key []byte, from, to uint32) error {
	if from == to {
		return nil
	}
	if from != 0 {
		if err := t.expiry.Delete(expiryKey(from, key)); err != nil {
			return err
		}
	}
	if to == 0 {
		return nil
	}
	return t.expiry.Put(expiryKey(to, key), []byte{})
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
