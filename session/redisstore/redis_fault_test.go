//go:build unix

package session_test

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/session"
	"github.com/caddy-wechat/wechatauth/session/redistest"
)

// quickly is how long an operation may take that can't succeed. Two seconds are planned for, and End has
// two steps; the rest is for busy machines.
const quickly = 10 * time.Second

// allFail wants every method to fail in time, and without telling what it was about.
func allFail(t *testing.T, s session.Store, token session.RefreshToken) {
	t.Helper()
	var wg sync.WaitGroup
	for _, c := range redisCalls(t.Context(), s, token, time.Now()) {
		wg.Go(func() {
			began := time.Now()
			err := c.call()
			if took := time.Since(began); took > quickly {
				t.Errorf("%s took %v, want at most %v", c.name, took, quickly)
			}
			wantPlainError(t, c.name, err)
		})
	}
	wg.Go(func() {
		began := time.Now()
		wantPlainError(t, "Follow", s.Follow(t.Context(), time.Now(), func([]session.Revocation) {}))
		if took := time.Since(began); took > quickly {
			t.Errorf("Follow took %v, want at most %v", took, quickly)
		}
	})
	wg.Wait()
}

func wantPlainError(t *testing.T, name string, err error) {
	t.Helper()
	if err == nil {
		t.Errorf("%s: got no error", name)
		return
	}
	for _, value := range []string{"secret", "13800138000", redisUser.OpenID} {
		if strings.Contains(err.Error(), value) {
			t.Errorf("%s: got error %q, want one without %q", name, err, value)
		}
	}
}

// healed waits until all methods of a store work. The nodes of a cluster come back one by one.
func healed(t *testing.T, s session.Store) {
	t.Helper()
	var failure error
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the last failure while healing: %v", failure)
		}
	})
	until(t, "the store works again", func() bool {
		at := time.Now()
		made, token := session.New(redisUser.UserID, at)
		l := session.Login{Session: made, Learned: redisUser, Note: redisNote, Policy: redisPolicy}
		if failure = s.Login(t.Context(), l); failure != nil {
			return false
		}
		for _, c := range redisCalls(t.Context(), s, token, at) {
			if failure = c.call(); failure != nil {
				return false
			}
		}
		return true
	})
}

func TestRedisMayComeLater(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	server.Stop()
	s := openRedis(t, session.RedisConfig{URLs: []string{server.URL}})
	_, token := session.New(redisUser.UserID, time.Now())
	allFail(t, s, token)
	server.Restart(t)
	healed(t, s)
}

func TestRedisStopsAndComesBack(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name       string
		stop, back func(*testing.T, *redistest.Server)
	}{
		{
			"killed", func(_ *testing.T, s *redistest.Server) { s.Stop() },
			func(t *testing.T, s *redistest.Server) { t.Helper(); s.Restart(t) },
		},
		{
			"paused", func(_ *testing.T, s *redistest.Server) { s.Pause() },
			func(_ *testing.T, s *redistest.Server) { s.Resume() },
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			server := redistest.Start(t)
			s := openRedis(t, session.RedisConfig{URLs: []string{server.URL}})
			at := time.Now()
			kept, revoked := redisLogin(t, s, at), redisLogin(t, s, at)
			list := session.NewDenylist(s, nil)
			var failures failures
			go list.Run(t.Context(), failures.add)
			list.Wait(10 * time.Second)
			if err := s.End(t.Context(), revoked.SID, at, redisPolicy); err != nil {
				t.Fatal(err)
			}

			test.stop(t, server)
			allFail(t, s, kept)
			until(t, "the follower knows that the store is away", func() bool { return failures.count() > 0 })
			if !list.Revoked(revoked.SID) {
				t.Error("the denylist forgot a revocation")
			}
			test.back(t, server)

			heard := time.Now()
			until(t, "the follower hears again", func() bool { return list.Age() < time.Since(heard) })
			fresh := session.NewDenylist(openRedis(t, session.RedisConfig{URLs: []string{server.URL}}), nil)
			go fresh.Run(t.Context(), failures.add)
			until(t, "the revocation is there", func() bool { return fresh.Revoked(revoked.SID) })
			// An operation that failed may have been done, so the user may have been logged out.
			healed(t, s)
		})
	}
}

type failures struct {
	mu   sync.Mutex
	errs []error
}

func (f *failures) add(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.errs = append(f.errs, err)
}

func (f *failures) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.errs)
}

// acknowledgedLogin logs in until the replica has it: on a busy machine it can be late.
func acknowledgedLogin(t *testing.T, s session.Store, at time.Time) (token session.RefreshToken) {
	t.Helper()
	until(t, "the login is acknowledged", func() bool {
		made, refresh := session.New(redisUser.UserID, at)
		token = refresh
		return s.Login(t.Context(), session.Login{Session: made, Learned: redisUser, Policy: redisPolicy}) == nil
	})
	return token
}

