// The rules of accounts.

package session_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/session"
)

var (
	start  = time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)
	policy = session.Policy{
		Idle: time.Hour, Lifetime: 24 * time.Hour, Grace: 30 * time.Second, MaxPerUser: 3, TokenTTL: 15 * time.Minute,
	}
)

// people is an account whose sessions have names.
type people struct {
	t *testing.T
	session.Account
	tokens map[string]session.RefreshToken
}

func newPeople(t *testing.T) *people {
	t.Helper()
	return &people{t: t, tokens: map[string]session.RefreshToken{}}
}

// login adds a session of a name. That of another site has two words, or is "other".
func (p *people) login(name string, at time.Time) []session.Revocation {
	p.t.Helper()
	where := site
	if strings.HasPrefix(name, "other") {
		where = session.NewSite("https://other.example")
	} else if other, _, ok := strings.Cut(name, " "); ok {
		where = session.NewSite(other)
	}
	made, token := session.New(bob, where, at)
	if name == "tokens" {
		made.TokensUntil = at.Add(300 * 24 * time.Hour)
	}
	p.tokens[name] = token
	evicted, err := p.Login(session.Login{
		Session: made, User: session.User{UserID: bob, FirstSeen: at}, Generation: p.Generation, Policy: policy,
	})
	if err != nil {
		p.t.Fatal(err)
	}
	return evicted
}

func (p *people) names(sids ...session.SID) string {
	var names []string
	for _, sid := range sids {
		for name, token := range p.tokens {
			if token.SID == sid {
				names = append(names, name)
			}
		}
	}
	return strings.Join(names, " ")
}

// listed returns the names of the sessions in their order, those that have ended in brackets.
func (p *people) listed() string {
	var names []string
	for _, s := range p.Sessions {
		name := p.names(s.SID)
		if s.Ended != session.Unknown {
			name = "(" + name + ")"
		}
		names = append(names, name)
	}
	return strings.Join(names, " ")
}

func (p *people) revoked(revoked []session.Revocation) string {
	var sids []session.SID
	for _, r := range revoked {
		sids = append(sids, r.SID)
	}
	return p.names(sids...)
}

