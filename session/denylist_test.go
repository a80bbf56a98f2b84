// The list of revocations in memory.

package session_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-wechat/wechatauth/session"
)

// followed is a store of which only Follow is used, in a bubble of synctest.
type followed struct {
	session.Store
	news chan []session.Revocation
	fail chan struct{} // ends Follow

	mu   sync.Mutex // guards what follows
	kept []session.Revocation
	away bool
}

var errAway = errors.New("away")

func (f *followed) Follow(ctx context.Context, report func([]session.Revocation)) error {
	f.mu.Lock()
	away, kept := f.away, f.kept
	f.mu.Unlock()
	if away {
		return errAway
	}
	report(kept)
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-f.fail:
			return errAway
		case revoked := <-f.news:
			report(revoked)
		}
	}
}

// goes has the store fail from now on.
func (f *followed) goes() {
	f.mu.Lock()
	f.away = true
	f.mu.Unlock()
	f.fail <- struct{}{}
	synctest.Wait()
}

// returns has it work again.
func (f *followed) returns(kept ...session.Revocation) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.away, f.kept = false, kept
}

// denied is a denylist that runs, with its store and its clock.
type denied struct {
	*session.Denylist
	store  *followed
	ahead  atomic.Int64 // time.Duration: how wrong the wall clock is
	failed int
	worked int
}

const minLife = time.Hour

// withDenylist runs a test with a denylist on a store, in a bubble of synctest.
func withDenylist(t *testing.T, store *followed, test func(*testing.T, *denied)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		d := &denied{store: store}
		store.news, store.fail = make(chan []session.Revocation), make(chan struct{})
		clock := session.NewClockOf(
			func() time.Time { return time.Now().Add(time.Duration(d.ahead.Load())) }, func() time.Duration { return time.Since(began) },
		)
		d.Denylist = session.NewDenylist(store, clock, func() time.Duration { return minLife })
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go d.Sweep(ctx)
		go func() {
			defer close(done)
			d.Run(ctx, func(error) { d.failed++ }, func() { d.worked++ })
		}()
		synctest.Wait()
		test(t, d)
		cancel()
		<-done
	})
}

func (d *denied) want(t *testing.T, when string, sid session.SID, want bool) {
	t.Helper()
	if got := d.Revoked(sid); got != want {
		t.Errorf("%s: got %s revoked %t, want %t", when, sid, got, want)
	}
}

