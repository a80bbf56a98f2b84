//go:build unix

package session_test

import (
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/caddy-wechat/wechatauth/session"
	"github.com/caddy-wechat/wechatauth/session/redistest"
)

// filled returns a server on which each kind of record is, and a refresh token.
func filled(t *testing.T, cfg session.RedisConfig) (*redistest.Server, session.Store, session.RefreshToken) {
	t.Helper()
	server := redistest.Start(t)
	cfg.URLs = []string{server.URL}
	s := openRedis(t, cfg)
	at := time.Now()
	kept, ended := redisLogin(t, s, at), redisLogin(t, s, at)
	if _, err := s.SwapKeys(t.Context(), 0, []byte("secret-keys")); err != nil {
		t.Fatal(err)
	}
	if err := s.End(t.Context(), ended.SID, at, redisPolicy); err != nil {
		t.Fatal(err)
	}
	return server, s, kept
}

// dump returns all keys, fields and values of a server.
func dump(t *testing.T, client *redis.Client) string {
	t.Helper()
	keys, err := client.Keys(t.Context(), "*").Result()
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, key := range keys {
		all.WriteString(key + "\n" + readAll(t, client, key) + "\n")
	}
	return all.String()
}

func readAll(t *testing.T, client *redis.Client, key string) string {
	t.Helper()
	ctx := t.Context()
	var values []string
	switch kind := client.Type(ctx, key).Val(); kind {
	case "string":
		values = append(values, client.Get(ctx, key).Val())
	case "hash":
		for field, value := range client.HGetAll(ctx, key).Val() {
			values = append(values, field, value)
		}
	case "zset":
		values = client.ZRange(ctx, key, 0, -1).Val()
	case "stream":
		for _, entry := range client.XRange(ctx, key, "-", "+").Val() {
			for field, value := range entry.Values {
				values = append(values, field, value.(string))
			}
		}
	default:
		t.Fatalf("%s is a %s, want a kind that this test knows", key, kind)
	}
	if len(values) == 0 {
		t.Fatalf("%s is empty", key)
	}
	return strings.Join(values, "\n")
}

func TestASealedRedisTellsNothing(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		cfg  session.RedisConfig
		tell bool
	}{
		{"sealed", session.RedisConfig{SealKey: sealKey}, false},
		{"open", session.RedisConfig{}, true}, // so that it is known that the search would find
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			server, _, token := filled(t, test.cfg)
			client := server.Client()
			defer client.Close()
			all := dump(t, client)
			for _, value := range []string{
				redisUser.AppID, redisUser.OpenID, redisUser.UnionID, redisUser.Phone, redisUser.Nickname,
				redisUser.Avatar, string(redisUser.Key), "secret-role", "secret-note", "secret-keys",
			} {
				if got := strings.Contains(all, value); got != test.tell {
					t.Errorf("the dump has %q: got %t, want %t", value, got, test.tell)
				}
			}
			_, secret, _ := strings.Cut(token.Text(), string(token.SID)[:40])
			if strings.Contains(all, secret[len(secret)-30:]) {
				t.Error("the dump has a refresh token")
			}
		})
	}
}

func TestRedisWantsItsSealKey(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, with, read, want string }{
		{"another key", sealKey, sealKey + "!", "another seal key"},
		{"no key", sealKey, "", "needs its seal key"},
		{"a key for open values", "", sealKey, "without a seal key"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			server, _, token := filled(t, session.RedisConfig{SealKey: test.with})
			s := openRedis(t, session.RedisConfig{URLs: []string{server.URL}, SealKey: test.read})
			for method, read := range readings(t, s, token) {
				if err := read(); err == nil || !strings.Contains(err.Error(), test.want) {
					t.Errorf("%s: got %v, want an error with %q", method, err, test.want)
				}
			}
		})
	}
}

// readings is every method that reads.
func readings(t *testing.T, s session.Store, token session.RefreshToken) map[string]func() error {
	t.Helper()
	ctx := t.Context()
	return map[string]func() error{
		"User": func() error { _, err := s.User(ctx, redisUser.UserID); return err },
		"Refresh": func() error {
			_, err := s.Refresh(ctx, session.NewSpend(token, time.Now(), redisPolicy))
			return err
		},
		"Recall": func() error { _, err := s.Recall(ctx, redisNote.Key, time.Now()); return err },
		"Keys":   func() error { _, _, err := s.Keys(ctx); return err },
		"Follow": func() error { return s.Follow(ctx, time.Now(), func([]session.Revocation) {}) },
	}
}

