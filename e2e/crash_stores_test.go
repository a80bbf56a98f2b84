//go:build unix

// Copies of whole stores that are interrupted, and stores that come back with less than they had.

package e2e_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-wechat/wechatauth/internal/testkit"
	"github.com/caddy-wechat/wechatauth/session/redisstore/redistest"
	"github.com/caddy-wechat/wechatauth/wechat/wechattest"
)

// refusing has Redis refuse writes for a while.
func refusing(name string, strike, heal []any) harm {
	return harm{name, func(v *victim) { v.redis.Do(v.t, strike...) }, func(v *victim) {
		v.t.Helper()
		v.redis.Do(v.t, heal...)
		v.healed()
	}, false}
}

var (
	redisFull    = refusing("Redis full", []any{"CONFIG", "SET", "maxmemory", "1"}, []any{"CONFIG", "SET", "maxmemory", "0"})
	redisReplica = refusing("Redis a replica", []any{"REPLICAOF", "127.0.0.1", "1"}, []any{"REPLICAOF", "NO", "ONE"})
)

// Redis refuses the second half of what ends sessions: the answer is 503, and the sessions are revoked
// for a while and not gone. The request repeated is told success, and then they are gone.
func TestEndingsThatRedisInterrupts(t *testing.T) {
	t.Parallel()
	v := newVictim(t, seeded(t), redistest.Start(t))
	v.start()
	var endings []crashOp
	for _, op := range crashOps {
		if strings.HasPrefix(op.name, "logout") || op.name == "ban" || op.name == "erase" {
			endings = append(endings, op)
		}
	}
	if n := v.harmEach(endings, []harm{redisFull}, true); n < 20 {
		t.Errorf("got %d interruptions, want 20 or more", n)
	}
	v.wantConsistent()
}

// Redis has no memory left, or is a replica now, before a request or in its middle.
func TestRedisRefusesWritesAtEachStep(t *testing.T) {
	t.Parallel()
	random := seeded(t)
	v := newVictim(t, random, redistest.Start(t))
	v.start()
	t.Logf("refused %d times", v.harmAll([]harm{redisFull, redisReplica}))
	v.wantConsistent()
}

// population is a store with users of every kind.
type population struct {
	kept   []*wechattest.User
	logins []answer
	gone   answer // logged out
	banned *wechattest.User
}

func (n *node) populate(users int) (p population) {
	n.t.Helper()
	for range users {
		u, login := n.loginWithPhone()
		p.kept, p.logins = append(p.kept, u), append(p.logins, login)
	}
	p.gone = n.newUser()
	want(n.t, "logout", n.logout(p.gone.access()), 204, "")
	p.banned = n.fake.NewUser(appID)
	n.login(p.banned)
	n.wantOperation("banned", "ban", p.banned.OpenID)
	return p
}

// wantPopulation wants all of it, and refreshes all sessions.
func (n *node) wantPopulation(p *population) {
	n.t.Helper()
	for i, login := range p.logins {
		if got := n.get("/", login.access()); got.status != 200 {
			n.t.Fatalf("a token from before: got %s", got)
		}
		next := n.refresh(login.refresh())
		if want(n.t, "refresh", next, 200, ""); next.text("user", "phone") != "13800138000" || next.text("user", "openid") != p.kept[i].OpenID {
			n.t.Fatalf("got %s, want the phone of %s", next, p.kept[i].OpenID)
		}
		p.logins[i] = next
	}
	if !n.revoked(p.gone.access()) {
		n.t.Error("a revoked token is taken")
	}
	if got := n.tryLogin(p.banned); !got.is(403, "denied") {
		n.t.Errorf("a banned user: got %s", got)
	}
}

// The copy to another store is killed at some moment. The source is as it was, and the copy made again
// is whole. Whoever starts Caddy on the part that is there lets nobody in who was logged out.
func TestConvertKilled(t *testing.T) {
	t.Parallel()
	random := seeded(t)
	token := "token {\nalgorithm HS256\nkey q8Zr2Kf0Lw5TnB7yVb3nQx7ZkP0sTfYw8GhJm2LcRdAe5UiO\n}"
	w := newWorld(t)
	redis := redistest.Start(t)
	n := w.start(token)
	people := n.populate(20)
	n.stop()
	source := "sqlite:" + filepath.Join(n.data(), "sessions.db")
	g := new(gate)
	through := g.redis(t, redis.Addr)
	rounds := 3
	if *crashAll {
		rounds = 40
	}
	for range rounds {
		redis.Do(t, "FLUSHALL")
		started := make(chan *os.Process, 1)
		at := 1 + random.IntN(30)
		g.arm(at, random.IntN(2) == 0, true, func() { _ = (<-started).Kill() })
		cmd := n.command("wechat-auth", "convert", source, through)
		ended, err := testkit.Start(cmd)
		if err != nil {
			t.Fatal(err)
		}
		started <- cmd.Process
		<-ended
		g.open()
		if cmd.ProcessState.Success() {
			t.Fatalf("it was not killed at exchange %d", at)
		}
		if redis.Do(t, "DBSIZE") == int64(0) { // it is as any new store
			continue
		}
		part := w.newNode(token, "store redis "+redis.URL)
		part.start()
		if got := part.get("/", people.gone.access()); got.status == 200 {
			t.Errorf("killed at exchange %d: a revoked token is taken: %s", at, got)
		}
		part.stop()
	}
	if out, ok := n.offline("convert", source, redis.URL); !ok || !strings.Contains(out, "21 users and 20 sessions copied") && !strings.Contains(out, "22 users and 20 sessions copied") {
		t.Fatalf("convert again: got %v %s", ok, out)
	}
	copied := people
	copied.logins = append([]answer(nil), people.logins...)
	other := w.newNode(token, "store redis "+redis.URL)
	other.start()
	other.wantPopulation(&copied)
	n.start()
	n.wantPopulation(&people)
}

