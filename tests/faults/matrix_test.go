//go:build linux

// Each way to break a connection, in both directions, to each of the site's servers, under each route.

package faults_test

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

var (
	seed  = flag.Uint64("faults.seed", 1, "chooses numbers, moments and, without -faults.all, the cells")
	whole = flag.Bool("faults.all", false, "the whole matrix, in place of a selection")
	only  = flag.String("faults.only", "", "only cells whose name contains this")
)

// cell is a link that breaks in one way.
type cell struct {
	target, direction string
	toxic             toxic
	during            bool // the requests are under way when it breaks
}

func (c cell) String() string {
	when := "before"
	if c.during {
		when = "during"
	}
	return fmt.Sprintf("%s, %s %s, %s", c.target, c.toxic, c.direction, when)
}

func cells(random *rand.Rand, targets []string) (all []cell) {
	for _, target := range targets {
		for _, direction := range []string{"upstream", "downstream"} {
			for _, x := range toxicsOf(random) {
				for _, during := range []bool{false, true} {
					if x.kind == down && direction == "upstream" {
						continue // it has no direction
					}
					all = append(all, cell{target, direction, x, during})
				}
			}
		}
	}
	random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	left := map[string]int{"redis": 3, "wechat": 1, "hook": 1, "backend": 1}
	return slices.DeleteFunc(all, func(c cell) bool {
		left[c.target]--
		return !*whole && left[c.target] < 0 || !strings.Contains(c.String(), *only)
	})
}

// Whatever breaks, an answer comes in time, is one of the contract's, and is true.
func TestBrokenConnections(t *testing.T) {
	t.Parallel()
	for _, store := range []string{"redis", "cluster", "sqlite"} {
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(*seed, uint64(len(store))))
			mine := targets
			switch store {
			case "cluster":
				mine = targets[:1]
			case "sqlite":
				mine = targets[1:]
			}
			all := cells(random, mine)
			t.Logf("%d cells, -faults.seed=%d", len(all), *seed)
			r := newRig(t, store, random)
			r.healthy()
			goroutines, files := r.a.goroutines(), r.a.files()
			table := newTable()
			for _, c := range all {
				r.try(c, table)
			}
			r.healthy()
			within(t, 90*time.Second, "goroutines and files are as before", func() bool {
				return r.a.goroutines() <= goroutines+20 && r.a.files() <= files+20
			})
			t.Logf("%d goroutines before, %d after; %d files before, %d after", goroutines, r.a.goroutines(), files, r.a.files())
			for _, n := range []*node{r.a, r.b} {
				if n != nil {
					if found := r.secrets.in(n.log()); found > 0 {
						t.Errorf("the log holds %d secrets", found)
					}
				}
			}
			if violations := r.fake.Violations(); len(violations) > 0 {
				t.Errorf("WeChat was called wrongly: %v", violations)
			}
			t.Log(table)
		})
	}
}

// healthy makes all requests with all links whole, which all must do what they are for.
func (r *rig) healthy() {
	r.t.Helper()
	trials := append(r.clientTrials(), r.serverTrials()...)
	got := sendAll(trials)
	for i, x := range trials {
		if got[i].status >= 400 && !strings.Contains(x.route, " with") && !strings.Contains(x.route, " of an ended") {
			r.t.Fatalf("%s while all is well: got %s", x.route, got[i])
		}
		x.check(got[i])
	}
}

func sendAll(trials []trial) []answer {
	got := make([]answer, len(trials))
	var wait sync.WaitGroup
	for i, x := range trials {
		wait.Go(func() { got[i] = x.send() })
	}
	wait.Wait()
	return got
}

// try makes all requests while one link is broken, mends it, and looks what was true.
func (r *rig) try(c cell, table *table) {
	r.t.Helper()
	failed := r.t.Failed()
	l := r.links[c.target]
	r.target = c.target
	l.renew(r.random)
	trials := append(r.clientTrials(), r.serverTrials()...)
	r.random.Shuffle(len(trials), func(i, j int) { trials[i], trials[j] = trials[j], trials[i] })
	spare, gone := r.person(), r.person()
	if r.random.IntN(2) == 0 { // an access token has to be fetched while the link is broken
		r.fake.RevokeTokens()
	}
	if c.during {
		for _, direction := range []string{"upstream", "downstream"} {
			l.add(all("latency", "latency", 2+r.random.IntN(30), "jitter", r.random.IntN(20)), direction)
		}
		at := time.Duration(r.random.IntN(400)) * time.Millisecond
		time.AfterFunc(at, func() { l.add(c.toxic, c.direction) })
	} else {
		l.add(c.toxic, c.direction)
	}
	got := sendAll(trials)
	if r.b != nil { // an end that does not reach the node with the broken link now
		if a := r.b.post("/auth/logout", gone.login.access()); a.status != 204 {
			r.fail(c.String(), "logout at the other node: got %s, want 204", a)
		}
	}
	if c.during {
		<-time.After(400 * time.Millisecond)
	}
	l.heal()
	recovered := r.recovery(c, spare, gone)
	for i, x := range trials {
		r.judge(c, x, got[i])
		x.check(got[i])
		table.add(c.target, x.route, got[i], recovered)
	}
	if r.t.Failed() && !failed {
		r.t.Logf("the first failure was in: %s", c)
	} else if r.t.Failed() {
		r.t.Logf("failures so far include: %s", c)
	}
}

