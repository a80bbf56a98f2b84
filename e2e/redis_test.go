//go:build unix

// Two nodes on one Redis.

package e2e_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/session/redisstore/redistest"
	"github.com/caddy-wechat/wechatauth/wechat/wechattest"
)

const sealed = " {\nseal_key abcdefghijklmnopqrstuvwxyz0123456789\n}"

// pair starts two nodes at the same moment.
func (w *world) pair(lines ...string) (a, b *node) {
	w.t.Helper()
	a, b = w.newNode(lines...), w.newNode(lines...)
	a.launch()
	b.launch()
	a.ready()
	b.ready()
	return a, b
}

func (n *node) revoked(token string) bool { return n.get("/", token).is(401, "session_revoked") }

// Two nodes come up together on an empty Redis, and nobody may notice which of them answers.
func TestNodesThatStartTogetherAgree(t *testing.T) {
	w := newWorld(t)
	redis := redistest.Start(t)
	for round := range 3 {
		redis.Do(t, "FLUSHALL")
		a, b := w.pair("store redis " + redis.URL + sealed)
		const path = "/auth/.well-known/jwks.json"
		if one, other := a.get(path, ""), b.get(path, ""); one.status != 200 || string(one.body) != string(other.body) {
			t.Errorf("round %d: JWKS: got %s and %s", round, one, other)
		}
		for _, n := range []*node{a, b} {
			login := n.newUser()
			for _, other := range []*node{a, b} {
				if got := other.get("/", login.access()); got.status != 200 {
					t.Errorf("round %d: a token of %s at %s: got %s", round, n.name, other.name, got)
				}
			}
		}
		a.kill()
		b.kill()
	}
}

