//go:build unix

// Everything on its way from store to store.

package redisstore_test

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/session"
	"github.com/caddy-wechat/wechatauth/session/memstore"
	"github.com/caddy-wechat/wechatauth/session/redisstore"
	"github.com/caddy-wechat/wechatauth/session/redisstore/redistest"
	"github.com/caddy-wechat/wechatauth/session/sqlitestore"
)

// TestStoresConvert: users, sessions, keys, revocations and bans go from SQLite to Redis, sealed and not, to
// memory and back to SQLite. Every session refreshes there, and every phone is found.
func TestStoresConvert(t *testing.T) {
	t.Parallel()
	sqlite := func(t *testing.T) session.Store {
		t.Helper()
		s, err := sqlitestore.Open(filepath.Join(t.TempDir(), "sessions.db"), sqlitestore.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		return s
	}
	for _, test := range []struct {
		name, sealKey string
		start         func(*testing.T) []string
	}{
		{"open", "", func(t *testing.T) []string { t.Helper(); return []string{redistest.Start(t).URL} }},
		{"sealed", sealKey, func(t *testing.T) []string { t.Helper(); return []string{redistest.Start(t).URL} }},
		{"cluster", sealKey, func(t *testing.T) []string { t.Helper(); return redistest.StartCluster(t).URLs }},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			stores := []session.Store{
				sqlite(t),
				open(t, redisstore.Config{URLs: test.start(t), SealKey: test.sealKey}),
				memstore.New(64 << 20),
				sqlite(t),
			}
			c := newConversion(t, stores[0])
			for i, to := range stores[1:] {
				err := stores[i].Dump(t.Context(), func(part session.Dump) error { return to.Restore(t.Context(), part, time.Now()) })
				if err != nil {
					t.Fatalf("to store %d: %v", i+1, err)
				}
			}
			c.want(t, stores[3])
		})
	}
}

// conversion holds the content of the first store.
type conversion struct {
	tokens  []session.RefreshToken
	users   []session.User
	revoked session.SID
	banned  session.UserID
	erased  session.UserID
	ban     session.Ban
}

func newConversion(t *testing.T, s session.Store) *conversion {
	t.Helper()
	at := time.Now()
	c := &conversion{
		banned: session.UserID{AppID: "wx", OpenID: "banned"}, erased: session.UserID{AppID: "wx", OpenID: "erased"},
		ban: session.Ban{Reason: "spam"},
	}
	login := func(u session.User) session.RefreshToken {
		a, err := s.Account(t.Context(), u.Tag())
		if err != nil {
			t.Fatal(err)
		}
		made, token := session.New(u.UserID, site, at)
		made.Claims = json.RawMessage(`{"role":"admin"}`)
		if _, err := s.Login(t.Context(), session.Login{Session: made, User: u, Generation: a.Generation, Policy: policy}); err != nil {
			t.Fatal(err)
		}
		return token
	}
	for i := range 600 {
		u := session.User{
			UserID: session.UserID{AppID: "wx", OpenID: fmt.Sprint("o", i)}, Phone: fmt.Sprint(13800138000 + i),
			PhoneVerified: at, UnionID: fmt.Sprint("u", i), Key: []byte("sealed"), KeySince: at,
		}
		c.users = append(c.users, u)
		c.tokens = append(c.tokens, login(u))
	}
	spent, err := s.Refresh(t.Context(), session.NewRedemption(c.tokens[0], at, policy))
	if err != nil {
		t.Fatal(err)
	}
	c.tokens = append(c.tokens, login(c.users[0]), c.tokens[0].Successor(spent.Session.Salt))
	c.tokens = c.tokens[1:]
	gone := login(c.users[1])
	c.revoked = gone.SID
	_, err = s.End(t.Context(), gone.SID, ending(at))
	_, err2 := s.Ban(t.Context(), c.banned.Tag(), c.ban, ending(at))
	login(session.User{UserID: c.erased})
	_, err3 := s.Erase(t.Context(), c.erased.Tag(), ending(at))
	_, err4 := s.Ban(t.Context(), c.erased.Tag(), c.ban, ending(at))
	_, err5 := s.SwapKeys(t.Context(), 0, []byte("keys"))
	for _, err := range []error{err, err2, err3, err4, err5} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return c
}

func (c *conversion) want(t *testing.T, s session.Store) {
	t.Helper()
	at := time.Now()
	for _, token := range c.tokens {
		got, err := s.Refresh(t.Context(), session.NewRedemption(token, at, policy))
		if err != nil || got.Outcome != session.Rotated || string(got.Session.Claims) != `{"role":"admin"}` {
			t.Errorf("got %v, %v with claims %s, want Rotated with all claims", got.Outcome, err, got.Session.Claims)
		}
	}
	for _, u := range c.users {
		page, err := s.Users(t.Context(), session.UserQuery{Phone: u.Phone, UnionID: u.UnionID})
		if err != nil || len(page.Accounts) != 1 || page.Accounts[0].User.UserID != u.UserID ||
			!page.Accounts[0].User.PhoneVerified.Equal(u.PhoneVerified.Truncate(time.Millisecond)) {
			t.Fatalf("got %d users by a phone, %v, want the one who has it", len(page.Accounts), err)
		}
	}
	list, _ := follow(t, s)
	until(t, "the revocation is known", func() bool { return list.Revoked(c.revoked) })
	for _, id := range []session.UserID{c.banned, c.erased} {
		a, err := s.Account(t.Context(), id.Tag())
		if err != nil || a.Ban == nil || *a.Ban != c.ban || a.User.UserID != (session.UserID{}) {
			t.Errorf("got ban %v, %v, want %v and no user", a.Ban, err, c.ban)
		}
	}
	if keys, _, err := s.Keys(t.Context()); err != nil || string(keys) != "keys" {
		t.Errorf("got %d bytes of keys, %v, want those of the first store", len(keys), err)
	}
	stats, err := s.Stats(t.Context())
	if err != nil || stats.Users != int64(len(c.users)) || stats.Sessions != int64(len(c.tokens)) {
		t.Errorf("got %+v, %v, want %d users and %d sessions", stats, err, len(c.users), len(c.tokens))
	}
}
