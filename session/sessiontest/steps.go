// Single steps, which the rules are made of.

package sessiontest

import (
	"crypto/sha256"
	"encoding/json"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/session"
)

// policy is the policy of most rules.
var policy = session.Policy{
	Idle:       time.Hour,
	Lifetime:   24 * time.Hour,
	Grace:      30 * time.Second,
	MaxPerUser: 5,
	TokenTTL:   15 * time.Minute,
}

var (
	alice = session.UserID{AppID: "wx0123456789abcdef", OpenID: "oAlice-0123456789_0123456789"}
	site  = session.NewSite("https://mini.example", "a")
)

// now is a time that any store can keep exactly.
func now() time.Time { return time.Now().UTC().Truncate(time.Millisecond) }

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}

// newLogin prepares a login. Its replay has the session's name as its key, and the token as its
// value.
func newLogin(user session.UserID, at time.Time, generation int64) (session.Login, session.RefreshToken) {
	made, token := session.New(user, site, at)
	made.TokensUntil = at.Add(policy.TokenTTL)
	return session.Login{
		Session: made, User: session.User{UserID: user, FirstSeen: at}, Generation: generation, Policy: policy,
		Replay: session.Replay{Key: replayKey(made.SID), Value: []byte(token.Text()), Until: at.Add(time.Hour)},
	}, token
}

func replayKey(sid session.SID) session.Digest { return sha256.Sum256([]byte(sid)) }

// login logs a user in, in the generation that the account has.
func login(t *testing.T, s session.Store, user session.UserID, at time.Time) session.RefreshToken {
	t.Helper()
	l, token := newLogin(user, at, account(t, s, user).Generation)
	if _, err := s.Login(t.Context(), l); err != nil {
		t.Fatalf("login: %v", err)
	}
	return token
}

// account reads an account.
func account(t *testing.T, s session.Store, user session.UserID) session.Account {
	t.Helper()
	a, err := s.Account(t.Context(), user.Tag())
	if err != nil {
		t.Fatalf("account: %v", err)
	}
	for i := range a.Sessions {
		if a.Sessions[i].User != user {
			t.Errorf("got a session of %+v, want %+v", a.Sessions[i].User, user)
		}
	}
	return a
}

// refresh uses a token and returns its successor, if it got one.
func refresh(
	t *testing.T, s session.Store, token session.RefreshToken, at time.Time,
) (session.Refreshed, session.RefreshToken) {
	t.Helper()
	r := session.NewRedemption(token, at, policy)
	r.TokensUntil = at.Add(policy.TokenTTL)
	got, err := s.Refresh(t.Context(), r)
	if err != nil {
		t.Fatalf("refresh: %v", err)
	}
	if got.Outcome != session.Rotated && got.Outcome != session.Repeated {
		return got, session.RefreshToken{}
	}
	return got, token.Successor(got.Session.Salt)
}

// wantOutcome uses a token and returns its successor, if it got one.
func wantOutcome(
	t *testing.T, s session.Store, token session.RefreshToken, at time.Time, want session.Outcome,
) session.RefreshToken {
	t.Helper()
	got, next := refresh(t, s, token, at)
	if got.Outcome != want {
		t.Errorf("got outcome %v, want %v", name(got.Outcome), name(want))
	}
	return next
}

func name(o session.Outcome) string {
	return [...]string{"Unknown", "Rotated", "Repeated", "Reused", "Evicted"}[o]
}

// update adds news of a user that came in a session.
func update(t *testing.T, s session.Store, sid session.SID, u session.User) {
	t.Helper()
	if _, err := s.Update(t.Context(), session.Update{SID: sid, User: u, Now: now()}); err != nil {
		t.Fatalf("update: %v", err)
	}
}

func ending(at time.Time) session.Ending { return session.Ending{Now: at, Policy: policy} }

// end ends one session, and returns until when it is revoked.
func end(t *testing.T, s session.Store, sid session.SID, e session.Ending) time.Time {
	t.Helper()
	revoked, err := s.End(t.Context(), sid, e)
	check(t, err)
	return until(revoked, sid)
}

// until returns the latest time until which a session is revoked, the zero time if it is not.
func until(revoked []session.Revocation, sid session.SID) (last time.Time) {
	for _, r := range revoked {
		if r.SID == sid && r.Until.After(last) {
			last = r.Until
		}
	}
	return last
}

func wantReplay(t *testing.T, s session.Store, key session.Digest, at time.Time, want []byte) {
	t.Helper()
	got, err := s.Replay(t.Context(), key, at)
	check(t, err)
	if string(got) != string(want) || (got == nil) != (want == nil) {
		t.Errorf("got a replay of %d bytes, none: %t; want %d, none: %t", len(got), got == nil, len(want), want == nil)
	}
}

func wantCount(t *testing.T, s session.Store, key session.Digest, delta int, until, at time.Time, want int) {
	t.Helper()
	got, err := s.Count(t.Context(), key, delta, until, at)
	check(t, err)
	if got != want {
		t.Errorf("got count %d, want %d", got, want)
	}
}

func wantKeys(t *testing.T, s session.Store, want []byte, version int64) {
	t.Helper()
	got, v, err := s.Keys(t.Context())
	check(t, err)
	if v != version || string(got) != string(want) {
		t.Errorf("got %d bytes of keys, version %d; want %d, version %d", len(got), v, len(want), version)
	}
}

func wantUser(t *testing.T, s session.Store, want session.User) {
	t.Helper()
	wantSame(t, "user", account(t, s, want.UserID).User, want)
}

// wantSame compares what is stored as JSON.
func wantSame(t *testing.T, what string, got, want any) {
	t.Helper()
	if g, w := text(t, got), text(t, want); g != w {
		t.Errorf("%s:\ngot  %s\nwant %s", what, g, w)
	}
}

func text(t *testing.T, value any) string {
	t.Helper()
	switch v := value.(type) {
	case session.User:
		value = utcUser(v)
	case session.Session:
		value = utcSession(v)
	case session.Account:
		a := session.Account{User: utcUser(v.User), Generation: v.Generation, Withdrawals: v.Withdrawals, LastLogin: v.LastLogin.UTC()}
		if v.Ban != nil {
			a.Ban = &session.Ban{Reason: v.Ban.Reason, Until: v.Ban.Until.UTC()}
		}
		for _, s := range v.Sessions {
			a.Sessions = append(a.Sessions, utcSession(s))
		}
		value = a
	}
	data, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// utcUser returns a user whose times have the zone of those given to the store.
func utcUser(u session.User) session.User {
	u.FirstSeen, u.PhoneVerified, u.KeySince = u.FirstSeen.UTC(), u.PhoneVerified.UTC(), u.KeySince.UTC()
	return u
}

func utcSession(s session.Session) session.Session {
	s.Created, s.LastUse, s.TokensUntil, s.Spent = s.Created.UTC(), s.LastUse.UTC(), s.TokensUntil.UTC(), s.Spent.UTC()
	return s
}
