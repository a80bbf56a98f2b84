// The file as other users and programs of a Unix machine see it.

//go:build unix

package sqlitestore

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-wechat/wechatauth/session"
)

// Phones are in the file: nobody else may read it, also where it was readable before.
func TestFilesAreForTheirOwnerAlone(t *testing.T) {
	t.Parallel()
	d, file := openTest(t, session.NewClock())
	closeTest(t, d)
	if err := os.Chmod(file, 0o666); err != nil {
		t.Fatal(err)
	}
	d = reopenTest(t, file, session.NewClock())
	if err := put(d, "a", "b"); err != nil {
		t.Fatal(err)
	}
	if err := d.backup(t.Context(), file+".copy"); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]fs.FileMode{
		"": 0o600, "-wal": 0o600, "-shm": 0o600, ".lock": 0o600, ".copy": 0o600, "/..": 0o700 | fs.ModeDir,
	} {
		path := file + name
		if name == "/.." {
			path = filepath.Dir(file)
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode() != want {
			t.Errorf("%s: got mode %v, want %v", path, info.Mode(), want)
		}
	}
}

// sqlite3 looks in while the store is used, and harms nothing; neither does a part of this very
// process that opens and closes the file, which takes POSIX locks away.
func TestOthersMayLookIn(t *testing.T) {
	t.Parallel()
	program, err := exec.LookPath("sqlite3")
	if err != nil {
		t.Fatal("install sqlite3, or run scripts/needs.sh")
	}
	d, file := openTest(t, session.NewClock())
	for i := range 50 {
		if err := put(d, fmt.Sprint(i), "plain"); err != nil {
			t.Fatal(err)
		}
		if i%10 != 5 {
			continue
		}
		if _, err := os.ReadFile(file); err != nil {
			t.Fatal(err)
		}
		out, err := exec.CommandContext(t.Context(), program, file,
			"PRAGMA integrity_check; SELECT count(*), CAST(value AS TEXT) FROM records;").CombinedOutput()
		if want := fmt.Sprintf("ok\n%d|plain", i+1); err != nil || strings.TrimSpace(string(out)) != want {
			t.Fatalf("got %q, %v, want %q", out, err, want)
		}
		if _, err := os.Stat(file + "-wal"); err != nil {
			t.Fatalf("sqlite3 took the store for ended: %v", err)
		}
	}
	closeTest(t, d)
	d = reopenTest(t, file, session.NewClock())
	for i := range 50 {
		if value, err := get(d, fmt.Sprint(i)); err != nil || value != "plain" {
			t.Fatalf("record %d: got %q, %v, want plain", i, value, err)
		}
	}
}