// Threats: T53, T57, C35, C45.
func TestTwoNodes(t *testing.T) {
	w := newWorld(t)
	redis := redistest.Start(t)
	a, b := w.pair("store redis "+redis.URL+sealed, "session {\ngrace 2s\nmax_per_user 3\n}")

	t.Run("logout at one is known to the other within a second", func(t *testing.T) {
		for range 20 {
			login := a.newUser()
			want(t, "before", b.get("/", login.access()), 200, "")
			want(t, "logout", a.logout(login.access()), 204, "")
			if !a.revoked(login.access()) {
				t.Error("the node of the logout lets its token in")
			}
			took := within(t, time.Second, "the other node refuses", func() bool { return b.revoked(login.access()) })
			t.Logf("%s", took)
			want(t, "refresh at the other", b.refresh(login.refresh()), 401, "refresh_invalid")
		}
	})
	t.Run("logout with a refresh token", func(t *testing.T) {
		login := a.newUser()
		want(t, "logout", b.post("/auth/logout", "", "refresh_token", login.refresh()), 204, "")
		within(t, time.Second, "the other node refuses", func() bool { return a.revoked(login.access()) })
	})
	t.Run("logout all", func(t *testing.T) {
		alice := w.fake.NewUser(appID)
		logins := []answer{a.login(alice), b.login(alice), a.login(alice)}
		bob := b.newUser()
		want(t, "logout", b.post("/auth/logout", logins[0].access(), "all", true), 204, "")
		again := a.login(alice)
		for _, login := range logins {
			for _, n := range []*node{a, b} {
				within(t, time.Second, n.name+" refuses", func() bool { return n.revoked(login.access()) })
				want(t, "refresh", n.refresh(login.refresh()), 401, "refresh_invalid")
			}
		}
		for _, n := range []*node{a, b} {
			want(t, "another user", n.get("/", bob.access()), 200, "")
			want(t, "the login after", n.get("/", again.access()), 200, "")
		}
	})
	t.Run("refreshes at one moment have one successor", func(t *testing.T) {
		token := a.newUser().refresh()
		answers := make([]answer, 50)
		together(len(answers), func(i int) { answers[i] = []*node{a, b}[i%2].refresh(token) })
		for _, got := range answers {
			if got.status != 200 || got.refresh() == "" || got.refresh() != answers[0].refresh() {
				t.Fatalf("got %s and %s", got, answers[0])
			}
		}
		want(t, "the successor", b.refresh(answers[0].refresh()), 200, "")
	})
	t.Run("reuse at the other node ends the session", func(t *testing.T) {
		login := a.newUser()
		next := a.refresh(login.refresh())
		want(t, "refresh", next, 200, "")
		var reuse answer
		eventually(t, "the grace ends", func() bool {
			time.Sleep(50 * time.Millisecond) // one session may be refreshed 60 times a minute
			reuse = b.refresh(login.refresh())
			return reuse.status != 200
		})
		want(t, "reuse", reuse, 401, "refresh_reused")
		for _, n := range []*node{a, b} {
			for _, token := range []string{login.access(), next.access()} {
				within(t, time.Second, n.name+" refuses", func() bool { return n.revoked(token) })
			}
			want(t, "the thief's or the user's", n.refresh(next.refresh()), 401, "refresh_invalid")
		}
	})
	t.Run("a login whose answer was lost is answered by the other", func(t *testing.T) {
		code := w.fake.LoginCode(w.fake.NewUser(appID))
		first := a.post("/auth/login", "", "code", code, "nonce", "n1")
		want(t, "login", first, 200, "")
		if again := b.post("/auth/login", "", "code", code, "nonce", "n1"); string(again.body) != string(first.body) {
			t.Errorf("got %s, want %s", again, first)
		}
		want(t, "another's nonce", b.post("/auth/login", "", "code", code, "nonce", "n2"), 401, "code_used")
		want(t, "no nonce", b.post("/auth/login", "", "code", code), 401, "code_used")
	})
	t.Run("a phone whose answer was lost is answered by the other", func(t *testing.T) {
		alice := w.fake.NewUser(appID)
		login := a.login(alice)
		code := w.fake.PhoneCode(alice, "13800138000")
		first := a.post("/auth/phone", login.access(), "code", code)
		want(t, "phone", first, 200, "")
		if again := b.post("/auth/phone", login.access(), "code", code); string(again.body) != string(first.body) {
			t.Errorf("got %s, want %s", again, first)
		}
		if again := b.login(alice); again.text("user", "phone") != "13800138000" {
			t.Errorf("the next login at the other: got %s", again)
		}
		if n := w.fake.Count(wechattest.Phone); n != 1 {
			t.Errorf("WeChat was asked %d times for a phone", n)
		}
	})
	t.Run("max_per_user counts over both", func(t *testing.T) {
		alice := w.fake.NewUser(appID)
		logins := make([]answer, 5)
		for i := range logins {
			logins[i] = []*node{a, b}[i%2].login(alice)
		}
		for i, login := range logins {
			for _, n := range []*node{a, b} {
				if i < 2 {
					within(t, time.Second, "the oldest have ended", func() bool { return n.revoked(login.access()) })
					continue
				}
				want(t, "the others go on", n.get("/", login.access()), 200, "")
			}
		}
	})
	t.Run("max_per_user holds when all come at once", func(t *testing.T) {
		alice := w.fake.NewUser(appID)
		logins := make([]answer, 30)
		codes := make([]string, len(logins))
		for i := range codes {
			codes[i] = w.fake.LoginCode(alice)
		}
		together(len(logins), func(i int) {
			logins[i] = []*node{a, b}[i%2].post("/auth/login", "", "code", codes[i])
		})
		within(t, 2*time.Second, "three sessions are left", func() bool {
			alive := 0
			for _, login := range logins {
				if a.get("/", login.access()).status == 200 && b.get("/", login.access()).status == 200 {
					alive++
				}
			}
			return alive == 3
		})
		alive := 0
		for _, login := range logins {
			got := a.refresh(login.refresh())
			if got.status == 200 {
				alive++
			}
		}
		if alive != 3 {
			t.Errorf("%d sessions can be refreshed, want 3", alive)
		}
	})
}

