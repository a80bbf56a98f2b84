//go:build unix

package session_test

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/caddy-wechat/wechatauth/session"
	"github.com/caddy-wechat/wechatauth/session/redistest"
)

// TestRedisForgetsThoughTheFirstTryDied: the sessions made later are revoked after the user is gone. Should
// that fail, it must be made up for.
func TestRedisForgetsThoughTheFirstTryDied(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		then func(*testing.T, session.Store, session.RefreshToken, time.Time) error
	}{
		{"forget again", func(t *testing.T, s session.Store, _ session.RefreshToken, at time.Time) error {
			t.Helper()
			known, err := s.Forget(t.Context(), redisUser.UserID, at, redisPolicy)
			if err == nil && known.Phone != "" {
				t.Error("the first try has left something")
			}
			return err
		}},
		{"login", func(t *testing.T, s session.Store, _ session.RefreshToken, at time.Time) error {
			t.Helper()
			made, _ := session.New(redisUser.UserID, at.Add(time.Minute))
			return s.Login(t.Context(), session.Login{Session: made, Learned: redisUser, Policy: redisPolicy})
		}},
		{"refresh", func(t *testing.T, s session.Store, token session.RefreshToken, at time.Time) error {
			t.Helper()
			got, err := s.Refresh(t.Context(), session.NewSpend(token, at, redisPolicy))
			if err == nil && got.Verdict != session.Unknown {
				t.Errorf("got %v, want Unknown", got.Verdict)
			}
			return err
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := openRedis(t, session.RedisConfig{URLs: []string{redistest.Start(t).URL}})
			at := time.Now()
			token := redisLogin(t, s, at.Add(time.Second))
			var revocations atomic.Int64
			second := func(cmd redis.Cmder) bool {
				args := cmd.Args()
				// A script that is not known yet is sent twice.
				return len(args) > 3 && args[3] == "wechat_auth:revoked" && args[0] == "evalsha" && revocations.Add(1) == 2
			}
			refuser := new(hook)
			session.AddRedisHook(s, refuser)
			refuser.refuse.Store(&second)
			if _, err := s.Forget(t.Context(), redisUser.UserID, at, redisPolicy); !errors.Is(err, errRefused) {
				t.Fatalf("got %v, want an error: the revocation was not written", err)
			}
			if _, err := s.Learn(t.Context(), session.Lesson{SID: token.SID, User: redisUser}); !errors.Is(err, session.ErrEnded) {
				t.Errorf("got %v, want %v", err, session.ErrEnded)
			}
			if err := test.then(t, s, token, at); err != nil {
				t.Fatal(err)
			}
			list := session.NewDenylist(s, nil)
			go list.Run(t.Context(), func(error) {})
			until(t, "the revocation is known", func() bool { return list.Revoked(token.SID) })
		})
	}
}

// TestRedisSessionsBehindTheBoundaryAreDead: nodes of an older version store logins that come too late.
func TestRedisSessionsBehindTheBoundaryAreDead(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	s := openRedis(t, session.RedisConfig{URLs: []string{server.URL}})
	at := time.Now()
	late, later := redisLogin(t, s, at), redisLogin(t, s, at.Add(time.Millisecond))
	server.Do(t, "SET", "wechat_auth:{"+tagText(redisUser.UserID)+"}before", at.UnixMilli())
	for _, test := range []struct {
		token session.RefreshToken
		want  session.Verdict
	}{{late, session.Unknown}, {later, session.Rotated}} {
		if got, err := s.Refresh(t.Context(), session.NewSpend(test.token, at, redisPolicy)); err != nil || got.Verdict != test.want {
			t.Errorf("got %v, %v, want %v", got.Verdict, err, test.want)
		}
	}
}

// TestRedisPrefixesAreApart: two sites on one server share nothing.
func TestRedisPrefixesAreApart(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	one := openRedis(t, session.RedisConfig{URLs: []string{server.URL}, Prefix: "one:"})
	two := openRedis(t, session.RedisConfig{URLs: []string{server.URL}, Prefix: "one:two:"})
	at := time.Now()
	for _, s := range []session.Store{one, two} {
		redisLogin(t, s, at)
		if n, err := s.Count(t.Context(), session.Digest{1}, 1, at.Add(time.Hour), at); err != nil || n != 1 {
			t.Errorf("got %d, %v, want 1", n, err)
		}
	}
	token := redisLogin(t, two, at)
	if _, err := one.Learn(t.Context(), session.Lesson{SID: token.SID, User: redisUser}); !errors.Is(err, session.ErrEnded) {
		t.Errorf("got %v of the other's session, want %v", err, session.ErrEnded)
	}
	if _, err := one.Forget(t.Context(), redisUser.UserID, at, redisPolicy); err != nil {
		t.Fatal(err)
	}
	if got, err := two.User(t.Context(), redisUser.UserID); err != nil || got.Phone != redisUser.Phone {
		t.Errorf("got %+v, %v, want the user whom the other forgot", got, err)
	}
	if got, err := two.Refresh(t.Context(), session.NewSpend(token, at, redisPolicy)); err != nil || got.Verdict != session.Rotated {
		t.Errorf("got %v, %v, want Rotated", got.Verdict, err)
	}
}
