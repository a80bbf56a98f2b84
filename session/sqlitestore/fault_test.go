// Crashes, damage, and files that are not the store's.

package sqlitestore

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/session"
)

func put(d *db, key, value string) error {
	return d.Update(context.Background(), func(tx session.Tx) error {
		return tx.Put([]byte(key), []byte(value), time.Now().Add(time.Hour))
	})
}

func get(d *db, key string) (value string, err error) {
	err = d.View(context.Background(), func(tx session.Tx) error {
		got, err := tx.Get([]byte(key))
		value = string(got)
		return err
	})
	return value, err
}

// A process is killed while 16 clients write, time after time. What it had acknowledged is there.
func TestKillLosesNothing(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "sessions.db")
	var acknowledged []string
	for round := range 6 {
		cmd, out := start(t, "write", file)
		for n := 0; n < 200+300*round && out.Scan(); n++ {
			acknowledged = append(acknowledged, out.Text())
		}
		time.Sleep(time.Duration(rand.IntN(20)) * time.Millisecond)
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		for out.Scan() {
			acknowledged = append(acknowledged, out.Text())
		}
	}
	d := reopenTest(t, file, session.NewClock())
	for _, key := range acknowledged {
		if !strings.Contains(key, "-") {
			t.Fatalf("a writer says %s", key)
		}
		if value, err := get(d, key); err != nil || value != strings.Repeat(key, 50) {
			t.Fatalf("%s: got %.20q, %v, want what was written", key, value, err)
		}
	}
	t.Logf("%d acknowledged updates", len(acknowledged))
}

// Random bytes in random pages: what is read is right, or missing, or an error that says what to
// do.
func TestDamageIsNeverAWrongValue(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	original := filepath.Join(folder, "sessions.db")
	d := reopenTest(t, original, session.NewClock())
	const records, rounds = 2000, 24
	value := func(i int) string { return strings.Repeat(fmt.Sprint(i, " "), 50+i%100) }
	err := d.Update(t.Context(), func(tx session.Tx) error {
		for i := range records {
			if err := tx.Put([]byte(fmt.Sprint(i)), []byte(value(i)), time.Now().Add(time.Hour)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	closeTest(t, d)
	whole, err := os.ReadFile(original)
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(7, 7))
	told, missing := 0, 0
	for round := range rounds {
		broken := bytes.Clone(whole)
		for range 1 + round%5 {
			at := random.IntN(len(broken) - 600)
			for i := range 1 + random.IntN(600) {
				broken[at+i] = byte(random.Uint32())
			}
		}
		if round%10 == 9 {
			broken = broken[:len(broken)/2/4096*4096]
		}
		file := filepath.Join(folder, fmt.Sprint(round, ".db"))
		if err := os.WriteFile(file, broken, 0o600); err != nil {
			t.Fatal(err)
		}
		d, err := openDB(file, Options{}, session.NewClock())
		if err != nil {
			told++
			continue
		}
		damage := error(nil)
		for i := range records {
			got, err := get(d, fmt.Sprint(i))
			switch {
			case err != nil:
				damage = err
			case got == "":
				missing++
			case got != value(i):
				t.Fatalf("round %d, record %d: got %.40q, want %.40q", round, i, got, value(i))
			}
		}
		if damage != nil {
			told++
			if !strings.Contains(damage.Error(), "restore a backup") {
				t.Errorf("got %v, want it to say what to do", damage)
			}
		}
		_ = d.Close()
	}
	t.Logf("of %d damaged files %d were told; %d of %d records missed", rounds, told, missing, rounds*records)
	if told < rounds/2 {
		t.Errorf("got damage told of %d files, want %d or more", told, rounds/2)
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name  string
		spoil func(file string) error
		want  string
	}{
		{"a newer format", execute("PRAGMA user_version = 3"), "newer version"},
		{"another program's database", execute("PRAGMA application_id = 77"), "another program"},
		{"a text", func(file string) error {
			return os.WriteFile(file, []byte(strings.Repeat("dear diary, ", 1000)), 0o600)
		}, "no session file"},
		{"a folder", func(file string) error {
			return os.Rename(filepath.Dir(file), file+"x")
		}, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			d, file := openTest(t, session.NewClock())
			closeTest(t, d)
			if row.want == "" {
				file = filepath.Dir(file)
			} else if err := row.spoil(file); err != nil {
				t.Fatal(err)
			}
			before, _ := os.ReadFile(file)
			_, err := openDB(file, Options{}, session.NewClock())
			if err == nil || !strings.Contains(err.Error(), row.want) || !strings.Contains(err.Error(), file) {
				t.Errorf("got %v, want %q and the file's name", err, row.want)
			}
			if after, _ := os.ReadFile(file); !bytes.Equal(before, after) {
				t.Error("the file was changed")
			}
			t.Log(err)
		})
	}
}

// execute changes a file as another program does.
func execute(text string) func(file string) error {
	return func(file string) error {
		pool, err := sql.Open("sqlite", address(file, nil))
		if err != nil {
			return err
		}
		defer pool.Close()
		_, err = pool.Exec(text)
		return err
	}
}

// Somebody has left sqlite3 in the middle of a change: all updates fail soon, and go on after it.
func TestForeignWriterDelaysNobodyForLong(t *testing.T) {
	t.Parallel()
	d, file := openTest(t, session.NewClock())
	pool, err := sql.Open("sqlite", address(file, nil))
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	pool.SetMaxOpenConns(1)
	if _, err := pool.Exec("BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			if err := put(d, fmt.Sprint(i), "x"); err == nil || !strings.Contains(err.Error(), "another program") {
				t.Errorf("got %v, want another program blamed", err)
			}
		})
	}
	all.Wait()
	if took := time.Since(begin); took > 15*time.Second {
		t.Errorf("20 updates took %v", took)
	}
	if _, err := pool.Exec("ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	if err := put(d, "after", "x"); err != nil {
		t.Error(err)
	}
}

// Two names of one file are one file.
func TestLockIsTheFilesNotItsNames(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	link := filepath.Join(folder, "link.db")
	d, file := openTest(t, session.NewClock())
	if err := os.Symlink(file, link); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Dir(file), filepath.Join(folder, "folder")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{file, link, filepath.Join(folder, "folder", "sessions.db")} {
		if _, err := Open(name, Options{Wait: -1}); err == nil || !strings.Contains(err.Error(), "in use") {
			t.Errorf("%s: got %v, want it in use", name, err)
		}
	}
	closeTest(t, d)
	reopenTest(t, link, session.NewClock())
}

// A server is replaced by another: the second waits for the first, and says so.
func TestSecondProcessWaits(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "sessions.db")
	first, out := start(t, "hold", file)
	if !out.Scan() || out.Text() != "open" {
		t.Fatalf("got %q, want open", out.Text())
	}
	pid := fmt.Sprint("process ", first.Process.Pid)
	var logged bytes.Buffer
	log := slog.New(slog.NewTextHandler(&logged, nil))
	_, err := Open(file, Options{Wait: 300 * time.Millisecond, Logger: log})
	if err == nil || !strings.Contains(err.Error(), pid) || !strings.Contains(err.Error(), "in use") {
		t.Errorf("got %v, want it to name %s", err, pid)
	}
	if got := logged.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, pid) || !strings.Contains(got, file) {
		t.Errorf("got the log %q, want one line that names %s", got, pid)
	}
	time.AfterFunc(200*time.Millisecond, func() { _ = first.Process.Kill() })
	s, err := Open(file, Options{Wait: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
