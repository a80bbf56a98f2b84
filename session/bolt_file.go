package session

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"time"

	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

// The file's buckets.
var (
	boltMeta    = []byte("wechatauth") // the keys below
	boltRecords = []byte("records")    // key: header, value
	boltExpiry  = []byte("expiry")     // time, key: nothing
)

var (
	boltFormatKey     = []byte("format")
	boltJournalKey    = []byte("journal")    // the journal's id
	boltGenerationKey = []byte("generation") // the oldest one that is not wholly in the file
)

// What is in the file has a version. A change that an older program would misread gets a new one. While
// there is a journal the file is not complete without it, so a program that knows none must not open it.
const (
	boltComplete  = "1"
	boltJournaled = "2"
)

// boltLockWait is how long to wait for another process that is just about to end.
const boltLockWait = 500 * time.Millisecond

// boltFile is the open file below bbolt.
type boltFile struct {
	path string
	*os.File
}

// boltDamage is bbolt's panic on a page that makes no sense, or a fault on one that can't be read.
type boltDamage struct {
	path   string
	reason any
}

func (e *boltDamage) Error() string {
	return fmt.Sprintf("session: %s is damaged or can't be read (%v): restore a copy, or move it and its journal "+
		"away to begin with an empty one", e.path, e.reason)
}

// guardBolt runs what reads the mapped file. bbolt trusts its file, and the system answers a read that
// fails with a signal; neither may end the process.
func guardBolt(path string, do func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if reason := recover(); reason != nil {
			err = &boltDamage{path, reason}
		}
	}()
	return do()
}

// openBoltFile opens a database, or makes it if there is none.
func openBoltFile(path string) (*bolt.DB, *boltFile, error) {
	folder := filepath.Dir(path)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, nil, fmt.Errorf("session: folder of the store: %w", err)
	}
	info, err := os.Stat(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, nil, fmt.Errorf("session: open the store: %w", err)
	}
	isNew := err != nil || info.Size() == 0

	// A file that is not ours must not be touched, nor a new one be made beside a journal, and bbolt can't tell before it has begun to read its
	// list of free pages. So the first look is one that only reads.
	inspect := inspectBolt
	if isNew {
		inspect = inspectJournal
	}
	if err := inspect(path); err != nil {
		return nil, nil, err
	}
	file := &boltFile{path: path}
	db, err := file.open(&bolt.Options{
		Timeout: boltLockWait,

		// Without a list of free pages in the file, opening it would read all of it. The price is to
		// write the list with each commit; it is short unless much has expired at once. A map finds free
		// pages in that case, too, without walking the list.
		NoFreelistSync: false,
		FreelistType:   bolt.FreelistMapType,

		InitialMmapSize: boltMapSize(),
		NoStatistics:    true, // a lock for each transaction, and nobody reads them
	})
	if err != nil {
		return nil, nil, err
	}
	if isNew {
		syncFolder(folder)
	}
	return db, file, nil
}

// open opens the file by bbolt, and says in other words what it says.
func (f *boltFile) open(opts *bolt.Options) (db *bolt.DB, err error) {
	opts.OpenFile = func(name string, flag int, mode os.FileMode) (file *os.File, err error) {
		if file, err = os.OpenFile(name, flag, mode); err != nil {
			return nil, err
		}
		f.File = file
		if info, err := file.Stat(); err == nil && !info.Mode().IsRegular() {
			return nil, errors.Join(errors.New("not a regular file"), file.Close())
		}
		if !opts.ReadOnly {
			_ = file.Chmod(0o600) // one restored from a backup may be open to all; not all systems have modes
		}
		return file, nil
	}
	err = guardBolt(f.path, func() error {
		db, err = bolt.Open(f.path, 0o600, opts)
		return err
	})
	damage := (*boltDamage)(nil)
	switch {
	case err == nil:
		return db, nil
	case errors.As(err, &damage):
		_ = f.abandon()
		return nil, err
	case errors.Is(err, berrors.ErrTimeout):
		return nil, fmt.Errorf("session: %s is in use, probably by another server on this machine: stop that "+
			"one, or name another file for this one", f.path)
	case errors.Is(err, berrors.ErrInvalid), errors.Is(err, berrors.ErrChecksum),
		errors.Is(err, berrors.ErrVersionMismatch):
		return nil, fmt.Errorf("session: %s is not a session store or is damaged (%w): name another file, "+
			"restore a copy, or move it away to begin with an empty one", f.path, err)
	default:
		return nil, fmt.Errorf("session: open %s: %w", f.path, err)
	}
}

// abandon gives the file back without bbolt's help.
func (f *boltFile) abandon() error {
	if f.File == nil {
		return nil
	}
	unlockFile(f.File)
	return f.File.Close()
}

// inspectBolt tells whether a file is a database of this format.
func inspectBolt(path string) error {
	file := &boltFile{path: path}
	db, err := file.open(&bolt.Options{Timeout: boltLockWait, ReadOnly: true, NoStatistics: true})
	if err != nil {
		return err
	}
	err = guardBolt(path, func() error {
		return db.View(func(tx *bolt.Tx) error {
			info, err := file.Stat()
			if err != nil {
				return err
			}
			if tx.Size() > info.Size() {
				return &boltDamage{path, "its end is missing"}
			}
			return checkBoltFormat(path, tx)
		})
	})
	return errors.Join(err, guardBolt(path, db.Close))
}

func checkBoltFormat(path string, tx *bolt.Tx) error {
	meta := tx.Bucket(boltMeta)
	if meta == nil {
		if name, _ := tx.Cursor().First(); name == nil {
			return nil // made a moment before its process died
		}
		return fmt.Errorf("session: %s is a database of something else: name another file", path)
	}
	format := string(meta.Get(boltFormatKey))
	if format != boltComplete && format != boltJournaled {
		return fmt.Errorf("session: %s has format %q, and this version knows %q and %q only: it was probably "+
			"written by a newer version; run that one, or name another file",
			path, format, boltComplete, boltJournaled)
	}
	if tx.Bucket(boltRecords) == nil || tx.Bucket(boltExpiry) == nil {
		return &boltDamage{path, "a part is missing"}
	}
	return nil
}

// boltMapSize is how much address space is mapped from the start. A file that outgrows its mapping is
// mapped anew, for which bbolt waits for all readers, and lets none begin meanwhile: one long reader
// would stop everything. Address space is free on 64 bits; Windows makes the file as large as its
// mapping, so there only bbolt's own steps are left.
func boltMapSize() int {
	if runtime.GOOS == "windows" || math.MaxInt == math.MaxInt32 {
		return 0
	}
	size := int64(16) << 30 // room for ten million sessions
	return int(size)
}

// syncFolder makes a new file's name survive the machine's death. Not all systems can do that.
func syncFolder(path string) {
	folder, err := os.Open(path)
	if err != nil {
		return
	}
	_ = folder.Sync()
	_ = folder.Close()
}
