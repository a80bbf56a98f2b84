package session

import (
	"context"
	"errors"
	"os"
	"time"

	bolt "go.etcd.io/bbolt"
)

// BoltDB is the DB below a store made by OpenBolt.
type BoltDB = boltDB

// OpenBoltDB opens it alone.
func OpenBoltDB(file string, opts BoltOptions) (*BoltDB, error) { return openBolt(file, opts) }

// SmallGenerations makes the journal's generations so small that tests see many of them.
func (o BoltOptions) SmallGenerations() BoltOptions {
	o.generation = 8 << 10
	return o
}

// BoltJournals returns the names of a file's journal.
func BoltJournals(file string) (names []string) {
	for _, suffix := range journalSuffixes {
		names = append(names, file+suffix)
	}
	return names
}

// JournalEnd returns which of the journal's files is written to, and where.
func (d *boltDB) JournalEnd() (file string, end int64) {
	state := d.over.state()
	return state.active.segment.path, state.end
}

// Still runs a function while the bolt file does not change.
func (d *boltDB) Still(do func()) {
	d.merge.mu.Lock()
	defer d.merge.mu.Unlock()
	do()
}

// MergeSome freezes the active generation, if none is, and carries some records over. It reports whether
// any are left.
func (d *boltDB) MergeSome(n int) (left bool, err error) {
	rotated := make(chan error, 1)
	d.rotations <- rotated
	if err := errors.Join(<-rotated, d.mergeStep(n)); err != nil {
		return false, err
	}
	return d.over.state().frozen != nil, nil
}

// BreakJournal makes writes and syncs of the journal fail; nil is no failure.
func (d *boltDB) BreakJournal(write, sync error) error {
	return d.Update(context.Background(), func(Tx) error { // no batch is written meanwhile
		for _, s := range d.journal.segments {
			s.write, s.sync = writeAt, syncData
			if write != nil {
				s.write = func(f *os.File, data []byte, at int64) error {
					return errors.Join(write, writeAt(f, data[:len(data)/2], at))
				}
			}
			if sync != nil {
				s.sync = func(*os.File) error { return sync }
			}
		}
		return nil
	})
}

// BoltSweepStep is how many records one step of the sweeper handles.
const BoltSweepStep = sweepStep

// Sweep is one step of the sweeper, after all is in the bolt file.
func (d *boltDB) Sweep() (more bool, err error) {
	if err := d.Merge(); err != nil {
		return false, err
	}
	return d.sweep()
}

// Merge carries all that was written over to the bolt file.
func (d *boltDB) Merge() error {
	for {
		state := d.over.state()
		if state.frozen == nil && state.end == 0 {
			return nil
		}
		rotated := make(chan error, 1)
		d.rotations <- rotated
		if err := errors.Join(<-rotated, d.mergeStep(mergeStep)); err != nil {
			return err
		}
	}
}

// Frames returns how often the journal was written to.
func (d *boltDB) Frames() int {
	d.over.mu.RLock()
	defer d.over.mu.RUnlock()
	return int(d.over.batch)
}

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
	if err := d.Merge(); err != nil {
		return 0, err
	}
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

// ReadFormat returns the version of a file that is not open.
func ReadFormat(file string) (format string, err error) {
	db, err := bolt.Open(file, 0o600, &bolt.Options{ReadOnly: true})
	if err != nil {
		return "", err
	}
	err = db.View(func(tx *bolt.Tx) error {
		format = string(tx.Bucket(boltMeta).Get(boltFormatKey))
		return nil
	})
	return format, errors.Join(err, db.Close())
}

// SweepOnly is one step of the sweeper, whatever is in the journal.
func (d *boltDB) SweepOnly() error {
	_, err := d.sweep()
	return err
}

// Unmerged returns how many records are in the overlay.
func (d *boltDB) Unmerged() (n int) {
	d.over.mu.RLock()
	defer d.over.mu.RUnlock()
	n = len(d.over.active.records)
	if d.over.frozen != nil {
		n += len(d.over.frozen.records)
	}
	return n
}

// Generation returns the number of the active one.
func (d *boltDB) Generation() int { return int(d.over.state().active.number) }

// LoseSync makes the next write of the journal fail after all of it is on the disk; what is written to
// take it back never gets there.
func (d *boltDB) LoseSync(err error) error {
	return d.Update(context.Background(), func(Tx) error {
		for _, s := range d.journal.segments {
			s.sync = func(*os.File) error {
				s.write = func(*os.File, []byte, int64) error { return err }
				return err
			}
		}
		return nil
	})
}

// JournalEntries returns the entries of a frame.
func JournalEntries(records map[string]string) (entries []byte) {
	for key, value := range records {
		entries = appendEntry(entries, key, boltChange{value: []byte(value)})
	}
	return entries
}

// JournalFrame returns a journal's head with a frame of entries behind it.
func JournalFrame(entries []byte) []byte {
	frame := append(make([]byte, frameHeadSize), entries...)
	sealFrame(frame, journalID{}, 1, journalHeadSize)
	return append(journalHead{generation: 1}.encode(), frame...)
}

// ReplayJournal reads a journal, as that of a file that is not there.
func ReplayJournal(file string, data []byte) (map[string]string, error) {
	head, written, _ := readJournalHead(data)
	if !written {
		head.generation = 1
	}
	used := head.generation % 2
	err := errors.Join(
		os.WriteFile(file+journalSuffixes[used], data, 0o600),
		os.WriteFile(file+journalSuffixes[1-used], nil, 0o600))
	if err != nil {
		return nil, err
	}
	j, err := openJournal(file, 0)
	if err != nil {
		return nil, err
	}
	for _, s := range j.segments {
		s.sync = func(*os.File) error { return nil }
	}
	j.id = head.id
	o := &overlay{room: generationBytes}
	if err := j.replay(o, head.generation); err != nil {
		return nil, errors.Join(err, j.close())
	}
	records := map[string]string{}
	for key, v := range o.active.records {
		if v.size < 0 {
			continue
		}
		value, err := o.active.segment.value(v)
		if err != nil {
			return nil, errors.Join(err, j.close())
		}
		records[key] = string(value)
	}
	return records, j.close()
}

// Load writes records to the bolt file past the journal.
func (d *boltDB) Load(write func(put func(key, value []byte, expires time.Time) error) error) error {
	d.merge.mu.Lock()
	defer d.merge.mu.Unlock()
	return d.change(func(t *boltFileTx) error {
		return write(func(key, value []byte, expires time.Time) error {
			return t.put(key, value, boltSeconds(expires))
		})
	})
}
