//go:build unix

package session_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/caddy-wechat/wechatauth/session"
	"github.com/caddy-wechat/wechatauth/session/redistest"
)

var (
	redisPolicy = session.Policy{
		Idle: time.Hour, Lifetime: 24 * time.Hour, Grace: 30 * time.Second, MaxPerUser: 2, TokenTTL: 15 * time.Minute,
	}
	redisUser = session.User{
		UserID: session.UserID{AppID: "wx-secret-app", OpenID: "secret-openid"}, UnionID: "secret-union",
		FirstSeen: time.UnixMilli(1_790_000_000_000), Phone: "13800138000", PhoneNumber: "+8613800138000",
		PhoneVerified: time.UnixMilli(1_790_000_000_000), Nickname: "secret-nickname", Avatar: "secret-avatar",
		Key: []byte("secret-session-key"), KeySince: time.UnixMilli(1_790_000_000_000),
	}
	redisClaims = json.RawMessage(`{"role":"secret-role"}`)
	redisNote   = session.Note{Key: session.Digest{1}, Value: []byte("secret-note"), Until: time.Now().Add(time.Hour)}
)

// redisLogin logs redisUser in.
func redisLogin(t *testing.T, s session.Store, at time.Time) session.RefreshToken {
	t.Helper()
	made, token := session.New(redisUser.UserID, at)
	made.Claims = redisClaims
	err := s.Login(t.Context(), session.Login{Session: made, Learned: redisUser, Note: redisNote, Policy: redisPolicy})
	if err != nil {
		t.Fatalf("login: %v", err)
	}
	return token
}

// redisCalls is every method that uses the network, with the round trips it may take.
func redisCalls(ctx context.Context, s session.Store, token session.RefreshToken, at time.Time) []redisCall {
	made, _ := session.New(redisUser.UserID, at)
	_, version, _ := s.Keys(ctx)
	return []redisCall{
		{"Refresh", 1, func() error {
			got, err := s.Refresh(ctx, session.NewSpend(token, at, redisPolicy))
			if err == nil && got.Verdict != session.Rotated {
				return errors.New("not rotated")
			}
			return err
		}},
		{"Login", 1, func() error {
			return s.Login(ctx, session.Login{Session: made, Learned: redisUser, Policy: redisPolicy})
		}},
		{"User", 1, func() error { _, err := s.User(ctx, redisUser.UserID); return err }},
		{"Learn", 1, func() error { _, err := s.Learn(ctx, session.Lesson{User: redisUser}); return err }},
		{"Learn with a note", 2, func() error { _, err := s.Learn(ctx, session.Lesson{User: redisUser, Note: redisNote}); return err }},
		{"Learn in a session", 1, func() error {
			_, err := s.Learn(ctx, session.Lesson{SID: token.SID, User: redisUser, Claims: redisClaims, DropKey: []byte("secret")})
			return err
		}},
		{"Count", 1, func() error {
			_, err := s.Count(ctx, redisNote.Key, 1, at.Add(time.Hour), at)
			return err
		}},
		{"Recall", 1, func() error { _, err := s.Recall(ctx, redisNote.Key, at); return err }},
		{"Keys", 1, func() error { _, _, err := s.Keys(ctx); return err }},
		{"SwapKeys", 1, func() error { _, err := s.SwapKeys(ctx, version, []byte("secret-keys")); return err }},
		{"End", 2, func() error { return s.End(ctx, token.SID, at, redisPolicy) }},
		{"EndAll", 2, func() error { return s.EndAll(ctx, redisUser.UserID, at, redisPolicy) }},
		{"Forget", 2, func() error { _, err := s.Forget(ctx, redisUser.UserID, at, redisPolicy); return err }},
	}
}

type redisCall struct {
	name  string
	trips int64
	call  func() error
}

// hook counts round trips, and refuses those that a function wants refused.
type hook struct {
	trips  atomic.Int64
	refuse atomic.Pointer[func(redis.Cmder) bool]
}

var errRefused = errors.New("refused by the test")

