package session_test

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/session"
)

// boltClock is a time that only moves when it is told to.
type boltClock struct{ at atomic.Int64 }

func newBoltClock() *boltClock {
	c := &boltClock{}
	c.at.Store(time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC).Unix())
	return c
}

func (c *boltClock) now() time.Time          { return time.Unix(c.at.Load(), 0) }
func (c *boltClock) advance(d time.Duration) { c.at.Add(int64(d / time.Second)) }

// sweepAll takes steps until nothing is left to do, and returns how many.
func sweepAll(t *testing.T, db *session.BoltDB) (steps int) {
	t.Helper()
	for more := true; more; steps++ {
		var err error
		if more, err = db.Sweep(); err != nil {
			t.Fatal(err)
		}
	}
	return steps
}

func wantRecords(t *testing.T, db *session.BoltDB, want int) {
	t.Helper()
	if got, err := db.CheckIndex(); err != nil || got != want {
		t.Errorf("got %d records and %v, want %d and a good index", got, err, want)
	}
}

func TestBoltSweepsWhatExpired(t *testing.T) {
	t.Parallel()
	clock := newBoltClock()
	soon, late := clock.now().Add(time.Minute), clock.now().Add(time.Hour)
	tests := []struct {
		name  string
		puts  []time.Time
		after time.Duration
		want  bool // the record is still there
	}{
		{"never expires", []time.Time{{}}, 1e6 * time.Hour, true},
		{"not yet", []time.Time{soon}, 59 * time.Second, true},
		{"now", []time.Time{soon}, time.Minute, false},
		{"not within its last second", []time.Time{soon.Add(time.Millisecond)}, time.Minute, true},
		{"prolonged", []time.Time{soon, late}, 59 * time.Minute, true},
		{"prolonged, then over", []time.Time{soon, late}, time.Hour, false},
		{"prolonged twice", []time.Time{soon, late, late.Add(time.Hour)}, time.Hour, true},
		{"shortened", []time.Time{late, soon}, time.Minute, false},
		{"prolonged, then shortened", []time.Time{soon, late, late.Add(-time.Minute)}, 58 * time.Minute, true},
		{"made to stay", []time.Time{soon, {}}, 1e6 * time.Hour, true},
		{"no longer made to stay", []time.Time{{}, soon}, time.Minute, false},
		{"long ago", []time.Time{time.Unix(-5, 0)}, 0, false},
		{"after all times", []time.Time{time.Unix(1<<40, 0)}, 1e6 * time.Hour, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			clock := newBoltClock()
			db := openBoltDB(t, filepath.Join(t.TempDir(), "sessions.db"), clock.now)
			for _, expires := range test.puts {
				put(t, db, "k", "v", expires)
				if test.after > 0 { // or it is over when it is merged
					wantRecords(t, db, 1)
				}
			}
			clock.advance(test.after)
			// Once more than needed, since the first one may only move an entry.
			sweepAll(t, db)
			sweepAll(t, db)
			if got := get(t, db, "k") == "v"; got != test.want {
				t.Errorf("got a record: %v, want %v", got, test.want)
			}
			if test.want {
				wantRecords(t, db, 1)
			} else {
				wantRecords(t, db, 0)
			}
		})
	}
}

func TestBoltSweepsInSmallSteps(t *testing.T) {
	t.Parallel()
	clock := newBoltClock()
	db := openBoltDB(t, filepath.Join(t.TempDir(), "sessions.db"), clock.now)
	const records = 5*session.BoltSweepStep + 1
	err := db.Update(t.Context(), func(tx session.Tx) error {
		for i := range records {
			if err := tx.Put(fmt.Appendf(nil, "%d", i), []byte("v"), clock.now().Add(time.Minute)); err != nil {
				return err
			}
		}
		return tx.Put([]byte("other"), []byte("v"), clock.now().Add(time.Hour))
	})
	if err != nil {
		t.Fatal(err)
	}
	wantRecords(t, db, records+1)
	clock.advance(time.Minute)
	if _, err := db.Sweep(); err != nil {
		t.Fatal(err)
	}
	wantRecords(t, db, records+1-session.BoltSweepStep)
	if got := sweepAll(t, db); got != 5 {
		t.Errorf("got %d more steps, want 5", got)
	}
	wantRecords(t, db, 1)

	before := db.Commits()
	sweepAll(t, db)
	if got := db.Commits() - before; got != 0 {
		t.Errorf("got %d commits of a sweeper without work, want none", got)
	}
}

// TestBoltIndexAgreesWithAModel does a thousand random things and compares all with a plain map.
func TestBoltIndexAgreesWithAModel(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	clock := newBoltClock()
	db := openBoltDB(t, filepath.Join(t.TempDir(), "sessions.db"), clock.now)
	model := map[string]time.Time{}
	for range 100 {
		err := db.Update(t.Context(), func(tx session.Tx) error {
			for range random.IntN(20) {
				key := fmt.Sprintf("k%d", random.IntN(50))
				if random.IntN(4) == 0 {
					delete(model, key)
					if err := tx.Delete([]byte(key)); err != nil {
						return err
					}
					continue
				}
				expires := clock.now().Add(time.Duration(1+random.IntN(100)) * time.Second)
				if random.IntN(10) == 0 {
					expires = time.Time{}
				}
				model[key] = expires
				if err := tx.Put([]byte(key), []byte(key), expires); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		clock.advance(time.Duration(random.IntN(30)) * time.Second)
		sweepAll(t, db)
		for key, expires := range model {
			if !expires.IsZero() && !clock.now().Before(expires) {
				delete(model, key)
			}
		}
		wantRecords(t, db, len(model))
		for key := range model {
			if got := get(t, db, key); got != key {
				t.Fatalf("%s: got %q", key, got)
			}
		}
	}
}