func TestRedisSurvivesTheDeathOfTheMaster(t *testing.T) {
	t.Parallel()
	servers := redistest.StartSentinel(t)
	s := openRedis(t, session.RedisConfig{URLs: []string{servers.URL}, SealKey: sealKey, WaitReplicas: 1})
	at := time.Now()
	kept, revoked := acknowledgedLogin(t, s, at), acknowledgedLogin(t, s, at)
	until(t, "the end is acknowledged", func() bool {
		return s.End(t.Context(), revoked.SID, at, redisPolicy) == nil
	})
	var failures failures
	list := session.NewDenylist(s, nil)
	go list.Run(t.Context(), failures.add)
	until(t, "the revocation is known", func() bool { return list.Revoked(revoked.SID) })

	servers.Master.Stop()
	// The replica is alone now, so that nothing written can be acknowledged; what is there can be read.
	until(t, "the replica has taken over", func() bool {
		u, err := s.User(t.Context(), redisUser.UserID)
		return err == nil && u.Phone == redisUser.Phone
	})
	heard := time.Now()
	until(t, "the follower hears the new master", func() bool { return list.Age() < time.Since(heard) })

	alone := openRedis(t, session.RedisConfig{URLs: []string{servers.URL}, SealKey: sealKey})
	got, err := alone.Refresh(t.Context(), session.NewSpend(kept, at, redisPolicy))
	if err != nil || got.Verdict != session.Rotated {
		t.Errorf("got %v, %v of an acknowledged login, want Rotated", got.Verdict, err)
	}
	fresh := session.NewDenylist(alone, nil)
	go fresh.Run(t.Context(), failures.add)
	until(t, "the acknowledged revocation is there", func() bool { return fresh.Revoked(revoked.SID) })
	if _, err := s.Learn(t.Context(), session.Lesson{User: redisUser}); err == nil {
		t.Error("got no error for a write that no replica has")
	}
	healed(t, alone)
}

func TestRedisClusterLosesANodeForAWhile(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t)
	s := openRedis(t, session.RedisConfig{URLs: cluster.URLs})
	healed(t, s)
	waiting := openRedis(t, session.RedisConfig{URLs: cluster.URLs, WaitReplicas: 1})
	for _, openid := range []string{"a", "b", "c", "d", "e", "f"} { // on several nodes
		user := session.User{UserID: session.UserID{AppID: "wx", OpenID: openid}, Phone: "1"}
		if _, err := waiting.Learn(t.Context(), session.Lesson{User: user}); err == nil || !strings.Contains(err.Error(), "replicas") {
			t.Errorf("got %v, want an error: there is no replica", err)
		}
		if got, err := s.User(t.Context(), user.UserID); err != nil || got.Phone != "1" {
			t.Errorf("got phone %q, %v; want it written", got.Phone, err)
		}
	}
	_, token := session.New(redisUser.UserID, time.Now())
	for _, node := range cluster.Nodes {
		node.Stop()
	}
	allFail(t, s, token)
	for _, node := range cluster.Nodes {
		node.Restart(t)
	}
	healed(t, s)
}

func TestRedisWaitsForReplicas(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	s := openRedis(t, session.RedisConfig{URLs: []string{server.URL}, WaitReplicas: 1})
	if _, err := s.Learn(t.Context(), session.Lesson{User: redisUser}); err == nil || !strings.Contains(err.Error(), "replicas") {
		t.Errorf("got %v, want an error: there is no replica", err)
	}
}

func TestRedisErrorsComeThrough(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		set  [][]any
		want string
	}{
		{"memory is full", [][]any{{"CONFIG", "SET", "maxmemory", "1"}}, "OOM"},
		{"too few replicas", [][]any{{"CONFIG", "SET", "min-replicas-to-write", "1"}}, "NOREPLICAS"},
		{"password wanted", [][]any{{"CONFIG", "SET", "requirepass", "right"}}, "unauthenticated"},
		{"another password wanted", [][]any{{"CONFIG", "SET", "requirepass", "right"}}, "WRONGPASS"},
		{"a replica", [][]any{{"REPLICAOF", "127.0.0.1", "1"}}, "READONLY"},
		{"the disk is full", [][]any{
			{"CONFIG", "SET", "save", "3600 1000"},
			{"CONFIG", "SET", "dbfilename", strings.Repeat("x", 300)}, // no file can have this name
			{"BGSAVE"},
		}, "MISCONF"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			server := redistest.Start(t, "enable-protected-configs yes")
			login := ""
			if test.want == "WRONGPASS" {
				login = "default:secret-pass@"
			}
			s := openRedis(t, session.RedisConfig{URLs: []string{"redis://" + login + server.Addr}})
			for _, command := range test.set {
				server.Do(t, command...)
			}
			var err error
			defer func() {
				if t.Failed() {
					t.Logf("got %v, want %s", err, test.want)
				}
			}()
			until(t, "the server refuses to write", func() bool {
				_, err = s.Learn(t.Context(), session.Lesson{User: redisUser, Note: redisNote})
				wanted := err != nil && strings.Contains(err.Error(), test.want)
				if wanted {
					wantPlainError(t, "Learn", err)
				}
				return wanted
			})
		})
	}
}

func TestRedisCloses(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	server.Stop()
	s := openRedis(t, session.RedisConfig{URLs: []string{server.URL}})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.User(t.Context(), redisUser.UserID); !errors.Is(err, session.ErrClosed) {
		t.Errorf("got %v, want %v", err, session.ErrClosed)
	}
}
