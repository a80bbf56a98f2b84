// The lock of the one process that uses a file. It is a file of its own, so that sqlite3 and
// backups may look into the other.

package sqlitestore

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"time"
)

// lockPause lies between two attempts to get a lock.
const lockPause = 100 * time.Millisecond

// errHeld is returned by tryLock when another process holds the lock.
var errHeld = errors.New("held by another process")

// ErrInUse is the error for a file that another process has.
var ErrInUse = errors.New("the session file is in use")

type lock struct{ f *os.File }

// acquire waits for the lock: while a server is replaced by another there are two for a moment.
func acquire(file string, wait time.Duration, log *slog.Logger) (*lock, error) {
	f, err := os.OpenFile(file, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("the lock of the session file can't be written; Caddy's user must be allowed to: %w", err)
	}
	start := time.Now()
	for waiting := false; ; time.Sleep(lockPause) {
		if err = tryLock(f); err == nil || !errors.Is(err, errHeld) || time.Since(start) >= wait {
			break
		}
		if !waiting {
			waiting = true
			log.Warn("the session file is in use, waiting for the other process to end", "holder", holder(f), "wait", wait)
		}
	}
	if err == nil {
		err = writeHolder(f)
	}
	switch {
	case errors.Is(err, errHeld):
		err = fmt.Errorf("%w by %s: end it, or name another file in `store sqlite`", ErrInUse, holder(f))
	case err != nil:
		err = fmt.Errorf("the session file can't be locked: %w", err)
	default:
		return &lock{f}, nil
	}
	return nil, errors.Join(err, f.Close())
}

// release leaves the lock file where it is: another process may wait for it.
func (l *lock) release() error { return l.f.Close() }

func writeHolder(f *os.File) error {
	if err := errors.Join(f.Chmod(0o600), f.Truncate(0)); err != nil {
		return err
	}
	_, err := f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	return err
}

// holder names the process that holds the lock.
func holder(f *os.File) string {
	text := make([]byte, 20)
	n, _ := f.ReadAt(text, 0)
	pid, err := strconv.Atoi(strings.TrimSpace(string(text[:n])))
	if err != nil {
		return "another process"
	}
	return fmt.Sprint("process ", pid)
}
