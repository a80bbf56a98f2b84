//go:build unix

// Reloads and shutdown under traffic.

package e2e_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/internal/testkit"
	"github.com/caddy-wechat/wechatauth/session/redisstore/redistest"
	"github.com/caddy-wechat/wechatauth/wechat/wechattest"
)

// traffic is clients that log in, ask, refresh and log out. Every outcome but "well" is a fault.
func (n *node) traffic(clients int) *load {
	return newLoad(clients, func() string {
		alice := n.fake.NewUser(appID)
		login := n.post("/auth/login", "", "code", n.fake.LoginCode(alice), "nonce", "n")
		if login.status != 200 {
			return "login: " + login.String()
		}
		for range 3 {
			if got := n.get("/", login.access()); got.status != 200 || !strings.Contains(string(got.body), alice.OpenID) {
				return "guard: " + got.String()
			}
			next := n.refresh(login.refresh())
			if next.status != 200 {
				return "refresh: " + next.String()
			}
			login = next
		}
		if out := n.logout(login.access()); out.status != 204 {
			return "logout: " + out.String()
		}
		if got := n.get("/", login.access()); !got.is(401, "session_revoked") {
			return "guard after logout: " + got.String()
		}
		return "well"
	})
}

// goesOn waits until somebody has finished once more.
func (l *load) goesOn(t *testing.T) {
	t.Helper()
	before := l.finished()
	eventually(t, "the traffic goes on", func() bool { return l.finished() > before })
}

func (l *load) finished() (all int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, n := range l.seen {
		all += n
	}
	return all
}

func (l *load) allWell(t *testing.T) {
	t.Helper()
	seen := l.end()
	t.Logf("%d rounds of traffic", seen["well"])
	if seen["well"] == 0 {
		t.Error("no traffic")
	}
	delete(seen, "well")
	shown := 0
	for outcome, n := range seen {
		if shown++; shown <= 10 {
			t.Errorf("%d times %s", n, outcome)
		}
	}
}

// goroutines asks the process how many it has.
func (n *node) goroutines() (count int) {
	n.t.Helper()
	a := n.adminAPI().get("/debug/pprof/goroutine?debug=1", "")
	if _, err := fmt.Sscanf(string(a.body), "goroutine profile: total %d", &count); err != nil {
		n.t.Fatalf("%v in %s", err, a)
	}
	return count
}

// files counts the open files of the process; 0 where nobody tells.
func (n *node) files() int {
	entries, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", n.cmd.Process.Pid))
	return len(entries)
}

// An operator's tool reloads all the time. Nobody may notice.
// Threats: T85.
func TestReloadUnderLoad(t *testing.T) {
	redis := redistest.Start(t)
	for name, tt := range map[string]struct {
		store  string
		rounds int
	}{
		"sqlite": {"store sqlite", 100},
		"memory": {"store memory", 34},
		"redis":  {"store redis " + redis.URL + sealed, 34},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			n := w.newNode(tt.store).patient()
			n.start()
			kept, gone := n.newUser(), n.newUser()
			want(t, "logout", n.logout(gone.access()), 204, "")
			reload := func(i int) {
				t.Helper()
				n.lines = []string{tt.store, fmt.Sprintf("header X-Round-%d openid", i)}
				if i%2 == 0 {
					n.lines = append(n.lines, "session {\ngrace 20s\n}")
				}
				if a := n.reload(n.config()); a.status != 200 {
					t.Fatalf("reload: got %s", a)
				}
			}
			for i := range 5 {
				reload(i)
			}
			goroutines, files := n.goroutines(), n.files()
			traffic := n.traffic(2)
			for i := range tt.rounds {
				reload(i)
				traffic.goesOn(t)
			}
			traffic.allWell(t)
			reload(99)
			eventually(t, "goroutines and files end", func() bool { return n.goroutines() <= goroutines+8 && n.files() <= files+8 })
			t.Logf("goroutines: %d, then %d; files: %d, then %d", goroutines, n.goroutines(), files, n.files())
			want(t, "a session from before", n.refresh(kept.refresh()), 200, "")
			want(t, "a token from before", n.get("/", kept.access()), 200, "")
			want(t, "what was revoked before", n.get("/", gone.access()), 401, "session_revoked")
		})
	}
}

