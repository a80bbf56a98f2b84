// Disks that are full, and folders that can't be written.

package sqlitestore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/session"
)

func init() {
	roles["full disk"] = fillDisk
	roles["read-only folder"] = openReadOnly
}

// While nothing can be written every update says so, and reads go on. Then all goes on.
func TestFullDiskHeals(t *testing.T) {
	t.Parallel()
	runRole(t, "full disk", filepath.Join(t.TempDir(), "sessions.db"))
}

func fillDisk(file string) error {
	d, err := openRole(file)
	if err != nil {
		return err
	}
	signal.Ignore(syscall.SIGXFSZ)
	if err := limitFiles(4 << 20); err != nil {
		return err
	}
	s := session.NewKVStore(d)
	written := 0
	for ; ; written++ {
		if err = put(d, fmt.Sprint(written), strings.Repeat("x", 10_000)); err != nil {
			break
		}
		if written > 10_000 {
			return errors.New("nothing stops it")
		}
	}
	if strings.Contains(err.Error(), "xxx") || !strings.Contains(err.Error(), file) {
		return fmt.Errorf("the error is no good: %w", err)
	}
	for range 10 {
		err := s.PutReplay(context.Background(), session.Replay{Key: session.Digest{1}, Value: make([]byte, 10_000), Until: time.Now().Add(time.Hour)}, time.Now())
		if !errors.Is(err, session.ErrUnavailable) {
			return fmt.Errorf("full: got %w, want %w", err, session.ErrUnavailable)
		}
	}
	time.Sleep(2 * checkpointEvery) // a checkpoint fails, too
	if err := allThere(d, written); err != nil {
		return fmt.Errorf("while full: %w", err)
	}
	if err := backupWithoutRoom(d, file+".copy"); err != nil {
		return err
	}
	if err := limitFiles(1 << 30); err != nil {
		return err
	}
	for i := range 100 {
		if err := put(d, fmt.Sprint(written+i), strings.Repeat("x", 10_000)); err != nil {
			return fmt.Errorf("with room again: %w", err)
		}
	}
	if err := d.Close(); err != nil {
		return err
	}
	if d, err = openRole(file); err != nil {
		return err
	}
	return errors.Join(allThere(d, written+100), d.Close())
}

// backupWithoutRoom wants an error that names the copy, not the store, and nothing of the copy left.
func backupWithoutRoom(d *db, file string) error {
	if err := limitFiles(64 << 10); err != nil {
		return err
	}
	err := d.backup(context.Background(), file)
	if err == nil || errors.Is(err, session.ErrUnavailable) || !strings.Contains(err.Error(), file) {
		return fmt.Errorf("a backup without room: got %w, want that of the copy", err)
	}
	if left, err := filepath.Glob(file + "*"); err != nil || len(left) > 0 {
		return fmt.Errorf("a backup without room leaves %v, %w", left, err)
	}
	return nil
}

// limitFiles has writes beyond a size fail, as on a full disk.
func limitFiles(size uint64) error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		return err
	}
	limit.Cur = size
	return syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit)
}

// allThere checks the records that put wrote.
func allThere(d *db, n int) error {
	for i := range n {
		if got, err := get(d, fmt.Sprint(i)); err != nil || len(got) != 10_000 {
			return fmt.Errorf("record %d: got %d bytes, %w", i, len(got), err)
		}
	}
	return nil
}

func TestReadOnlyFolderIsToldClearly(t *testing.T) {
	t.Parallel()
	folder, err := os.MkdirTemp("", "sqlitestore") //nolint:usetesting // the user of the child process may not enter t.TempDir
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = errors.Join(os.Chmod(folder, 0o700), os.RemoveAll(folder)) })
	file := filepath.Join(folder, "sessions.db")
	closeTest(t, reopenTest(t, file, session.NewClock()))
	if err := os.Chmod(folder, 0o555); err != nil {
		t.Fatal(err)
	}
	runRole(t, "read-only folder", file)
}

func openReadOnly(file string) error {
	if os.Getuid() == 0 { // who may write everywhere
		if err := syscall.Setuid(65534); err != nil {
			return err
		}
	}
	for _, file := range []string{file, filepath.Join(filepath.Dir(file), "new.db"), filepath.Join(filepath.Dir(file), "folder", "new.db")} {
		d, err := openRole(file)
		if err == nil {
			return errors.Join(errors.New("it opens"), d.Close())
		}
		if !strings.Contains(err.Error(), "Caddy's user must be allowed") || !strings.Contains(err.Error(), filepath.Dir(file)) {
			return fmt.Errorf("the error is no good: %w", err)
		}
	}
	return nil
}
