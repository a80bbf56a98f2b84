//go:build unix

// Sealed values.

package redisstore_test

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/caddy-wechat/wechatauth/session"
	"github.com/caddy-wechat/wechatauth/session/redisstore"
	"github.com/caddy-wechat/wechatauth/session/redisstore/redistest"
)

// filled returns a server on which each kind of record is, and a refresh token.
func filled(t *testing.T, cfg redisstore.Config) (*redistest.Server, session.Store, session.RefreshToken) {
	t.Helper()
	server := redistest.Start(t)
	cfg.URLs = []string{server.URL}
	s := open(t, cfg)
	at := time.Now()
	kept, ended := login(t, s, at), login(t, s, at)
	if _, err := s.SwapKeys(t.Context(), 0, []byte("secret-keys")); err != nil {
		t.Fatal(err)
	}
	if _, err := s.End(t.Context(), ended.SID, ending(at)); err != nil {
		t.Fatal(err)
	}
	return server, s, kept
}

// dump returns all keys, fields and values of a server.
func dump(t *testing.T, client *redis.Client) string {
	t.Helper()
	ctx := t.Context()
	keys, err := client.Keys(ctx, "*").Result()
	if err != nil {
		t.Fatal(err)
	}
	all := keys
	for _, key := range keys {
		switch kind := client.Type(ctx, key).Val(); kind {
		case "string":
			all = append(all, client.Get(ctx, key).Val())
		case "hash":
			for field, value := range client.HGetAll(ctx, key).Val() {
				all = append(all, field, value)
			}
		case "stream":
			for _, entry := range client.XRange(ctx, key, "-", "+").Val() {
				for field, value := range entry.Values {
					all = append(all, field, value.(string))
				}
			}
		default:
			t.Fatalf("%s is a %s, want a kind that this test knows", key, kind)
		}
	}
	return strings.Join(all, "\n")
}

func TestASealedRedisTellsNothing(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		cfg  redisstore.Config
		tell bool
	}{
		{"sealed", redisstore.Config{SealKey: sealKey}, false},
		{"open", redisstore.Config{}, true}, // so that it is known that the search would find
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			server, _, token := filled(t, test.cfg)
			client := server.Client()
			defer client.Close()
			all := dump(t, client)
			for _, value := range []string{
				user.AppID, user.OpenID, user.UnionID, user.Phone, user.Nickname, user.Avatar, string(user.Key),
				"secret-role", "secret-replay", "secret-keys",
			} {
				if got := strings.Contains(all, value); got != test.tell {
					t.Errorf("the dump has %q: got %t, want %t", value, got, test.tell)
				}
			}
			raw, err := base64.RawURLEncoding.DecodeString(token.Text())
			if err != nil {
				t.Fatal(err)
			}
			if secret := string(raw[len(raw)-32:]); strings.Contains(all, secret) {
				t.Error("the dump has a refresh token")
			}
			if family := string(raw[len(raw)-48 : len(raw)-32]); strings.Contains(all, family) {
				t.Error("the dump has the part that all tokens of a session share")
			}
		})
	}
}

func TestASealedRedisNeedsItsKey(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, with, read string
		want             redisstore.Cause
	}{
		{"another key", sealKey, sealKey + "!", redisstore.WrongSealKey},
		{"no key", sealKey, "", redisstore.NoSealKey},
		{"a key for open values", "", sealKey, redisstore.NotSealed},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			server, _, token := filled(t, redisstore.Config{SealKey: test.with})
			s := open(t, redisstore.Config{URLs: []string{server.URL}, SealKey: test.read})
			for method, read := range readings(t, s, token) {
				err := read()
				wantUnavailable(t, method, err, test.want)
				if err != nil && !strings.Contains(err.Error(), "seal") {
					t.Errorf("%s: got %q, want a text about the seal key", method, err)
				}
			}
		})
	}
}

