//go:build unix

// WeChat's pushes at real processes, with a backend that is away, and nodes that are killed.

package e2e_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/caddy-wechat/wechatauth/internal/testkit"
	"github.com/caddy-wechat/wechatauth/session/redisstore/redistest"
	"github.com/caddy-wechat/wechatauth/wechat/wechattest"
)

const (
	pushToken = "q8Zr2Kf0Lw5TnB7y"
	pushKey   = "Vb3nQx7ZkP0sTfYw8GhJm2LcRdAe5UiOoN1vXzK4q6R"
	pushApp   = "app " + appID + " " + secret + " {\npush {\ntoken " + pushToken + "\naes_key " + pushKey + "\nforward /wechat/push\n}\n}"
)

// pushes is a backend at a port that it may leave.
type pushes struct {
	t    *testing.T
	port string

	mu  sync.Mutex // guards what follows
	got []string   // what each says, by user
}

func newPushes(t *testing.T) *pushes {
	t.Helper()
	return &pushes{t: t, port: testkit.FreePort(t)}
}

// come has the backend listen until the test ends.
func (p *pushes) come() {
	p.t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:"+p.port)
	if err != nil {
		p.t.Fatal(err)
	}
	server := &http.Server{Handler: p}
	go func() { _ = server.Serve(listener) }()
	p.t.Cleanup(func() { _ = server.Close() })
}

func (p *pushes) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	var message struct{ Content, Event string }
	if err := json.Unmarshal(body, &message); err != nil || r.URL.Path != "/wechat/push" || r.Header.Get("X-Wx-Source") != "wx_push" {
		p.t.Errorf("got %s %v %s, want a push", r.URL, r.Header, body)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.got = append(p.got, r.Header.Get("X-Wx-Openid")+" "+message.Content+message.Event)
	w.WriteHeader(http.StatusNoContent)
}

func (p *pushes) of(u *wechattest.User) (got []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, line := range p.got {
		if rest, ok := strings.CutPrefix(line, u.OpenID+" "); ok {
			got = append(got, rest)
		}
	}
	return got
}

// takesPushes is a node whose backend is this one.
func (w *world) takesPushes(p *pushes, lines ...string) *node {
	w.t.Helper()
	n := w.newNode(append([]string{pushApp}, lines...)...)
	n.backend = "handle /wechat/* {\nreverse_proxy 127.0.0.1:" + p.port + "\n}"
	return n
}

// push pushes as WeChat does, and wants success at the first try.
func (n *node) push(m wechattest.PushMessage) {
	n.t.Helper()
	console := wechattest.PushConsole{AppID: appID, URL: n.url + "/auth/push/" + appID, Token: pushToken, AESKey: pushKey}
	if tries, err := n.fake.Push(n.t.Context(), console, m); err != nil || tries != 1 {
		n.t.Fatalf("got %d tries, %v; want success at the first", tries, err)
	}
}

func (n *node) phoneOf(access string) string { return n.get("/auth/profile", access).text("phone") }

// loginWithPhone logs a new user in who gives a phone.
func (n *node) loginWithPhone() (*wechattest.User, answer) {
	n.t.Helper()
	u := n.fake.NewUser(appID)
	a := n.post("/auth/login", "", "code", n.fake.LoginCode(u), "phone_code", n.fake.PhoneCode(u, "13800138000"))
	want(n.t, "login", a, 200, "")
	return u, a
}

