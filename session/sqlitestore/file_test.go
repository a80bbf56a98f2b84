// The file as others see it: backups, and its size.

package sqlitestore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/session"
)

// After a stop there is one file to take along.
func TestCloseLeavesOneFile(t *testing.T) {
	t.Parallel()
	d, file := openTest(t, session.NewClock())
	if err := put(d, "a", "b"); err != nil {
		t.Fatal(err)
	}
	closeTest(t, d)
	for _, suffix := range []string{"-wal", "-shm"} {
		if _, err := os.Stat(file + suffix); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: got %v, want %v", suffix, err, fs.ErrNotExist)
		}
	}
}

func TestBackupWhileWriting(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "it's 100% a?b#c.db")
	d := reopenTest(t, file, session.NewClock())
	s := &Store{session.NewKVStore(d), d}
	ctx, stop := context.WithCancel(t.Context())
	var writers, written sync.WaitGroup
	for client := range 4 {
		written.Add(1)
		writers.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				if i == 1 {
					written.Done()
				}
				for _, key := range []string{"a", "b"} { // a is never behind b
					if err := put(d, fmt.Sprint(key, client), fmt.Sprintf("%09d", i)); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	written.Wait()
	backup := filepath.Join(t.TempDir(), "backup.db")
	if err := s.Backup(t.Context(), backup); err != nil {
		t.Fatal(err)
	}
	if err := s.Backup(t.Context(), backup); !errors.Is(err, fs.ErrExist) {
		t.Errorf("over a file: got %v, want %v", err, fs.ErrExist)
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Backup(cancelled, backup+"2"); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: got %v, want %v", err, context.Canceled)
	}
	if _, err := os.Stat(backup + "2"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("half a backup: got %v, want %v", err, fs.ErrNotExist)
	}
	stop()
	writers.Wait()
	copied := reopenTest(t, backup, session.NewClock())
	for client := range 4 {
		a, errA := get(copied, fmt.Sprint("a", client))
		b, errB := get(copied, fmt.Sprint("b", client))
		if errA != nil || errB != nil || a < b || a == "" {
			t.Errorf("got %q and %q, %v, %v, want the first not behind the second", a, b, errA, errB)
		}
	}
	closeTest(t, d)
	if err := s.Backup(t.Context(), backup+"3"); !errors.Is(err, session.ErrClosed) {
		t.Errorf("closed: got %v, want %v", err, session.ErrClosed)
	}
}

// A backup reads one state for minutes. The writer does not wait for it, however long the log
// grows.
func TestLongReadHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	d, err := openDB(filepath.Join(t.TempDir(), "sessions.db"), Options{}, session.NewClock())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	if err := put(d, "a", "b"); err != nil {
		t.Fatal(err)
	}
	err = d.View(t.Context(), func(tx session.Tx) error {
		if _, err := tx.Get([]byte("a")); err != nil { // the state is that of now
			return err
		}
		if err := put(d, "a", "c"); err != nil {
			return err
		}
		d.writing.Lock() // as the upkeep does
		defer d.writing.Unlock()
		begin := time.Now()
		_, _, err := d.moveWrites("RESTART")
		if took := time.Since(begin); took > time.Second {
			t.Errorf("a checkpoint held the writer up for %v", took)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestExpiryGoesInSmallSteps(t *testing.T) {
	t.Parallel()
	wall, elapsed := time.Now(), time.Duration(0)
	clock := session.NewClockOf(func() time.Time { return wall.Add(elapsed) }, func() time.Duration { return elapsed })
	file := filepath.Join(t.TempDir(), "sessions.db")
	d, err := openDB(file, Options{}, clock)
	if err != nil {
		t.Fatal(err)
	}
	const batches, each = 20, 500
	for b := range batches {
		err := d.Update(t.Context(), func(tx session.Tx) error {
			for i := range each {
				if err := tx.Put([]byte(fmt.Sprint(b, "-", i)), make([]byte, 700), wall.Add(time.Hour)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	elapsed = 2 * time.Hour
	last := batches * each
	for more, steps := true, 0; more; steps++ {
		if more, err = d.sweep(); err != nil {
			t.Fatal(err)
		}
		left := count(t, d)
		if last-left > sweepStep {
			t.Fatalf("a step removed %d records, want %d at most", last-left, sweepStep)
		}
		if last = left; steps > 1000 {
			t.Fatal("it does not end")
		}
	}
	if last != 0 {
		t.Errorf("got %d records left, want 0", last)
	}
	closeTest(t, d)
	if info, err := os.Stat(file); err != nil || info.Size() > 1<<20 {
		t.Errorf("got %d bytes, %v, want 1 MiB or less", info.Size(), err)
	}
}

func count(t *testing.T, d *db) (n int) {
	t.Helper()
	err := d.View(t.Context(), func(tx session.Tx) error {
		n = 0
		return tx.Scan(nil, nil, func(_, _ []byte) error { n++; return nil })
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}