func TestLoginsBeyondTheLimitEndTheOldest(t *testing.T) {
	t.Parallel()
	type at struct {
		name  string
		after time.Duration
	}
	for _, test := range []struct {
		name    string
		logins  []at
		used    string // refreshed an hour less a minute after the start
		last    at
		evicted string
		listed  string
	}{
		{
			name:   "as many as allowed",
			logins: []at{{"a", 0}, {"b", 0}}, last: at{"c", 0}, listed: "a b c",
		}, {
			name:   "one more",
			logins: []at{{"a", 0}, {"b", 0}, {"c", 0}}, last: at{"d", 0}, evicted: "a", listed: "(a) b c d",
		}, {
			name:   "the first goes, not that with the earliest time",
			logins: []at{{"a", 10 * time.Minute}, {"b", -10 * time.Minute}, {"c", 0}}, last: at{"d", 0},
			evicted: "a", listed: "(a) b c d",
		}, {
			name:   "one that is over goes before one that is used",
			logins: []at{{"a", 0}, {"b", 0}, {"c", 0}}, used: "a", last: at{"d", time.Hour},
			evicted: "b", listed: "a (b) c d",
		}, {
			name:   "those that are over stay while there is room",
			logins: []at{{"a", 0}, {"b", 0}}, last: at{"c", 24 * time.Hour}, listed: "a b c",
		}, {
			name:   "those that have been over for long are gone",
			logins: []at{{"a", 0}, {"b", 2 * time.Hour}}, last: at{"c", 26 * time.Hour}, listed: "b c",
		}, {
			name:   "those whose tokens are good stay",
			logins: []at{{"a", 0}, {"tokens", 0}}, last: at{"b", 300 * 24 * time.Hour}, listed: "tokens b",
		}, {
			name:   "another site's are not counted, nor judged by this site's policy",
			logins: []at{{"other", 0}, {"a", 0}, {"b", 0}}, last: at{"c", 300 * 24 * time.Hour}, listed: "other c",
		}, {
			name:   "another site's are gone after years",
			logins: []at{{"other", 0}}, last: at{"c", session.UserLife + session.RecordMargin + 1}, listed: "c",
		}, {
			name:   "each site has its own limit",
			logins: []at{{"other 1", 0}, {"a", 0}, {"b", 0}, {"other 2", 0}, {"other 3", 0}, {"c", 0}}, last: at{"other 4", 0},
			evicted: "other 1", listed: "(other 1) a b other 2 other 3 c other 4",
		}, {
			name: "a site that changes again and again leaves a bounded number behind",
			logins: []at{
				{"other 1", 0},
				{"a", 0},
				{"third 1", 0},
				{"third 2", 0},
				{"fourth 1", 0},
				{"fourth 2", 0},
				{"fourth 3", 0},
				{"fifth 1", 0},
				{"fifth 2", 0},
				{"fifth 3", 0},
				{"sixth 1", 0},
				{"sixth 2", 0},
				{"sixth 3", 0},
				{"b", 0},
				{"c", 0},
			},
			last: at{"third 3", 0}, evicted: "other 1",
			listed: "(other 1) a third 1 third 2 fourth 1 fourth 2 fourth 3 fifth 1 fifth 2 fifth 3 sixth 1 sixth 2 sixth 3 b c third 3",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p := newPeople(t)
			for _, l := range test.logins {
				p.Drop(p.login(l.name, start.Add(l.after)))
			}
			if test.used != "" {
				p.Refresh(session.NewRedemption(p.tokens[test.used], start.Add(59*time.Minute), policy))
			}
			evicted := p.login(test.last.name, start.Add(test.last.after))
			if got := p.revoked(evicted); got != test.evicted {
				t.Errorf("got %q evicted, want %q", got, test.evicted)
			}
			if got := p.listed(); got != test.listed {
				t.Errorf("got %q listed, want %q", got, test.listed)
			}
			p.Drop(evicted)
			if strings.Contains(p.listed(), "(") {
				t.Errorf("got %q listed after the revocations are written", p.listed())
			}
		})
	}
}

// A store whose answer got lost does a login again: the user has one session, not two.
func TestALoginMayBeRepeated(t *testing.T) {
	t.Parallel()
	made, _ := session.New(bob, site, start)
	l := session.Login{Session: made, User: session.User{UserID: bob}, Policy: policy}
	var a session.Account
	for range 2 * policy.MaxPerUser {
		if evicted, err := a.Login(l); err != nil || len(evicted) > 0 || len(a.Sessions) != 1 {
			t.Fatalf("got %d sessions, %d evicted, %v; want one", len(a.Sessions), len(evicted), err)
		}
	}
}

func TestLoginsOfAnEarlierGenerationAreRefused(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*session.Account, session.Ending) []session.Revocation{
		"end of all": (*session.Account).EndAll, "erasure": (*session.Account).Erase,
	} {
		p := newPeople(t)
		p.login("a", start.Add(10*time.Minute)) // its node's clock is ahead
		p.login("b", start)
		late, _ := session.New(bob, site, start.Add(time.Hour))
		l := session.Login{Session: late, User: session.User{UserID: bob, Phone: "1"}, Generation: p.Generation, Policy: policy}
		asker, token := session.New(bob, site, start)
		p.tokens["asker"] = token

		revoked := end(&p.Account, session.Ending{Now: start, Policy: policy, SID: asker.SID})
		if got := p.revoked(revoked); got != "asker a b" {
			t.Errorf("%s: got %q revoked, want all and who asked", name, got)
		}
		if len(p.Sessions) > 0 {
			t.Errorf("%s: got %q listed, want none", name, p.listed())
		}
		before := text(t, p.Account)
		if _, err := p.Login(l); !errors.Is(err, session.ErrEnded) || text(t, p.Account) != before {
			t.Errorf("%s: got %v and %s, want %v and nothing changed", name, err, text(t, p.Account), session.ErrEnded)
		}
		if erased := p.User.UserID == (session.UserID{}); erased != (name == "erasure") {
			t.Errorf("%s: got user %s", name, text(t, p.User))
		}
		p.login("c", start)
		if p.listed() != "c" {
			t.Errorf("%s: got %q listed after a later login, want it", name, p.listed())
		}
	}
}

