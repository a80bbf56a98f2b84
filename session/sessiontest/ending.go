// Rules for the ends of sessions, on nodes whose clocks and policies differ.

package sessiontest

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/session"
)

// endsOfAll are the two ways to end all sessions of a user.
var endsOfAll = map[string]func(*testing.T, session.Store, session.Ending) []session.Revocation{
	"end of all": func(t *testing.T, s session.Store, e session.Ending) []session.Revocation {
		t.Helper()
		revoked, err := s.EndAll(t.Context(), alice.Tag(), e)
		check(t, err)
		return revoked
	},
	"erasure": func(t *testing.T, s session.Store, e session.Ending) []session.Revocation {
		t.Helper()
		revoked, err := s.Erase(t.Context(), alice.Tag(), e)
		check(t, err)
		return revoked
	},
}

// allEndWhateverTheClocksSay: a login on a node ten minutes ahead ends, too, and an end written a
// day ahead is in nobody's way.
func allEndWhateverTheClocksSay(t *testing.T, f *fixture) {
	begin := now()
	for what, endAll := range endsOfAll {
		ahead := login(t, f.last(), alice, begin.Add(10*time.Minute))
		behind := login(t, f.last(), alice, begin.Add(-10*time.Minute))
		_, unlisted := newLogin(alice, begin, 0)
		late, _ := newLogin(alice, begin.Add(20*time.Minute), account(t, f.Store, alice).Generation)

		asker := ending(begin)
		asker.SID = unlisted.SID
		revoked := endAll(t, f.Store, asker)
		for _, node := range f.nodes() {
			kept := follow(t, node).first()
			for _, token := range []session.RefreshToken{ahead, behind, unlisted} {
				wantOutcome(t, node, token, begin, session.Unknown)
				if until(revoked, token.SID).IsZero() || until(kept, token.SID).IsZero() {
					t.Errorf("%s: a session was not revoked", what)
				}
			}
			if _, err := node.Login(t.Context(), late); !errors.Is(err, session.ErrEnded) {
				t.Errorf("%s: login: got %v, want %v", what, err, session.ErrEnded)
			}
			wantReplay(t, node, late.Replay.Key, begin, nil)
			if a := account(t, node, alice); len(a.Sessions) != 0 || (a.User.UserID == alice) != (what == "end of all") {
				t.Errorf("%s: got %s", what, text(t, a))
			}
		}

		endAll(t, f.last(), ending(begin.Add(24*time.Hour)))
		for _, node := range f.nodes() {
			token := login(t, node, alice, begin)
			wantOutcome(t, f.last(), token, begin, session.Rotated)
			if !until(follow(t, f.Store).first(), token.SID).IsZero() {
				t.Errorf("%s: a later login is revoked", what)
			}
		}
	}
}

// revocationOutlivesTokens: whoever made the last access token, and however soon the tokens of the
// node expire that ends the session.
func revocationOutlivesTokens(t *testing.T, f *fixture) {
	begin := now()
	last := begin.Add(5 * time.Hour)
	brief := session.Ending{Now: begin, Policy: policy}
	brief.Policy.TokenTTL = time.Second
	ends := map[string]func(session.RefreshToken) []session.Revocation{
		"end": func(token session.RefreshToken) []session.Revocation {
			revoked, err := f.last().End(t.Context(), token.SID, brief)
			check(t, err)
			return revoked
		},
		"reuse": func(token session.RefreshToken) []session.Revocation {
			got, err := f.last().Refresh(t.Context(), session.NewRedemption(token.Successor(nil), begin, brief.Policy))
			check(t, err)
			return got.Revoked
		},
		"eviction": func(session.RefreshToken) []session.Revocation {
			l, _ := newLogin(alice, begin, account(t, f.Store, alice).Generation)
			l.Policy = brief.Policy
			l.Policy.MaxPerUser = 1
			revoked, err := f.last().Login(t.Context(), l)
			check(t, err)
			return revoked
		},
	}
	for what, endAll := range endsOfAll {
		ends[what] = func(session.RefreshToken) []session.Revocation { return endAll(t, f.last(), brief) }
	}
	for what, end := range ends {
		l, token := newLogin(alice, begin, account(t, f.Store, alice).Generation)
		l.Session.TokensUntil = last
		_, err := f.Store.Login(t.Context(), l)
		check(t, err)
		if got := until(end(token), token.SID); !got.Equal(last) {
			t.Errorf("%s: got it revoked until %v, want %v", what, got, last)
		}
		_, err = f.last().End(t.Context(), token.SID, brief) // its record is gone
		check(t, err)
		for _, node := range f.nodes() {
			if got := until(follow(t, node).first(), token.SID); !got.Equal(last) {
				t.Errorf("%s: got it reported until %v, want %v", what, got, last)
			}
		}
	}
}

// endOfUnknown: the record may be gone before the last access token.
func endOfUnknown(t *testing.T, f *fixture) {
	begin := now()
	_, token := newLogin(alice, begin, 0)
	want := begin.Add(policy.TokenTTL)
	if got := end(t, f.Store, token.SID, ending(begin)); !got.Equal(want) {
		t.Errorf("got it revoked until %v, want %v", got, want)
	}
	if a := account(t, f.Store, alice); text(t, a) != text(t, session.Account{}) {
		t.Errorf("got %s, want no account", text(t, a))
	}
	// A token made elsewhere with a key of the site names its session as it likes.
	revoked := map[session.SID]time.Time{token.SID: want}
	for _, foreign := range []session.SID{"x", token.SID + "A", token.SID[1:], session.SID(strings.Repeat("long", 1000))} {
		revoked[foreign] = want
		if got := end(t, f.Store, foreign, ending(begin)); !got.Equal(want) {
			t.Errorf("%.20q: got it revoked until %v, want %v", foreign, got, want)
		}
	}
	wantRevocations(t, follow(t, f.last()).first(), revoked)
}

// pastSessionsAreFound: a logout can prove who asks with a token that is idle, past its lifetime,
// or spent.
func pastSessionsAreFound(t *testing.T, f *fixture) {
	begin := now()
	spent := login(t, f.Store, alice, begin)
	wantOutcome(t, f.Store, spent, begin, session.Rotated)
	idle := login(t, f.Store, alice, begin)
	past := begin.Add(policy.Lifetime)
	f.first.pass(policy.Lifetime)
	f.second.pass(policy.Lifetime)
	f.sweep(t)
	for _, token := range []session.RefreshToken{spent, idle} {
		wantOutcome(t, f.Store, token, past, session.Unknown)
	}
	login(t, f.Store, alice, past) // drops only what has been over for long
	if f.Reopen != nil {
		f.reopen(t)
	}
	for _, node := range f.nodes() {
		a := account(t, node, alice)
		for what, token := range map[string]session.RefreshToken{"spent": spent, "idle": idle} {
			if s := a.Session(token.SID); s == nil || s.Family != token.Family() {
				t.Errorf("the session of the %s token is not found", what)
			}
		}
	}
	for _, token := range []session.RefreshToken{spent, idle} {
		ended := end(t, f.Store, token.SID, ending(past))
		if a := account(t, f.last(), alice); ended.IsZero() || a.Session(token.SID) != nil {
			t.Error("a session past its time did not end")
		}
	}
}
