//nolint:thelper // rules are tests: a failure is at their line, not at that which calls them
package sessiontest

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/session"
)

// takeNote writes a note.
func takeNote(t *testing.T, s session.Store, n session.Note) {
	t.Helper()
	if _, err := s.Learn(t.Context(), session.Lesson{User: session.User{UserID: alice}, Note: n}); err != nil {
		t.Fatal(err)
	}
}

func wantNote(t *testing.T, s session.Store, key session.Digest, at time.Time, want []byte) {
	t.Helper()
	got, err := s.Recall(t.Context(), key, at)
	if err != nil {
		t.Fatalf("recall: %v", err)
	}
	if (got == nil) != (want == nil) || !bytes.Equal(got, want) {
		t.Errorf("got a note of %d bytes (nil: %t), want %d (nil: %t)", len(got), got == nil, len(want), want == nil)
	}
}

func notesExpire(t *testing.T, f Fixture) {
	begin := now()
	key := session.Digest(sha256.Sum256([]byte("code")))
	wantNote(t, f.Store, key, begin, nil)
	takeNote(t, f.Store, session.Note{Key: key, Value: []byte("answer"), Until: begin.Add(time.Minute)})
	for _, node := range f.nodes() {
		wantNote(t, node, key, begin, []byte("answer"))
		wantNote(t, node, key, begin.Add(time.Minute-time.Millisecond), []byte("answer"))
		wantNote(t, node, key, begin.Add(time.Minute), nil)
		wantNote(t, node, key, begin.Add(time.Hour), nil)
	}
	wantNote(t, f.Store, session.Digest{}, begin, nil)
}

func notesAreReplaced(t *testing.T, f Fixture) {
	begin := now()
	key := session.Digest(sha256.Sum256([]byte("code")))
	takeNote(t, f.Store, session.Note{Key: key, Value: []byte("a long first answer"), Until: begin.Add(time.Hour)})
	takeNote(t, f.Store, session.Note{Key: key, Value: []byte("second"), Until: begin.Add(time.Minute)})
	wantNote(t, f.Store, key, begin, []byte("second"))
	wantNote(t, f.Store, key, begin.Add(time.Minute), nil)
	takeNote(t, f.Store, session.Note{Key: key, Value: []byte("third"), Until: begin.Add(2 * time.Hour)})
	wantNote(t, f.Store, key, begin.Add(time.Hour), []byte("third"))
}

func notesHoldAnything(t *testing.T, f Fixture) {
	begin := now()
	large := make([]byte, 100<<10)
	_, _ = rand.Read(large) // never fails
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	for i, value := range [][]byte{all, large, {0}, []byte("\r\n"), []byte(`{"a":null}`)} {
		key := session.Digest(sha256.Sum256(fmt.Appendf(nil, "note %d", i)))
		takeNote(t, f.Store, session.Note{Key: key, Value: value, Until: begin.Add(time.Hour)})
		for _, node := range f.nodes() {
			wantNote(t, node, key, begin, value)
		}
	}
}

// noteIsNeverBeforeSession: who reads the answer to a login must be able to use it.
func noteIsNeverBeforeSession(t *testing.T, f Fixture) {
	begin := now()
	nodes := f.nodes()
	other := nodes[len(nodes)-1]
	for i := range 20 {
		made, token := session.New(alice, begin.Add(time.Duration(i)*time.Millisecond))
		key := session.Digest(sha256.Sum256([]byte(made.SID)))
		done := make(chan error, 1)
		go func() {
			done <- f.Store.Login(t.Context(), session.Login{
				Session: made, Learned: session.User{UserID: alice}, Policy: policy,
				Note: session.Note{Key: key, Value: []byte(token.Text()), Until: begin.Add(time.Hour)},
			})
		}()
		var value []byte
		for deadline := time.Now().Add(patience); value == nil && time.Now().Before(deadline); {
			var err error
			if value, err = other.Recall(t.Context(), key, begin); err != nil {
				t.Fatal(err)
			}
		}
		got, ok := session.ParseRefreshToken(string(value))
		if !ok {
			t.Fatal("the note did not come")
		}
		wantVerdict(t, other, got, begin.Add(time.Second), policy, session.Rotated)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
}

func wantKeys(t *testing.T, s session.Store, want []byte, version int64) {
	t.Helper()
	keys, v, err := s.Keys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if v != version || !bytes.Equal(keys, want) {
		t.Errorf("got %d bytes of keys, version %d; want %d, version %d", len(keys), v, len(want), version)
	}
}

func keysAreSwapped(t *testing.T, f Fixture) {
	wantKeys(t, f.Store, nil, 0)
	swap := func(version int64, keys []byte, want bool) {
		t.Helper()
		got, err := f.Store.SwapKeys(t.Context(), version, keys)
		if err != nil || got != want {
			t.Errorf("swap of version %d: got %t, %v, want %t", version, got, err, want)
		}
	}
	swap(1, []byte("too early"), false)
	wantKeys(t, f.Store, nil, 0)
	swap(0, []byte("first\x00\xff"), true)
	swap(0, []byte("too late"), false)
	for _, node := range f.nodes() {
		wantKeys(t, node, []byte("first\x00\xff"), 1)
	}
	swap(1, bytes.Repeat([]byte("k"), 20<<10), true)
	wantKeys(t, f.Store, bytes.Repeat([]byte("k"), 20<<10), 2)
}

func oneSwapWins(t *testing.T, f Fixture) {
	for version := range int64(3) {
		var wg sync.WaitGroup
		var winners atomic.Int64
		var winner atomic.Pointer[[]byte]
		for i := range 20 {
			wg.Go(func() {
				nodes := f.nodes()
				keys := fmt.Appendf(nil, "keys %d", i)
				swapped, err := nodes[i%len(nodes)].SwapKeys(t.Context(), version, keys)
				if err != nil {
					t.Errorf("swap: %v", err)
				}
				if swapped {
					winners.Add(1)
					winner.Store(&keys)
				}
			})
		}
		wg.Wait()
		if n := winners.Load(); n != 1 {
			t.Fatalf("got %d winners of version %d, want 1", n, version)
		}
		wantKeys(t, f.Store, *winner.Load(), version+1)
	}
}
