//go:build unix

// Redis that stops, restarts, fills up or is out of reach.

package e2e_test

import (
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/session/redisstore/redistest"
	"github.com/caddy-wechat/wechatauth/wechat/wechattest"
)

// writes requests everything that needs the store and wants store_unavailable.
func (n *node) writesFail(alice *wechattest.User, login answer) {
	n.t.Helper()
	unavailable(n.t, "login", n.post("/auth/login", "", "code", n.fake.LoginCode(n.fake.NewUser(appID))))
	unavailable(n.t, "refresh", n.refresh(login.refresh()))
	unavailable(n.t, "logout", n.logout(login.access()))
	unavailable(n.t, "logout with a refresh token", n.post("/auth/logout", "", "refresh_token", login.refresh()))
	unavailable(n.t, "logout all", n.post("/auth/logout", login.access(), "all", true))
	unavailable(n.t, "phone", n.post("/auth/phone", login.access(), "code", n.fake.PhoneCode(alice, "13800138000")))
	want(n.t, "a public path", n.get("/health", ""), 200, "")
}

// The machine comes up before Redis does.
// Threats: T84, C47.
func TestNodesStartWithoutRedisAndHealWhenItComes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	redis := redistest.Start(t)
	line := "store redis " + redis.URL
	before := w.start(line)
	alice := w.fake.NewUser(appID)
	login := before.login(alice)
	before.kill()
	redis.Stop()

	a, b := w.pair(line)
	for _, n := range []*node{a, b} {
		unavailable(t, "guard", n.get("/", login.access()))
		n.writesFail(alice, login)
		want(t, "guard without a token", n.get("/", ""), 401, "token_missing")
	}
	redis.Restart(t)
	for _, n := range []*node{a, b} {
		within(t, 8*time.Second, "logins work", func() bool { return n.newLogin() == 200 })
		within(t, 8*time.Second, "a token from before is let in", func() bool { return n.get("/", login.access()).status == 200 })
	}
	want(t, "a session from before", a.refresh(login.refresh()), 200, "")
}

// Redis dies while people are at work: who is logged in goes on for a while, and nobody is told
// that something happened that did not.
// Threats: T84, C47.
func TestRedisStopsUnderLoad(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	redis := redistest.Start(t)
	a, b := w.pair("store redis "+redis.URL+sealed, "session {\nstale 3s\n}")
	alice := w.fake.NewUser(appID)
	login, gone := a.login(alice), b.newUser()
	want(t, "logout", a.logout(gone.access()), 204, "")
	within(t, time.Second, "known everywhere", func() bool { return b.revoked(gone.access()) })

	redis.Stop()
	stopped := time.Now()
	pulse := newLoad(2, func() string {
		pause()
		since := time.Since(stopped)
		got := b.get("/", login.access())
		switch {
		case got.status == 200 && since < 4500*time.Millisecond:
			return "served"
		case got.is(503, "store_unavailable") && got.header.Get("Retry-After") != "" && time.Since(stopped) > 1900*time.Millisecond:
			return "refused"
		}
		return fmt.Sprint(since, " after the stop: ", got)
	})
	b.writesFail(alice, login)
	if !b.revoked(gone.access()) {
		t.Errorf("what was revoked before: got %s", b.get("/", gone.access()))
	}
	eventually(t, "the guard refuses", func() bool { return b.get("/", login.access()).status == 503 })
	a.writesFail(alice, login)
	for outcome, n := range pulse.end() {
		if outcome != "served" && outcome != "refused" {
			t.Errorf("guard: %d times %s", n, outcome)
		}
	}
	redis.Restart(t)
	for _, n := range []*node{a, b} {
		within(t, 8*time.Second, "heals", func() bool { return n.newLogin() == 200 && n.get("/", login.access()).status == 200 })
		want(t, "what was revoked before", n.get("/", gone.access()), 401, "session_revoked")
	}
	want(t, "the session from before", b.refresh(login.refresh()), 200, "")
}

