// Rules for the dropping of records, with clocks that step.

package sessiontest

import (
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/session"
)

// sweep has the store drop what is over by its clock, if it does so.
func (f *fixture) sweep(t *testing.T) {
	t.Helper()
	if f.Sweep != nil {
		f.Sweep(t)
	}
}

// aWrongClockDropsNothing: for a minute the clock of a node is a day ahead or behind, and the node
// works on.
func aWrongClockDropsNothing(t *testing.T, f *fixture) {
	begin := now()
	token := login(t, f.Store, alice, begin)
	spent := login(t, f.Store, alice, begin)
	ended := login(t, f.Store, alice, begin)
	revoked := end(t, f.Store, ended.SID, ending(begin))
	replay := session.Replay{Key: session.Digest{1}, Value: []byte("x"), Until: begin.Add(time.Minute)}
	check(t, f.Store.PutReplay(t.Context(), replay, begin))
	wantCount(t, f.Store, session.Digest{2}, 3, begin.Add(time.Minute), begin, 3)
	bob := session.UserID{AppID: alice.AppID, OpenID: "oBob"}
	for _, wrong := range []time.Duration{24 * time.Hour, -24 * time.Hour, 365 * 24 * time.Hour} {
		f.first.step(wrong)
		f.second.step(wrong)
		f.sweep(t)
		for _, node := range f.nodes() {
			users := []session.UserID{bob}
			if wrong <= session.RecordMargin {
				users = append(users, alice)
			}
			for _, user := range users {
				at := begin.Add(wrong)
				_, err := node.End(t.Context(), login(t, node, user, at).SID, ending(at))
				check(t, err)
			}
			_, err := node.EndAll(t.Context(), bob.Tag(), ending(begin.Add(wrong)))
			check(t, err)
		}
		f.sweep(t)
		f.first.step(0)
		f.second.step(0)
		f.sweep(t)
		for _, node := range f.nodes() {
			token = wantOutcome(t, node, token, begin, session.Rotated)
			if got := until(follow(t, node).first(), ended.SID); !got.Equal(revoked) {
				t.Errorf("clock wrong by %v: got a session revoked until %v, want %v", wrong, got, revoked)
			}
			wantReplay(t, node, replay.Key, begin, replay.Value)
			wantCount(t, node, session.Digest{2}, 0, begin, begin, 3)
			if a := account(t, node, alice); a.Session(spent.SID) == nil {
				t.Errorf("clock wrong by %v: a session is gone", wrong)
			}
		}
	}
	if got := account(t, f.Store, bob).Generation; got != int64(3*len(f.nodes())) {
		t.Errorf("got generation %d, want %d", got, 3*len(f.nodes()))
	}
}

// whatIsOverIsDropped, and no earlier than it may be.
func whatIsOverIsDropped(t *testing.T, f *fixture) {
	if f.Sweep == nil {
		t.Skip("the store drops by a clock of its own")
	}
	begin := now()
	erased := session.UserID{AppID: alice.AppID, OpenID: "erased"}
	token := login(t, f.Store, alice, begin)
	login(t, f.Store, alice, begin)
	end(t, f.Store, token.SID, ending(begin))
	login(t, f.Store, erased, begin)
	_, err := f.Store.Erase(t.Context(), erased.Tag(), ending(begin))
	check(t, err)

	f.first.pass(policy.TokenTTL + session.ClockMargin - time.Minute)
	f.Sweep(t)
	if got := len(follow(t, f.Store).first()); got != 2 {
		t.Errorf("got %d revocations kept, want 2", got)
	}
	f.first.pass(session.RecordMargin)
	f.Sweep(t)
	if got := len(follow(t, f.Store).first()); got != 0 {
		t.Errorf("got %d revocations that are over, want none", got)
	}
	f.first.pass(session.TombstoneLife)
	f.Sweep(t)
	if got := account(t, f.Store, erased).Generation; got != 0 {
		t.Errorf("got generation %d of an account that is over, want none", got)
	}
	f.first.pass(session.UserLife - session.RecordMargin)
	f.Sweep(t)
	if a := account(t, f.Store, alice); len(a.Sessions) != 1 {
		t.Errorf("got %s, want a session", text(t, a))
	}
	f.first.pass(3 * session.RecordMargin)
	f.Sweep(t)
	if a := account(t, f.Store, alice); text(t, a) != text(t, session.Account{}) {
		t.Errorf("got %s, want no account", text(t, a))
	}
}
