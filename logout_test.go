// Logout: an answer of success is true.

package wechatauth_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/session"
)

// A user who was robbed logs out everywhere with whatever the phone still holds. 204 means that it
// is over.
// Threats: F03.
func TestLogoutIsTrue(t *testing.T) {
	t.Parallel()
	all := func(token string) string { return `{"all":true,"refresh_token":"` + token + `"}` }
	for name, row := range map[string]struct {
		held func(t *testing.T, s *site, first answer) string // the refresh token that the user sends
		one  string                                           // "status code" of a logout of this session
		all  string                                           // and of all
		ends bool                                             // the other device
	}{
		"current": {held: func(_ *testing.T, _ *site, a answer) string { return a.text("refresh_token") }, one: "204 ", all: "204 ", ends: true},
		"spent":   {held: spent, one: "204 ", all: "204 ", ends: true},
		"spent twice": {held: func(t *testing.T, s *site, a answer) string {
			spent(t, s, s.refresh(a.text("refresh_token")))
			return a.text("refresh_token")
		}, one: "204 ", all: "204 ", ends: true},
		"idle": {
			held: func(_ *testing.T, s *site, a answer) string { s.advance(2 * time.Hour); return a.text("refresh_token") },
			one:  "204 ", all: "204 ", ends: true,
		},
		"past its lifetime": {held: func(_ *testing.T, s *site, a answer) string {
			for range 3 {
				a = s.refresh(a.text("refresh_token"))
				s.advance(time.Hour)
			}
			return a.text("refresh_token")
		}, one: "204 ", all: "204 ", ends: true},
		"rubbish":         {held: func(*testing.T, *site, answer) string { return "rubbish" }, one: "400 invalid_request", all: "400 invalid_request"},
		"cut":             {held: func(_ *testing.T, _ *site, a answer) string { return a.text("refresh_token")[1:] }, one: "400 invalid_request", all: "400 invalid_request"},
		"an access token": {held: func(_ *testing.T, _ *site, a answer) string { return a.text("access_token") }, one: "400 invalid_request", all: "400 invalid_request"},
		"forged": {held: func(_ *testing.T, _ *site, a answer) string {
			text := a.text("refresh_token")
			return text[:54] + strings.Repeat("A", len(text)-54)
		}, one: "401 refresh_invalid", all: "401 refresh_invalid"},
		"of a session that is gone": {held: func(t *testing.T, s *site, a answer) string {
			if got := s.do("POST", "/auth/logout", a.text("access_token"), ""); got.status != 204 {
				t.Fatalf("got %d %s", got.status, got.body)
			}
			return a.text("refresh_token")
		}, one: "204 ", all: "401 refresh_invalid"},
		"of another mini program": {held: func(*testing.T, *site, answer) string {
			_, token := session.New(session.UserID{AppID: "wxffffffffffffffff", OpenID: "o"}, session.Site{}, time.Now())
			return token.Text()
		}, one: "401 refresh_invalid", all: "401 refresh_invalid"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, "session {\nidle 2h\nlifetime 3h\n}")
			alice := s.fake.NewUser(s.appID)
			held := row.held(t, s, s.login("code", s.fake.LoginCode(alice)))
			other := s.login("code", s.fake.LoginCode(alice))
			if got := outcome(s.do("POST", "/auth/logout", "", all(held))); got != row.all {
				t.Fatalf("all: got %s, want %s", got, row.all)
			}
			if alive := s.do("GET", "/", other.text("access_token"), "").status == 200; alive == row.ends {
				t.Errorf("all: the other device is alive: %t, want %t", alive, !row.ends)
			}

			s = newSite(t, "session {\nidle 2h\nlifetime 3h\n}")
			alice = s.fake.NewUser(s.appID)
			first := s.login("code", s.fake.LoginCode(alice))
			held = row.held(t, s, first)
			if got := outcome(s.do("POST", "/auth/logout", "", object("refresh_token", held))); got != row.one {
				t.Fatalf("one: got %s, want %s", got, row.one)
			}
			if got := s.do("GET", "/", first.text("access_token"), "").status; row.ends && got != 401 {
				t.Errorf("one: the session's access token: got %d, want 401", got)
			}
		})
	}
}