// recovery waits until the node does everything again, and returns how long that took.
func (r *rig) recovery(c cell, spare, gone person) time.Duration {
	r.t.Helper()
	token := spare.login.refresh()
	began := time.Now()
	within(r.t, 15*time.Second, c.String()+": a refresh works again", func() bool {
		next := r.a.refresh(token)
		if next.status == 401 {
			r.fail(c.String(), "a refresh when all is well again: got %s", next)
		}
		return next.status == 200 || next.status == 401
	})
	within(r.t, 15*time.Second, c.String()+": a login works again", func() bool {
		return r.a.post("/auth/login", "", "code", r.code(spare.User)).status == 200
	})
	if r.b != nil {
		within(r.t, 15*time.Second, c.String()+": an end made elsewhere is known", func() bool {
			return r.a.get("/mine", gone.login.access()).is(401, "session_revoked")
		})
	}
	return time.Since(began)
}

// refusals are those that a broken link may have, by its server.
var refusals = map[string][]string{
	"redis":   {"503 store_unavailable"},
	"wechat":  {"503 wechat_unavailable", "502 wechat_bad_answer"},
	"hook":    {"503 hook_unavailable", "403 denied"},
	"backend": {},
}

// judge checks an answer itself: in time, in the table, and without secrets.
func (r *rig) judge(c cell, x trial, got answer) {
	r.t.Helper()
	name := c.String() + ": " + x.route
	if got.status == 0 {
		r.fail(name, "no answer: %v", got.err)
		return
	}
	if limit := c.limit(x); got.took > limit {
		r.fail(name, "the answer took %s, want at most %s", got.took, limit)
	}
	refusal := got.outcome()
	if got.status < 400 || strings.Contains(x.route, " with") || strings.Contains(x.route, " of an ended") {
		return
	}
	if c.target == "wechat" && strings.HasPrefix(x.route, "login") && refusal == "401 code_used" {
		return // asked once more on another connection, and it is: only the first answer was lost
	}
	if !slices.Contains(refusals[c.target], refusal) {
		r.fail(name, "got %s, want success or one of %v", got, refusals[c.target])
	}
	if got.status == 503 && got.header.Get("Retry-After") == "" {
		r.fail(name, "503 without Retry-After")
	}
	if found := r.secrets.in(string(got.body)); found > 0 {
		r.fail(name, "the refusal holds %d secrets", found)
	}
}

// limit is the time in which an answer has to come: nothing waits for what it does not need.
func (c cell) limit(x trial) time.Duration {
	const slack = 1500 * time.Millisecond // of a busy machine
	steps := map[string]time.Duration{
		"redis": time.Duration(x.steps) * storeTime, "wechat": time.Duration(x.calls) * 2 * wechatTime, "hook": time.Duration(x.asks) * hookTime,
	}
	limit := steps[c.target] + slack
	if c.target == "backend" && strings.HasPrefix(x.route, "push") || strings.HasPrefix(x.route, "push") && limit > 5*time.Second {
		limit = 5 * time.Second // WeChat hangs up
	}
	return limit
}

// table sums up what was answered.
type table struct {
	outcomes map[string]map[string]int
	slowest  map[string]time.Duration
	recovery map[string]time.Duration
}

func newTable() *table {
	return &table{map[string]map[string]int{}, map[string]time.Duration{}, map[string]time.Duration{}}
}

func (x *table) add(target, route string, a answer, recovered time.Duration) {
	row := fmt.Sprintf("%-8s %s", target, route)
	if x.outcomes[row] == nil {
		x.outcomes[row] = map[string]int{}
	}
	x.outcomes[row][a.outcome()]++
	x.slowest[row] = max(x.slowest[row], a.took)
	x.recovery[target] = max(x.recovery[target], recovered)
}

func (x *table) String() string {
	var out strings.Builder
	for _, row := range slices.Sorted(maps.Keys(x.outcomes)) {
		fmt.Fprintf(&out, "\n%-45s %8s ", row, x.slowest[row].Round(10*time.Millisecond))
		for _, outcome := range slices.Sorted(maps.Keys(x.outcomes[row])) {
			fmt.Fprintf(&out, " %d× %s;", x.outcomes[row][outcome], outcome)
		}
	}
	for _, target := range slices.Sorted(maps.Keys(x.recovery)) {
		fmt.Fprintf(&out, "\n%s: all works again after %s at most", target, x.recovery[target].Round(10*time.Millisecond))
	}
	return out.String()
}