// What can't run must not disturb what does.
func TestRejectedReloadChangesNothing(t *testing.T) {
	w := newWorld(t)
	n := w.newNode().patient()
	n.start()
	other := w.start() // holds its file
	alice := w.fake.NewUser(appID)
	kept, gone := n.login(alice), n.newUser()
	want(t, "phone", n.post("/auth/phone", kept.access(), "code", w.fake.PhoneCode(alice, "13800138000")), 200, "")
	want(t, "logout", n.logout(gone.access()), 204, "")
	garbage := n.path("garbage")
	if err := os.WriteFile(garbage, []byte(strings.Repeat("not a store\n", 10000)), 0o600); err != nil {
		t.Fatal(err)
	}
	site := func(lines ...string) string { return n.server(lines...) }
	second := func(lines ...string) string {
		return "http://:" + testkit.FreePort(t) + " {\n" + n.site(lines...) + "}\n"
	}
	bad := map[string]string{
		"a word nobody knows":                              site("nonsense"),
		"a second handler that fails":                      site() + second("token {\nkey /nowhere/key.pem\n}"),
		"a second handler without its store":               site() + second("store redis {env.NOBODY_SET_THIS}"),
		"a second site with an address of another machine": site() + "http://:1234 {\nbind 192.0.2.1\n}\n",
	}
	unopenable := map[string]string{
		"a file that another process holds":     site("store sqlite " + other.data() + "/sessions.db"),
		"a second site with such a file":        site() + second("store sqlite "+other.data()+"/sessions.db"),
		"a file that is no store":               site("store sqlite " + garbage),
		"a file in a folder that can't be made": site("store sqlite /dev/null/sessions.db"),
	}
	traffic := n.traffic(3)
	goroutines, files := n.goroutines(), n.files()
	reject := func(what, config string) {
		t.Helper()
		if a := n.reload(n.global() + config); a.status == 200 || !strings.Contains(string(a.body), "error") {
			t.Errorf("%s: got %s", what, a)
		}
		want(t, what+": a token from before", n.get("/", kept.access()), 200, "")
		want(t, what+": what was revoked before", n.get("/", gone.access()), 401, "session_revoked")
	}
	for range 10 {
		for what, config := range bad {
			reject(what, config)
			traffic.goesOn(t)
		}
	}
	traffic.allWell(t)
	for range 2 {
		for what, config := range unopenable {
			reject(what, config)
		}
	}
	eventually(t, "goroutines and files end", func() bool { return n.goroutines() <= goroutines+8 && n.files() <= files+8 })
	t.Logf("goroutines: %d, then %d; files: %d, then %d", goroutines, n.goroutines(), files, n.files())
	if a := n.refresh(kept.refresh()); a.status != 200 || a.text("user", "phone") != "13800138000" {
		t.Errorf("a session from before: got %s", a)
	}
	want(t, "the other process", other.newUser(), 200, "")
	if a := n.reload(n.config()); a.status != 200 {
		t.Errorf("a good reload after them: got %s", a)
	}
}

// A site moves from one store to another and back. The sessions stay where they were made.
func TestReloadChangesTheStore(t *testing.T) {
	w := newWorld(t)
	redis := redistest.Start(t)
	n := w.newNode().patient()
	n.start()
	stores := []string{"store sqlite", "store redis " + redis.URL + sealed, "store sqlite " + n.path("other.db"), "store memory"}
	logins := make([]answer, len(stores))
	change := func(i int) {
		t.Helper()
		n.lines = stores[i : i+1]
		if a := n.reload(n.config()); a.status != 200 {
			t.Fatalf("%s: got %s", stores[i], a)
		}
	}
	for i := range stores {
		change(i)
		logins[i] = n.newUser()
		want(t, stores[i], n.get("/", logins[i].access()), 200, "")
	}
	for range 2 {
		for i := range stores[:3] {
			change(i)
			want(t, "back at "+stores[i], n.get("/", logins[i].access()), 200, "")
			next := n.refresh(logins[i].refresh())
			want(t, "back at "+stores[i], next, 200, "")
			logins[i] = next
			other := logins[(i+1)%3]
			want(t, "another store's token at "+stores[i], n.get("/", other.access()), 401, "token_invalid")
			want(t, "another store's session at "+stores[i], n.refresh(other.refresh()), 401, "refresh_invalid")
		}
	}
	// A file that is not used any more is free for others.
	change(3)
	free := w.start("store sqlite " + n.path("other.db"))
	want(t, "another process on the file", free.refresh(logins[2].refresh()), 200, "")
}