// A client that waits no longer asks the other node, while the first still asks WeChat.
func TestLoginRetriedAtTheOtherNodeWhileTheFirstIsBusy(t *testing.T) {
	w := newWorld(t)
	redis := redistest.Start(t)
	a, b := w.pair("store redis " + redis.URL)
	code := w.fake.LoginCode(w.fake.NewUser(appID))
	answers := make([]answer, 2)
	together(2, func(i int) {
		answers[i] = []*node{a, b}[i].post("/auth/login", "", "code", code, "nonce", "n")
	})
	if answers[0].status != 200 && answers[1].status != 200 {
		t.Errorf("got %s and %s, want one login", answers[0], answers[1])
	}
	winner := answers[0]
	if winner.status != 200 {
		winner = answers[1]
	}
	for _, n := range []*node{a, b} {
		if got := n.post("/auth/login", "", "code", code, "nonce", "n"); string(got.body) != string(winner.body) {
			t.Errorf("the repeat at %s: got %s, want %s", n.name, got, winner)
		}
	}
}

// Sessions are spread over a Redis Cluster, and one of its nodes restarts.
func TestRedisCluster(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	cluster := redistest.StartCluster(t)
	a, b := w.pair("store redis " + strings.Join(cluster.URLs, " ") + sealed)
	var lives []answer
	for range 20 {
		lives = append(lives, a.newUser())
	}
	for i, login := range lives {
		if i%2 == 0 {
			want(t, "logout", b.logout(login.access()), 204, "")
			within(t, time.Second, "the other node refuses", func() bool { return a.revoked(login.access()) })
		}
	}
	cluster.Nodes[1].Restart(t)
	eventually(t, "both heal", func() bool {
		for range 20 {
			if a.newLogin() != 200 || b.newLogin() != 200 {
				return false
			}
		}
		return true
	})
	for i, login := range lives {
		if i%2 == 0 {
			want(t, "after logout", b.get("/", login.access()), 401, "session_revoked")
			want(t, "after logout", b.refresh(login.refresh()), 401, "refresh_invalid")
			continue
		}
		want(t, "a session from before", b.refresh(login.refresh()), 200, "")
	}
}

// Nodes die and come back while their users go from one to the other.
func TestRedisKeepsWhatWasAcknowledgedOverTheDeathOfNodes(t *testing.T) {
	w := newWorld(t)
	redis := redistest.Start(t)
	a, b := w.pair("store redis "+redis.URL+sealed, "session {\ngrace 20s\n}")
	c := &clients{node: a}
	for range 3 {
		time.AfterFunc(400*time.Millisecond, func() { _ = a.cmd.Process.Kill() })
		together(8, func(int) { c.live() })
		a.kill()
		other := &clients{node: b}
		other.check(c.held)
		redis.Restart(t)
		a.start()
		eventually(t, "the other finds Redis again", func() bool { return b.newLogin() == http.StatusOK })
	}
	c.check(c.held)
	t.Logf("%d logins", c.logins)
}

func (n *node) newLogin() int {
	return n.post("/auth/login", "", "code", n.fake.LoginCode(n.fake.NewUser(appID))).status
}

// load sends requests until it is stopped and returns how many had which outcome.
type load struct {
	stop chan struct{}
	done sync.WaitGroup
	mu   sync.Mutex
	seen map[string]int
}

func newLoad(clients int, do func() string) *load {
	l := &load{stop: make(chan struct{}), seen: map[string]int{}}
	for range clients {
		l.done.Go(func() {
			for {
				select {
				case <-l.stop:
					return
				default:
				}
				outcome := do()
				l.mu.Lock()
				l.seen[outcome]++
				l.mu.Unlock()
			}
		})
	}
	return l
}

func (l *load) end() map[string]int {
	close(l.stop)
	l.done.Wait()
	return l.seen
}

func (a answer) outcome() string {
	if a.err != nil {
		return a.err.Error()
	}
	return fmt.Sprint(a.status, " ", a.text("error"))
}
