//nolint:thelper // rules are tests: a failure is at their line, not at that which calls them
package sessiontest

import (
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/session"
)

func endEnds(t *testing.T, f Fixture) {
	begin := now()
	ended, other := login(t, f.Store, alice, begin, policy), login(t, f.Store, alice, begin, policy)
	spent := ended
	ended = wantVerdict(t, f.Store, ended, begin, policy, session.Rotated)
	news := follow(t, f.Store, begin)
	for range 2 { // a second logout is no error
		if err := f.Store.End(t.Context(), ended.SID, begin, policy); err != nil {
			t.Fatal(err)
		}
	}
	news.wantSession(t, ended.SID, begin.Add(policy.TokenTTL))
	news.wantNoSession(t, other.SID)
	for _, node := range f.nodes() {
		wantVerdict(t, node, ended, begin, policy, session.Unknown)
		wantVerdict(t, node, spent, begin, policy, session.Unknown)
	}
	wantVerdict(t, f.Store, other, begin, policy, session.Rotated)
}

func endOfUnknownIsReported(t *testing.T, f Fixture) {
	begin := now()
	_, never := session.New(alice, begin)
	news := follow(t, f.Store, begin)
	if err := f.Store.End(t.Context(), never.SID, begin, policy); err != nil {
		t.Fatal(err)
	}
	news.wantSession(t, never.SID, begin.Add(policy.TokenTTL))
	follow(t, f.Store, begin).wantSession(t, never.SID, begin.Add(policy.TokenTTL))
}

// revocationsOnlyGrow: what a later follower hears covers each revocation, whatever came after it.
func revocationsOnlyGrow(t *testing.T, f Fixture) {
	begin := now()
	token := login(t, f.Store, alice, begin, policy)
	brief := policy
	brief.TokenTTL = time.Minute
	for _, p := range []session.Policy{policy, brief} {
		if err := f.Store.End(t.Context(), token.SID, begin, p); err != nil {
			t.Fatal(err)
		}
	}
	later := begin.Add(time.Minute)
	for _, before := range []time.Time{later, begin} {
		if err := f.Store.EndAll(t.Context(), alice, before, policy); err != nil {
			t.Fatal(err)
		}
	}
	news := follow(t, f.Store, later)
	news.wantSession(t, token.SID, begin.Add(policy.TokenTTL))
	news.wantUser(t, alice.Tag(), later)
}

func endAllHasABoundary(t *testing.T, f Fixture) {
	begin := now()
	bob := session.UserID{AppID: alice.AppID, OpenID: "oBob"}
	boundary := begin.Add(time.Second)
	earlier := login(t, f.Store, alice, begin, policy)
	same := login(t, f.Store, alice, boundary, policy)
	after := login(t, f.Store, alice, boundary.Add(time.Millisecond), policy)
	bobs := login(t, f.Store, bob, begin, policy)

	news := follow(t, f.Store, begin)
	if err := f.Store.EndAll(t.Context(), alice, boundary, policy); err != nil {
		t.Fatal(err)
	}
	news.wantUser(t, alice.Tag(), boundary)
	if before, _ := news.user(bob.Tag()); !before.IsZero() {
		t.Error("the end of another user's sessions was reported")
	}
	at := boundary.Add(time.Second)
	for _, node := range f.nodes() {
		wantVerdict(t, node, earlier, at, policy, session.Unknown)
		wantVerdict(t, node, same, at, policy, session.Unknown)
	}
	after = wantVerdict(t, f.Store, after, at, policy, session.Rotated)
	wantVerdict(t, f.Store, bobs, at, policy, session.Rotated)

	// A login that follows lives, and what lived on can still be ended.
	again := login(t, f.Store, alice, at, policy)
	wantVerdict(t, f.Store, again, at, policy, session.Rotated)
	if err := f.Store.EndAll(t.Context(), alice, at, policy); err != nil {
		t.Fatal(err)
	}
	wantVerdict(t, f.Store, after, at, policy, session.Unknown)
	wantVerdict(t, f.Store, again, at, policy, session.Unknown)
}

// endAllOfThePast: a session that was made long ago may have got an access token right now, so its
// revocation must be remembered from now on, not from then on.
func endAllOfThePast(t *testing.T, f Fixture) {
	begin := now()
	long := policy
	long.TokenTTL = 30 * time.Minute
	old := login(t, f.Store, alice, begin.Add(-50*time.Minute), long)
	young := login(t, f.Store, alice, begin, long)
	news := follow(t, f.Store, begin)
	boundary := begin.Add(-45 * time.Minute)
	if err := f.Store.EndAll(t.Context(), alice, boundary, long); err != nil {
		t.Fatal(err)
	}
	for _, heard := range []*follower{news, follow(t, f.Store, begin)} {
		heard.wantUser(t, alice.Tag(), boundary)
		if _, until := heard.user(alice.Tag()); until.Before(begin.Add(long.TokenTTL)) {
			t.Errorf("got a revocation until %v, but a token made now lives until %v", until, begin.Add(long.TokenTTL))
		}
	}
	wantVerdict(t, f.Store, old, begin, long, session.Unknown)
	wantVerdict(t, f.Store, young, begin, long, session.Rotated)
}
