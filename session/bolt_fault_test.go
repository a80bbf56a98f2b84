package session_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/session"
)

var errDisk = errors.New("the disk fails")

// TestBoltJournalThatFailsIsAnError: whose write failed gets an error, sees nothing of it, now or after
// a kill, and the store goes on as soon as the disk does.
func TestBoltJournalThatFailsIsAnError(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name        string
		write, sync error
		first       bool // nothing was written before
	}{
		{"write", errDisk, nil, false},
		{"sync", nil, errDisk, false},
		{"both", errDisk, errDisk, false},
		{"the first write", errDisk, nil, true},
		{"the first sync", nil, errDisk, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "sessions.db")
			db := openBoltDB(t, file, nil)
			want := map[string]string{}
			if !test.first {
				put(t, db, "before", "v", time.Time{})
				want["before"] = "v"
			}
			for i := range 3 {
				if err := db.BreakJournal(test.write, test.sync); err != nil {
					t.Fatal(err)
				}
				var wg sync.WaitGroup
				for _, key := range []string{"lost", "lost, too", "before"} {
					wg.Go(func() {
						if err := db.Update(t.Context(), putter(key, "w")); !errors.Is(err, errDisk) {
							t.Errorf("got %v, want the disk's error", err)
						}
					})
				}
				wg.Wait()
				wantContents(t, db, want)
				if test.write == nil { // then zeros got there
					wantContents(t, openBoltDB(t, killed(t, db, file), nil), want)
				}
				if err := db.BreakJournal(nil, nil); err != nil {
					t.Fatal(err)
				}
				put(t, db, fmt.Sprintf("after %d", i), "v", time.Time{})
				want[fmt.Sprintf("after %d", i)] = "v"
				wantContents(t, db, want)
				wantContents(t, openBoltDB(t, killed(t, db, file), nil), want)
			}
			wantRecords(t, db, len(want))
		})
	}
}

func putter(key, value string) func(session.Tx) error {
	return func(tx session.Tx) error { return tx.Put([]byte(key), []byte(value), time.Time{}) }
}

// TestBoltForgetsAFailedFrameOverAGeneration: what failed at the end of a generation stays on the disk,
// valid as it may be, and the next generation says that it does not count.
func TestBoltForgetsAFailedFrameOverAGeneration(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "sessions.db")
	db := openBoltDB(t, file, nil)
	put(t, db, "k", "good", time.Time{})
	if err := db.LoseSync(errDisk); err != nil {
		t.Fatal(err)
	}
	if err := db.Update(t.Context(), putter("k", "failed")); !errors.Is(err, errDisk) {
		t.Fatalf("got %v, want the disk's error", err)
	}
	if err := db.BreakJournal(nil, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := db.MergeSome(0); err != nil {
		t.Fatal(err)
	}
	put(t, db, "other", "v", time.Time{})
	wantOpen(t, killed(t, db, file), map[string]string{"k": "good", "other": "v"})
}

// TestBoltCopyAtAnyMomentHasWhatWasAcknowledged copies the files while updates go on, as a kill would
// leave them.
func TestBoltCopyAtAnyMomentHasWhatWasAcknowledged(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "sessions.db")
	db := openSmall(t, file, nil)
	const clients = 8
	var acknowledged [clients]atomic.Int64
	var ended atomic.Bool
	var wg sync.WaitGroup
	for c := range clients {
		wg.Go(func() {
			for i := int64(1); !ended.Load(); i++ {
				err := db.Update(t.Context(), putter(fmt.Sprintf("client %d", c), fmt.Sprint(i)))
				if err != nil {
					t.Error(err)
					return
				}
				acknowledged[c].Store(i)
			}
		})
	}
	for range 25 {
		var before [clients]int64
		for c := range clients {
			before[c] = acknowledged[c].Load()
		}
		copied := openBoltDB(t, killed(t, db, file), nil)
		for c, want := range before {
			value := get(t, copied, fmt.Sprintf("client %d", c))
			var got int64
			if _, err := fmt.Sscan(value, &got); got < want || err != nil && want > 0 {
				t.Errorf("client %d: got %q, want at least %d", c, value, want)
			}
		}
		if err := copied.Close(); err != nil {
			t.Error(err)
		}
	}
	ended.Store(true)
	wg.Wait()
}
