//go:build unix

// Nodes and Redis servers that are killed in the middle of each request, at each exchange.

package e2e_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/session/redisstore/redistest"
	"github.com/caddy-wechat/wechatauth/wechat/wechattest"
)

var (
	crashAll  = flag.Bool("crash", false, "kill at every step of every operation, in place of some")
	crashSeed = flag.Uint64("crash.seed", 0, "the choice of steps, 0 for another each time")
)

// seeded returns a source of choices, whose seed is logged.
func seeded(t *testing.T) *rand.Rand {
	t.Helper()
	seed := *crashSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("repeat it with -crash.seed %d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// victim is a node whose process, or whose Redis, is killed at an exchange.
type victim struct {
	*node
	gate    *gate
	redis   *redistest.Server // nil: the store is a file
	backend *pushes
	random  *rand.Rand

	// What the operation at hand has prepared.
	user      *wechattest.User
	login     answer
	other     answer // of the same user
	code, tap string
	phone     string
	push      wechattest.PushMessage
	imported  []*wechattest.User
	phones    int
}

func newVictim(t *testing.T, random *rand.Rand, redis *redistest.Server, lines ...string) *victim {
	t.Helper()
	g := new(gate)
	fake := wechattest.New(wechattest.App{ID: appID, Secret: secret, OpenPlatform: true})
	api := httptest.NewServer(g.before(fake))
	hook := httptest.NewServer(g.before(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"allow":true,"claims":{"role":"clerk"}}`)
	})))
	v := &victim{gate: g, redis: redis, backend: newPushes(t), random: random}
	backend := httptest.NewServer(g.before(v.backend))
	for _, server := range []*httptest.Server{api, hook, backend} {
		t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
	}
	w := &world{t, fake, api.URL}
	lines = append(lines, pushApp, "hook "+hook.URL+" {\nsecret "+hookSecret+"\n}")
	if redis != nil {
		lines = append(lines, "store redis "+g.redis(t, redis.Addr)+sealed)
	}
	v.node = w.newNode(lines...)
	v.node.backend = "handle /wechat/* {\nreverse_proxy " + strings.TrimPrefix(backend.URL, "http://") + "\n}"
	v.client.http.Transport.(*http.Transport).DisableKeepAlives = true
	return v
}

// harm is a blow to a node or to its store in the middle of a request, and its remedy.
type harm struct {
	name   string
	strike func(v *victim)
	heal   func(v *victim)
	ends   bool // the node or its Redis: an answer can't be expected
}

// killing kills Caddy, its Redis or both, and starts again what it killed.
func killing(name string, caddy, redis bool) harm {
	return harm{name + " killed", func(v *victim) {
		if redis {
			_ = v.redis.Kill()
		}
		if caddy {
			_ = v.cmd.Process.Kill()
		}
	}, func(v *victim) {
		v.t.Helper()
		if redis {
			v.redis.Restart(v.t)
		}
		if caddy {
			v.kill()
			v.start()
		}
		v.healed()
	}, true}
}

// healed waits until logins work, and until revocations that were written without an answer are known
// to this node: that takes a second.
func (v *victim) healed() {
	v.t.Helper()
	eventually(v.t, "logins work again", func() bool { return v.newLogin() == 200 })
	if v.redis == nil {
		return
	}
	since := time.Now()
	eventually(v.t, "the revocations are read again", func() bool {
		var status struct {
			Store struct {
				Age float64 `json:"revocations_age"`
			}
		}
		a := v.adminAPI().get("/wechat_auth/status", "")
		err := json.Unmarshal(a.body, &status)
		return err == nil && a.status == 200 && time.Since(since).Seconds() > status.Store.Age
	})
}

var killings = []harm{killing("Caddy", true, false), killing("Redis", false, true), killing("both", true, true)}

// Whatever is killed, at whatever step of whatever request: what was acknowledged is there, what was
// not is there as a whole or not at all, and who asks again gets a sane answer.
func TestKilledAtEachStep(t *testing.T) {
	t.Parallel()
	random := seeded(t)
	for _, store := range []string{"SQLite", "Redis"} {
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(random.Uint64(), 0))
			var redis *redistest.Server
			kinds := killings[:1]
			if store == "Redis" {
				redis, kinds = redistest.Start(t, "appendfsync always"), killings
			}
			v := newVictim(t, random, redis)
			v.start()
			harmed, writes := v.harmAll(kinds), 1
			if *crashAll {
				writes = 10
			}
			if v.redis == nil { // its exchanges are with a file
				for _, op := range crashOps {
					for range writes {
						v.killAtWrite(op)
						harmed++
					}
				}
			}
			v.wantConsistent()
			t.Logf("%d kills", harmed)
		})
	}
}

// step is the moment of a harm.
type step struct {
	at   int
	late bool
}

func (s step) String() string {
	if s.late {
		return fmt.Sprint("after exchange ", s.at)
	}
	return fmt.Sprint("before exchange ", s.at)
}

// harmAll does each harm at each step of each operation, or one of them at one step.
func (v *victim) harmAll(kinds []harm) (harmed int) {
	v.t.Helper()
	return v.harmEach(crashOps, kinds, *crashAll)
}

func (v *victim) harmEach(ops []crashOp, kinds []harm, everywhere bool) (harmed int) {
	v.t.Helper()
	type choice struct {
		harm
		step
	}
	for _, op := range ops {
		var all []choice
		exchanges := v.length(op)
		for _, h := range kinds {
			if !h.ends { // else there is nobody to ask
				all = append(all, choice{h, step{0, false}})
			}
			for at := range exchanges {
				all = append(all, choice{h, step{at + 1, false}}, choice{h, step{at + 1, true}})
			}
		}
		if !everywhere && len(all) > 0 {
			all = []choice{all[v.random.IntN(len(all))]}
		}
		for _, c := range all {
			v.attempt(op, c.harm, c.step)
			harmed++
		}
	}
	return harmed
}

// length returns the number of exchanges of an operation that nobody disturbs.
func (v *victim) length(op crashOp) int {
	v.t.Helper()
	v.prepare(op)
	v.gate.arm(0, false, false, nil)
	if a := op.do(v); !op.acknowledged(a) {
		v.t.Fatalf("%s: got %s", op.name, a)
	}
	v.gate.mu.Lock()
	defer v.gate.mu.Unlock()
	return v.gate.seen
}

func (v *victim) attempt(op crashOp, h harm, at step) {
	v.t.Helper()
	v.prepare(op)
	struck := at.at == 0
	v.gate.arm(at.at, at.late, h.ends, func() { struck = true; h.strike(v) })
	if struck {
		h.strike(v)
	}
	a := op.do(v)
	v.gate.open()
	v.judge(op, h, at.String(), a, struck)
}

// killAtWrite kills at a moment about the commit of a file.
func (v *victim) killAtWrite(op crashOp) {
	v.t.Helper()
	v.prepare(op)
	log := filepath.Join(v.data(), "sessions.db-wal")
	stop, struck := make(chan struct{}), make(chan bool)
	delay := time.Duration(v.random.IntN(3000)) * time.Microsecond
	go func() {
		before, _ := os.Stat(log)
		for {
			select {
			case <-stop:
				struck <- false
				return
			default:
			}
			if now, _ := os.Stat(log); before != nil && now != nil && (now.Size() != before.Size() || now.ModTime() != before.ModTime()) {
				time.Sleep(delay)
				killings[0].strike(v)
				struck <- true
				return
			}
		}
	}()
	a := op.do(v)
	close(stop)
	v.judge(op, killings[0], fmt.Sprint(delay, " after the write"), a, <-struck)
}

func (v *victim) judge(op crashOp, h harm, when string, a answer, struck bool) {
	v.t.Helper()
	failed, acknowledged := v.t.Failed(), op.acknowledged(a)
	if !acknowledged && (!struck || !h.ends) {
		unavailable(v.t, op.name, a)
	}
	if struck {
		h.heal(v)
	}
	op.check(v, acknowledged)
	if v.t.Failed() && !failed {
		v.t.Errorf("so it was with %s, %s %s, acknowledged: %v, answer %.200s", op.name, h.name, when, acknowledged, a)
	}
}

// prepare makes a new user for an operation.
func (v *victim) prepare(op crashOp) {
	v.t.Helper()
	v.user = v.fake.NewUser(appID)
	v.phones++
	v.phone = fmt.Sprintf("138%08d", v.phones)
	v.code, v.tap = v.fake.LoginCode(v.user), v.fake.PhoneCode(v.user, v.phone)
	if op.prepare != nil {
		op.prepare(v)
	}
}
