package session

import (
	"context"
	"errors"

	bolt "go.etcd.io/bbolt"
)

// BoltDB is the DB below a store made by OpenBolt.
type BoltDB = boltDB

// OpenBoltDB opens it alone.
func OpenBoltDB(file string, opts BoltOptions) (*BoltDB, error) { return openBolt(file, opts) }

// BoltSweepStep is how many records one step of the sweeper handles.
const BoltSweepStep = sweepStep

// Sweep is one step of the sweeper.
func (d *boltDB) Sweep(ctx context.Context) (more bool, err error) { return d.sweep(ctx) }

// Commits returns how many transactions were written.
func (d *boltDB) Commits() (n int) {
	_ = d.db.View(func(tx *bolt.Tx) error {
		n = tx.ID()
		return nil
	})
	return n
}

// CheckIndex returns how many records there are, and an error unless the expiry index has one entry,
// not too late, for each that expires, and no other.
func (d *boltDB) CheckIndex() (records int, err error) {
	err = d.db.View(func(tx *bolt.Tx) error {
		expiring := 0
		err := tx.Bucket(boltRecords).ForEach(func(key, record []byte) error {
			records++
			expires, entry, err := readHeader(record)
			if err != nil || expires == 0 && entry == 0 {
				return err
			}
			expiring++
			if entry == 0 || entry > expires {
				return errors.New("an entry is missing or too late")
			}
			if tx.Bucket(boltExpiry).Get(expiryKey(entry, key)) == nil {
				return errors.New("an entry is not where the record says")
			}
			return nil
		})
		if err == nil && tx.Bucket(boltExpiry).Stats().KeyN != expiring {
			err = errors.New("there are entries without a record")
		}
		return err
	})
	return records, err
}

// WriteFormat makes the file one of another version.
func WriteFormat(file, format string) error {
	db, err := bolt.Open(file, 0o600, nil)
	if err != nil {
		return err
	}
	err = db.Update(func(tx *bolt.Tx) error { return tx.Bucket(boltMeta).Put(boltFormatKey, []byte(format)) })
	return errors.Join(err, db.Close())
}

// WriteForeign makes a bbolt file of another program.
func WriteForeign(file string) error {
	db, err := bolt.Open(file, 0o600, nil)
	if err != nil {
		return err
	}
	err = db.Update(func(tx *bolt.Tx) error {
		_, err := tx.CreateBucket([]byte("theirs"))
		return err
	})
	return errors.Join(err, db.Close())
}