// Sites of one server with the same store share their users' sessions, and each can leave.
func TestSitesShareAStoreOverReloads(t *testing.T) {
	w := newWorld(t)
	n, other := w.newNode().patient(), w.newNode().patient() // other is only a second site of n
	n.start()
	both, second := n.global()+n.server()+other.server(), other.client
	alice := w.fake.NewUser(appID)
	login := n.login(alice)
	for range 10 {
		if a := n.reload(both); a.status != 200 {
			t.Fatalf("reload: got %s", a)
		}
		want(t, "the other site", second.get("/", login.access()), 200, "")
		out := n.login(alice)
		want(t, "logout at the other site", second.logout(out.access()), 204, "")
		want(t, "at once", n.get("/", out.access()), 401, "session_revoked")
		alone := n.global() + []*node{n, other}[rand.N(2)].server()
		if a := n.reload(alone); a.status != 200 {
			t.Fatalf("reload: got %s", a)
		}
	}
	if a := n.reload(both); a.status != 200 {
		t.Fatalf("reload: got %s", a)
	}
	want(t, "refresh", second.refresh(login.refresh()), 200, "")
}

// A login waits for WeChat while the operator reloads. Its code is spent, so it has to be answered.
func TestReloadWhileALoginWaitsForWeChat(t *testing.T) {
	w := newWorld(t)
	redis := redistest.Start(t)
	for name, to := range map[string][]string{
		"another file":      {"store sqlite other.db"},
		"memory":            {"store memory"},
		"redis":             {"store redis " + redis.URL},
		"the same again":    {"store sqlite", "header X-More openid"},
		"another rotation":  {"store sqlite", "token {\nrotate 20d\n}"},
		"another ttl":       {"store sqlite", "token {\nttl 2h\n}"},
		"another algorithm": {"store sqlite", "token {\nalgorithm EdDSA\n}"},
	} {
		t.Run(name, func(t *testing.T) {
			w := &world{t, w.fake, w.api}
			n := w.newNode("store sqlite").patient()
			n.start()
			asked := w.fake.Count(wechattest.Login)
			w.fake.Fail(wechattest.Login, 1, wechattest.Delay(700*time.Millisecond))
			waiting := make(chan answer)
			go func() {
				waiting <- n.post("/auth/login", "", "code", w.fake.LoginCode(w.fake.NewUser(appID)))
			}()
			eventually(t, "WeChat is asked", func() bool { return w.fake.Count(wechattest.Login) > asked })
			old := n.config()
			n.lines = to
			if a := n.reload(n.config()); a.status != 200 {
				t.Fatalf("reload: got %s", a)
			}
			login := <-waiting
			want(t, "the login", login, 200, "")
			if a := n.reload(old); a.status != 200 {
				t.Fatalf("reload: got %s", a)
			}
			want(t, "its token", n.get("/", login.access()), 200, "")
			want(t, "its session", n.refresh(login.refresh()), 200, "")
		})
	}
}

// The server is stopped while a login waits for WeChat: what is under way is finished and kept.
func TestStopWhileALoginWaitsForWeChat(t *testing.T) {
	w := newWorld(t)
	n := w.start()
	w.fake.Fail(wechattest.Login, 1, wechattest.Delay(700*time.Millisecond))
	waiting := make(chan answer)
	go func() {
		waiting <- n.post("/auth/login", "", "code", w.fake.LoginCode(w.fake.NewUser(appID)))
	}()
	eventually(t, "WeChat is asked", func() bool { return w.fake.Count(wechattest.Login) > 0 })
	n.stop()
	login := <-waiting
	want(t, "the login", login, 200, "")
	n.start()
	want(t, "its token", n.get("/", login.access()), 200, "")
	want(t, "its session", n.refresh(login.refresh()), 200, "")
}
