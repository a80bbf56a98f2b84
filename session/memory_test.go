package session_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-wechat/wechatauth/session"
	"github.com/caddy-wechat/wechatauth/session/sessiontest"
)

func newMemory(t *testing.T, maxMiB int) session.Store {
	t.Helper()
	s, err := session.NewMemory(maxMiB)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestMemoryKeepsTheContract(t *testing.T) {
	t.Parallel()
	sessiontest.Run(t, func(t *testing.T) sessiontest.Fixture {
		t.Helper()
		return sessiontest.Fixture{Store: newMemory(t, 0)}
	})
}

func TestMemoryNeedsRoom(t *testing.T) {
	t.Parallel()
	for _, mib := range []int{-1, 1, 15} {
		if s, err := session.NewMemory(mib); err == nil {
			s.Close()
			t.Errorf("%d MiB: got no error", mib)
		}
	}
}

var memoryPolicy = session.Policy{
	Idle: time.Hour, Lifetime: 24 * time.Hour, Grace: 30 * time.Second, MaxPerUser: 3, TokenTTL: 15 * time.Minute,
}

// fill logs users in until the store is full, and returns the refresh tokens of those it took.
func fill(t *testing.T, s session.Store, noteSize int) []session.RefreshToken {
	t.Helper()
	var tokens []session.RefreshToken
	for i := range 1 << 20 {
		token, err := loginOne(t, s, fmt.Sprint("user ", len(tokens), " of ", i), noteSize)
		if errors.Is(err, session.ErrFull) {
			return tokens
		}
		if err != nil {
			t.Fatal(err)
		}
		tokens = append(tokens, token)
	}
	t.Fatal("the store is never full")
	return nil
}

func loginOne(t *testing.T, s session.Store, name string, noteSize int) (session.RefreshToken, error) {
	t.Helper()
	user := session.UserID{AppID: "wx", OpenID: name}
	made, token := session.New(user, time.Now())
	l := session.Login{Session: made, Learned: session.User{UserID: user, FirstSeen: made.Created}, Policy: memoryPolicy}
	if noteSize > 0 {
		l.Note = session.Note{
			Key: sha256.Sum256([]byte(made.SID)), Value: make([]byte, noteSize), Until: made.Created.Add(time.Minute),
		}
	}
	return token, s.Login(t.Context(), l)
}

func TestAFullMemoryLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, row := range []struct {
			name     string
			noteSize int
			least    int // sessions, so that the room is put to use
		}{
			{"sessions", 0, 3900},
			{"large notes", 30 << 10, 150},
			{"notes of a mebibyte", 1<<20 - 100, 4},
		} {
			s := newMemory(t, 16)
			tokens := fill(t, s, row.noteSize)
			t.Logf("%s: %d sessions", row.name, len(tokens))
			if len(tokens) < row.least {
				t.Errorf("%s: got %d sessions, want %d or more", row.name, len(tokens), row.least)
			}

			for range 3 {
				for i, token := range tokens {
					got, err := s.Refresh(t.Context(), session.NewSpend(token, time.Now(), memoryPolicy))
					if err != nil || got.Verdict != session.Rotated {
						t.Fatalf("%s: session %d of %d: got %v, %v, want Rotated", row.name, i, len(tokens), got.Verdict, err)
					}
					tokens[i] = token.Successor(got.Session.Salt)
				}
				time.Sleep(memoryPolicy.Idle / 4)
			}
		}
	})
}

// TestAFullMemoryStillLearns: a phone number is paid for, and the rest comes from those who were let in.
func TestAFullMemoryStillLearns(t *testing.T) {
	t.Parallel()
	s := newMemory(t, 16)
	key := session.Digest{1}
	until := time.Now().Add(time.Hour)
	if n, err := s.Count(t.Context(), key, 1, until, time.Now()); err != nil || n != 1 {
		t.Fatalf("got %d, %v, want 1", n, err)
	}
	tokens := fill(t, s, 0)
	for i, token := range tokens {
		refreshed, err := s.Refresh(t.Context(), session.NewSpend(token, time.Now(), memoryPolicy))
		if err != nil {
			t.Fatal(err)
		}
		u := session.User{
			UserID: refreshed.Session.User, Phone: "13800138000", PhoneNumber: "+8613800138000", PhoneVerified: time.Now(),
			Nickname: strings.Repeat("微", 32), Avatar: strings.Repeat("f", 64),
		}
		if _, err := s.Learn(t.Context(), session.Lesson{SID: token.SID, User: u}); err != nil {
			t.Fatalf("user %d of %d: %v", i, len(tokens), err)
		}
	}
	if n, err := s.Count(t.Context(), key, 1, until, time.Now()); err != nil || n != 2 {
		t.Errorf("got %d, %v, want 2", n, err)
	}
	for i := range 100 { // there may be room for a few
		_, err := s.Count(t.Context(), session.Digest{2, byte(i)}, 1, until, time.Now())
		if errors.Is(err, session.ErrFull) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Error("the full store takes any number of counters")
}

func TestAFullMemoryStillForgets(t *testing.T) {
	t.Parallel()
	s := newMemory(t, 16)
	tokens := fill(t, s, 0)
	refreshed, err := s.Refresh(t.Context(), session.NewSpend(tokens[0], time.Now(), memoryPolicy))
	if err != nil {
		t.Fatal(err)
	}
	known, err := s.Forget(t.Context(), refreshed.Session.User, time.Now(), memoryPolicy)
	if err != nil || known.FirstSeen.IsZero() {
		t.Errorf("got %+v, %v, want what was known", known, err)
	}
	if _, err := loginOne(t, s, "one more", 0); err != nil {
		t.Errorf("login after a user was forgotten: %v", err)
	}
}

func TestAFullMemoryStillRevokes(t *testing.T) {
	t.Parallel()
	s := newMemory(t, 16)
	tokens := fill(t, s, 0)
	now := time.Now()
	if err := s.End(t.Context(), tokens[0].SID, now, memoryPolicy); err != nil {
		t.Errorf("end: %v", err)
	}
	garbage := session.NewSpend(tokens[1].Successor(nil), now, memoryPolicy)
	if got, err := s.Refresh(t.Context(), garbage); err != nil || got.Verdict != session.Reused {
		t.Errorf("got %v, %v, want Reused", got.Verdict, err)
	}
	user := session.UserID{AppID: "wx", OpenID: "one who never came"}
	if err := s.EndAll(t.Context(), user, now, memoryPolicy); err != nil {
		t.Errorf("end all: %v", err)
	}
	if swapped, err := s.SwapKeys(t.Context(), 0, make([]byte, 10<<10)); err != nil || !swapped {
		t.Errorf("got swapped %t, %v, want true", swapped, err)
	}
	if got := past(t, s, now); len(got) != 3 {
		t.Errorf("got %d revocations, want 3", len(got))
	}
	for _, token := range tokens[:2] {
		got, err := s.Refresh(t.Context(), session.NewSpend(token, now, memoryPolicy))
		if err != nil || got.Verdict != session.Unknown {
			t.Errorf("got %v, %v, want Unknown", got.Verdict, err)
		}
	}
	if _, err := loginOne(t, s, "one more", 0); err != nil {
		t.Errorf("login after sessions ended: %v", err)
	}
}

// past returns what a follower hears first.
func past(t *testing.T, s session.Store, now time.Time) (first []session.Revocation) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	_ = s.Follow(ctx, now, func(revoked []session.Revocation) {
		if ctx.Err() == nil {
			first = revoked
		}
		cancel()
	})
	return first
}

func TestMemoryRefusesRevocationsItCannotHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newMemory(t, 16)
		token, err := loginOne(t, s, "one", 0)
		if err != nil {
			t.Fatal(err)
		}
		end := func() error {
			made, _ := session.New(session.UserID{AppID: "wx", OpenID: "any"}, time.Now())
			return s.End(t.Context(), made.SID, time.Now(), memoryPolicy)
		}
		const room = 16 * 512
		for range room {
			if err := end(); err != nil {
				t.Fatal(err)
			}
		}
		if err := end(); !errors.Is(err, session.ErrFull) {
			t.Errorf("got %v, want %v", err, session.ErrFull)
		}
		if err := s.End(t.Context(), token.SID, time.Now(), memoryPolicy); !errors.Is(err, session.ErrFull) {
			t.Errorf("got %v, want %v", err, session.ErrFull)
		}
		if got := len(past(t, s, time.Now())); got != room {
			t.Errorf("got %d revocations, want %d", got, room)
		}
		// What was refused was not done by half.
		got, err := s.Refresh(t.Context(), session.NewSpend(token, time.Now(), memoryPolicy))
		if err != nil || got.Verdict != session.Rotated {
			t.Errorf("got %v, %v, want Rotated", got.Verdict, err)
		}
		time.Sleep(memoryPolicy.TokenTTL)
		if err := end(); err != nil {
			t.Errorf("end after all revocations expired: %v", err)
		}
	})
}

func TestMemoryHasRoomAgainAfterExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newMemory(t, 16)
		note := func(i int) error {
			_, err := s.Learn(t.Context(), session.Lesson{User: session.User{UserID: session.UserID{AppID: "wx"}}, Note: session.Note{
				Key: sha256.Sum256([]byte(strconv.Itoa(i))), Value: make([]byte, 10<<10), Until: time.Now().Add(time.Minute),
			}})
			return err
		}
		var first int
		for round := range 5 {
			n := 0
			for ; ; n++ {
				if err := note(n); errors.Is(err, session.ErrFull) {
					break
				} else if err != nil {
					t.Fatal(err)
				}
			}
			if round == 0 {
				first = n
			}
			if n != first {
				t.Errorf("round %d: got room for %d notes, want %d", round, n, first)
			}
			time.Sleep(time.Minute)
		}
	})
}

// TestMemoryStaysInItsBounds is not parallel, for it measures the heap.
func TestMemoryStaysInItsBounds(t *testing.T) {
	const mib = 32
	heap := func() uint64 {
		var stats runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&stats)
		return stats.HeapAlloc
	}
	for _, row := range []struct {
		name     string
		noteSize int
	}{
		{"sessions", 0},
		{"small notes", 1},
		{"large notes", 100 << 10},
	} {
		before := heap()
		s := newMemory(t, mib)
		users := len(fill(t, s, row.noteSize))
		for range 2 * mib * 512 { // more than it takes
			made, _ := session.New(session.UserID{AppID: "wx", OpenID: "any"}, time.Now())
			_ = s.End(t.Context(), made.SID, time.Now(), memoryPolicy)
		}
		took := heap() - before
		t.Logf("%s: %d users, %d KiB", row.name, users, took>>10)
		if took > mib<<20 {
			t.Errorf("%s: got %d MiB, want at most %d", row.name, took>>20, mib)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if left := int64(heap()) - int64(before); left > 4<<20 {
			t.Errorf("%s: got %d MiB left after Close", row.name, left>>20)
		}
		runtime.KeepAlive(s)
	}
}
