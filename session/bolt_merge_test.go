package session_test

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-wechat/wechatauth/session"
)

func openSmall(t *testing.T, file string, now func() time.Time) *session.BoltDB {
	t.Helper()
	db, err := session.OpenBoltDB(file, session.BoltOptions{Now: now}.SmallGenerations())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// contents returns all that is in a store.
func contents(t *testing.T, db *session.BoltDB) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := db.View(t.Context(), func(tx session.Tx) error {
		return tx.Scan(nil, func(key, value []byte) error {
			if _, twice := all[string(key)]; twice {
				t.Errorf("%s was passed twice", key)
			}
			all[string(key)] = string(value)
			return nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func wantContents(t *testing.T, db *session.BoltDB, want map[string]string) {
	t.Helper()
	if got := contents(t, db); !maps.Equal(got, want) {
		t.Fatalf("got %v, want %v", got, want)
	}
	for key, value := range want {
		if got := get(t, db, key); got != value {
			t.Fatalf("%s: got %q, want %q", key, got, value)
		}
	}
}

// TestBoltMayDieInEachStepOfAMerge looks at the files after each step, with a second generation begun.
func TestBoltMayDieInEachStepOfAMerge(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "sessions.db")
	db := openBoltDB(t, file, nil)
	want := map[string]string{}
	change := func(key, value string) {
		put(t, db, key, value, time.Now().Add(time.Hour))
		want[key] = value
	}
	for i := range 10 {
		change(fmt.Sprintf("key %d", i), "old")
	}
	if err := db.Merge(); err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		change(fmt.Sprintf("key %d", i), "new")
	}
	deleteKey(t, db, "key 3")
	delete(want, "key 3")
	for i, left := 0, true; left; i++ {
		var err error
		if left, err = db.MergeSome(3); err != nil {
			t.Fatal(err)
		}
		wantContents(t, db, want)
		change(fmt.Sprintf("key %d", 2*i), fmt.Sprintf("step %d", i))
		wantContents(t, db, want)
		copied := openBoltDB(t, killed(t, db, file), nil)
		wantContents(t, copied, want)
		wantRecords(t, copied, len(want))
		wantContents(t, copied, want)
	}
}

func deleteKey(t *testing.T, db session.DB, key string) {
	t.Helper()
	err := db.Update(t.Context(), func(tx session.Tx) error { return tx.Delete([]byte(key)) })
	if err != nil {
		t.Fatal(err)
	}
}

func TestBoltMergesWhenItIsQuiet(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "sessions.db")
	synctest.Test(t, func(t *testing.T) {
		db, err := session.OpenBoltDB(file, session.BoltOptions{})
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		put(t, db, "k", "v", time.Time{})
		if n := db.Unmerged(); n != 1 {
			t.Errorf("got %d records in the journal alone, want 1", n)
		}
		time.Sleep(3 * time.Second)
		if n := db.Unmerged(); n != 0 {
			t.Errorf("got %d records in the journal alone, want none after a while", n)
		}
		// Nor does a store in which something is written all the time wait for ever.
		for range 400 {
			put(t, db, "k", "v", time.Time{})
			time.Sleep(100 * time.Millisecond)
		}
		if before := db.Generation(); before < 3 {
			t.Errorf("got generation %d, want one that was begun meanwhile", before)
		}
		before := db.Commits()
		time.Sleep(time.Hour)
		if n := db.Commits() - before; n > 2 {
			t.Errorf("got %d commits in an hour without updates", n)
		}
	})
}

func TestBoltDoesNotSweepWhatTheJournalKnowsBetter(t *testing.T) {
	t.Parallel()
	clock := newBoltClock()
	db := openBoltDB(t, filepath.Join(t.TempDir(), "sessions.db"), clock.now)
	put(t, db, "prolonged", "v", clock.now().Add(time.Minute))
	put(t, db, "over", "v", clock.now().Add(time.Minute))
	wantRecords(t, db, 2)
	put(t, db, "prolonged", "w", clock.now().Add(time.Hour))
	put(t, db, "brief", "v", clock.now().Add(time.Minute))
	clock.advance(2 * time.Minute)
	if err := db.SweepOnly(); err != nil {
		t.Fatal(err)
	}
	if got := get(t, db, "prolonged"); got != "w" {
		t.Errorf("got %q, want the record that was prolonged", got)
	}
	if got := get(t, db, "over"); got != "none" {
		t.Errorf("got %q, want nothing of the record that is over", got)
	}
	wantRecords(t, db, 1) // the brief one never gets there
	if got := get(t, db, "brief"); got != "none" {
		t.Errorf("got %q, want nothing of the brief one", got)
	}
}

// TestBoltViewIsOneState moves units between many accounts while generations come and go.
func TestBoltViewIsOneState(t *testing.T) {
	t.Parallel()
	db := openSmall(t, filepath.Join(t.TempDir(), "sessions.db"), nil)
	const accounts, each = 20, 100
	for i := range accounts {
		put(t, db, fmt.Sprintf("a%02d", i), strconv.Itoa(each), time.Now().Add(time.Hour))
	}
	var ended atomic.Bool
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for !ended.Load() {
				sum := 0
				err := db.View(t.Context(), func(tx session.Tx) error {
					if rand.IntN(2) == 0 {
						return tx.Scan([]byte("a"), func(_, value []byte) error { return add(&sum, value) })
					}
					for i := range accounts {
						value, err := tx.Get(fmt.Appendf(nil, "a%02d", i))
						if err := errors.Join(err, add(&sum, value)); err != nil {
							return err
						}
					}
					return nil
				})
				if err != nil || sum != accounts*each {
					t.Errorf("got %d, %v, want %d", sum, err, accounts*each)
				}
			}
		})
	}
	var moves atomic.Int64
	var movers sync.WaitGroup
	for range 4 {
		movers.Go(func() {
			for moves.Add(1) < 1500 {
				if err := db.Update(t.Context(), move(accounts)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	movers.Wait()
	ended.Store(true)
	wg.Wait()
	if n := db.Generation(); n < 5 {
		t.Errorf("got generation %d, want a test that sees many", n)
	}
}

func add(sum *int, value []byte) error {
	n, err := strconv.Atoi(string(value))
	*sum += n
	return err
}

// move takes a unit from one account to another.
func move(accounts int) func(session.Tx) error {
	return func(tx session.Tx) error {
		for i, account := range rand.Perm(accounts)[:2] {
			key := fmt.Appendf(nil, "a%02d", account)
			value, err := tx.Get(key)
			if err != nil {
				return err
			}
			n := 2*i - 1
			if err := add(&n, value); err != nil {
				return err
			}
			if err := tx.Put(key, []byte(strconv.Itoa(n)), time.Now().Add(time.Hour)); err != nil {
				return err
			}
		}
		return nil
	}
}

// TestBoltLongViewOutlivesGenerations: the file that a view reads from is not written anew.
func TestBoltLongViewOutlivesGenerations(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "sessions.db")
	db := openSmall(t, file, nil)
	put(t, db, "old", "seen", time.Time{})
	err := db.View(t.Context(), func(long session.Tx) error {
		for i := range 600 {
			put(t, db, "old", fmt.Sprintf("unseen for a good while, %d", i), time.Time{})
			if v, err := long.Get([]byte("old")); err != nil || string(v) != "seen" {
				return fmt.Errorf("the long view got %q, %v, want the value of its beginning", v, err)
			}
		}
		wantOpen(t, killed(t, db, file), map[string]string{"old": "unseen for a good while, 599"})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if n := db.Generation(); n < 4 {
		t.Errorf("got generation %d, want a test that sees many", n)
	}
}

// TestBoltAgreesWithAModelOverKills does random things and goes on, again and again, with the files as
// they were when it was killed.
func TestBoltAgreesWithAModelOverKills(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	file := filepath.Join(t.TempDir(), "sessions.db")
	model := map[string]string{}
	for range 30 {
		db := openSmall(t, file, nil)
		wantContents(t, db, model)
		for range random.IntN(120) {
			modelStep(t, db, model, random)
		}
		wantContents(t, db, model)
		switch random.IntN(3) {
		case 0:
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
		default:
			file = killed(t, db, file)
			db.Close()
		}
	}
}

// modelStep does a random thing to a store and a model.
func modelStep(t *testing.T, db *session.BoltDB, model map[string]string, random *rand.Rand) {
	t.Helper()
	refused := errors.New("refused")
	changed := maps.Clone(model)
	err := db.Update(t.Context(), func(tx session.Tx) error {
		for range 1 + random.IntN(5) {
			key := fmt.Sprintf("k%d", random.IntN(60))
			if random.IntN(3) == 0 {
				delete(changed, key)
				if err := tx.Delete([]byte(key)); err != nil {
					return err
				}
				continue
			}
			value := fmt.Sprintf("%d %0*d", random.Uint64(), random.IntN(300), 0)
			changed[key] = value
			if err := tx.Put([]byte(key), []byte(value), time.Now().Add(time.Hour)); err != nil {
				return err
			}
		}
		if random.IntN(5) == 0 {
			return refused
		}
		return nil
	})
	switch {
	case err == refused:
	case err != nil:
		t.Fatal(err)
	default:
		clear(model)
		maps.Copy(model, changed)
	}
	if random.IntN(10) == 0 {
		if _, err := db.MergeSome(1 + random.IntN(20)); err != nil {
			t.Fatal(err)
		}
	}
}