// Caddy is killed while the backend is away. What WeChat pushed before, and was told success for,
// is there afterwards, and reaches the backend when it is back.
func TestPushesOutliveAKill(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	backend := newPushes(t)
	n := w.takesPushes(backend)
	n.start()
	alice, login := n.loginWithPhone()
	bob := w.fake.NewUser(appID)
	n.push(w.fake.TextMessage(bob, "0"))
	n.push(w.fake.AuthorizationEvent(alice, "user_authorization_revoke", "8"))
	for i := range 4 {
		n.push(w.fake.TextMessage(bob, fmt.Sprint(i+1)))
	}
	n.kill()
	n.start()
	if got := n.phoneOf(login.access()); got != "" {
		t.Errorf("got phone %q after consent was taken back, want none", got)
	}
	n.wantOperation("6 of "+appID+" wait for the backend", "status")
	list := n.wantOperation("user_authorization_revoke", "pushes")
	if lines := strings.Count(list, "\n"); lines != 7 || strings.Contains(list, bob.OpenID) {
		t.Errorf("got %q, want a heading and six pushes that name nobody", list)
	}
	n.push(w.fake.TextMessage(bob, "5"))
	n.kill()
	n.launch() // and no client comes to the site from now on
	eventually(t, "Caddy has an operator", func() bool { _, ok := n.operate("pushes"); return ok })
	backend.come()
	n.wantOperation("tried now", "pushes", "--repeat", strings.Fields(strings.Split(list, "\n")[1])[0])
	eventually(t, "the backend has all pushes", func() bool { return len(backend.of(bob)) == 6 && len(backend.of(alice)) == 1 })
	if got := backend.of(bob); !slices.Equal(got, []string{"0", "1", "2", "3", "4", "5"}) {
		t.Errorf("got %v, want them in their order, each once", got)
	}
	eventually(t, "the queue is empty", func() bool { out, ok := n.operate("pushes"); return ok && strings.Contains(out, "no push waits") })
	n.refused("no such push waits", "pushes", "--repeat", "0123456789abcdef")
}

// One of two nodes takes pushes and dies; the other passes them on, and takes WeChat's repeats for
// what they are. Consent that was taken back at one is gone at both.
func TestPushesOfANodeThatDied(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	redis := redistest.Start(t)
	backend := newPushes(t)
	a, b := w.takesPushes(backend, "store redis "+redis.URL+sealed), w.takesPushes(backend, "store redis "+redis.URL+sealed)
	a.start()
	b.start()
	alice, login := b.loginWithPhone()
	revocation := w.fake.AuthorizationEvent(alice, "user_authorization_revoke", "8")
	a.push(revocation)
	if got := b.phoneOf(login.access()); got != "" {
		t.Errorf("got phone %q at the other node, want none", got)
	}
	fresh := b.refresh(login.refresh())
	if want(t, "refresh", fresh, 200, ""); fresh.text("user", "phone") != "" {
		t.Errorf("got phone %q after a refresh, want none", fresh.text("user", "phone"))
	}
	for i := range 3 {
		a.push(w.fake.TextMessage(alice, fmt.Sprint(i)))
	}
	a.kill()
	b.push(revocation)
	b.push(w.fake.TextMessage(alice, "3"))
	backend.come()
	eventually(t, "the other node has passed all on", func() bool { return len(backend.of(alice)) >= 5 })
	if got := backend.of(alice); !slices.Equal(got, []string{"user_authorization_revoke", "0", "1", "2", "3"}) {
		t.Errorf("got %v, want each once and in their order", got)
	}
}

// In one site wechat_auth has a block of its own, and the backend another: nothing stands behind it.
// The push is not lost for that, and the log says what is wrong.
func TestPushesWithNothingBehind(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	backend := newPushes(t)
	backend.come()
	n := w.takesPushes(backend)
	site := n.site(n.lines...)
	auth := site[:strings.Index(site, "respond /health")]
	alone := n.global() + "http://:" + n.port + " {\nhandle /auth/* {\n" + auth + "}\nhandle {\n" + n.backend + "\nrespond /health " + n.name + "\n}\n}\n"
	n.start()
	if got := n.reload(alone); got.status != 200 {
		t.Fatalf("reload: got %s", got)
	}
	alice := w.fake.NewUser(appID)
	n.push(w.fake.TextMessage(alice, "0"))
	n.wantOperation("text", "pushes")
	if !strings.Contains(n.log(), "no handler behind wechat_auth takes that path") {
		t.Error("the log does not say that there is no handler")
	}
	if got := n.reload(n.config()); got.status != 200 {
		t.Fatalf("reload: got %s", got)
	}
	eventually(t, "the backend has the push", func() bool { return len(backend.of(alice)) == 1 })
}

