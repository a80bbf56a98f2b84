package session_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-wechat/wechatauth/session"
)

// failing is a store whose Follow fails while it is told to.
type failing struct {
	session.Store
	err  error
	well atomic.Bool
}

func (s *failing) Follow(ctx context.Context, now time.Time, report func([]session.Revocation)) error {
	if !s.well.Load() {
		return s.err
	}
	return s.Store.Follow(ctx, now, report)
}

// runDenylist starts a denylist and returns when it is up.
func runDenylist(t *testing.T, s session.Store, failed func(error)) *session.Denylist {
	t.Helper()
	d := session.NewDenylist(s, nil)
	go d.Run(t.Context(), failed)
	synctest.Wait()
	return d
}

func TestDenylistKnowsWhatIsRevoked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := session.Over(newMapDB())
		now := time.Now()
		past, _ := session.New(bob, now)
		own, _ := session.New(bob, now)
		if err := s.End(t.Context(), past.SID, now, memoryPolicy); err != nil {
			t.Fatal(err)
		}
		d := runDenylist(t, s, nil)
		if !d.Revoked(past.SID) || d.Revoked(own.SID) {
			t.Errorf("got past %t, own %t, want true, false", d.Revoked(past.SID), d.Revoked(own.SID))
		}
		if err := s.End(t.Context(), own.SID, now, memoryPolicy); err != nil {
			t.Fatal(err)
		}
		if !d.Revoked(own.SID) {
			t.Error("the end of a session is not known when End has returned")
		}

		// Revocations are forgotten when the tokens have expired, and not before.
		time.Sleep(memoryPolicy.TokenTTL - time.Second)
		if !d.Revoked(own.SID) {
			t.Error("a revocation was forgotten too early")
		}
		time.Sleep(time.Second + time.Minute)
		synctest.Wait()
		if d.Revoked(own.SID) || d.Revoked(past.SID) {
			t.Error("a revocation is known although its tokens have expired")
		}
	})
}

func TestDenylistKnowsWhoseSessionsEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := session.Over(newMapDB())
		d := runDenylist(t, s, nil)
		boundary := time.Now()
		for _, before := range []time.Time{boundary, boundary.Add(-time.Hour)} { // the second changes nothing
			if err := s.EndAll(t.Context(), bob, before, memoryPolicy); err != nil {
				t.Fatal(err)
			}
		}
		for _, row := range []struct {
			name string
			user session.UserID
			made time.Time
			want bool
		}{
			{"before", bob, boundary.Add(-time.Hour), true},
			{"in the same millisecond", bob, boundary, true},
			{"after", bob, boundary.Add(time.Millisecond), false},
			{"another user", session.UserID{AppID: bob.AppID, OpenID: "oEve"}, boundary, false},
		} {
			made, _ := session.New(row.user, row.made)
			if got := d.Revoked(made.SID); got != row.want {
				t.Errorf("%s: got revoked %t, want %t", row.name, got, row.want)
			}
		}
		if d.Revoked("no name") {
			t.Error("what is no session's name is revoked")
		}
		made, _ := session.New(bob, boundary)
		time.Sleep(memoryPolicy.TokenTTL + time.Minute)
		synctest.Wait()
		if d.Revoked(made.SID) {
			t.Error("a revocation is known although its tokens have expired")
		}
	})
}

func TestDenylistOutlivesAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &failing{Store: session.Over(newMapDB()), err: errors.New("away")}
		failures := 0
		d := runDenylist(t, s, func(err error) {
			if !errors.Is(err, s.err) {
				t.Errorf("got %v, want %v", err, s.err)
			}
			failures++
		})
		if age := d.Age(); age < 24*time.Hour {
			t.Errorf("got age %v of a list that was never complete", age)
		}
		began := time.Now()
		if d.Wait(100 * time.Millisecond); time.Since(began) != 100*time.Millisecond {
			t.Errorf("waited %v for a store that is away, want 100ms", time.Since(began))
		}
		made, _ := session.New(bob, time.Now())
		if err := s.End(t.Context(), made.SID, time.Now(), memoryPolicy); err != nil {
			t.Fatal(err)
		}
		time.Sleep(1200 * time.Millisecond)
		synctest.Wait()
		if failures < 2 {
			t.Errorf("got %d failures told, want 2 or more", failures)
		}
		s.well.Store(true)
		time.Sleep(time.Second)
		synctest.Wait()
		if !d.Revoked(made.SID) {
			t.Error("what was revoked while the store was away is not known")
		}
		if age := d.Age(); age > time.Second {
			t.Errorf("got age %v, want a second at most", age)
		}
		began = time.Now()
		if d.Wait(time.Hour); time.Since(began) != 0 {
			t.Errorf("waited %v for a list that is complete", time.Since(began))
		}
	})
}
