package session_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/session"
	"github.com/caddy-wechat/wechatauth/session/sessiontest"
)

func TestBoltKeepsTheContract(t *testing.T) {
	t.Parallel()
	sessiontest.Run(t, func(t *testing.T) sessiontest.Fixture {
		t.Helper()
		file := filepath.Join(t.TempDir(), "sessions.db")
		store := openBolt(t, file)
		return sessiontest.Fixture{
			Store: store,
			Reopen: func(t *testing.T) session.Store {
				t.Helper()
				if err := store.Close(); err != nil {
					t.Fatal(err)
				}
				return openBolt(t, file)
			},
		}
	})
}

func openBolt(t *testing.T, file string) session.Store {
	t.Helper()
	store, err := session.OpenBolt(file, session.BoltOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	return store
}

func openBoltDB(t *testing.T, file string, now func() time.Time) *session.BoltDB {
	t.Helper()
	db, err := session.OpenBoltDB(file, session.BoltOptions{Now: now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// newBoltDB opens one in a folder of its own.
func newBoltDB(t *testing.T) *session.BoltDB {
	t.Helper()
	return openBoltDB(t, filepath.Join(t.TempDir(), "sessions.db"), nil)
}

func put(t *testing.T, db session.DB, key, value string, expires time.Time) {
	t.Helper()
	err := db.Update(t.Context(), func(tx session.Tx) error { return tx.Put([]byte(key), []byte(value), expires) })
	if err != nil {
		t.Fatal(err)
	}
}

// get returns a value, and "none" for none.
func get(t *testing.T, db session.DB, key string) (value string) {
	t.Helper()
	err := db.View(t.Context(), func(tx session.Tx) error {
		v, err := tx.Get([]byte(key))
		value = string(v)
		if v == nil {
			value = "none"
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return value
}

func TestBoltFileIsItsOwnersAlone(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no modes")
	}
	folder := filepath.Join(t.TempDir(), "made", "by", "us")
	file := filepath.Join(folder, "sessions.db")
	if err := openBolt(t, file).Close(); err != nil {
		t.Fatal(err)
	}
	wantMode(t, folder, 0o700)
	wantMode(t, file, 0o600)

	if err := os.Chmod(file, 0o644); err != nil { // as a backup tool may leave it
		t.Fatal(err)
	}
	openBolt(t, file)
	wantMode(t, file, 0o600)
}

func wantMode(t *testing.T, path string, want os.FileMode) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode().Perm(); got != want {
		t.Errorf("%s: got mode %o, want %o", filepath.Base(path), got, want)
	}
}

func TestBoltRefusesWhatItCannotServe(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		make func(t *testing.T, file string) error
		want string
	}{
		{"held by another", func(t *testing.T, file string) error {
			t.Helper()
			openBolt(t, file)
			return nil
		}, "is in use"},
		{"a newer format", func(t *testing.T, file string) error {
			t.Helper()
			openBolt(t, file).Close()
			return session.WriteFormat(file, "3")
		}, `format "3"`},
		{"a foreign database", func(_ *testing.T, file string) error {
			return session.WriteForeign(file)
		}, "something else"},
		{"no database", func(_ *testing.T, file string) error {
			return os.WriteFile(file, bytes.Repeat([]byte("no database\n"), 2000), 0o600)
		}, "is not a session store"},
		{"a few bytes", func(_ *testing.T, file string) error {
			return os.WriteFile(file, []byte("x"), 0o600)
		}, "is not a session store"},
		{"a folder", func(_ *testing.T, file string) error {
			return os.Mkdir(file, 0o700)
		}, "folder|directory|regular"},
		{"an end cut off", func(t *testing.T, file string) error {
			t.Helper()
			fillBolt(t, file)
			return os.Truncate(file, 5*4096)
		}, "is damaged"},
		{"all but the head overwritten", func(t *testing.T, file string) error {
			t.Helper()
			fillBolt(t, file)
			return overwrite(file, 2*os.Getpagesize())
		}, "is damaged"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "sessions.db")
			if err := test.make(t, file); err != nil {
				t.Fatal(err)
			}
			store, err := session.OpenBolt(file, session.BoltOptions{})
			if err == nil {
				store.Close()
				t.Fatal("it was opened")
			}
			if !strings.Contains(err.Error(), file) {
				t.Errorf("got %q, want it to name the file", err)
			}
			if want := strings.Split(test.want, "|"); !containsAny(err.Error(), want) {
				t.Errorf("got %q, want it to say %q", err, want)
			}
		})
	}
}

func containsAny(text string, parts []string) bool {
	for _, part := range parts {
		if strings.Contains(text, part) {
			return true
		}
	}
	return false
}

// fillBolt makes a store of some hundred pages.
func fillBolt(t *testing.T, file string) {
	t.Helper()
	db := openBoltDB(t, file, nil)
	for i := range 200 {
		put(t, db, fmt.Sprintf("key %04d", i), strings.Repeat("value", 500), time.Time{})
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// overwrite puts noise over all of a file from a place on.
func overwrite(file string, from int) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	for i := from; i < len(data); i++ {
		data[i] = byte(i*7 + 1)
	}
	return os.WriteFile(file, data, 0o600)
}

// TestBoltDamageIsAnError damages pages that opening does not read. Whatever they were: no call may
// panic, hang, or return another value than was put.
func TestBoltDamageIsAnError(t *testing.T) {
	t.Parallel()
	whole := filepath.Join(t.TempDir(), "whole.db")
	fillBolt(t, whole)
	data, err := os.ReadFile(whole)
	if err != nil {
		t.Fatal(err)
	}
	page := os.Getpagesize()
	failed := 0
	for at := 2; at < 40; at += 3 {
		file := filepath.Join(t.TempDir(), "sessions.db")
		damaged := bytes.Clone(data)
		for i := at * page; i < at*page+64; i++ {
			damaged[i] ^= 0x5a
		}
		if err := os.WriteFile(file, damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		db, err := session.OpenBoltDB(file, session.BoltOptions{})
		if err != nil {
			failed++
			continue
		}
		for i := range 200 {
			key := fmt.Appendf(nil, "key %04d", i)
			err := db.Update(t.Context(), func(tx session.Tx) error {
				if _, err := tx.Get(key); err != nil {
					return err
				}
				return tx.Put(key, []byte("new"), time.Now().Add(time.Hour))
			})
			if err != nil {
				failed++
			}
		}
		if err := db.Close(); err != nil {
			t.Logf("close: %v", err)
		}
	}
	if failed == 0 {
		t.Error("no damage was noticed")
	}
}

func TestBoltCloseWaitsForRunningWork(t *testing.T) {
	t.Parallel()
	db := newBoltDB(t)
	reading, writing, release := make(chan struct{}), make(chan struct{}), make(chan struct{})
	errs := make(chan error, 2)
	go func() {
		errs <- db.View(t.Context(), func(tx session.Tx) error {
			close(reading)
			<-release
			_, err := tx.Get([]byte("k"))
			return err
		})
	}()
	go func() {
		errs <- db.Update(t.Context(), func(tx session.Tx) error {
			close(writing)
			<-release
			return tx.Put([]byte("k"), []byte("v"), time.Time{})
		})
	}()
	<-reading
	<-writing
	closed := make(chan error, 2)
	go func() { closed <- db.Close() }()
	go func() { closed <- db.Close() }()

	nothing := func(session.Tx) error { return nil }
	for !errors.Is(db.View(t.Context(), nothing), session.ErrClosed) {
		runtime.Gosched() // until Close has begun
	}
	select {
	case err := <-closed:
		t.Errorf("Close returned before its time: %v", err)
	default:
	}
	close(release)
	for range 2 {
		if err := <-errs; err != nil {
			t.Errorf("work that had begun: %v", err)
		}
		if err := <-closed; err != nil {
			t.Errorf("close: %v", err)
		}
	}
	if err := db.Update(t.Context(), nothing); err != session.ErrClosed {
		t.Errorf("got %v, want ErrClosed", err)
	}
}

// TestBoltGrowsPastALongReader: bbolt maps a file anew when it outgrows its mapping, waits for all
// readers then, and lets none begin meanwhile.
func TestBoltGrowsPastALongReader(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("there the file would be as large as its mapping")
	}
	db := newBoltDB(t)
	put(t, db, "old", "seen", time.Time{})
	err := db.View(t.Context(), func(long session.Tx) error {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		for i := range 8 {
			err := db.Update(ctx, func(tx session.Tx) error {
				if err := tx.Put([]byte("old"), []byte("unseen"), time.Time{}); err != nil {
					return err
				}
				return tx.Put([]byte{byte(i)}, make([]byte, 1<<20), time.Time{})
			})
			if err != nil {
				return err
			}
			if got := get(t, db, "old"); got != "unseen" {
				t.Errorf("a new reader got %q, want the new value", got)
			}
		}
		if v, err := long.Get([]byte("old")); err != nil || string(v) != "seen" {
			t.Errorf("the long reader got %q, %v, want the value of its beginning", v, err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
