package session

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	bolt "go.etcd.io/bbolt"
)

// attachJournal opens the journal that belongs to a bolt file, or makes one, and reads what is in it.
func attachJournal(db *bolt.DB, path string, o *overlay) (j *journal, err error) {
	var id journalID
	var oldest uint64
	journaled := false
	err = guardBolt(path, func() error {
		return db.View(func(tx *bolt.Tx) error {
			if meta := tx.Bucket(boltMeta); meta != nil {
				journaled = string(meta.Get(boltFormatKey)) == boltJournaled
				copy(id[:], meta.Get(boltJournalKey))
				oldest = readGeneration(meta)
			}
			return nil
		})
	})
	switch {
	case err != nil:
		return nil, err
	case !journaled:
		return newJournal(db, path, o)
	}
	if j, err = openJournal(path, 0); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("session: the journal of %s is missing, and what was written last is in it: put "+
			"back %s and %s, or, to go on without, make two empty files of these names",
			path, path+journalSuffixes[0], path+journalSuffixes[1])
	}
	if err != nil {
		return nil, err
	}
	j.id = id
	// Who died may have written what is read here without having it on the disk. What comes next builds on
	// it: parts of the journal that it makes superfluous are written over.
	syncFolder(filepath.Dir(path))
	if err := guardBolt(path, db.Sync); err != nil {
		return nil, errors.Join(err, j.close())
	}
	if err := j.replay(o, oldest); err != nil {
		return nil, errors.Join(err, j.close())
	}
	return j, nil
}

// newJournal makes the journal of a file that has none. Its files are there, empty, before the bolt file
// says so.
func newJournal(db *bolt.DB, path string, o *overlay) (*journal, error) {
	j, err := openJournal(path, os.O_CREATE)
	if err != nil {
		return nil, err
	}
	if err := j.unused(); err != nil {
		return nil, errors.Join(err, j.close())
	}
	syncFolder(filepath.Dir(path))
	_, _ = rand.Read(j.id[:]) // never fails
	var oldest uint64
	err = guardBolt(path, func() error {
		return db.Update(func(tx *bolt.Tx) error {
			if err := prepareBolt(tx); err != nil {
				return err
			}
			meta := tx.Bucket(boltMeta)
			if oldest = readGeneration(meta); oldest == 0 {
				oldest = 1
			}
			return errors.Join(
				meta.Put(boltFormatKey, []byte(boltJournaled)),
				meta.Put(boltJournalKey, j.id[:]),
				writeGeneration(meta, oldest))
		})
	})
	if err != nil {
		return nil, errors.Join(err, j.close())
	}
	o.active = j.generation(oldest)
	return j, nil
}

// inspectJournal makes sure that there is no journal beside a file that is still to be made. Whose it is
// needs its file back.
func inspectJournal(path string) error {
	j, err := openJournal(path, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return errors.Join(j.unused(), j.close())
}

// detach makes the file complete without its journal, all of which must be in it, and removes that. A
// crash between any two of the steps leaves what the next start understands.
func (j *journal) detach(db *bolt.DB) error {
	if err := j.empty(); err != nil {
		return errors.Join(err, j.close())
	}
	err := guardBolt(j.path, func() error {
		return db.Update(func(tx *bolt.Tx) error {
			meta := tx.Bucket(boltMeta)
			return errors.Join(meta.Put(boltFormatKey, []byte(boltComplete)), meta.Delete(boltJournalKey))
		})
	})
	if err != nil {
		return errors.Join(err, j.close())
	}
	_ = j.close() // nothing is in it
	for _, suffix := range journalSuffixes {
		_ = os.Remove(j.path + suffix) // an empty one does no harm
	}
	syncFolder(filepath.Dir(j.path))
	return nil
}

// prepareBolt makes what a new file lacks.
func prepareBolt(tx *bolt.Tx) error {
	if tx.Bucket(boltMeta) != nil {
		return nil
	}
	for _, name := range [][]byte{boltMeta, boltRecords, boltExpiry} {
		if _, err := tx.CreateBucket(name); err != nil {
			return err
		}
	}
	return nil
}

func readGeneration(meta *bolt.Bucket) uint64 {
	value := meta.Get(boltGenerationKey)
	if len(value) != 8 {
		return 0
	}
	return binary.BigEndian.Uint64(value)
}

func writeGeneration(meta *bolt.Bucket, number uint64) error {
	return meta.Put(boltGenerationKey, binary.BigEndian.AppendUint64(nil, number))
}
