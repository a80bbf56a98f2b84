//go:build unix

// Nodes and Redis servers that are killed in the middle of each request, at each exchange.

package e2e_test

import (
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

// killing is what is killed.
type killing struct {
	name         string
	caddy, redis bool
}

var killings = []killing{{"Caddy", true, false}, {"Redis", false, true}, {"both", true, true}}

func (v *victim) strike(k killing) func() {
	return func() {
		if k.redis {
			_ = v.redis.Kill()
		}
		if k.caddy {
			_ = v.cmd.Process.Kill()
		}
	}
}

// recover starts again what was killed, and waits until it serves.
func (v *victim) recover(k killing) {
	v.t.Helper()
	v.gate.open()
	if k.redis {
		v.redis.Restart(v.t)
	}
	if k.caddy {
		v.kill()
		v.start()
	}
	eventually(v.t, "logins work again", func() bool { return v.newLogin() == 200 })
}

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
			kills := 0
			for _, op := range crashOps {
				for _, k := range kinds {
					kills += v.killAtEachStep(op, k)
				}
			}
			v.wantConsistent()
			t.Logf("%d kills", kills)
		})
	}
}

// step is the moment of a kill.
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

// killAtEachStep kills at each step of an operation, or at one of them.
func (v *victim) killAtEachStep(op crashOp, k killing) (kills int) {
	v.t.Helper()
	steps := v.length(op)
	var chosen []step
	for at := range steps {
		chosen = append(chosen, step{at + 1, false}, step{at + 1, true})
	}
	if !*crashAll && len(chosen) > 0 {
		chosen = []step{chosen[v.random.IntN(len(chosen))]}
	}
	for _, s := range chosen {
		v.attempt(op, k, s)
		kills++
	}
	if v.redis == nil { // its exchanges are with a file
		for range max(1, len(chosen)/2) {
			v.attemptAtWrite(op, k)
			kills++
		}
	}
	return kills
}

// length returns the number of exchanges of an operation that nobody disturbs.
func (v *victim) length(op crashOp) int {
	v.t.Helper()
	v.prepare(op)
	v.gate.arm(0, false, nil)
	if a := op.do(v); !op.acknowledged(a) {
		v.t.Fatalf("%s: got %s", op.name, a)
	}
	v.gate.mu.Lock()
	defer v.gate.mu.Unlock()
	return v.gate.seen
}

func (v *victim) attempt(op crashOp, k killing, s step) {
	v.t.Helper()
	v.prepare(op)
	v.gate.arm(s.at, s.late, v.strike(k))
	a := op.do(v)
	v.judge(op, k, s.String(), a, v.gate.open())
}

// attemptAtWrite kills at a moment about the commit of a file.
func (v *victim) attemptAtWrite(op crashOp, k killing) {
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
				v.strike(k)()
				struck <- true
				return
			}
		}
	}()
	a := op.do(v)
	close(stop)
	v.judge(op, k, fmt.Sprint(delay, " after the write"), a, <-struck)
}

func (v *victim) judge(op crashOp, k killing, when string, a answer, struck bool) {
	v.t.Helper()
	acknowledged := op.acknowledged(a)
	if struck {
		v.recover(k)
	} else if !acknowledged {
		v.t.Errorf("%s: got %s, want success: nothing was killed", op.name, a)
	}
	failed := v.t.Failed()
	op.check(v, acknowledged)
	if v.t.Failed() && !failed {
		v.t.Errorf("so it was with %s, %s killed %s, acknowledged: %v, answer %s", op.name, k.name, when, acknowledged, a)
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