// Redis is killed again and again while thousands use it through two nodes. Clients try again with
// what they have when they are told 503.
func TestRedisRestartsUnderLoad(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	redis := redistest.Start(t)
	a, b := w.pair("store redis " + redis.URL + sealed)
	type life struct {
		login answer
		ended bool
	}
	lives := make(chan life, 100000)
	var i atomic.Int64
	l := newLoad(6, func() string {
		n := []*node{a, b}[i.Add(1)%2]
		login := n.post("/auth/login", "", "code", w.fake.LoginCode(w.fake.NewUser(appID)), "nonce", "n")
		if login.status != 200 {
			return "login " + login.outcome()
		}
		if next := n.refresh(login.refresh()); next.status == 200 {
			login = next
		} else if !next.is(503, "store_unavailable") {
			return "refresh " + next.outcome()
		}
		if i.Load()%3 > 0 {
			lives <- life{login, false}
			return "alive"
		}
		if out := n.logout(login.access()); out.status != 204 {
			return "logout " + out.outcome()
		}
		lives <- life{login, true}
		return "ended"
	})
	for range 3 {
		before := len(lives)
		eventually(t, "load", func() bool { return len(lives) > before+100 })
		redis.Stop()
		eventually(t, "somebody has noticed", func() bool { return a.newLogin() == 503 })
		redis.Restart(t)
	}
	eventually(t, "both heal", func() bool { return a.newLogin() == 200 && b.newLogin() == 200 })
	seen := l.end()
	t.Log(seen)
	for outcome := range seen {
		if outcome != "alive" && outcome != "ended" && !strings.HasSuffix(outcome, "503 store_unavailable") {
			t.Errorf("%d times %s", seen[outcome], outcome)
		}
	}
	close(lives)
	for life := range lives {
		if life.ended {
			for _, n := range []*node{a, b} {
				within(t, 2*time.Second, "an acknowledged logout holds at "+n.name, func() bool { return n.revoked(life.login.access()) })
			}
			want(t, "refresh after logout", b.refresh(life.login.refresh()), 401, "refresh_invalid")
			continue
		}
		want(t, "an acknowledged session", b.refresh(life.login.refresh()), 200, "")
	}
}

// Redis takes connections and says nothing, as behind a broken network.
func TestRedisPaused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	redis := redistest.Start(t)
	a, b := w.pair("store redis "+redis.URL, "session {\nstale 3s\n}")
	alice := w.fake.NewUser(appID)
	login, other := a.login(alice), a.newUser()
	// Now both have connections that will be silent.
	want(t, "refresh", b.refresh(other.refresh()), 200, "")

	redis.Pause()
	t.Cleanup(redis.Resume)
	start := time.Now()
	want(t, "a token at first", b.get("/", login.access()), 200, "")
	kinds := []func() (string, answer){
		func() (string, answer) {
			return "login", a.post("/auth/login", "", "code", w.fake.LoginCode(w.fake.NewUser(appID)))
		},
		func() (string, answer) { return "refresh", a.refresh(login.refresh()) },
		func() (string, answer) { return "refresh at the other", b.refresh(login.refresh()) },
		func() (string, answer) { return "logout", b.logout(other.access()) },
		func() (string, answer) {
			return "phone", b.post("/auth/phone", login.access(), "code", w.fake.PhoneCode(alice, "13800138000"))
		},
	}
	together(len(kinds), func(i int) {
		what, got := kinds[i]()
		if got.status != 503 || got.header.Get("Retry-After") == "" {
			t.Errorf("%s: got %s, want 503 and when to come again", what, got)
		}
		if took := time.Since(start); took > 6*time.Second {
			t.Errorf("%s: the answer took %s", what, took)
		}
	})
	eventually(t, "the guard refuses", func() bool { return b.get("/", login.access()).is(503, "store_unavailable") })
	redis.Resume()
	for _, n := range []*node{a, b} {
		within(t, 8*time.Second, "heals", func() bool { return n.newLogin() == 200 && n.get("/", login.access()).status == 200 })
	}
	want(t, "the session from before", b.refresh(login.refresh()), 200, "")
}

// Redis takes no more writes: its memory is used up, or it is a replica now. Nothing may be told as
// done, and who is logged in goes on, for the revocations can still be read.
func TestRedisRefusesWrites(t *testing.T) {
	t.Parallel()
	for name, setting := range map[string][2][]any{
		"full":    {{"CONFIG", "SET", "maxmemory", "1"}, {"CONFIG", "SET", "maxmemory", "0"}},
		"replica": {{"REPLICAOF", "127.0.0.1", "1"}, {"REPLICAOF", "NO", "ONE"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			redis := redistest.Start(t)
			n := w.start("store redis "+redis.URL, "session {\nstale 1s\n}")
			alice := w.fake.NewUser(appID)
			login := n.login(alice)
			redis.Do(t, setting[0]...)
			n.writesFail(alice, login)
			during(t, 1500*time.Millisecond, "the guard lets in", func() bool { return n.get("/", login.access()).status == 200 })
			redis.Do(t, setting[1]...)
			within(t, 5*time.Second, "heals", func() bool { return n.newLogin() == 200 })
			want(t, "the session from before", n.refresh(login.refresh()), 200, "")
		})
	}
}

