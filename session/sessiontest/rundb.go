// The tests of a session.DB.

package sessiontest

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/session"
)

// DBFixture is an empty DB to be tested. Reopen and Sweep are as in Fixture.
type DBFixture struct {
	DB     session.DB
	Reopen func(t *testing.T) session.DB
	Sweep  func(t *testing.T)
}

// OpenDB opens an empty DB with a clock for dropping records. What is opened is closed by RunDB.
type OpenDB func(t *testing.T, clock *session.Clock) DBFixture

// RunDB tests the DBs that open returns. A Store over a DB that passes is one that passes Run.
func RunDB(t *testing.T, open OpenDB) {
	t.Helper()
	for _, rule := range []struct {
		name string
		test func(*testing.T, *dbFixture)
	}{
		{"RecordsAreKept", dbKeeps},
		{"WhatAnUpdateWroteItReads", dbReadsItsWrites},
		{"AnUpdateThatFailsWritesNothing", dbIsAtomic},
		{"AFailureHarmsNoOtherUpdate", dbIsolatesFailures},
		{"UpdatesAreOneAfterTheOther", dbSerializes},
		{"AViewSeesOneState", dbViewIsASnapshot},
		{"AViewWritesNothing", dbViewReads},
		{"APanicIsTheCallers", dbPanics},
		{"ScanFindsPrefixes", dbScans},
		{"ScanBeginsWhereItIsTold", dbScansFrom},
		{"TheNewestComeFirst", dbNewest},
		{"LabelsFindRecords", dbLabels},
		{"MarksGoWithTheirRecord", dbMarksGo},
		{"ARandomWalkIsThatOfAMap", dbWalks},
		{"RecordsOutliveARestart", dbSurvives},
		{"WhatIsOverIsDropped", dbDrops},
		{"AWrongClockDropsNothing", dbMindsClocks},
		{"ACancelledContextDoesNothing", dbCancels},
		{"AClosedDBSaysSo", dbCloses},
	} {
		t.Run(rule.name, func(t *testing.T) {
			t.Parallel()
			f := &dbFixture{clock: newClock()}
			f.DBFixture = open(t, f.clock.Clock)
			t.Cleanup(func() { _ = f.DB.Close() })
			rule.test(t, f)
		})
	}
}

type dbFixture struct {
	DBFixture
	clock *clock
}

// update runs an Update that must succeed.
func (f *dbFixture) update(t *testing.T, change func(session.Tx) error) {
	t.Helper()
	if err := f.DB.Update(t.Context(), change); err != nil {
		t.Fatal(err)
	}
}

func (f *dbFixture) put(t *testing.T, key, value string, expires time.Time) {
	t.Helper()
	f.update(t, func(tx session.Tx) error { return tx.Put([]byte(key), []byte(value), expires) })
}

// want checks all records.
func (f *dbFixture) want(t *testing.T, want map[string]string) {
	t.Helper()
	got := map[string]string{}
	err := f.DB.View(t.Context(), func(tx session.Tx) error {
		clear(got)
		return errors.Join(scanInto(tx, "", got), agree(tx, want))
	})
	if err != nil {
		t.Fatal(err)
	}
	if !maps.Equal(got, want) {
		t.Errorf("got %d records %.300q, want %d %.300q", len(got), got, len(want), want)
	}
}

func scanInto(tx session.Tx, prefix string, into map[string]string) error {
	return tx.Scan([]byte(prefix), nil, func(key, value []byte) error {
		if _, ok := into[string(key)]; ok {
			return fmt.Errorf("%.40q comes twice", key)
		}
		into[string(key)] = string(value)
		return nil
	})
}

// agree reads records one by one.
func agree(tx session.Tx, want map[string]string) error {
	for key, w := range want {
		value, err := tx.Get([]byte(key))
		if err != nil {
			return err
		}
		if value == nil || string(value) != w {
			return fmt.Errorf("%.40q: got %.80q, want %.80q", key, value, w)
		}
	}
	return nil
}

