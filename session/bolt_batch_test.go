package session_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/session"
)

func TestBoltUpdatesShareFrames(t *testing.T) {
	t.Parallel()
	db := newBoltDB(t)
	const clients, each = 200, 5
	before := db.Frames()
	var wg sync.WaitGroup
	for c := range clients {
		wg.Go(func() {
			for i := range each {
				err := db.Update(t.Context(), func(tx session.Tx) error {
					return tx.Put(fmt.Appendf(nil, "%d/%d", c, i), []byte("v"), time.Time{})
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	frames := db.Frames() - before
	t.Logf("%d updates in %d frames", clients*each, frames)
	if frames > clients*each/5 {
		t.Errorf("got %d frames for %d updates, want far fewer", frames, clients*each)
	}
	for c := range clients {
		for i := range each {
			if got := get(t, db, fmt.Sprintf("%d/%d", c, i)); got != "v" {
				t.Fatalf("got %q, want what was put", got)
			}
		}
	}
}

func TestBoltLonelyUpdateIsOneFrame(t *testing.T) {
	t.Parallel()
	db := newBoltDB(t)
	before := db.Frames()
	put(t, db, "k", "v", time.Time{})
	if got := db.Frames() - before; got != 1 {
		t.Errorf("got %d frames, want 1", got)
	}
	if err := db.Update(t.Context(), func(tx session.Tx) error {
		_, err := tx.Get([]byte("k"))
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if got := db.Frames() - before; got != 1 {
		t.Errorf("got %d frames, want none for an update that writes nothing", got-1)
	}
}

// together runs updates in one batch: a first one holds the writer until all others wait.
func together(t *testing.T, db *session.BoltDB, changes ...func(session.Tx) error) []error {
	t.Helper()
	errs := make([]error, len(changes))
	var wg, waiting sync.WaitGroup
	begun, release := make(chan struct{}), make(chan struct{})
	wg.Go(func() {
		err := db.Update(t.Context(), func(session.Tx) error {
			close(begun)
			<-release
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
	<-begun
	for i, change := range changes {
		waiting.Add(1)
		wg.Go(func() {
			defer func() {
				if reason := recover(); reason != nil {
					errs[i] = fmt.Errorf("panic: %v", reason)
				}
			}()
			waiting.Done()
			errs[i] = db.Update(t.Context(), change)
		})
	}
	waiting.Wait()
	close(release)
	wg.Wait()
	return errs
}

// spoil changes all there is and then ends as told.
func spoil(end func() error) func(session.Tx) error {
	return func(tx session.Tx) error {
		for _, key := range []string{"kept", "deleted"} {
			if err := tx.Put([]byte(key), []byte("spoilt"), time.Now().Add(time.Minute)); err != nil {
				return err
			}
			if err := tx.Delete([]byte(key)); err != nil {
				return err
			}
		}
		if err := tx.Put([]byte("new"), []byte("spoilt"), time.Now().Add(time.Minute)); err != nil {
			return err
		}
		return end()
	}
}

func TestBoltFailureIsItsOwn(t *testing.T) {
	t.Parallel()
	refused := errors.New("refused")
	tests := []struct {
		name string
		end  func() error
		want string
	}{
		{"an error", func() error { return refused }, "refused"},
		{"a panic", func() error { panic("lost") }, "panic: lost"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			db := newBoltDB(t)
			put(t, db, "kept", "value", time.Now().Add(time.Hour))
			var changes []func(session.Tx) error
			for i := range 20 {
				changes = append(changes, func(tx session.Tx) error {
					return tx.Put(fmt.Appendf(nil, "neighbour %d", i), []byte("v"), time.Now().Add(time.Hour))
				}, spoil(test.end))
			}
			for i, err := range together(t, db, changes...) {
				if i%2 == 0 && err != nil {
					t.Errorf("neighbour: %v", err)
				}
				if i%2 == 1 && (err == nil || err.Error() != test.want) {
					t.Errorf("got %v, want %s", err, test.want)
				}
			}
			for i := range 20 {
				if got := get(t, db, fmt.Sprintf("neighbour %d", i)); got != "v" {
					t.Errorf("got %q, want what the neighbour put", got)
				}
			}
			for key, want := range map[string]string{"kept": "value", "deleted": "none", "new": "none"} {
				if got := get(t, db, key); got != want {
					t.Errorf("%s: got %q, want %q", key, got, want)
				}
			}
			if n, err := db.CheckIndex(); err != nil || n != 21 {
				t.Errorf("got %d records and %v, want 21 and a good index", n, err)
			}
		})
	}
}

func TestBoltChangeMayEndItsGoroutine(t *testing.T) {
	t.Parallel()
	db := newBoltDB(t)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = db.Update(t.Context(), spoil(func() error {
			runtime.Goexit() // as t.FailNow does
			return nil
		}))
	}()
	<-ended
	put(t, db, "k", "v", time.Time{})
	if got := get(t, db, "new"); got != "none" {
		t.Errorf("got %q, want nothing of an update that came to no end", got)
	}
}

func TestBoltKeyThatCannotBeIsItsCallersError(t *testing.T) {
	t.Parallel()
	db := newBoltDB(t)
	errs := together(t, db,
		func(tx session.Tx) error { return tx.Put([]byte("good"), []byte("v"), time.Now().Add(time.Hour)) },
		func(tx session.Tx) error { return tx.Put(make([]byte, 1<<16), []byte("v"), time.Now().Add(time.Hour)) },
		func(tx session.Tx) error { return tx.Put(nil, []byte("v"), time.Now().Add(time.Hour)) },
	)
	if got := []bool{errs[0] == nil, errs[1] == nil, errs[2] == nil}; !slices.Equal(got, []bool{true, false, false}) {
		t.Errorf("got %v, want errors for the second and the third", errs)
	}
	if n, err := db.CheckIndex(); err != nil || n != 1 {
		t.Errorf("got %d records and %v, want one", n, err)
	}
}

func TestBoltWaiterMayGo(t *testing.T) {
	t.Parallel()
	db := newBoltDB(t)
	ctx, cancel := context.WithCancel(t.Context())
	err := db.Update(t.Context(), func(session.Tx) error {
		// This one has the writer, so the others wait.
		waiter := make(chan error)
		go func() {
			waiter <- db.Update(ctx, func(session.Tx) error {
				t.Error("a change was run after its caller had gone")
				return nil
			})
		}()
		cancel()
		if err := <-waiter; err != context.Canceled {
			t.Errorf("got %v, want context.Canceled", err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.View(ctx, func(session.Tx) error { return nil }); err != context.Canceled {
		t.Errorf("view: got %v, want context.Canceled", err)
	}
}

func TestBoltUpdateSeesWhatItWrote(t *testing.T) {
	t.Parallel()
	db := newBoltDB(t)
	for i := range 300 {
		put(t, db, fmt.Sprintf("p%03d", i), "old", time.Time{})
		if i == 150 { // some in the bolt file, some in the journal
			if err := db.Merge(); err != nil {
				t.Fatal(err)
			}
		}
	}
	put(t, db, "q", "other", time.Time{})
	err := db.Update(t.Context(), func(tx session.Tx) error {
		seen := 0
		err := tx.Scan([]byte("p"), func(key, value []byte) error {
			if string(value) != "old" {
				t.Errorf("got %q, want what was there at the beginning", value)
			}
			if seen++; key[3]%2 == 1 {
				return tx.Delete(key)
			}
			return tx.Put(key, []byte("new"), time.Now().Add(time.Hour))
		})
		if v, _ := tx.Get([]byte("p000")); string(v) != "new" {
			t.Errorf("got %q, want what was put", v)
		}
		if seen != 300 {
			t.Errorf("got %d pairs, want 300", seen)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	stop := errors.New("stop")
	err = db.View(t.Context(), func(tx session.Tx) error {
		return tx.Scan([]byte("p"), func(key, _ []byte) error {
			if keys = append(keys, string(key)); len(keys) == 150 {
				return stop
			}
			return nil
		})
	})
	if err != stop || len(slices.Compact(keys)) != 150 {
		t.Errorf("got %v after %d keys, want 150 of them and the callback's error", err, len(keys))
	}
	if err := db.View(t.Context(), func(tx session.Tx) error { return tx.Delete([]byte("q")) }); err == nil {
		t.Error("a view has deleted")
	}
}