func (h *hook) DialHook(next redis.DialHook) redis.DialHook { return next }

func (h *hook) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		h.trips.Add(1)
		if refuse := h.refuse.Load(); refuse != nil && (*refuse)(cmd) {
			cmd.SetErr(errRefused)
			return errRefused
		}
		return next(ctx, cmd)
	}
}

func (h *hook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		h.trips.Add(1)
		return next(ctx, cmds)
	}
}

func TestRedisRoundTrips(t *testing.T) {
	t.Parallel()
	s := openRedis(t, session.RedisConfig{URLs: []string{redistest.Start(t).URL}})
	at := time.Now()
	for _, c := range redisCalls(t.Context(), s, redisLogin(t, s, at), at) { // lets the server learn the scripts
		if err := c.call(); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
	}
	counter := new(hook)
	session.AddRedisHook(s, counter)
	at = at.Add(time.Second)
	for _, c := range redisCalls(t.Context(), s, redisLogin(t, s, at), at) {
		counter.trips.Store(0)
		if err := c.call(); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if got := counter.trips.Load(); got != c.trips {
			t.Errorf("%s: got %d round trips, want %d", c.name, got, c.trips)
		}
	}
}

func TestRedisLetsEverythingExpire(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	s := openRedis(t, session.RedisConfig{URLs: []string{server.URL}})
	at := time.Now()
	ended, kept := redisLogin(t, s, at), redisLogin(t, s, at)
	if err := s.End(t.Context(), ended.SID, at, redisPolicy); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Refresh(t.Context(), session.NewSpend(kept, at, redisPolicy)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Count(t.Context(), redisNote.Key, 1, at.Add(time.Hour), at); err != nil {
		t.Fatal(err)
	}
	if err := s.EndAll(t.Context(), redisUser.UserID, at.Add(-time.Second), redisPolicy); err != nil {
		t.Fatal(err)
	}
	client := server.Client()
	defer client.Close()
	longest := map[string]time.Duration{
		"user": 731 * 24 * time.Hour, "sessions": 731 * 24 * time.Hour, "session:": 61 * time.Minute * 2,
		"note:": 2 * time.Hour, "count:": 2 * time.Hour, "revoked": time.Hour, "before": time.Hour,
	}
	keys, err := client.Keys(t.Context(), "*").Result()
	if err != nil || len(keys) != 8 {
		t.Fatalf("got keys %q, %v, want 8", keys, err)
	}
	for _, key := range keys {
		life, err := client.PTTL(t.Context(), key).Result()
		if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimPrefix(key, "wechat_auth:")
		_, name, ok := strings.Cut(name, "}")
		if !ok {
			name = strings.TrimPrefix(key, "wechat_auth:")
		}
		if kind, _, ok := strings.Cut(name, ":"); ok {
			name = kind + ":"
		}
		if limit, ok := longest[name]; !ok || life <= 0 || life > limit {
			t.Errorf("%s lives %v, want more than 0 and at most %v", name, life, limit)
		}
	}
}

func TestRedisDropsRevocationsThatAreOver(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	s := openRedis(t, session.RedisConfig{URLs: []string{server.URL}})
	begin := time.Now()
	for minute := range 300 {
		at := begin.Add(time.Duration(minute) * time.Minute)
		_, token := session.New(redisUser.UserID, at)
		if err := s.End(t.Context(), token.SID, at, redisPolicy); err != nil {
			t.Fatal(err)
		}
	}
	// A quarter of an hour matters, and a little more is kept for clocks that differ.
	if got := server.Do(t, "XLEN", "wechat_auth:revoked").(int64); got < 15 || got > 25 {
		t.Errorf("got %d revocations, want 15 to 25", got)
	}
}

// TestRedisRevokesThoughTheFirstTryDied: what ended must be revoked in the end, even if whoever ended it
// died, or Redis did, before it could say so.
func TestRedisRevokesThoughTheFirstTryDied(t *testing.T) {
	t.Parallel()
	revoking := func(cmd redis.Cmder) bool {
		args := cmd.Args()
		return len(args) > 3 && args[3] == "wechat_auth:revoked"
	}
	for _, test := range []struct {
		name string
		end  func(*testing.T, session.Store, session.RefreshToken, time.Time) error
	}{
		{"reuse", func(t *testing.T, s session.Store, spent session.RefreshToken, at time.Time) error {
			t.Helper()
			got, err := s.Refresh(t.Context(), session.NewSpend(spent, at.Add(time.Minute), redisPolicy))
			if err == nil && got.Verdict != session.Reused {
				t.Errorf("got %v, want Reused", got.Verdict)
			}
			return err
		}},
		{"eviction, then login", func(t *testing.T, s session.Store, _ session.RefreshToken, at time.Time) error {
			t.Helper()
			var err error
			for range redisPolicy.MaxPerUser {
				made, _ := session.New(redisUser.UserID, at.Add(time.Second))
				err = s.Login(t.Context(), session.Login{Session: made, Learned: redisUser, Policy: redisPolicy})
			}
			return err
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := openRedis(t, session.RedisConfig{URLs: []string{redistest.Start(t).URL}})
			at := time.Now()
			spent := redisLogin(t, s, at)
			rotated, err := s.Refresh(t.Context(), session.NewSpend(spent, at, redisPolicy))
			if err != nil {
				t.Fatal(err)
			}
			refuser := new(hook)
			session.AddRedisHook(s, refuser)
			refuser.refuse.Store(&revoking)
			if err := test.end(t, s, spent, at); !errors.Is(err, errRefused) {
				t.Fatalf("got %v, want an error: the revocation was not written", err)
			}
			// It is not revoked yet, but nobody can go on with it.
			current := spent.Successor(rotated.Session.Salt)
			if got, err := s.Refresh(t.Context(), session.NewSpend(current, at, redisPolicy)); !errors.Is(err, errRefused) {
				t.Errorf("got %v, %v of an ended session, want an error", got.Verdict, err)
			}
			refuser.refuse.Store(nil)
			if err := test.end(t, s, spent, at); err != nil {
				t.Fatal(err)
			}
			list := session.NewDenylist(s, nil)
			go list.Run(t.Context(), func(error) {})
			until(t, "the revocation is known", func() bool { return list.Revoked(spent.SID) })
		})
	}
}

func TestRedisFollowsAStreamThatBeganAnew(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	cfg := session.RedisConfig{URLs: []string{server.URL}}
	s, other := openRedis(t, cfg), openRedis(t, cfg)
	list := session.NewDenylist(other, nil)
	go list.Run(t.Context(), func(err error) {
		if t.Context().Err() == nil {
			t.Errorf("follow: %v", err)
		}
	})
	client := server.Client()
	defer client.Close()
	for range 3 {
		at := time.Now()
		_, before := session.New(redisUser.UserID, at)
		_, after := session.New(redisUser.UserID, at)
		if err := s.End(t.Context(), before.SID, at, redisPolicy); err != nil {
			t.Fatal(err)
		}
		// Its numbers are far ahead, as if the clock of a lost master had been.
		entries, err := client.XRange(t.Context(), "wechat_auth:revoked", "-", "+").Result()
		if err != nil {
			t.Fatal(err)
		}
		server.Do(t, "DEL", "wechat_auth:revoked")
		values := entries[len(entries)-1].Values
		server.Do(t, "XADD", "wechat_auth:revoked", "9999999999999-0", "until", values["until"], "revoked", values["revoked"])
		until(t, "the first revocation is known", func() bool { return list.Revoked(before.SID) })
		server.Do(t, "FLUSHALL")
		if err := s.End(t.Context(), after.SID, at, redisPolicy); err != nil {
			t.Fatal(err)
		}
		until(t, "the revocation after the loss is known", func() bool { return list.Revoked(after.SID) })
	}
}

// until polls for what ought to happen soon.
func until(t *testing.T, what string, happened func() bool) {
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