// TestRedisNoticesAStrangersRecord: a value is only good at its own place.
func TestRedisNoticesAStrangersRecord(t *testing.T) {
	t.Parallel()
	for _, key := range []string{"", sealKey} {
		t.Run(map[bool]string{true: "open", false: "sealed"}[key == ""], func(t *testing.T) {
			t.Parallel()
			server := redistest.Start(t)
			s := openRedis(t, session.RedisConfig{URLs: []string{server.URL}, SealKey: key})
			at := time.Now()
			mine := redisLogin(t, s, at)
			other := session.User{UserID: session.UserID{AppID: redisUser.AppID, OpenID: "other"}, UnionID: "union", Phone: "1", Key: []byte("1")}
			made, _ := session.New(other.UserID, at)
			made.Claims = redisClaims
			note := session.Note{Key: session.Digest{2}, Value: []byte("other"), Until: at.Add(time.Hour)}
			if err := s.Login(t.Context(), session.Login{Session: made, Learned: other, Note: note, Policy: redisPolicy}); err != nil {
				t.Fatal(err)
			}
			client := server.Client()
			defer client.Close()
			ctx := t.Context()
			mineTag, otherTag := tagText(redisUser.UserID), tagText(other.UserID)
			sessionKey := "wechat_auth:{" + mineTag + "}session:" + string(mine.SID)
			userKey := "wechat_auth:{" + mineTag + "}user"
			whole := func(from, to string) func() {
				return func() { client.Copy(ctx, from, to, 0, true) }
			}
			field := func(key, from, to string) func() {
				return func() { client.HSet(ctx, key, to, client.HGet(ctx, key, from).Val()) }
			}
			for _, test := range []struct {
				name, key string
				damage    func()
				method    string
			}{
				{"another user", userKey, whole("wechat_auth:{"+otherTag+"}user", userKey), "User"},
				{"another user, at refresh", userKey, whole("wechat_auth:{"+otherTag+"}user", userKey), "Refresh"},
				{"another field", userKey, field(userKey, "unionid", "phone"), "User"},
				{"another field of text", userKey, field(userKey, "avatar", "nickname"), "User"},
				{"another user's session_key", userKey, func() {
					client.HSet(ctx, userKey, "key", client.HGet(ctx, "wechat_auth:{"+otherTag+"}user", "key").Val())
				}, "User"},
				{"a session_key cut short", userKey, func() { client.HSet(ctx, userKey, "previous_key", "sb") }, "User"},
				{"a time that is none", userKey, func() { client.HSet(ctx, userKey, "key_since", "sb") }, "User"},
				{"another session's claims", sessionKey, func() {
					from := "wechat_auth:{" + otherTag + "}session:" + string(made.SID)
					client.HSet(ctx, sessionKey, "claims", client.HGet(ctx, from, "claims").Val())
				}, "Refresh"},
				{"another origin", sessionKey, func() {
					from := "wechat_auth:{" + otherTag + "}session:" + string(made.SID)
					client.HSet(ctx, sessionKey, "origin", client.HGet(ctx, from, "origin").Val())
				}, "Refresh"},
				{"a later beginning", sessionKey, func() { client.HIncrBy(ctx, sessionKey, "created", 1) }, "Refresh"},
				{"no origin", sessionKey, func() { client.HDel(ctx, sessionKey, "origin") }, "Refresh"},
				{"no id", userKey, func() { client.HDel(ctx, userKey, "id") }, "User"},
				{"another note", noteKey(redisNote.Key), whole(noteKey(note.Key), noteKey(redisNote.Key)), "Recall"},
				{"garbage", noteKey(redisNote.Key), func() { client.Set(ctx, noteKey(redisNote.Key), "sbgarbage", 0) }, "Recall"},
				{"nothing", noteKey(redisNote.Key), func() { client.Set(ctx, noteKey(redisNote.Key), "", 0) }, "Recall"},
			} {
				// One after the other: each damages a record that the next needs whole.
				client.Copy(ctx, test.key, "whole", 0, true)
				test.damage()
				if err := readings(t, s, mine)[test.method](); err == nil {
					t.Errorf("%s: %s: got no error", test.name, test.method)
				} else {
					wantPlainError(t, test.name, err)
				}
				client.Copy(ctx, "whole", test.key, 0, true)
			}
			if err := readings(t, s, mine)["User"](); err != nil {
				t.Errorf("got %v of whole records", err)
			}
		})
	}
}

func tagText(user session.UserID) string {
	text, _ := user.Tag().MarshalText()
	return string(text)
}

func noteKey(d session.Digest) string {
	text, _ := d.MarshalText()
	return "wechat_auth:note:" + string(text)
}