// A node that alone lost its connection to Redis catches up on revocations.
func TestMissedRevocationsArriveAfterReconnect(t *testing.T) {
	t.Parallel()
	for name, cut := range map[string]func(*proxy){"closed": (*proxy).cut, "silent": (*proxy).mute} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			redis := redistest.Start(t)
			between := newProxy(t, redis.Addr)
			a, b := w.start("store redis "+redis.URL), w.start("store redis redis://"+between.addr)
			alice := w.fake.NewUser(appID)
			one, first, second, other := a.newUser(), a.login(alice), b.login(alice), b.newUser()
			for _, login := range []answer{one, first, second, other} {
				want(t, "before", b.get("/", login.access()), 200, "")
			}
			cut(between)
			want(t, "logout", a.logout(one.access()), 204, "")
			want(t, "logout all", a.post("/auth/logout", first.access(), "all", true), 204, "")
			during(t, 2500*time.Millisecond, "the node alone knows of no revocation", func() bool {
				return b.get("/", one.access()).status == 200 && b.get("/", first.access()).status == 200
			})
			between.join()
			for _, login := range []answer{one, first, second} {
				within(t, 4*time.Second, "the node hears of it", func() bool { return b.revoked(login.access()) })
			}
			want(t, "another", b.get("/", other.access()), 200, "")
			want(t, "logout now", a.logout(other.access()), 204, "")
			within(t, time.Second, "the node hears of it", func() bool { return b.revoked(other.access()) })
		})
	}
}

// The master dies, a replica takes over.
func TestSentinelFailover(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	redis := redistest.StartSentinel(t)
	a, b := w.pair("store redis " + redis.URL + sealed)
	alice := w.fake.NewUser(appID)
	login, gone := a.login(alice), b.newUser()
	want(t, "phone", a.post("/auth/phone", login.access(), "code", w.fake.PhoneCode(alice, "13800138000")), 200, "")
	want(t, "logout", b.logout(gone.access()), 204, "")
	eventually(t, "the replica has it all", func() bool {
		return field(redis.Master.Do(t, "INFO", "replication"), "master_repl_offset") ==
			field(redis.Replica.Do(t, "INFO", "replication"), "slave_repl_offset")
	})
	redis.Master.Stop()
	for _, n := range []*node{a, b} {
		eventually(t, n.name+" heals", func() bool { return n.newLogin() == 200 })
		want(t, "guard", n.get("/", login.access()), 200, "")
		want(t, "what was revoked before", n.get("/", gone.access()), 401, "session_revoked")
	}
	next := b.refresh(login.refresh())
	want(t, "refresh", next, 200, "")
	if next.text("user", "phone") != "13800138000" {
		t.Errorf("the phone is gone: got %s", next)
	}
	want(t, "logout", b.logout(next.access()), 204, "")
	within(t, 2*time.Second, "the other node hears of it", func() bool { return a.revoked(next.access()) })
}

// With wait_replicas nothing is acknowledged that a replica does not have: the master may die at
// any moment.
func TestSentinelFailoverLosesNothingThatReplicasWereWaitedFor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	redis := redistest.StartSentinel(t)
	n := w.start("store redis " + redis.URL + " {\nwait_replicas 1\n}")
	eventually(t, "logins work", func() bool { return n.newLogin() == 200 })
	c := &clients{node: n, mayFail: true}
	time.AfterFunc(500*time.Millisecond, redis.Master.Stop)
	together(6, func(int) { c.live() })
	if c.logins == 0 {
		t.Fatal("no logins")
	}
	eventually(t, "the replica has taken over", func() bool {
		info, _ := redis.Replica.Do(t, "INFO", "replication").(string)
		return strings.Contains(info, "role:master")
	})
	redis.Master.Restart(t)
	eventually(t, "logins work when there is a replica again", func() bool { return n.newLogin() == 200 })
	c.check(c.held)
	t.Logf("%d logins", c.logins)
}

func field(info any, name string) int {
	text, _ := info.(string)
	_, rest, _ := strings.Cut(text, name+":")
	value, _, _ := strings.Cut(rest, "\r\n")
	n, err := strconv.Atoi(value)
	if err != nil {
		return -1
	}
	return n
}
