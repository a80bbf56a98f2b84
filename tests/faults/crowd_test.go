//go:build linux

// Many clients at once, while a server that they need says nothing.

package faults_test

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"
)

const crowd = 200

// crowded counts the answers to a crowd.
type crowded struct {
	logins       map[string]int
	slowest      time.Duration // login
	slowestGuard time.Duration // guarded request
}

func (c crowded) String() string {
	return fmt.Sprintf("logins %v, after %s at most; guarded requests after %s at most",
		c.logins, c.slowest.Round(time.Millisecond), c.slowestGuard.Round(time.Millisecond))
}

// crowd has clients log in, and others make requests of the backend, all at once.
func (r *rig) crowd(people []person) crowded {
	r.t.Helper()
	codes := make([]string, crowd)
	for i := range codes {
		codes[i] = r.code(r.newUser())
	}
	c := crowded{logins: map[string]int{}}
	var mu sync.Mutex // guards c
	var wait sync.WaitGroup
	for i := range crowd {
		wait.Go(func() {
			login := r.a.post("/auth/login", "", "code", codes[i])
			mu.Lock()
			defer mu.Unlock()
			c.logins[login.outcome()]++
			c.slowest = max(c.slowest, login.took)
		})
		wait.Go(func() {
			p := people[i%len(people)]
			got := r.a.get("/mine", p.login.access())
			mu.Lock()
			defer mu.Unlock()
			if got.status != 200 || string(got.body) != p.OpenID {
				r.t.Errorf("guarded request: got %s, want it served", got)
			}
			c.slowestGuard = max(c.slowestGuard, got.took)
		})
	}
	wait.Wait()
	return c
}

// A server of the site's takes connections and says nothing, and two hundred clients want something
// of it at once. All get their answers in time, who needs nothing of it notices nothing, and of the
// crowd nothing is left.
func TestACrowdBeforeASilentServer(t *testing.T) {
	t.Parallel()
	for target, refusal := range map[string]string{
		"redis": "503 store_unavailable", "wechat": "503 wechat_unavailable", "hook": "403 denied",
	} {
		t.Run(target, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, "redis", rand.New(rand.NewPCG(*seed, 7)))
			people := make([]person, 20)
			for i := range people {
				people[i] = r.person()
			}
			r.links[target].renew(r.random)
			r.crowd(people) // leaves as many connections as may rest
			goroutines, files := r.a.goroutines(), r.a.files()
			r.links[target].add(all("timeout", "timeout", 0), "downstream")
			c := r.crowd(people)
			if c.logins[refusal] != crowd {
				t.Errorf("got %s, want all %s", c, refusal)
			}
			if limit := 2*storeTime + 2*time.Second; c.slowest > limit || c.slowestGuard > limit/2 {
				t.Errorf("got %s, want them in %s and %s", c, limit, limit/2)
			}
			r.links[target].heal()
			back := within(t, 10*time.Second, "logins work again", func() bool {
				return r.a.post("/auth/login", "", "code", r.code(people[0].User)).status == 200
			})
			within(t, patience, "goroutines and files are as before", func() bool {
				return r.a.goroutines() <= goroutines+20 && r.a.files() <= files+20
			})
			t.Logf("%s; logins work %s after it answers; goroutines %d, then %d; files %d, then %d",
				c, back.Round(time.Millisecond), goroutines, r.a.goroutines(), files, r.a.files())
		})
	}
}

// Caddy starts while Redis takes connections and says nothing: it serves what needs no Redis at
// once, refuses the rest, and works when Redis does.
func TestAStartBeforeASilentRedis(t *testing.T) {
	t.Parallel()
	r := newRig(t, "redis", rand.New(rand.NewPCG(*seed, 8)))
	p := r.person()
	r.links["redis"].renew(r.random)
	r.links["redis"].add(all("timeout", "timeout", 0), "upstream")
	began := time.Now()
	n := startNode(t, r, "storage file_system "+t.TempDir()+"\n", r.links["wechat"].address(), r.links["backend"].address(),
		"store redis redis://"+r.links["redis"].address()+" {\nseal_key "+sealKey+"\n}")
	if took := time.Since(began); took > 8*time.Second {
		t.Errorf("Caddy served after %s, want 8s at most", took)
	}
	for what, got := range map[string]answer{
		"guarded request": n.get("/mine", p.login.access()), "healthz": n.get("/auth/healthz", ""),
		"login": n.post("/auth/login", "", "code", r.code(p.User)),
	} {
		if got.status != 503 || got.took > storeTime+time.Second {
			t.Errorf("%s: got %s after %s, want 503", what, got, got.took)
		}
	}
	r.links["redis"].heal()
	back := within(t, 10*time.Second, "a token is let in", func() bool { return n.get("/mine", p.login.access()).status == 200 })
	within(t, 10*time.Second, "logins work", func() bool { return n.post("/auth/login", "", "code", r.code(p.User)).status == 200 })
	t.Logf("serves %s after Redis does", back.Round(time.Millisecond))
}