// Caddy is killed during a backup. What is there is no copy by its name, and the next one is whole.
func TestBackupKilled(t *testing.T) {
	t.Parallel()
	random := seeded(t)
	w := newWorld(t)
	n := w.start()
	people := n.populate(5)
	var lines strings.Builder
	for i := range 20_000 {
		fmt.Fprintf(&lines, `{"openid":"o%d","phone":"138%08d"}`+"\n", i, i)
	}
	want(t, "import", client{"http://" + n.admin, n.http}.send("POST", "/wechat_auth/users", lines.String()), 200, "")
	copied := n.path("copy.db")
	for killed, tries := 0, 0; killed < 3 && tries < 30; tries++ {
		free, done := random.IntN(4<<20), make(chan answer)
		go func() {
			body, _ := json.Marshal(map[string]string{"file": copied})
			done <- client{"http://" + n.admin, n.http}.send("POST", "/wechat_auth/backup", string(body), "Content-Type", "application/json")
		}()
		eventually(t, "the copy is under way", func() bool {
			for range 10_000 {
				if info, err := os.Stat(copied + ".partial"); err == nil && info.Size() >= int64(free) {
					return true
				}
			}
			if _, err := os.Stat(copied); err == nil {
				return true // it was ready before the look
			}
			return false
		})
		n.kill()
		a := <-done
		n.start()
		if a.status/100 == 2 { // too late for a kill
			if err := os.Remove(copied); err != nil {
				t.Errorf("a backup that was acknowledged: %v", err)
			}
			continue
		}
		killed++
		if _, err := os.Stat(copied); err == nil { // nobody was told, and it has its name: it is whole
			n.wantWhole(copied)
			_ = os.Remove(copied)
		}
	}
	n.wantOperation("the store is copied", "backup", copied)
	if left, _ := filepath.Glob(copied + "?*"); len(left) > 0 {
		t.Errorf("got %v beside the copy", left)
	}
	restored := w.newNode("store sqlite " + copied)
	restored.start()
	restored.wantOperation("20007, with 5 sessions", "status")
	restored.wantPopulation(&people)
}

// wantWhole wants a session file that SQLite finds sound.
func (n *node) wantWhole(file string) {
	n.t.Helper()
	out, err := exec.CommandContext(n.t.Context(), "sqlite3", file, "PRAGMA integrity_check").CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) != "ok" {
		n.t.Errorf("a part of a copy has the name of a whole one: %v %s", err, out)
	}
}

// Redis comes back empty, or without its last moments. Whoever was logged out stays so on the nodes
// that know it; nobody is let in as somebody else, and logins work.
func TestRedisComesBackWithLess(t *testing.T) {
	t.Parallel()
	random := seeded(t)
	for _, test := range []struct {
		name string
		lose func(t *testing.T, redis *redistest.Server)
	}{
		{"empty", func(t *testing.T, redis *redistest.Server) { t.Helper(); redis.Do(t, "FLUSHALL"); redis.Restart(t) }},
		{"cut", func(t *testing.T, redis *redistest.Server) {
			t.Helper()
			redis.Stop()
			cutAppended(t, redis, random)
			redis.Restart(t)
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			redis := redistest.Start(t, "aof-load-truncated yes")
			n := w.start("store redis " + redis.URL + sealed)
			v := &victim{node: n, redis: redis}
			people := n.populate(10)
			test.lose(t, redis)
			eventually(t, "logins work again", func() bool { return n.newLogin() == 200 })
			if !n.revoked(people.gone.access()) {
				t.Error("a token that this node revoked is taken")
			}
			for i, login := range people.logins {
				next := n.refresh(login.refresh())
				switch {
				case next.is(401, "refresh_invalid"), next.is(401, "refresh_reused"):
				case next.status == 200 && next.text("user", "openid") == people.kept[i].OpenID:
				default:
					t.Errorf("refresh: got %s, want the user or refresh_invalid", next)
				}
			}
			for _, u := range people.kept {
				again := n.login(u)
				if again.text("user", "openid") != u.OpenID {
					t.Errorf("got %s, want %s", again, u.OpenID)
				}
				v.alive("a login after the loss", again)
			}
			v.wantConsistent()
		})
	}
}

// cutAppended takes some of the last bytes of what Redis has written.
func cutAppended(t *testing.T, redis *redistest.Server, random *rand.Rand) {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(redis.Dir(), "appendonlydir", "*.incr.aof"))
	if err != nil || len(found) != 1 {
		t.Fatalf("got %v, %v, want one file", found, err)
	}
	info, err := os.Stat(found[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(found[0], info.Size()-random.Int64N(info.Size()/2)); err != nil {
		t.Fatal(err)
	}
}