// strange are keys and values as large, and as odd, as they may be.
var strange = map[string]string{
	"a": "", "\x00": "nul", "\xff": "last", "\xff\xff\x00": "\xff", "'; DROP TABLE records; --": "é\x00\xfe",
	strings.Repeat("k", 128): strings.Repeat("v", 1<<20),
}

func dbKeeps(t *testing.T, f *dbFixture) {
	f.want(t, map[string]string{})
	for key, value := range strange {
		f.put(t, key, "before", time.Time{})
		f.put(t, key, value, f.clock.Now().Add(time.Hour))
	}
	f.want(t, strange)
	f.update(t, func(tx session.Tx) error {
		if value, err := tx.Get([]byte("none")); value != nil || err != nil {
			t.Errorf("a missing record: got %q, %v, want nil, nil", value, err)
		}
		return errors.Join(tx.Delete([]byte("none")), tx.Delete([]byte("a")))
	})
	rest := maps.Clone(strange)
	delete(rest, "a")
	f.want(t, rest)
}

func dbReadsItsWrites(t *testing.T, f *dbFixture) {
	f.put(t, "pa", "1", time.Time{})
	f.put(t, "pb", "2", time.Time{})
	f.update(t, func(tx session.Tx) error {
		err := errors.Join(tx.Put([]byte("pa"), []byte("3"), time.Time{}), tx.Put([]byte("pc"), []byte("4"), time.Time{}),
			tx.Delete([]byte("pb")))
		got := map[string]string{}
		err = errors.Join(err, scanInto(tx, "p", got), agree(tx, map[string]string{"pa": "3", "pc": "4"}))
		if value, _ := tx.Get([]byte("pb")); value != nil || len(got) != 2 {
			t.Errorf("got %q for what was deleted, and %q, want none and two", value, got)
		}
		return err
	})
	f.want(t, map[string]string{"pa": "3", "pc": "4"})
}

func dbIsAtomic(t *testing.T, f *dbFixture) {
	f.put(t, "a", "1", time.Time{})
	cause := errors.New("the function's own")
	err := f.DB.Update(t.Context(), func(tx session.Tx) error {
		return errors.Join(tx.Put([]byte("a"), []byte("2"), time.Time{}), tx.Put([]byte("b"), []byte("2"), time.Time{}),
			tx.Delete([]byte("a")), cause)
	})
	if !errors.Is(err, cause) {
		t.Errorf("got %v, want %v", err, cause)
	}
	f.want(t, map[string]string{"a": "1"})
}

// Many updates at once, of which every other one fails after it has written.
func dbIsolatesFailures(t *testing.T, f *dbFixture) {
	cause := errors.New("the function's own")
	var all sync.WaitGroup
	want := map[string]string{}
	for i := range 100 {
		key := fmt.Sprint("k", i)
		var fails error
		if i%2 == 0 {
			fails = cause
		} else {
			want[key] = "v"
		}
		all.Go(func() {
			err := f.DB.Update(t.Context(), func(tx session.Tx) error {
				return errors.Join(tx.Put([]byte(key), []byte("v"), time.Time{}), fails)
			})
			if !errors.Is(err, fails) {
				t.Errorf("%s: got %v, want %v", key, err, fails)
			}
		})
	}
	all.Wait()
	f.want(t, want)
}

