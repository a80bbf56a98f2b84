package session

import (
	"os"
	"syscall"

	bolt "go.etcd.io/bbolt"
)

// forgetPages takes the file's pages out of the process's memory. They stay in the system's cache, from
// where the next read takes them without the disk; nothing is lost, for the mapping is only read.
//
// Without it each page that was ever read counts as memory of the process, together with its neighbours
// that the system maps along with it: with a million sessions more than a gigabyte, which a container's
// monitoring takes for a leak.
func forgetPages(db *bolt.DB, tx *bolt.Tx) {
	// While a transaction is open, the mapping stays where it is.
	_, _, _ = syscall.Syscall(syscall.SYS_MADVISE, db.Info().Data, uintptr(tx.Size()), syscall.MADV_DONTNEED)
}

// syncData makes what was written to a file survive the death of the machine.
func syncData(f *os.File) error {
	for {
		if err := syscall.Fdatasync(int(f.Fd())); err != syscall.EINTR {
			return err
		}
	}
}

// unlockFile ends bbolt's lock. Closing the file is not enough while it is mapped.
func unlockFile(f *os.File) { _ = syscall.Flock(int(f.Fd()), syscall.LOCK_UN) }
