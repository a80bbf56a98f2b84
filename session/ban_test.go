// The rules of bans and imports.

package session_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/session"
)

func TestABanRefusesLogins(t *testing.T) {
	t.Parallel()
	until := start.Add(time.Hour)
	for _, test := range []struct {
		name   string
		ban    *session.Ban
		at     time.Time
		banned bool
	}{
		{"none", nil, start, false},
		{"for good", &session.Ban{Reason: "spam"}, start.Add(1000 * time.Hour), true},
		{"until later", &session.Ban{Reason: "spam", Until: until}, until.Add(-1), true},
		{"until now", &session.Ban{Reason: "spam", Until: until}, until, false},
	} {
		a := session.Account{Ban: test.ban, Generation: 3}
		made, _ := session.New(bob, site, test.at)
		_, err := a.Login(session.Login{Session: made, User: session.User{UserID: bob}, Generation: 3, Policy: policy})
		got, banned := errors.AsType[*session.BannedError](err)
		if banned != test.banned || banned != errors.Is(err, session.ErrEnded) || banned == (len(a.Sessions) > 0) {
			t.Errorf("%s: got %v, want banned %t", test.name, err, test.banned)
		}
		if banned && (got.Ban.Reason != "spam" || strings.Contains(err.Error(), "spam")) {
			t.Errorf("%s: got reason %q and text %q, want the reason there alone", test.name, got.Ban.Reason, err)
		}
	}
}

func TestABanEndsSessions(t *testing.T) {
	t.Parallel()
	p := newPeople(t)
	p.login("a", start)
	p.login("b", start)
	revoked := p.SetBan(session.Ban{}, session.Ending{Now: start, Policy: policy})
	if len(revoked) != 2 || p.Generation != 1 || p.listed() != "" {
		t.Errorf("got %d revoked, generation %d, sessions %q, want 2, 1 and none", len(revoked), p.Generation, p.listed())
	}
}

func TestABannedAccountIsKept(t *testing.T) {
	t.Parallel()
	user := session.User{UserID: bob}
	long := start.Add(10 * session.UserLife)
	for _, test := range []struct {
		name string
		a    session.Account
		want time.Time
	}{
		{"a ban for good", session.Account{User: user, Ban: &session.Ban{}}, time.Time{}},
		{"of nobody", session.Account{Ban: &session.Ban{}}, time.Time{}},
		{"a long ban", session.Account{User: user, Ban: &session.Ban{Until: long}}, long.Add(session.RecordMargin)},
		{"a long ban of nobody", session.Account{Ban: &session.Ban{Until: long}}, long.Add(session.RecordMargin)},
		{"a short ban", session.Account{User: user, Ban: &session.Ban{Until: start}}, start.Add(session.UserLife + session.RecordMargin)},
		{"none", session.Account{User: user}, start.Add(session.UserLife + session.RecordMargin)},
	} {
		if got := test.a.Expires(start, policy); !got.Equal(test.want) {
			t.Errorf("%s: got %v, want %v", test.name, got, test.want)
		}
	}
}

func TestImportsKeepWhatIsNewer(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name        string
		known, news session.User
		want        string
	}{
		{"a first phone", session.User{}, session.User{Phone: "2"}, "2"},
		{"two that nobody verified", session.User{Phone: "1"}, session.User{Phone: "2"}, "2"},
		{"one that was verified", session.User{Phone: "1", PhoneVerified: start}, session.User{Phone: "2"}, "1"},
		{"one verified later", session.User{Phone: "1", PhoneVerified: start}, session.User{Phone: "2", PhoneVerified: start.Add(1)}, "2"},
		{"one verified earlier", session.User{Phone: "1", PhoneVerified: start}, session.User{Phone: "2", PhoneVerified: start.Add(-1)}, "1"},
		{"no phone", session.User{Phone: "1"}, session.User{}, "1"},
	} {
		a := session.Account{User: test.known}
		test.news.UserID = bob
		a.Import(test.news, start)
		if a.User.Phone != test.want || !a.User.FirstSeen.Equal(start) || a.User.UserID != bob {
			t.Errorf("%s: got %+v, want phone %q, first seen at the import", test.name, a.User, test.want)
		}
	}
}