// TestSomebodyWritesToRedis: a value is only good at its own place, and what is fixed at the login
// stays.
func TestSomebodyWritesToRedis(t *testing.T) {
	t.Parallel()
	for _, key := range []string{"", sealKey} {
		t.Run(map[bool]string{true: "open", false: "sealed"}[key == ""], func(t *testing.T) {
			t.Parallel()
			server := redistest.Start(t)
			s := open(t, redisstore.Config{URLs: []string{server.URL}, SealKey: key})
			at := time.Now()
			token := login(t, s, at)
			mallory := session.User{UserID: session.UserID{AppID: user.AppID, OpenID: "mallory"}, Phone: "1"}
			made, malloryToken := session.New(mallory.UserID, site, at)
			made.Claims = claims
			other := session.Replay{Key: session.Digest{2}, Value: []byte("other"), Until: at.Add(time.Hour)}
			if _, err := s.Login(t.Context(), session.Login{Session: made, User: mallory, Replay: other, Policy: policy}); err != nil {
				t.Fatal(err)
			}
			w := writer{t, server.Client()}
			defer w.client.Close()
			mine, theirs := redisstore.AccountKey(s, user.Tag()), redisstore.AccountKey(s, mallory.Tag())
			mySession, theirSession := fieldOf(t, token.SID), fieldOf(t, malloryToken.SID)
			const replays = redisstore.DefaultPrefix + "replay:"
			myReplay, theirReplay := replays+digestText(replay.Key), replays+digestText(other.Key)
			for _, test := range []struct {
				name, key string
				damage    func()
				method    string
			}{
				{"another account", mine, func() { w.copyKey(theirs, mine) }, "Account"},
				{"another user, at refresh", mine, func() { w.copyField(theirs, "u", mine, "u") }, "Refresh"},
				{"another user", mine, func() { w.copyField(theirs, "u", mine, "u") }, "Account"},
				{"no user", mine, func() { w.client.HDel(t.Context(), mine, "u") }, "Account"},
				{"no user, at refresh", mine, func() { w.client.HDel(t.Context(), mine, "u") }, "Refresh"},
				{"a user cut short", mine, func() { w.edit(mine, "u", func(v []byte) []byte { return v[:len(v)-1] }) }, "Account"},
				{"a session grafted", mine, func() { w.copyField(theirs, theirSession, mine, theirSession) }, "Account"},
				{"a session under a name of one's own", mine, func() { w.copyField(mine, mySession, mine, theirSession) }, "Account"},
				{"another family", mine, func() {
					w.edit(mine, mySession, func(v []byte) []byte { v[13]++; return v })
				}, "Account"},
				{"a later beginning", mine, func() {
					w.edit(mine, mySession, func(v []byte) []byte { v[12]++; return v })
				}, "Refresh"},
				{"another place in the order", mine, func() {
					w.edit(mine, mySession, func(v []byte) []byte { v[1]++; return v })
				}, "Account"},
				{"another session's claims", mine, func() {
					claims := w.client.HGet(t.Context(), theirs, theirSession).Val()[len(w.fixed(s, at)):]
					w.edit(mine, mySession, func(v []byte) []byte { return append(v[:len(w.fixed(s, at))], claims...) })
				}, "Refresh"},
				{"claims cut short", mine, func() {
					w.edit(mine, mySession, func(v []byte) []byte { return v[:len(v)-1] })
				}, "Refresh"},
				{"a session cut short", mine, func() { w.edit(mine, mySession, func(v []byte) []byte { return v[:20] }) }, "Account"},
				{"another replay", myReplay, func() { w.copyKey(theirReplay, myReplay) }, "Replay"},
				{"garbage", myReplay, func() { w.client.Set(t.Context(), myReplay, "sbgarbage", 0) }, "Replay"},
				{"nothing", myReplay, func() { w.client.Set(t.Context(), myReplay, "", 0) }, "Replay"},
			} {
				// One after the other: each damages a record that the next needs whole.
				w.copyKey(test.key, "whole")
				test.damage()
				wantUnavailable(t, test.name, readings(t, s, token)[test.method](), "")
				w.copyKey("whole", test.key)
			}
			if err := readings(t, s, token)["Account"](); err != nil {
				t.Errorf("got %v of whole records", err)
			}
		})
	}
}

// writer writes past the store.
type writer struct {
	t      *testing.T
	client *redis.Client
}

func (w writer) copyKey(from, to string) { w.client.Copy(w.t.Context(), from, to, 0, true) }

func (w writer) copyField(from, field, to, as string) {
	w.client.HSet(w.t.Context(), to, as, w.client.HGet(w.t.Context(), from, field).Val())
}

func (w writer) edit(key, field string, change func([]byte) []byte) {
	value := w.client.HGet(w.t.Context(), key, field).Val()
	w.client.HSet(w.t.Context(), key, field, change([]byte(value)))
}

// fixed returns a session without claims, as it is stored.
func (w writer) fixed(s session.Store, at time.Time) string {
	w.t.Helper()
	id := session.UserID{AppID: "wx", OpenID: "without claims"}
	made, token := session.New(id, site, at)
	if _, err := s.Login(w.t.Context(), session.Login{Session: made, User: session.User{UserID: id}, Policy: policy}); err != nil {
		w.t.Fatal(err)
	}
	return w.client.HGet(w.t.Context(), redisstore.AccountKey(s, id.Tag()), fieldOf(w.t, token.SID)).Val()
}

// fieldOf returns the field of a session.
func fieldOf(t *testing.T, sid session.SID) string {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(string(sid))
	if err != nil {
		t.Fatal(err)
	}
	return string(raw[16:])
}

func digestText(d session.Digest) string {
	text, _ := d.MarshalText()
	return string(text)
}