// The sandbox pushes to a site of the same Caddy, as the playground does.
func TestTheSandboxPushes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	backend := newPushes(t)
	backend.come()
	n := w.takesPushes(backend)
	sandbox := testkit.FreePort(t)
	n.api = "http://127.0.0.1:" + sandbox
	n.more = "http://127.0.0.1:" + sandbox + " {\nwechat_sandbox {\napp " + appID + " " + secret + "\npush http://127.0.0.1:" + n.port +
		"/auth/push/" + appID + " {\ntoken " + pushToken + "\naes_key " + pushKey + "\nformat xml\n}\n}\n}\n"
	n.start()
	fake := newClient(t, n.api)
	code := fake.post("/sandbox/codes", "", "user", "alice", "kind", "login")
	phone := fake.post("/sandbox/codes", "", "user", "alice", "kind", "phone", "phone", "13800138000")
	login := n.post("/auth/login", "", "code", code.text("code"), "phone_code", phone.text("code"))
	want(t, "login", login, 200, "")
	if got := n.phoneOf(login.access()); got != "13800138000" {
		t.Fatalf("got phone %q, want it", got)
	}
	want(t, "push", fake.post("/sandbox/pushes", "", "user", "alice", "event", "user_authorization_revoke", "revoke_info", "8"), 200, "")
	if got := n.phoneOf(login.access()); got != "" {
		t.Errorf("got phone %q after the push, want none", got)
	}
	if got := backend.of(&wechattest.User{OpenID: login.text("user", "openid")}); !slices.Equal(got, []string{"user_authorization_revoke"}) {
		t.Errorf("got %v at the backend, want the event", got)
	}
}

// The backend in the documents takes pushes, and none from a client.
func TestDocumentedPushBackend(t *testing.T) {
	t.Parallel()
	for _, doc := range []string{"../docs/push.md", "../docs/push.zh-CN.md"} {
		t.Run(doc, func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(doc)
			if err != nil {
				t.Fatal(err)
			}
			_, code, _ := strings.Cut(string(text), "```js\n")
			code, _, found := strings.Cut(code, "```\n")
			if !found || !strings.Contains(code, "listen(3000,") {
				t.Fatalf("%s has no backend at port 3000", doc)
			}
			w := newWorld(t)
			backend := newPushes(t) // for its port alone
			file := filepath.Join(t.TempDir(), "backend.mjs")
			if err := os.WriteFile(file, []byte(strings.ReplaceAll(code, "listen(3000,", "listen("+backend.port+",")), 0o600); err != nil {
				t.Fatal(err)
			}
			runProgram(t, "127.0.0.1:"+backend.port, nil, "node", file)
			n := w.takesPushes(backend)
			n.start()
			login := n.newUser()
			n.push(w.fake.TextMessage(w.fake.NewUser(appID), "你好"))
			n.wantOperation("no push waits", "pushes")
			if got := n.post("/wechat/push", login.access(), "MsgType", "text"); got.status != 404 {
				t.Errorf("got %s for a client that posts a push, want 404", got)
			}
		})
	}
}

// The master dies while the backend is away. With wait_replicas, what WeChat was told success for is
// with the replica that takes over.
func TestPushesOutliveARedisMaster(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	redis := redistest.StartSentinel(t)
	backend := newPushes(t)
	n := w.takesPushes(backend, "store redis "+redis.URL+" {\nwait_replicas 1\n}")
	n.start()
	eventually(t, "logins work", func() bool { return n.newLogin() == 200 })
	alice := w.fake.NewUser(appID)
	var want []string
	for i := range 5 {
		n.push(w.fake.TextMessage(alice, fmt.Sprint(i)))
		want = append(want, fmt.Sprint(i))
	}
	redis.Master.Stop()
	eventually(t, "the replica has taken over", func() bool {
		info, _ := redis.Replica.Do(t, "INFO", "replication").(string)
		return strings.Contains(info, "role:master")
	})
	redis.Master.Restart(t)
	backend.come()
	within(t, 2*patience, "the backend has all pushes", func() bool { return len(backend.of(alice)) >= len(want) })
	if got := slices.Compact(backend.of(alice)); !slices.Equal(got, want) {
		t.Errorf("got %v, want each and in order", got)
	}
}
