// Rules for Follow.

package sessiontest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/session"
)

// patience bounds the wait for an event that is due within a second: on a busy machine a store may
// be late without being broken.
const patience = 20 * time.Second

// follower collects what a store reports.
type follower struct {
	stop  context.CancelFunc
	ended chan error // holds what Follow returned

	mu      sync.Mutex // guards what follows
	reports [][]session.Revocation
	changed chan struct{} // closed and made anew at every report
}

// follow follows a store until the test ends, and returns after its first report.
func follow(t *testing.T, s session.Store) *follower {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	f := &follower{stop: cancel, ended: make(chan error, 1), changed: make(chan struct{})}
	go func() { f.ended <- s.Follow(ctx, f.report) }()
	t.Cleanup(cancel)
	if !f.wait(func() bool { return len(f.reports) > 0 }) {
		t.Fatal("Follow reported nothing")
	}
	return f
}

func (f *follower) report(revoked []session.Revocation) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reports = append(f.reports, slices.Clone(revoked))
	close(f.changed)
	f.changed = make(chan struct{})
}

// wait waits until the reports are as wanted, and reports whether they became so in time.
func (f *follower) wait(wanted func() bool) bool {
	timeout := time.After(patience)
	for {
		f.mu.Lock()
		ok, changed := wanted(), f.changed
		f.mu.Unlock()
		if ok {
			return true
		}
		select {
		case <-changed:
		case <-timeout:
			return false
		}
	}
}

// want waits until all that was reported is as wanted.
func (f *follower) want(t *testing.T, wanted func([]session.Revocation) bool) {
	t.Helper()
	if !f.wait(func() bool { return wanted(slices.Concat(f.reports...)) }) {
		t.Fatal("a revocation was not reported")
	}
}

// all returns everything reported so far.
func (f *follower) all() []session.Revocation {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Concat(f.reports...)
}

// first returns what the store reported first.
func (f *follower) first() []session.Revocation {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.reports[0]
}

// wantEnd waits until Follow has returned.
func (f *follower) wantEnd(t *testing.T) error {
	t.Helper()
	select {
	case err := <-f.ended:
		if err == nil {
			t.Error("got no error from Follow, want one that says why it ended")
		}
		return err
	case <-time.After(patience):
		t.Fatal("Follow did not end")
		return nil
	}
}

func followReportsAllAtFirst(t *testing.T, f *fixture) {
	for _, node := range f.nodes() {
		if revoked := follow(t, node).first(); len(revoked) != 0 {
			t.Errorf("got %d revocations from an empty store", len(revoked))
		}
	}
	begin := now()
	want := map[session.SID]time.Time{}
	for i := range 300 {
		user := session.UserID{AppID: alice.AppID, OpenID: fmt.Sprint("o", i)}
		_, token := newLogin(user, begin, 0)
		at := begin.Add(time.Duration(i) * time.Second)
		want[token.SID] = end(t, f.nodes()[i%len(f.nodes())], token.SID, ending(at))
		if wanted := at.Add(policy.TokenTTL); !want[token.SID].Equal(wanted) {
			t.Errorf("got a session revoked until %v, want %v", want[token.SID], wanted)
		}
	}
	for _, node := range f.nodes() {
		wantRevocations(t, follow(t, node).first(), want)
	}
}

func followReportsOtherNodes(t *testing.T, f *fixture) {
	if f.Second == nil {
		t.Skip("one node")
	}
	begin := now()
	followed := follow(t, f.Second)
	for what, revoke := range map[string]func(session.RefreshToken) ([]session.Revocation, error){
		"end": func(token session.RefreshToken) ([]session.Revocation, error) {
			return f.Store.End(t.Context(), token.SID, ending(begin))
		},
		"end of all": func(session.RefreshToken) ([]session.Revocation, error) {
			return f.Store.EndAll(t.Context(), alice.Tag(), ending(begin))
		},
		"erasure": func(session.RefreshToken) ([]session.Revocation, error) {
			return f.Store.Erase(t.Context(), alice.Tag(), ending(begin))
		},
		"reuse": func(token session.RefreshToken) ([]session.Revocation, error) {
			got, err := f.Store.Refresh(t.Context(), session.NewRedemption(token.Successor(nil), begin, policy))
			return got.Revoked, err
		},
		"eviction": func(session.RefreshToken) (revoked []session.Revocation, err error) {
			l, _ := newLogin(alice, begin, account(t, f.Store, alice).Generation)
			l.Policy.MaxPerUser = 1
			return f.Store.Login(t.Context(), l)
		},
	} {
		within(t, what, func() {
			token := login(t, f.Store, alice, begin)
			revoked, err := revoke(token)
			check(t, err)
			if until(revoked, token.SID).IsZero() {
				t.Errorf("%s: the session was not returned as revoked", what)
			}
			followed.want(t, func(all []session.Revocation) bool {
				return until(all, token.SID).Equal(begin.Add(policy.TokenTTL))
			})
		})
	}
}

// followMissesNothing has one node revoke while the other begins to follow: there is no moment
// between what is kept and what is new.
func followMissesNothing(t *testing.T, f *fixture) {
	if f.Second == nil {
		t.Skip("one node")
	}
	begin := now()
	for range 10 {
		var want []session.SID
		revoking := make(chan struct{})
		go func() {
			defer close(revoking)
			for range 20 {
				_, token := newLogin(alice, begin, 0)
				_, err := f.Store.End(t.Context(), token.SID, ending(begin))
				check(t, err)
				want = append(want, token.SID)
			}
		}()
		followed := follow(t, f.Second)
		<-revoking
		followed.want(t, func(all []session.Revocation) bool {
			return !slices.ContainsFunc(want, func(sid session.SID) bool { return until(all, sid).IsZero() })
		})
		followed.stop()
	}
}

func followBeats(t *testing.T, f *fixture) {
	for _, node := range f.nodes() {
		followed := follow(t, node)
		within(t, "a report", func() {
			followed.mu.Lock()
			before := len(followed.reports)
			followed.mu.Unlock()
			if !followed.wait(func() bool { return len(followed.reports) > before }) {
				t.Fatal("Follow reports no more")
			}
		})
	}
}

// within wants something to happen, and one time of three within the second it may take.
func within(t *testing.T, what string, happens func()) {
	t.Helper()
	var took time.Duration
	for range 3 {
		began := time.Now()
		happens()
		if took = time.Since(began); took <= time.Second {
			return
		}
	}
	t.Errorf("%s took %v, want at most a second", what, took)
}

func followEndsAndBeginsAgain(t *testing.T, f *fixture) {
	_, token := newLogin(alice, now(), 0)
	last := end(t, f.Store, token.SID, ending(now()))
	for range 3 {
		followed := follow(t, f.Store)
		if got := until(followed.first(), token.SID); !got.Equal(last) {
			t.Errorf("got a session revoked until %v, want %v", got, last)
		}
		followed.stop()
		if err := followed.wantEnd(t); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want %v", err, context.Canceled)
		}
	}
}

func closeEndsFollow(t *testing.T, f *fixture) {
	one, two := follow(t, f.Store), follow(t, f.Store)
	check(t, f.Store.Close())
	for _, followed := range []*follower{one, two} {
		if err := followed.wantEnd(t); !errors.Is(err, session.ErrClosed) {
			t.Errorf("got %v, want %v", err, session.ErrClosed)
		}
	}
}
