// What is left of records that were removed.

package sqlitestore

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-wechat/wechatauth/session"
)

// Somebody who was erased must not be found by who gets hold of the files, while the store is open:
// neither in the log of last writes nor in pages that became free.
func TestFilesKeepNothingOfWhatWasRemoved(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "sessions.db")
	d, err := openDB(file, Options{}, session.NewClock())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeTest(t, d) })
	const records = 500
	for i := range records {
		if err := put(d, fmt.Sprint(i), strings.Repeat("13800138000", 60)); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 { // a step of the upkeep with writes, and one without
		if err := d.checkpoint(); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Contains(filesOf(t, file), []byte("13800138000")) {
		t.Fatal("got no record in the files, want all")
	}
	for i := range records {
		err := d.Update(t.Context(), func(tx session.Tx) error { return tx.Delete([]byte(fmt.Sprint(i))) })
		if err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if err := d.checkpoint(); err != nil {
			t.Fatal(err)
		}
	}
	if n := bytes.Count(filesOf(t, file), []byte("13800138000")); n > 0 {
		t.Errorf("got %d traces of what was removed, want none", n)
	}
}

// filesOf returns the content of the file and of the log of last writes.
func filesOf(t *testing.T, file string) (all []byte) {
	t.Helper()
	for _, suffix := range []string{"", "-wal"} {
		text, err := os.ReadFile(file + suffix)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, text...)
	}
	return all
}