func text(t *testing.T, value any) string {
	t.Helper()
	data, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestEndAllCountsTheAskerOnce(t *testing.T) {
	t.Parallel()
	p := newPeople(t)
	for _, name := range []string{"a", "b", "c"} {
		p.login(name, start)
	}
	revoked := p.EndAll(session.Ending{Now: start, Policy: policy, SID: p.tokens["b"].SID})
	if got := p.revoked(revoked); got != "b a c" {
		t.Errorf("got %q revoked, want each once", got)
	}
}

// Found with two nodes, ttl 2s and ttl 1h: a token was good again two minutes after the logout.
// Threats: F09.
func TestARevocationOutlivesTheTokensOfOtherNodes(t *testing.T) {
	t.Parallel()
	last := start.Add(time.Hour)
	brief := policy
	brief.TokenTTL = 2 * time.Second
	e := session.Ending{Now: start, Policy: brief}
	for name, end := range map[string]func(*people) []session.Revocation{
		"end":        func(p *people) []session.Revocation { return p.End(p.tokens["a"].SID, e) },
		"end of all": func(p *people) []session.Revocation { return p.EndAll(e) },
		"erasure":    func(p *people) []session.Revocation { return p.Erase(e) },
		"reuse": func(p *people) []session.Revocation {
			return p.Refresh(session.NewRedemption(p.tokens["a"].Successor(nil), start, brief)).Revoked
		},
		"eviction": func(p *people) []session.Revocation {
			made, _ := session.New(bob, site, start)
			one := brief
			one.MaxPerUser = 1
			evicted, _ := p.Login(session.Login{Session: made, User: session.User{UserID: bob}, Policy: one})
			return evicted
		},
		"use of an evicted one": func(p *people) []session.Revocation {
			p.Session(p.tokens["a"].SID).Ended = session.Evicted
			return p.Refresh(session.NewRedemption(p.tokens["a"], start, brief)).Revoked
		},
	} {
		p := newPeople(t)
		p.login("a", start)
		u := session.Update{SID: p.tokens["a"].SID, User: session.User{UserID: bob}, TokensUntil: last}
		if _, err := p.Update(u); err != nil {
			t.Fatal(err)
		}
		r := session.NewRedemption(p.tokens["a"], start, policy) // of a node whose tokens live for less
		r.TokensUntil = start.Add(time.Minute)
		p.Refresh(r)
		u.TokensUntil = r.TokensUntil
		if _, err := p.Update(u); err != nil {
			t.Fatal(err)
		}
		if revoked := end(p); len(revoked) != 1 || !revoked[0].Until.Equal(last) {
			t.Errorf("%s: got %s, want it revoked until %v", name, text(t, revoked), last)
		}
	}
	p := newPeople(t)
	p.login("a", start)
	long := session.Ending{Now: start, Policy: policy} // an answer may be under way, with a token of this node
	if got, want := p.End(p.tokens["a"].SID, long)[0].Until, start.Add(policy.TokenTTL); !got.Equal(want) {
		t.Errorf("got it revoked until %v, want %v", got, want)
	}
	var none session.Account
	sid := session.SID("gone")
	want := []session.Revocation{{SID: sid, Until: start.Add(2 * time.Second)}}
	if got := none.End(sid, e); !slices.Equal(got, want) {
		t.Errorf("a record that is gone: got %s, want %s", text(t, got), text(t, want))
	}
}
