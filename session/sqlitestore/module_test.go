// The version of the C library that SQLite's module was translated with.

package sqlitestore

import (
	"encoding/json"
	"os"
	"os/exec"
	"regexp"
	"testing"
)

// modernc.org/sqlite works with the very version of modernc.org/libc that its go.mod names. Where
// this fails, another module asks for a later one: move both, or pin it by a replace in go.mod.
func TestLibraryIsTheOneThatSQLiteNames(t *testing.T) {
	t.Parallel()
	used := module(t, "modernc.org/libc")
	named, err := os.ReadFile(module(t, "modernc.org/sqlite").GoMod)
	if err != nil {
		t.Fatal(err)
	}
	want := regexp.MustCompile(`modernc.org/libc (\S+)`).FindSubmatch(named)
	if want == nil || string(want[1]) != used.Version {
		t.Errorf("got modernc.org/libc %s, want %s", used.Version, want[1])
	}
}

type moduleInfo struct{ Version, GoMod string }

func module(t *testing.T, path string) (m moduleInfo) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-json", path).Output()
	if err == nil {
		err = json.Unmarshal(out, &m)
	}
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	return m
}
