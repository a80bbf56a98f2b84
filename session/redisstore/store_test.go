//go:build unix

// Helpers for the tests of this package.

package redisstore_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/session"
	"github.com/caddy-wechat/wechatauth/session/redisstore"
	"github.com/caddy-wechat/wechatauth/session/redisstore/redistest"
)

const sealKey = "a key for tests, of 32 characters or more"

var (
	policy = session.Policy{
		Idle: time.Hour, Lifetime: 24 * time.Hour, Grace: 30 * time.Second, MaxPerUser: 2, TokenTTL: 15 * time.Minute,
	}
	user = session.User{
		UserID: session.UserID{AppID: "wx-secret-app", OpenID: "secret-openid"}, UnionID: "secret-union",
		FirstSeen: time.UnixMilli(1_790_000_000_000).UTC(), Phone: "13800138000", PhoneNumber: "+8613800138000",
		PhoneVerified: time.UnixMilli(1_790_000_000_000).UTC(), Nickname: "secret-nickname", Avatar: "secret-avatar",
		Key: []byte("secret-session-key"), KeySince: time.UnixMilli(1_790_000_000_000).UTC(),
	}
	claims = json.RawMessage(`{"role":"secret-role"}`)
	replay = session.Replay{Key: session.Digest{1}, Value: []byte("secret-replay"), Until: time.Now().Add(time.Hour)}
	site   = session.NewSite("site")
)

// open returns a store that the test closes.
func open(t testing.TB, cfg redisstore.Config) session.Store {
	t.Helper()
	store, err := redisstore.New(cfg)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	t.Cleanup(func() { _ = store.Close() })
	return store
}

// openAlone returns a store on a server of its own.
func openAlone(t testing.TB) (*redistest.Server, session.Store) {
	t.Helper()
	server := redistest.Start(t)
	return server, open(t, redisstore.Config{URLs: []string{server.URL}})
}

// newLogin returns a login of the user, and its token.
func newLogin(t testing.TB, s session.Store, at time.Time) (session.Login, session.RefreshToken) {
	t.Helper()
	made, token := session.New(user.UserID, site, at)
	made.Claims = claims
	a, err := s.Account(t.Context(), user.Tag())
	if err != nil {
		t.Fatalf("account: %v", err)
	}
	return session.Login{Session: made, User: user, Generation: a.Generation, Replay: replay, Policy: policy}, token
}

// login logs the user in.
func login(t testing.TB, s session.Store, at time.Time) session.RefreshToken {
	t.Helper()
	l, token := newLogin(t, s, at)
	if _, err := s.Login(t.Context(), l); err != nil {
		t.Fatalf("login: %v", err)
	}
	return token
}

func ending(at time.Time) session.Ending { return session.Ending{Now: at, Policy: policy} }

// until polls for a condition that is due soon.
func until(t testing.TB, what string, happened func() bool) {
	t.Helper()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); <-ticker.C {
		if happened() {
			return
		}
	}
	t.Fatalf("not in time: %s", what)
}

// follow returns a denylist that follows a store, and its failures.
func follow(t testing.TB, s session.Store) (*session.Denylist, *failures) {
	t.Helper()
	list := session.NewDenylist(s, session.NewClock(), func() time.Duration { return time.Hour })
	failures := new(failures)
	go list.Run(t.Context(), failures.add, func() {})
	return list, failures
}
