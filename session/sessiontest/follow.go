//nolint:thelper // rules are tests: a failure is at their line, not at that which calls them
package sessiontest

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/session"
)

// patience is how long a test waits for what ought to happen within a second; a busy machine is no
// broken store.
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
func follow(t *testing.T, s session.Store, at time.Time) *follower {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	f := &follower{stop: cancel, ended: make(chan error, 1), changed: make(chan struct{})}
	go func() { f.ended <- s.Follow(ctx, at, f.report) }()
	t.Cleanup(cancel)
	if !f.wait(patience, func(reports [][]session.Revocation) bool { return len(reports) > 0 }) {
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

// wait waits until the reports are as wanted, and tells whether they became so in time.
func (f *follower) wait(limit time.Duration, wanted func([][]session.Revocation) bool) bool {
	timeout := time.After(limit)
	for {
		f.mu.Lock()
		ok, changed := wanted(f.reports), f.changed
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

// count returns how many times the store has reported.
func (f *follower) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.reports)
}

// first returns what the store reported first.
func (f *follower) first() []session.Revocation {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.reports[0]
}

// last returns the latest time until which a session is reported revoked.
func (f *follower) last(sid session.SID) (until time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, r := range slices.Concat(f.reports...) {
		if r.SID == sid && r.Until.After(until) {
			until = r.Until
		}
	}
	return until
}

// user returns the latest boundary before which all of a user's sessions are reported revoked, and
// until when.
func (f *follower) user(tag session.Tag) (before, until time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, r := range slices.Concat(f.reports...) {
		if r.SID != "" || r.Tag != tag {
			continue
		}
		if r.Before.After(before) {
			before = r.Before
		}
		if r.Until.After(until) {
			until = r.Until
		}
	}
	return before, until
}

// wantSession wants a session reported already.
func (f *follower) wantSession(t *testing.T, sid session.SID, until time.Time) {
	t.Helper()
	switch got := f.last(sid); {
	case got.IsZero():
		t.Errorf("the end of a session was not reported")
	case !got.Equal(until):
		t.Errorf("the end of a session was reported until %v, want %v", got, until)
	}
}

func (f *follower) wantNoSession(t *testing.T, sid session.SID) {
	t.Helper()
	if !f.last(sid).IsZero() {
		t.Error("the end of a session was reported that did not end")
	}
}

// wantUser wants the end of a user's sessions reported already.
func (f *follower) wantUser(t *testing.T, tag session.Tag, before time.Time) {
	t.Helper()
	got, _ := f.user(tag)
	if got.IsZero() {
		t.Errorf("the end of a user's sessions was not reported")
	} else if !got.Equal(before) {
		t.Errorf("the end of a user's sessions was reported before %v, want %v", got, before)
	}
}

func followTellsThePast(t *testing.T, f Fixture) {
	begin := now()
	brief := policy
	brief.TokenTTL = time.Minute
	over, lasting := login(t, f.Store, alice, begin, policy), login(t, f.Store, alice, begin, policy)
	if err := f.Store.End(t.Context(), over.SID, begin, brief); err != nil {
		t.Fatal(err)
	}
	if err := f.Store.End(t.Context(), lasting.SID, begin, policy); err != nil {
		t.Fatal(err)
	}
	if err := f.Store.EndAll(t.Context(), alice, begin, policy); err != nil {
		t.Fatal(err)
	}
	for _, node := range f.nodes() {
		news := follow(t, node, begin.Add(brief.TokenTTL))
		heard := &follower{reports: [][]session.Revocation{news.first()}}
		heard.wantNoSession(t, over.SID)
		heard.wantSession(t, lasting.SID, begin.Add(policy.TokenTTL))
		heard.wantUser(t, alice.Tag(), begin)
	}
	news := follow(t, f.Store, begin.Add(100*24*time.Hour))
	if past := news.first(); len(past) != 0 {
		t.Errorf("got %d revocations that are over", len(past))
	}
}

func followTellsOwn(t *testing.T, f Fixture) {
	begin := now()
	one, two := follow(t, f.Store, begin), follow(t, f.Store, begin)
	for range 20 {
		token := login(t, f.Store, alice, begin, policy)
		if err := f.Store.End(t.Context(), token.SID, begin, policy); err != nil {
			t.Fatal(err)
		}
		one.wantSession(t, token.SID, begin.Add(policy.TokenTTL))
		two.wantSession(t, token.SID, begin.Add(policy.TokenTTL))
	}
	if err := f.Store.EndAll(t.Context(), alice, begin, policy); err != nil {
		t.Fatal(err)
	}
	one.wantUser(t, alice.Tag(), begin)
	two.wantUser(t, alice.Tag(), begin)
}

func followTellsOthers(t *testing.T, f Fixture) {
	if f.Second == nil {
		t.Skip("one node")
	}
	begin := now()
	news := follow(t, f.Second, begin)
	within(t, func() bool {
		token := login(t, f.Store, alice, begin, policy)
		if err := f.Store.End(t.Context(), token.SID, begin, policy); err != nil {
			t.Fatal(err)
		}
		return news.wait(patience, func([][]session.Revocation) bool {
			for _, r := range slices.Concat(news.reports...) {
				if r.SID == token.SID {
					return r.Until.Equal(begin.Add(policy.TokenTTL))
				}
			}
			return false
		})
	})
	within(t, func() bool {
		begin = begin.Add(time.Millisecond)
		if err := f.Store.EndAll(t.Context(), alice, begin, policy); err != nil {
			t.Fatal(err)
		}
		return news.wait(patience, func([][]session.Revocation) bool {
			for _, r := range slices.Concat(news.reports...) {
				if r.Tag == alice.Tag() && r.Before.Equal(begin) {
					return true
				}
			}
			return false
		})
	})
}

func followBeats(t *testing.T, f Fixture) {
	for _, node := range f.nodes() {
		news := follow(t, node, now())
		within(t, func() bool {
			before := news.count()
			return news.wait(patience, func(reports [][]session.Revocation) bool { return len(reports) > before })
		})
	}
}

// within wants something to happen, and one time of three within the second it may take.
func within(t *testing.T, happens func() bool) {
	t.Helper()
	var took time.Duration
	for range 3 {
		began := time.Now()
		if !happens() {
			t.Fatalf("it did not happen in %v", patience)
		}
		if took = time.Since(began); took <= time.Second {
			return
		}
	}
	t.Errorf("it took %v, want at most a second", took)
}

func followEndsAndBeginsAgain(t *testing.T, f Fixture) {
	begin := now()
	for range 3 {
		news := follow(t, f.Store, begin)
		news.stop()
		select {
		case err := <-news.ended:
			if err == nil {
				t.Error("got no error, want that of the context")
			}
		case <-time.After(patience):
			t.Fatal("Follow did not end with its context")
		}
	}
	token := login(t, f.Store, alice, begin, policy)
	news := follow(t, f.Store, begin)
	if err := f.Store.End(t.Context(), token.SID, begin, policy); err != nil {
		t.Fatal(err)
	}
	news.wantSession(t, token.SID, begin.Add(policy.TokenTTL))
}

func closeEndsFollow(t *testing.T, f Fixture) {
	news := follow(t, f.Store, now())
	if err := f.Store.Close(); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-news.ended:
		if err == nil {
			t.Error("got no error, want that of a closed store")
		}
	case <-time.After(patience):
		t.Fatal("Follow did not end with its store")
	}
}