// sleep lets time pass, of which the store reports at the end.
func sleep(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func revocation(sid session.SID, life time.Duration) session.Revocation {
	return session.Revocation{SID: sid, Until: time.Now().Add(life)}
}

func TestADenylistFollowsItsStore(t *testing.T) {
	t.Parallel()
	store := &followed{kept: []session.Revocation{{SID: "kept", Until: time.Now().Add(1000 * 24 * time.Hour)}}}
	withDenylist(t, store, func(t *testing.T, d *denied) {
		d.want(t, "kept", "kept", true)
		d.want(t, "unknown", "news", false)
		store.news <- []session.Revocation{revocation("news", time.Minute)}
		synctest.Wait()
		d.want(t, "reported", "news", true)
		if d.Age() != 0 || d.worked != 2 || d.failed != 0 {
			t.Errorf("got age %v, %d reports, %d failures, want 0, 2, 0", d.Age(), d.worked, d.failed)
		}
		sleep(10 * time.Second)
		if d.Age() != 10*time.Second {
			t.Errorf("got age %v, want 10s", d.Age())
		}
		store.news <- nil
		synctest.Wait()
		if d.Age() != 0 {
			t.Errorf("got age %v after a report, want none", d.Age())
		}
	})
}

// Redis stopped and continued: the logout was 204, and for half a second the token still passed,
// because nobody listened to this node's own revocations.
// Threats: F04.
func TestOwnRevocationsCountWhileTheStoreIsAway(t *testing.T) {
	t.Parallel()
	store := &followed{kept: []session.Revocation{{SID: "kept", Until: time.Now().Add(1000 * 24 * time.Hour)}}}
	withDenylist(t, store, func(t *testing.T, d *denied) {
		store.goes()
		sleep(10 * time.Minute)
		d.want(t, "away", "kept", true)
		if d.failed < 10 || d.failed > 10*60*4 {
			t.Errorf("got %d attempts in ten minutes, want some a minute", d.failed)
		}
		if d.Age() != 10*time.Minute {
			t.Errorf("got age %v, want 10m", d.Age())
		}
		d.Add([]session.Revocation{revocation("own", time.Hour)})
		d.want(t, "added", "own", true)
		store.returns()
		sleep(5 * time.Second)
		if d.Age() > 5*time.Second {
			t.Errorf("got age %v after the store is back", d.Age())
		}
		d.want(t, "back", "own", true)
		d.want(t, "back", "kept", true)
	})
}

func TestAStoreThatWorksIsFollowedAtOnce(t *testing.T) {
	t.Parallel()
	store := &followed{away: true}
	withDenylist(t, store, func(t *testing.T, d *denied) {
		if d.Age() < 365*24*time.Hour {
			t.Errorf("got age %v before the first report, want no end", d.Age())
		}
		sleep(10 * time.Minute) // the pauses have grown
		store.returns()
		d.Wake()
		synctest.Wait()
		if d.Age() != 0 {
			t.Fatalf("got age %v after a wake, want none", d.Age())
		}

		// One more failure: the pause is short again.
		store.goes()
		store.returns()
		sleep(time.Second)
		if d.Age() >= time.Second {
			t.Errorf("got age %v a second after a short failure", d.Age())
		}
	})
}

func TestADenylistIsWaitedFor(t *testing.T) {
	t.Parallel()
	store := &followed{away: true}
	withDenylist(t, store, func(t *testing.T, d *denied) {
		took := func(age, timeout time.Duration) time.Duration {
			began := time.Now()
			d.Wait(age, timeout)
			return time.Since(began)
		}
		if got := took(time.Minute, 5*time.Second); got != 5*time.Second {
			t.Errorf("away: got a wait of %v, want 5s", got)
		}
		store.returns()
		if got := took(time.Minute, time.Hour); got > 10*time.Second {
			t.Errorf("back: got a wait of %v, want seconds", got)
		}
		if got := took(time.Minute, time.Hour); got != 0 {
			t.Errorf("up to date: got a wait of %v, want none", got)
		}
		sleep(2 * time.Minute)
		go func() {
			time.Sleep(3 * time.Second)
			store.news <- nil
		}()
		if got := took(time.Minute, time.Hour); got != 3*time.Second {
			t.Errorf("late: got a wait of %v, want 3s", got)
		}
	})
}

func TestRevocationsAreDroppedWhenOver(t *testing.T) {
	t.Parallel()
	withDenylist(t, &followed{}, func(t *testing.T, d *denied) {
		d.Add([]session.Revocation{
			revocation("brief", time.Minute), revocation("long", 10*time.Hour), revocation("past", -24*time.Hour),
		})
		d.Add([]session.Revocation{revocation("long", time.Minute)}) // which shortens nothing
		sleep(minLife - time.Minute)
		for _, sid := range []session.SID{"brief", "long", "past"} {
			d.want(t, "within the life of a token", sid, true)
		}
		sleep(10*time.Hour + session.ClockMargin - minLife)
		d.want(t, "within the margin", "brief", false)
		d.want(t, "within the margin", "past", false)
		d.want(t, "within the margin", "long", true)
		sleep(5 * time.Minute)
		d.want(t, "over", "long", false)
	})
}

// A clock that was a day ahead for some minutes emptied the list and made tokens good again.
// Threats: F10.
func TestAClockAheadDropsNoRevocation(t *testing.T) {
	t.Parallel()
	for _, ahead := range []time.Duration{24 * time.Hour, 10 * 365 * 24 * time.Hour, -24 * time.Hour} {
		withDenylist(t, &followed{}, func(t *testing.T, d *denied) {
			d.Add([]session.Revocation{revocation("long", 3*time.Hour)})
			sleep(2 * time.Hour)
			d.ahead.Store(int64(ahead))
			sleep(5 * time.Minute)
			d.want(t, "wrong clock", "long", true)
			d.ahead.Store(0)
			sleep(5 * time.Minute)
			d.want(t, "right again", "long", true)
		})
	}
	// Nor one from before the process began with a wrong clock.
	store := &followed{kept: []session.Revocation{{SID: "kept", Until: time.Date(2000, 1, 1, 1, 0, 0, 0, time.UTC)}}}
	withDenylist(t, store, func(t *testing.T, d *denied) {
		d.ahead.Store(int64(24 * time.Hour))
		sleep(minLife - time.Minute)
		d.want(t, "wrong from the start", "kept", true)
	})
}
