// The use of refresh tokens.

package session_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/session"
)

func TestRedemptions(t *testing.T) {
	t.Parallel()
	made, first := session.New(bob, site, start)
	_, stranger := session.New(bob, site, start)
	second := first.Successor([]byte("1"))
	third := second.Successor([]byte("2"))
	spent := start.Add(time.Minute)
	made.Previous, made.Current, made.Salt = second.Digest(), third.Digest(), []byte("2")
	made.Spent, made.LastUse = spent, spent
	guessed := stranger
	guessed.SID = first.SID
	renamed := third
	renamed.SID = stranger.SID

	for _, test := range []struct {
		name  string
		token session.RefreshToken
		at    time.Time
		ended session.Outcome
		want  session.Outcome
	}{
		{"current", third, spent, session.Unknown, session.Rotated},
		{"current, on a node that is behind", third, start.Add(-time.Hour), session.Unknown, session.Rotated},
		{"current, before the session is idle", third, spent.Add(policy.Idle - 1), session.Unknown, session.Rotated},
		{"current, idle", third, spent.Add(policy.Idle), session.Unknown, session.Unknown},
		{"current, past its lifetime", third, start.Add(policy.Lifetime), session.Unknown, session.Unknown},
		{"spent, at once", second, spent, session.Unknown, session.Repeated},
		{"spent, on a node that is behind", second, spent.Add(-time.Hour), session.Unknown, session.Repeated},
		{"spent, within the grace time", second, spent.Add(policy.Grace - 1), session.Unknown, session.Repeated},
		{"spent, after the grace time", second, spent.Add(policy.Grace), session.Unknown, session.Reused},
		{"spent before the last, within the grace time", first, spent, session.Unknown, session.Reused},
		{"spent, idle", second, spent.Add(policy.Idle), session.Unknown, session.Unknown},
		{"never given", third.Successor([]byte("guess")), spent, session.Unknown, session.Reused},
		{"another family", guessed, spent, session.Unknown, session.Unknown},
		{"another session's name", renamed, spent, session.Unknown, session.Unknown},
		{"another session", stranger, spent, session.Unknown, session.Unknown},
		{"ended by reuse, current", third, spent, session.Reused, session.Reused},
		{"ended by reuse, another family", guessed, spent, session.Reused, session.Unknown},
		{"evicted, current", third, spent, session.Evicted, session.Unknown},
		{"evicted, spent", second, spent.Add(policy.Grace), session.Evicted, session.Unknown},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := made
			s.Ended = test.ended
			r := session.NewRedemption(test.token, test.at, policy)
			if got := s.Redeem(r); got != test.want {
				t.Fatalf("got %v, want %v", got, test.want)
			}
			if test.want != session.Rotated {
				s.Ended = session.Unknown
				if text(t, s) != text(t, made) {
					t.Errorf("got %s, want nothing changed", text(t, s))
				}
				return
			}
			if s.Current != test.token.Successor(s.Salt).Digest() || s.Previous != test.token.Digest() {
				t.Error("the salt does not lead to the current token")
			}
			lastUse := test.at // which a node that is behind puts no earlier: the session would be idle sooner
			if lastUse.Before(spent) {
				lastUse = spent
			}
			if !s.Spent.Equal(test.at) || !s.LastUse.Equal(lastUse) {
				t.Errorf("got spent at %v, last use %v, want %v, %v", s.Spent, s.LastUse, test.at, lastUse)
			}
		})
	}
}

// Ten requests of a mini program at once: all get the successor that the first one got.
func TestARepeatedUseGivesTheSameSuccessor(t *testing.T) {
	t.Parallel()
	s, token := session.New(bob, site, start)
	var next session.RefreshToken
	for i := range 10 {
		s.Redeem(session.NewRedemption(token, start.Add(time.Duration(i)*time.Second), policy))
		if got := token.Successor(s.Salt); i > 0 && got != next {
			t.Fatalf("use %d: got another successor", i)
		} else {
			next = got
		}
	}
}

func TestAccountsRefresh(t *testing.T) {
	t.Parallel()
	p := newPeople(t)
	p.login("a", start)
	p.login("b", start)
	last := start.Add(5 * time.Hour)
	p.Sessions[0].User = session.UserID{} // not stored with the session
	r := session.NewRedemption(p.tokens["a"], start, policy)
	r.TokensUntil, r.Claims = last, json.RawMessage(`{"a":1}`)
	got := p.Refresh(r)
	if got.Outcome != session.Rotated || got.Session.User != bob || got.User.UserID != bob {
		t.Errorf("got %v of %v, want Rotated of %v", got.Outcome, got.Session.User, bob)
	}
	r = session.NewRedemption(p.tokens["a"], start, policy)
	r.TokensUntil = start // of a node whose tokens live for less
	got = p.Refresh(r)
	kept := string(got.Session.Claims) == `{"a":1}` && got.Session.TokensUntil.Equal(last)
	if got.Outcome != session.Repeated || !kept {
		t.Errorf("got %v of %s, want Repeated with the claims and times kept", got.Outcome, text(t, got.Session))
	}
	r.Claims = json.RawMessage("null")
	if got = p.Refresh(r); got.Session.Claims != nil {
		t.Errorf("got claims %s, want none", got.Session.Claims)
	}

	r = session.NewRedemption(p.tokens["a"], start.Add(policy.Grace), policy)
	for range 2 { // until the revocation is written, each use says so
		got = p.Refresh(r)
		if got.Outcome != session.Reused || p.listed() != "(a) b" || p.revoked(got.Revoked) != "a" {
			t.Fatalf("got %v and %s, want Reused of the first", got.Outcome, text(t, got.Revoked))
		}
		if !got.Revoked[0].Until.Equal(last) {
			t.Errorf("got %v and %s, want Reused, revoked until %v", got.Outcome, text(t, got.Revoked), last)
		}
	}
	p.Drop(got.Revoked)
	if got = p.Refresh(r); got.Outcome != session.Unknown || p.listed() != "b" {
		t.Errorf("got %v and %q listed, want Unknown and the other session", got.Outcome, p.listed())
	}
	if got.Session.SID != "" || got.User.UserID == bob {
		t.Error("a token that is none gave a session or a user")
	}
}