// spent spends a refresh token and returns it, too old for the grace time.
func spent(t *testing.T, s *site, a answer) string {
	t.Helper()
	want(t, s.refresh(a.text("refresh_token")), 200, "")
	s.advance(time.Minute)
	return a.text("refresh_token")
}

func outcome(a answer) string { return fmt.Sprintf("%d %s", a.status, a.text("error")) }

// A revoked access token ends nothing any more, least of all the sessions made since.
func TestARevokedTokenEndsNothing(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	alice := s.fake.NewUser(s.appID)
	revoked := s.token(alice)
	if got := s.do("POST", "/auth/logout", revoked, "").status; got != 204 {
		t.Fatalf("got %d", got)
	}
	other := s.token(alice)
	want(t, s.do("POST", "/auth/logout", revoked, `{"all":true}`), 401, "session_revoked")
	if got := s.do("POST", "/auth/logout", revoked, "").status; got != 204 {
		t.Errorf("again: got %d, want 204", got)
	}
	if got := s.do("GET", "/", other, "").status; got != 200 {
		t.Errorf("the session made since: got %d, want 200", got)
	}
}

// One node's clock is ten minutes ahead when the user logs in there; the logout comes at a right
// one.
// Threats: F08.
func TestLogoutOfAllDoesNotGoByClocks(t *testing.T) {
	t.Parallel()
	for name, step := range map[string]time.Duration{"ahead": 10 * time.Minute, "behind": -10 * time.Minute, "right": 0} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			right := newSite(t)
			wrong := sibling(t, right)
			wrong.ahead.Store(int64(step))
			alice := right.fake.NewUser(right.appID)
			there := wrong.login("code", right.fake.LoginCode(alice))
			here := right.login("code", right.fake.LoginCode(alice))
			if got := right.do("POST", "/auth/logout", here.text("access_token"), `{"all":true}`).status; got != 204 {
				t.Fatalf("got %d", got)
			}
			want(t, wrong.do("GET", "/", there.text("access_token"), ""), 401, "session_revoked")
			want(t, wrong.refresh(there.text("refresh_token")), 401, "refresh_invalid")

			// And the user comes back, on either.
			for _, s := range []*site{right, wrong} {
				again := s.login("code", right.fake.LoginCode(alice))
				want(t, again, 200, "")
				if got := s.do("GET", "/", again.text("access_token"), "").status; got != 200 {
					t.Errorf("after a new login: got %d, want 200", got)
				}
			}
		})
	}
}

// The logout-all is made while a clock is ahead for a moment; nobody is locked out until then.
// Threats: F08.
func TestLogoutOfAllWhileTheClockIsAheadLocksNobodyOut(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	alice := s.fake.NewUser(s.appID)
	token := s.token(alice)
	s.ahead.Store(int64(30 * time.Minute))
	if got := s.do("POST", "/auth/logout", token, `{"all":true}`).status; got != 204 {
		t.Fatalf("got %d", got)
	}
	s.ahead.Store(0)
	if got := s.do("GET", "/", s.token(alice), "").status; got != 200 {
		t.Errorf("a new login: got %d, want 200", got)
	}
	want(t, s.do("GET", "/", token, ""), 401, "session_revoked")
}

// An empty refresh token is a mistake of the sender, whatever else is sent with it.
func TestLogoutWithAnEmptyRefreshToken(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	token := s.token(s.fake.NewUser(s.appID))
	want(t, s.do("POST", "/auth/logout", token, `{"refresh_token":""}`), 400, "invalid_request")
	want(t, s.do("POST", "/auth/logout", "", `{"refresh_token":""}`), 400, "invalid_request")
	if got := s.do("GET", "/", token, "").status; got != 200 {
		t.Errorf("got %d, want the session to go on", got)
	}
}
