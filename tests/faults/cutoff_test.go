//go:build linux

// Two nodes on one Redis, each cut off in turn by the network between.

package faults_test

import (
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/session/redisstore/redistest"
	"github.com/caddy-wechat/wechatauth/wechat/wechattest"
)

const (
	// staleTime is the site's stale: a node that is cut off serves so long on what it knows.
	staleTime = 4 * time.Second

	// rejoinTime bounds the time after which a node that is connected again serves as before.
	rejoinTime = 10 * time.Second
)

// pair is two nodes whose cables to Redis can be cut.
type pair struct {
	*rig

	places [2]place
	nodes  [2]*node
}

func newPair(t *testing.T) *pair {
	t.Helper()
	p := &pair{rig: &rig{
		t: t, fake: wechattest.New(wechattest.App{ID: appID, Secret: appSecret}), secrets: newSecrets(),
	}}
	port := listenHere(t, p.fake)
	redis := redistest.Start(t, "bind 0.0.0.0", "protected-mode no")
	_, redisPort, _ := net.SplitHostPort(redis.Addr)
	for i, name := range []string{"a", "b"} {
		at := newPlace(t, name, i+1)
		p.places[i] = at
		p.nodes[i] = startIn(t, at, p.secrets,
			"app "+appID+" "+appSecret, "api http://"+net.JoinHostPort(at.address("rest", 1), port),
			"limit login off", "public GET /health", "session {\nstale "+staleTime.String()+"\ngrace 1s\n}",
			"store redis redis://"+net.JoinHostPort(at.address("redis", 1), redisPort), "service {\nsecret "+serviceSecret+"\n}")
	}
	return p
}

// on is the rig as seen by one node.
func (p *pair) on(i int) *rig {
	r := *p.rig
	r.a, r.b = p.nodes[i], p.nodes[1-i]
	return &r
}

// A node loses Redis while users log out and are banned at the other. It goes on with what it knows
// for the documented time, then refuses everybody; it says of nothing that it was done. When it is
// back, it has the revocations before it lets anybody in.
func TestNodesCutOffByTheNetwork(t *testing.T) {
	t.Parallel()
	if !isolated(t) {
		return
	}
	p := newPair(t)
	random := rand.New(rand.NewPCG(*seed, 0))
	p.random = random
	chosen := cuts
	if !*whole {
		at := random.IntN(len(cuts))
		chosen = cuts[at : at+1]
	}
	for _, c := range chosen {
		for i := range p.nodes {
			t.Run(c.name+" of "+p.places[i].name, func(t *testing.T) {
				r := p.on(i)
				r.t = t
				r.cutOff(func() { c.cut(p.places[i]) }, func() { c.join(p.places[i]) })
			})
		}
	}
	for _, n := range p.nodes {
		if found := p.secrets.in(n.log()); found > 0 {
			t.Errorf("the log holds %d secrets", found)
		}
	}
}

func (r *rig) cutOff(cut, join func()) {
	r.t.Helper()
	stays, leaves, banned, late, asks := r.person(), r.person(), r.person(), r.person(), r.person()
	everybody := []person{stays, leaves, banned, late, asks}
	for _, x := range everybody {
		if got := r.a.get("/mine", x.login.access()); got.status != 200 {
			r.t.Fatalf("before: got %s", got)
		}
	}
	cut()
	began := time.Now()
	for what, got := range map[string]answer{
		"logout": r.b.post("/auth/logout", leaves.login.access()),
		"ban":    r.b.service("PUT", "users/-/"+banned.OpenID+"/ban", `{"reason":"spam"}`),
	} {
		if got.status != 204 {
			r.t.Errorf("%s at the other node: got %s, want 204", what, got)
		}
	}
	var wait sync.WaitGroup
	for what, send := range r.writes(late, asks) {
		wait.Go(func() {
			got := send()
			if !got.is(503, "store_unavailable") || got.header.Get("Retry-After") == "" || got.took > 2*storeTime {
				r.t.Errorf("%s while cut off: got %s after %s, want 503 store_unavailable", what, got, got.took)
			}
		})
	}
	within(r.t, time.Until(began.Add(staleTime+2*time.Second)), "the guard refuses", func() bool {
		got := r.a.get("/mine", stays.login.access())
		if got.status != 200 && !got.is(503, "store_unavailable") {
			r.t.Errorf("a token while cut off: got %s, want it served or 503", got)
		}
		return got.status == 503
	})
	silent := time.Since(began)
	wait.Wait()
	for _, x := range everybody {
		if got := r.a.get("/mine", x.login.access()); !got.is(503, "store_unavailable") {
			r.t.Errorf("a token after stale: got %s, want 503", got)
		}
	}
	if got := r.a.get("/auth/healthz", ""); got.status != 503 {
		r.t.Errorf("healthz after stale: got %s, want 503", got)
	}

	join()
	back := time.Now()
	within(r.t, rejoinTime, "a token is let in again", func() bool {
		for _, x := range []person{leaves, banned} { // in each of these moments
			if got := r.a.get("/mine", x.login.access()); got.status == 200 {
				r.t.Errorf("%s after it is back it lets in whose session ended meanwhile", time.Since(back))
			}
		}
		return r.a.get("/mine", stays.login.access()).status == 200
	})
	serves := time.Since(back)
	r.over("logout at the other node", leaves.login)
	r.over("ban at the other node", banned.login)
	if got := r.a.post("/auth/login", "", "code", r.code(banned.User)); !got.is(403, "denied") {
		r.t.Errorf("login of a banned user: got %s, want 403 denied", got)
	}
	r.lives("a session from before", stays.User, r.repeat("refresh", r.a.refresh(stays.login.refresh()), 200, func() answer { return r.a.refresh(stays.login.refresh()) }))
	refresh := func() answer { return r.a.refresh(asks.login.refresh()) }
	r.lives("a refresh without an answer", asks.User, r.repeat("refresh", refresh(), 200, refresh))
	logout := func() answer { return r.a.post("/auth/logout", late.login.access()) }
	r.repeat("logout", logout(), 204, logout)
	r.over("logout", late.login)
	r.t.Logf("refuses %s after the cut, serves %s after it is joined, all works after %s",
		silent.Round(10*time.Millisecond), serves.Round(10*time.Millisecond), time.Since(back).Round(10*time.Millisecond))
}

// writes are requests that need Redis.
func (r *rig) writes(late, asks person) map[string]func() answer {
	return map[string]func() answer{
		"login":      func() answer { return r.a.post("/auth/login", "", "code", r.code(r.newUser())) },
		"logout":     func() answer { return r.a.post("/auth/logout", late.login.access()) },
		"logout all": func() answer { return r.a.post("/auth/logout", late.login.access(), "all", true) },
		"refresh":    func() answer { return r.a.refresh(asks.login.refresh()) },
		"profile":    func() answer { return r.a.get("/auth/profile", asks.login.access()) },
		"ban":        func() answer { return r.a.service("PUT", "users/-/"+late.OpenID+"/ban", "") },
	}
}
