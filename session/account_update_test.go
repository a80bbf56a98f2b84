// Updates of accounts, and their end.

package session_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/session"
)

func TestUpdates(t *testing.T) {
	t.Parallel()
	p := newPeople(t)
	p.login("a", start)
	p.login("ended", start)
	p.Session(p.tokens["ended"].SID).Ended = session.Evicted
	p.User.Key = []byte("k")
	past := start.Add(100 * policy.Lifetime)
	for _, test := range []struct {
		name   string
		update session.Update
		want   error
		claims string
		user   string
	}{
		{"claims", session.Update{SID: p.tokens["a"].SID, Claims: json.RawMessage(`{"a":1}`)}, nil, `{"a":1}`, ""},
		{"none", session.Update{SID: p.tokens["a"].SID}, nil, `{"a":1}`, ""},
		{"phone", session.Update{SID: p.tokens["a"].SID, User: session.User{Phone: "1"}}, nil, `{"a":1}`, "1"},
		{"null", session.Update{SID: p.tokens["a"].SID, Claims: json.RawMessage("null")}, nil, "", "1"},
		{"past its time", session.Update{SID: p.tokens["a"].SID, User: session.User{Phone: "2"}, Now: past}, nil, "", "2"},
		{"ended", session.Update{SID: p.tokens["ended"].SID, User: session.User{Phone: "3"}}, session.ErrEnded, "", "2"},
		{"unknown", session.Update{SID: "unknown", User: session.User{Phone: "3"}}, session.ErrEnded, "", "2"},
		{"key", session.Update{SID: p.tokens["a"].SID, DropKey: []byte("k")}, nil, "", "2"},
		{"nobody's", session.Update{User: session.User{Phone: "3"}}, session.ErrEnded, "", "2"},
		{
			"another user's",
			session.Update{SID: p.tokens["a"].SID, User: session.User{UserID: session.UserID{OpenID: "x"}, Phone: "3"}},
			session.ErrEnded, "", "2",
		},
	} {
		if test.update.User.OpenID == "" {
			test.update.User.UserID = bob
		}
		got, err := p.Update(test.update)
		if !errors.Is(err, test.want) || string(got.Claims) != test.claims {
			t.Errorf("%s: got %s, %v, want %s, %v", test.name, got.Claims, err, test.claims, test.want)
		}
		if p.User.Phone != test.user {
			t.Errorf("%s: got phone %q, want %q", test.name, p.User.Phone, test.user)
		}
	}
	if p.User.Key != nil {
		t.Error("got a key, want it dropped")
	}
	p.Erase(session.Ending{Now: start, Policy: policy})
	late := session.Update{SID: p.tokens["a"].SID, User: session.User{UserID: bob}}
	if _, err := p.Update(late); !errors.Is(err, session.ErrEnded) {
		t.Errorf("after the erasure: got %v, want %v", err, session.ErrEnded)
	}
}

// A tombstone outlives every login under way, and an account its sessions and its user's absence,
// on machines whose clocks are a day apart.
func TestAccountsExpire(t *testing.T) {
	t.Parallel()
	p := newPeople(t)
	p.login("a", start)
	long := policy
	long.Lifetime = 3 * session.UserLife
	for name, test := range map[string]struct {
		policy session.Policy
		want   time.Duration
	}{
		"user": {policy, session.UserLife}, "long session": {long, long.Lifetime},
	} {
		if got := p.Expires(start, test.policy); got.Before(start.Add(test.want + session.RecordMargin)) {
			t.Errorf("%s: got %v, want %v later than needed", name, got, session.RecordMargin)
		}
	}
	p.Erase(session.Ending{Now: start, Policy: policy})
	needed := session.TombstoneLife + session.RecordMargin
	if got := p.Expires(start, policy).Sub(start); got < needed || got > 2*needed {
		t.Errorf("tombstone: got %v, want about a day", got)
	}
}

func TestForeignAccountsAreRefused(t *testing.T) {
	t.Parallel()
	eve := session.UserID{AppID: bob.AppID, OpenID: "oEve"}
	ofBob, _ := session.New(bob, site, start)
	ofEve, _ := session.New(eve, site, start)
	ended, endedOfEve := ofBob, ofEve
	ended.Ended, endedOfEve.Ended = session.Evicted, session.Evicted
	for name, test := range map[string]struct {
		account session.Account
		ok      bool
	}{
		"none":            {session.Account{}, true},
		"tombstone":       {session.Account{Generation: 7}, true},
		"own":             {session.Account{User: session.User{UserID: bob}, Sessions: []session.Session{ofBob}}, true},
		"another user":    {session.Account{User: session.User{UserID: eve}}, false},
		"another session": {session.Account{User: session.User{UserID: bob}, Sessions: []session.Session{ofBob, ofEve}}, false},
		"nobody":          {session.Account{Sessions: []session.Session{ofBob}}, false},
		"erased":          {session.Account{Sessions: []session.Session{ended}}, true},
		"erased, of eve":  {session.Account{Sessions: []session.Session{endedOfEve}}, false},
		"no session":      {session.Account{User: session.User{UserID: bob}, Sessions: []session.Session{{}}}, false},
	} {
		if err := test.account.Check(bob.Tag()); (err == nil) != test.ok {
			t.Errorf("%s: got %v, want one that fits: %t", name, err, test.ok)
		} else if err != nil && strings.Contains(err.Error(), "oEve") {
			t.Errorf("%s: got %q, want an error without values", name, err)
		}
	}
}

// A store that ends sessions in several steps leaves them marked when it fails: they are no sessions.
func TestMarkedSessionsDoNotCount(t *testing.T) {
	t.Parallel()
	one, _ := session.New(bob, site, start)
	other, _ := session.New(bob, site, start)
	a := session.Account{User: session.User{UserID: bob}, Sessions: []session.Session{one, other}}
	before := []session.Session{one, other}
	a.End(one.SID, session.Ending{Now: start, Policy: policy})
	a.Mark(before)
	if got := a.Live(); got != 1 || len(a.Sessions) != 2 {
		t.Errorf("got %d live of %d sessions, want 1 of 2", got, len(a.Sessions))
	}
}
