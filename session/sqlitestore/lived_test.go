// Processes that begin with a wrong clock.

package sqlitestore

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/session"
)

// process opens the file with a clock that is wrong from the start on. It returns the clock's pass.
func process(t *testing.T, file string, at time.Time, wrong time.Duration) (d *db, pass func(time.Duration)) {
	t.Helper()
	elapsed := 1000 * time.Hour // of the machine
	begin := elapsed
	d, err := openDB(file, Options{}, session.NewClockOf(
		func() time.Time { return at.Add(wrong + elapsed - begin) }, func() time.Duration { return elapsed }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d, func(d time.Duration) { elapsed += d }
}

func recordsLeft(t *testing.T, d *db) (n int) {
	t.Helper()
	if err := d.pool.QueryRow("SELECT count(*) FROM records").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// A machine comes up with a clock that is ahead, which is set right a little later. What was needed
// before is needed again, and must not be gone.
func TestAProcessThatBeginsWithAClockAheadRemovesNothing(t *testing.T) {
	t.Parallel()
	for _, wrong := range []time.Duration{time.Hour, 24 * time.Hour, 365 * 24 * time.Hour, -24 * time.Hour} {
		t.Run(wrong.String(), func(t *testing.T) {
			t.Parallel()
			file, at := filepath.Join(t.TempDir(), "sessions.db"), time.Now()
			first, _ := process(t, file, at, 0)
			err := first.Update(t.Context(), func(tx session.Tx) error {
				return tx.Put([]byte("revocation"), []byte("x"), at.Add(30*time.Minute))
			})
			if err != nil {
				t.Fatal(err)
			}
			closeTest(t, first)
			for range 3 {
				second, pass := process(t, file, at, wrong)
				pass(8 * time.Minute)
				sweepAll(t, second)
				if got := recordsLeft(t, second); got != 1 {
					t.Errorf("got %d records after %v with a clock %v ahead, want the one that is needed", got, 8*time.Minute, wrong)
				}
				closeTest(t, second)
			}
			third, pass := process(t, file, at.Add(24*time.Minute), 0)
			if got := recordsLeft(t, third); got != 1 {
				t.Fatalf("got %d records with the right clock, want the one that is needed", got)
			}
			pass(31*time.Minute + max(0, -wrong)) // after a clock that was behind it takes as long
			if sweepAll(t, third); recordsLeft(t, third) != 0 {
				t.Error("what is over stays")
			}
		})
	}
}

// However short each process is, what is over goes in the end, and at once where one has been at
// work for a day.
func TestWhatIsOverGoesAlthoughProcessesAreShort(t *testing.T) {
	t.Parallel()
	file, at := filepath.Join(t.TempDir(), "sessions.db"), time.Now()
	first, _ := process(t, file, at, 0)
	if err := put(first, "x", "x"); err != nil { // for an hour
		t.Fatal(err)
	}
	closeTest(t, first)
	for range 5 {
		at = at.Add(24 * time.Hour) // there was none for most of it
		d, pass := process(t, file, at, 0)
		pass(15 * time.Minute)
		sweepAll(t, d)
		if recordsLeft(t, d) == 0 {
			closeTest(t, d)
			break
		}
		closeTest(t, d)
	}
	last, pass := process(t, file, at, 0)
	if got := recordsLeft(t, last); got != 0 {
		t.Errorf("got %d records after an hour in parts, want none", got)
	}
	if err := put(last, "y", "y"); err != nil {
		t.Fatal(err)
	}
	pass(session.RecordMargin)
	if got := last.lived.over(); !got.Equal(last.clock.Over()) {
		t.Errorf("got the time %v after a day, want the clock's %v", got, last.clock.Over())
	}
}
