package session_test

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/session"
)

// killed returns a copy of the files of a store that runs, as they were left if its process died now.
func killed(t *testing.T, db *session.BoltDB, file string) string {
	t.Helper()
	target := filepath.Join(t.TempDir(), "sessions.db")
	err := db.Update(t.Context(), func(session.Tx) error { // nothing is written to the journal meanwhile
		db.Still(func() { copyStore(t, file, target) })
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return target
}

// copyStore copies a bolt file and, behind it, its journal.
func copyStore(t testing.TB, file, target string) {
	t.Helper()
	copyFile(t, file, target)
	for i, journal := range session.BoltJournals(file) {
		copyFile(t, journal, session.BoltJournals(target)[i])
	}
}

func copyFile(t testing.TB, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// threeUpdates makes a store with "one", "two" and "three" in its journal, and returns where the frame of
// "three" begins and ends.
func threeUpdates(t *testing.T) (file, journal string, begin, end int64) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "sessions.db")
	db := openBoltDB(t, file, nil)
	put(t, db, "one", "1", time.Time{})
	put(t, db, "two", "2", time.Now().Add(time.Hour))
	_, begin = db.JournalEnd()
	put(t, db, "three", "3", time.Time{})
	_, end = db.JournalEnd()
	file = killed(t, db, file)
	for _, name := range session.BoltJournals(file) {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if len(data) > 0 {
			journal = name
		}
	}
	return file, journal, begin, end
}

// wantOpen opens a store and wants values in it; "none" is none.
func wantOpen(t *testing.T, file string, want map[string]string) {
	t.Helper()
	db, err := session.OpenBoltDB(file, session.BoltOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for key, value := range want {
		if got := get(t, db, key); got != value {
			t.Errorf("%s: got %q, want %q", key, got, value)
		}
	}
	if _, err := db.CheckIndex(); err != nil {
		t.Error(err)
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}

func TestBoltJournalMayEndAnywhere(t *testing.T) {
	t.Parallel()
	file, journal, begin, end := threeUpdates(t)
	whole, err := os.ReadFile(journal)
	if err != nil {
		t.Fatal(err)
	}
	replayed := filepath.Join(t.TempDir(), "replayed.db")
	noise := bytes.Repeat([]byte{0x5a}, int(end-begin))
	for at := begin; at < end; at++ {
		torn := [][]byte{
			whole[:at], // the file ends
			append(bytes.Clone(whole[:at]), make([]byte, 5000)...),
			append(bytes.Clone(whole[:at]), noise...),
			append(append(bytes.Clone(whole[:begin]), noise[:at-begin+1]...), whole[at+1:]...),
		}
		for i, data := range torn {
			got, err := session.ReplayJournal(replayed, data)
			if want := map[string]string{"one": "1", "two": "2"}; err != nil || !maps.Equal(got, want) {
				t.Fatalf("byte %d, %d: got %v, %v, want %v", at, i, got, err, want)
			}
			if at%8 != int64(i) {
				continue // each takes a while
			}
			if err := os.WriteFile(journal, data, 0o600); err != nil {
				t.Fatal(err)
			}
			target := filepath.Join(t.TempDir(), "sessions.db")
			copyStore(t, file, target)
			db := openBoltDB(t, target, nil)
			put(t, db, "four", "4", time.Time{})
			want := map[string]string{"one": "1", "two": "2", "three": "none", "four": "4"}
			wantOpen(t, killed(t, db, target), want)
			db.Close()
		}
	}
}

func TestBoltJournalDamageIsNoticed(t *testing.T) {
	t.Parallel()
	file, journal, begin, end := threeUpdates(t)
	whole, err := os.ReadFile(journal)
	if err != nil {
		t.Fatal(err)
	}
	for at := range end {
		if at >= begin && at%5 != 0 {
			continue // each takes a while
		}
		damaged := bytes.Clone(whole)
		damaged[at] ^= 0x10
		if err := os.WriteFile(journal, damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		db, err := session.OpenBoltDB(file, session.BoltOptions{})
		if at < begin {
			if err == nil || !strings.Contains(err.Error(), journal+" is damaged") {
				t.Fatalf("byte %d: got %v, want an error that names the journal", at, err)
			}
			continue
		}
		if err != nil { // it looks like one whose writing was interrupted
			t.Fatalf("byte %d: %v", at, err)
		}
		if one, three := get(t, db, "one"), get(t, db, "three"); one != "1" || three != "none" {
			t.Fatalf("byte %d: got %q and %q", at, one, three)
		}
		target := killed(t, db, file)
		db.Close()
		wantOpen(t, file, map[string]string{"two": "2", "three": "none"})
		file, journal = target, session.BoltJournals(target)[journalIndex(journal)]
	}
}

// journalIndex tells which of its files a journal's name is.
func journalIndex(name string) int {
	if strings.HasSuffix(name, "a") {
		return 0
	}
	return 1
}

func TestBoltFileAndJournalBelongTogether(t *testing.T) {
	t.Parallel()
	const foreign, missing = "does not belong to", "is missing"
	tests := []struct {
		name string
		make func(t *testing.T, file string) // from a store with "one" in its journal
		want string                          // of the error; "" is a store with "one", "-" one without
	}{
		{"as they were", func(*testing.T, string) {}, ""},
		{"no journal", func(t *testing.T, file string) {
			t.Helper()
			remove(t, session.BoltJournals(file)...)
		}, missing},
		{"half a journal", func(t *testing.T, file string) {
			t.Helper()
			remove(t, session.BoltJournals(file)[0])
		}, missing},
		{"an empty journal", func(t *testing.T, file string) {
			t.Helper()
			for _, name := range session.BoltJournals(file) {
				if err := os.Truncate(name, 0); err != nil {
					t.Fatal(err)
				}
			}
		}, "-"},
		{"no file", func(t *testing.T, file string) {
			t.Helper()
			remove(t, file)
		}, foreign},
		{"another file", func(t *testing.T, file string) {
			t.Helper()
			other, _, _, _ := threeUpdates(t)
			copyFile(t, other, file)
		}, foreign},
		{"a file from before", func(t *testing.T, file string) {
			t.Helper()
			backup := filepath.Join(t.TempDir(), "backup")
			wantOpen(t, file, nil) // and closed
			copyFile(t, file, backup)
			db := openBoltDB(t, file, nil)
			put(t, db, "two", "2", time.Time{})
			target := killed(t, db, file)
			db.Close()
			copyStore(t, target, file)
			copyFile(t, backup, file)
		}, foreign},
		{"files that changed places", func(t *testing.T, file string) {
			t.Helper()
			names := session.BoltJournals(file)
			for _, pair := range [][2]string{{names[0], "tmp"}, {names[1], names[0]}, {"tmp", names[1]}} {
				from, to := pair[0], pair[1]
				for _, name := range []*string{&from, &to} {
					if *name == "tmp" {
						*name = file + ".tmp"
					}
				}
				if err := os.Rename(from, to); err != nil {
					t.Fatal(err)
				}
			}
		}, foreign},
		{"no journal at all", func(t *testing.T, file string) {
			t.Helper()
			for _, name := range session.BoltJournals(file) {
				if err := os.WriteFile(name, bytes.Repeat([]byte("text"), 100), 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}, "is damaged"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "sessions.db")
			db := openBoltDB(t, file, nil)
			put(t, db, "one", "1", time.Time{})
			file = killed(t, db, file)
			test.make(t, file)
			switch test.want {
			case "":
				wantOpen(t, file, map[string]string{"one": "1"})
				return
			case "-":
				wantOpen(t, file, map[string]string{"one": "none"})
				return
			}
			db, err := session.OpenBoltDB(file, session.BoltOptions{})
			if err == nil {
				db.Close()
				t.Fatal("it was opened")
			}
			if !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), file) {
				t.Errorf("got %q, want it to say %q", err, test.want)
			}
		})
	}
}

func remove(t *testing.T, files ...string) {
	t.Helper()
	for _, file := range files {
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
	}
}

func TestBoltFileIsCompleteAfterClose(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "sessions.db")
	want := map[string]string{}
	db := openBoltDB(t, file, nil)
	for i := range 300 {
		key := fmt.Sprintf("key %d", i)
		put(t, db, key, key, time.Time{})
		want[key] = key
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	for _, journal := range session.BoltJournals(file) {
		if _, err := os.Stat(journal); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: got %v, want no such file", journal, err)
		}
	}
	if got, err := session.ReadFormat(file); err != nil || got != "1" {
		t.Errorf("got format %q, %v, want 1: programs without a journal may open it", got, err)
	}
	target := filepath.Join(t.TempDir(), "copy.db")
	copyFile(t, file, target)
	wantOpen(t, target, want)

	db = openBoltDB(t, file, nil)
	if got, err := session.ReadFormat(killed(t, db, file)); err != nil || got != "2" {
		t.Errorf("got format %q, %v, want 2 while there is a journal", got, err)
	}
}

// A stop that is interrupted, and a start: the journal is empty, and the bolt file knows of it or not.
func TestBoltJournalMayBeLeftEmpty(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "sessions.db")
	db := openBoltDB(t, file, nil)
	put(t, db, "k", "v", time.Time{})
	if err := db.Merge(); err != nil {
		t.Fatal(err)
	}
	target := killed(t, db, file)
	for _, journal := range session.BoltJournals(target) {
		if err := os.Truncate(journal, 0); err != nil {
			t.Fatal(err)
		}
	}
	wantOpen(t, target, map[string]string{"k": "v"})
	for _, journal := range session.BoltJournals(target) {
		if err := os.WriteFile(journal, make([]byte, 5000), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	wantOpen(t, target, map[string]string{"k": "v"})
}