func dbSerializes(t *testing.T, f *dbFixture) {
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 50 {
				err := f.DB.Update(t.Context(), func(tx session.Tx) error {
					value, err := tx.Get([]byte("n"))
					n := uint64(0)
					if value != nil {
						n = binary.BigEndian.Uint64(value)
					}
					return errors.Join(err, tx.Put([]byte("n"), binary.BigEndian.AppendUint64(nil, n+1), time.Time{}))
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	f.want(t, map[string]string{"n": string(binary.BigEndian.AppendUint64(nil, 400))})
}

// Two records that always change together are never seen apart.
func dbViewIsASnapshot(t *testing.T, f *dbFixture) {
	ctx, stop := context.WithCancel(t.Context())
	var writer sync.WaitGroup
	writer.Go(func() {
		for i := uint64(0); ctx.Err() == nil; i++ {
			value := binary.BigEndian.AppendUint64(nil, i)
			_ = f.DB.Update(ctx, func(tx session.Tx) error {
				return errors.Join(tx.Put([]byte("a"), value, time.Time{}), tx.Put([]byte("b"), value, time.Time{}))
			})
		}
	})
	for range 300 {
		err := f.DB.View(t.Context(), func(tx session.Tx) error {
			a, errA := tx.Get([]byte("a"))
			a = bytes.Clone(a)
			b, errB := tx.Get([]byte("b"))
			if !bytes.Equal(a, b) {
				t.Errorf("got %x and %x, want the same", a, b)
			}
			return errors.Join(errA, errB)
		})
		if err != nil {
			t.Error(err)
		}
	}
	stop()
	writer.Wait()
}

func dbViewReads(t *testing.T, f *dbFixture) {
	f.put(t, "a", "1", time.Time{})
	const secret = "value-that-no-error-may-hold"
	err := f.DB.View(t.Context(), func(tx session.Tx) error { return tx.Put([]byte("a"), []byte(secret), time.Time{}) })
	if err == nil || strings.Contains(err.Error(), secret) {
		t.Errorf("put: got %v, want an error without the value", err)
	}
	if err := f.DB.View(t.Context(), func(tx session.Tx) error { return tx.Delete([]byte("a")) }); err == nil {
		t.Error("delete: got no error, want one")
	}
	f.want(t, map[string]string{"a": "1"})
}

func dbPanics(t *testing.T, f *dbFixture) {
	func() {
		defer func() {
			if got := recover(); got != "oops" {
				t.Errorf("got panic %v, want oops", got)
			}
		}()
		_ = f.DB.Update(t.Context(), func(tx session.Tx) error {
			_ = tx.Put([]byte("a"), []byte("1"), time.Time{})
			panic("oops")
		})
	}()
	f.put(t, "b", "2", time.Time{})
	f.want(t, map[string]string{"b": "2"})
}

func dbScans(t *testing.T, f *dbFixture) {
	keys := []string{"a", "ab", "ab\xff", "ab\xff\xff", "ac", "b", "\xff", "\xff\xff"}
	for _, key := range keys {
		f.put(t, key, "v", time.Time{})
	}
	for _, prefix := range []string{"", "a", "ab", "ab\xff", "\xff", "\xff\xff\xff", "c"} {
		want := map[string]string{}
		for _, key := range keys {
			if strings.HasPrefix(key, prefix) {
				want[key] = "v"
			}
		}
		got := map[string]string{}
		if err := f.DB.View(t.Context(), func(tx session.Tx) error { return scanInto(tx, prefix, got) }); err != nil {
			t.Fatal(err)
		}
		if !maps.Equal(got, want) {
			t.Errorf("%q: got %q, want %q", prefix, got, want)
		}
	}
	stop := errors.New("enough")
	seen := 0
	err := f.DB.View(t.Context(), func(tx session.Tx) error {
		return tx.Scan(nil, nil, func(_, _ []byte) error { seen++; return stop })
	})
	if !errors.Is(err, stop) || seen != 1 {
		t.Errorf("a scan that is stopped: got %v after %d records, want %v after 1", err, seen, stop)
	}
}

// dbWalks compares a DB with a map.
func dbWalks(t *testing.T, f *dbFixture) {
	random := rand.New(rand.NewPCG(1, 2))
	model := map[string]string{}
	for range 300 {
		next, fails := maps.Clone(model), random.IntN(4) == 0
		cause := errors.New("the function's own")
		steps := make([]struct{ key, value string }, random.IntN(5))
		for i := range steps {
			steps[i].key, steps[i].value = fmt.Sprint("k", random.IntN(40)), strings.Repeat("v", random.IntN(3000))
		}
		err := f.DB.Update(t.Context(), func(tx session.Tx) error {
			for i, s := range steps {
				if i%3 == 2 {
					delete(next, s.key)
					if err := tx.Delete([]byte(s.key)); err != nil {
						return err
					}
					continue
				}
				next[s.key] = s.value
				if err := tx.Put([]byte(s.key), []byte(s.value), f.clock.Now().Add(time.Duration(len(s.value))*time.Minute)); err != nil {
					return err
				}
			}
			if fails {
				return cause
			}
			return agree(tx, next)
		})
		switch {
		case fails && !errors.Is(err, cause), !fails && err != nil:
			t.Fatal(err)
		case !fails:
			model = next
		}
	}
	f.want(t, model)
	if f.Reopen != nil {
		f.DB = f.Reopen(t)
		f.want(t, model)
	}
}

func dbSurvives(t *testing.T, f *dbFixture) {
	if f.Reopen == nil {
		return
	}
	for key, value := range strange {
		f.put(t, key, value, f.clock.Now().Add(time.Hour))
	}
	f.DB = f.Reopen(t)
	f.want(t, strange)
	f.put(t, "more", "1", time.Time{})
	f.DB = f.Reopen(t)
	if err := f.DB.View(t.Context(), func(tx session.Tx) error { return agree(tx, map[string]string{"more": "1"}) }); err != nil {
		t.Error(err)
	}
}

func dbDrops(t *testing.T, f *dbFixture) {
	if f.Sweep == nil {
		return
	}
	now := f.clock.Now()
	f.put(t, "early", "1", now.Add(time.Minute))
	f.put(t, "never", "1", time.Time{})
	f.put(t, "prolonged", "1", now.Add(time.Minute))
	f.put(t, "prolonged", "2", now.Add(time.Hour))
	f.put(t, "shortened", "1", now.Add(time.Hour))
	f.put(t, "shortened", "2", now.Add(time.Minute))
	f.put(t, "kept", "1", now.Add(time.Minute))
	f.put(t, "kept", "2", time.Time{})
	f.clock.pass(10 * time.Minute)
	f.Sweep(t)
	f.want(t, map[string]string{"never": "1", "prolonged": "2", "kept": "2"})
	f.clock.pass(2 * time.Hour)
	f.Sweep(t)
	f.want(t, map[string]string{"never": "1", "kept": "2"})
}

func dbMindsClocks(t *testing.T, f *dbFixture) {
	if f.Sweep == nil {
		return
	}
	f.put(t, "a", "1", f.clock.Now().Add(time.Minute))
	f.clock.step(240 * time.Hour)
	f.Sweep(t)
	f.want(t, map[string]string{"a": "1"})
}

func dbCancels(t *testing.T, f *dbFixture) {
	f.put(t, "a", "1", time.Time{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	ran := false
	for name, do := range map[string]func(context.Context, func(session.Tx) error) error{"view": f.DB.View, "update": f.DB.Update} {
		if err := do(ctx, func(session.Tx) error { ran = true; return nil }); !errors.Is(err, context.Canceled) || ran {
			t.Errorf("%s: got %v, ran %t, want %v, false", name, err, ran, context.Canceled)
		}
	}
	f.want(t, map[string]string{"a": "1"})
}

// A DB is closed while it is used: each call is done, or says that it is closed.
func dbCloses(t *testing.T, f *dbFixture) {
	var all sync.WaitGroup
	for i := range 8 {
		do := f.DB.View
		if i%2 == 0 {
			do = f.DB.Update
		}
		all.Go(func() {
			for {
				err := do(t.Context(), func(tx session.Tx) error { _, err := tx.Get([]byte("a")); return err })
				if errors.Is(err, session.ErrClosed) {
					return
				}
				if err != nil {
					t.Errorf("got %v, want %v", err, session.ErrClosed)
					return
				}
			}
		})
	}
	time.Sleep(10 * time.Millisecond)
	for range 2 {
		if err := f.DB.Close(); err != nil {
			t.Error(err)
		}
	}
	all.Wait()
}
