package session_test

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"
)

// TestBoltUpdatesFailWhenTheMergerCannotGoOn: the journal takes what it has room for, then updates tell
// why there is none, until there is.
func TestBoltUpdatesFailWhenTheMergerCannotGoOn(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "sessions.db")
	db := openSmall(t, file, nil)
	repair, err := db.BreakMerge()
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{}
	for i := 0; ; i++ {
		if i == 10_000 {
			t.Fatal("the journal has no end")
		}
		key := fmt.Sprintf("key %d", i)
		if err = db.Update(t.Context(), putter(key, "value")); err != nil {
			break
		}
		want[key] = "value"
	}
	t.Logf("after %d updates: %v", len(want), err)
	wantContents(t, db, want)
	if err := repair(); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(time.Minute)
	for db.Update(t.Context(), putter("again", "value")) != nil && time.Now().Before(deadline) {
		time.Sleep(10 * time.Millisecond) // the merger tries again by the clock
	}
	want["again"] = "value"
	wantContents(t, db, want)
	wantRecords(t, db, len(want))
}
