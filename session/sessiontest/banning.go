// Rules for bans.

package sessiontest

import (
	"errors"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/session"
)

// wantBanned wants an error that says as much of a ban as another does, nothing if it is none of a
// ban.
func wantBanned(t *testing.T, got, want error) {
	t.Helper()
	g, _ := errors.AsType[*session.BannedError](got)
	w, _ := errors.AsType[*session.BannedError](want)
	switch {
	case (g == nil) != (w == nil):
		t.Errorf("got %v, want %v", got, want)
	case g != nil && (g.Ban.Reason != w.Ban.Reason || !g.Ban.Until.Equal(w.Ban.Until)):
		t.Errorf("got ban %+v, want %+v", g.Ban, w.Ban)
	case g != nil && !errors.Is(got, session.ErrEnded):
		t.Errorf("got %v, want one that wraps %v", got, session.ErrEnded)
	}
}

// tryLogin logs alice in, and wants the ban, if there is one, to refuse it.
func tryLogin(t *testing.T, s session.Store, at time.Time, ban *session.Ban) {
	t.Helper()
	l, _ := newLogin(alice, at, account(t, s, alice).Generation)
	_, err := s.Login(t.Context(), l)
	var want error
	if ban != nil {
		want = &session.BannedError{Ban: *ban}
	}
	wantBanned(t, err, want)
	if ban == nil {
		check(t, err)
		return
	}
	wantReplay(t, s, l.Replay.Key, at, nil)
}

func ban(t *testing.T, s session.Store, b session.Ban, at time.Time) []session.Revocation {
	t.Helper()
	revoked, err := s.Ban(t.Context(), alice.Tag(), b, ending(at))
	check(t, err)
	return revoked
}

func unban(t *testing.T, s session.Store, at time.Time) {
	t.Helper()
	check(t, s.Unban(t.Context(), alice.Tag(), at))
}

func banEndsAndRefuses(t *testing.T, f *fixture) {
	begin := now()
	begun, _ := newLogin(alice, begin, 0)
	forGood, forAnHour := session.Ban{Reason: "封禁 <spam>"}, session.Ban{Until: begin.Add(time.Hour)}
	ban(t, f.Store, forGood, begin) // a user never seen
	if _, err := f.last().Login(t.Context(), begun); !errors.Is(err, session.ErrEnded) {
		t.Errorf("a login under way: got %v, want %v", err, session.ErrEnded)
	}
	tryLogin(t, f.last(), begin.Add(100*365*24*time.Hour), &forGood)
	unban(t, f.last(), begin)
	unban(t, f.last(), begin) // there is none
	_, err := f.Store.Login(t.Context(), begun)
	if _, banned := errors.AsType[*session.BannedError](err); banned || !errors.Is(err, session.ErrEnded) {
		t.Errorf("a login that began before the ban: got %v, want %v", err, session.ErrEnded)
	}

	token, other := login(t, f.Store, alice, begin), login(t, f.Store, alice, begin)
	revoked := ban(t, f.last(), forAnHour, begin)
	if f.Reopen != nil {
		f.reopen(t)
	}
	for _, node := range f.nodes() {
		kept := follow(t, node).first()
		for _, ended := range []session.RefreshToken{token, other} {
			if until(revoked, ended.SID).IsZero() || until(kept, ended.SID).IsZero() {
				t.Error("a session of a banned user is not revoked")
			}
			wantOutcome(t, node, ended, begin, session.Unknown)
		}
		if a := account(t, node, alice); a.User.UserID != alice || len(a.Sessions) != 0 || a.Ban == nil {
			t.Errorf("got %s, want a banned user without sessions", text(t, a))
		}
		tryLogin(t, node, begin.Add(time.Hour-time.Millisecond), &forAnHour)
	}
	tryLogin(t, f.last(), begin.Add(time.Hour), nil) // it is over
	ban(t, f.Store, forAnHour, begin)
	ban(t, f.Store, forGood, begin)
	tryLogin(t, f.last(), begin.Add(2*time.Hour), &forGood)
	unban(t, f.Store, begin)
	tryLogin(t, f.last(), begin, nil)
}

// banOutlivesUser: neither erasure nor time undoes a ban, and it goes when it is over.
func banOutlivesUser(t *testing.T, f *fixture) {
	begin := now()
	forGood := session.Ban{Reason: "x"}
	login(t, f.Store, alice, begin)
	ban(t, f.Store, forGood, begin)
	_, err := f.last().Erase(t.Context(), alice.Tag(), ending(begin))
	check(t, err)
	if a := account(t, f.Store, alice); a.User.UserID == alice || a.Ban == nil {
		t.Errorf("got %s, want a ban and no user", text(t, a))
	}
	tryLogin(t, f.Store, begin, &forGood)
	if f.Sweep == nil {
		return // it drops by a clock of its own
	}
	f.first.pass(2 * session.UserLife)
	f.Sweep(t)
	later := begin.Add(2 * session.UserLife)
	tryLogin(t, f.Store, later, &forGood)
	brief := session.Ban{Reason: "x", Until: later.Add(30 * 24 * time.Hour)}
	ban(t, f.Store, brief, later)
	f.first.pass(30*24*time.Hour - time.Minute)
	f.Sweep(t)
	tryLogin(t, f.Store, later, &brief)
	f.first.pass(2*session.RecordMargin + session.TombstoneLife)
	f.Sweep(t)
	if a := account(t, f.Store, alice); text(t, a) != text(t, session.Account{}) {
		t.Errorf("got %s, want nothing of a ban that is over", text(t, a))
	}
}

// refreshesRaceBan: whichever is first, the session is over and revoked for as long as its last
// token lives.
func refreshesRaceBan(t *testing.T, f *fixture) {
	const uses = 20
	begin := now()
	for round := range 10 {
		token := login(t, f.Store, alice, begin)
		issued := make([]time.Time, uses)
		f.atOnce(uses, func(i int, node session.Store) {
			if i == round*uses/10 {
				ban(t, node, session.Ban{Reason: "x"}, begin)
			}
			r := session.NewRedemption(token, begin, policy)
			r.TokensUntil = begin.Add(policy.TokenTTL + time.Duration(i)*time.Minute)
			got, err := node.Refresh(t.Context(), r)
			check(t, err)
			if got.Outcome == session.Rotated || got.Outcome == session.Repeated {
				issued[i] = r.TokensUntil
			}
		})
		wantOutcome(t, f.last(), token, begin, session.Unknown)
		revoked := until(follow(t, f.Store).first(), token.SID)
		for _, last := range issued {
			if revoked.Before(last) {
				t.Errorf("got it revoked until %v, want %v", revoked, last)
			}
		}
		unban(t, f.last(), begin)
	}
}
