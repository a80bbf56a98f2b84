//go:build unix

// Package e2e_test runs Caddy as its users do: as processes, with files and Redis servers, and
// kills them.
package e2e_test

import (
	"cmp"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/internal/testkit"
	"github.com/caddy-wechat/wechatauth/wechat/wechattest"
)

const (
	appID  = "wx0123456789abcdef"
	secret = "0123456789abcdef0123456789abcdef"

	// patience bounds every step whose duration is not under test.
	patience = 20 * time.Second
)

var program string // the caddy under test

func TestMain(m *testing.M) { testkit.RunTests(func() int { return withProgram(m) }) }

func withProgram(m *testing.M) int {
	dir, err := os.MkdirTemp("", "wechatauth-e2e")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	program = filepath.Join(dir, "caddy")
	args := []string{"build", "-buildvcs=false", "-o", program}
	if os.Getenv("E2E_RACE") != "" {
		args = append(args, "-race")
	}
	build := exec.Command("go", append(args, "../cmd/caddy")...)
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building caddy: %v\n%s", err, out)
		return 1
	}
	// Most of these tests wait for something most of the time. What the command line says comes
	// later and wins.
	if err := flag.Set("test.parallel", "8"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// world is a WeChat and the nodes that use it.
type world struct {
	t    *testing.T
	fake *wechattest.Server
	api  string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	fake := wechattest.New(wechattest.App{ID: appID, Secret: secret, OpenPlatform: true})
	return &world{t, fake, fake.Start(t)}
}

// node is a Caddy with its own folders. It can be started again after it ended.
type node struct {
	*world
	dir     string
	name    string
	port    string
	admin   string
	lines   []string // of wechat_auth
	options string   // global ones
	more    string   // further sites
	echo    string   // what the backend answers
	backend string   // directives, in place of that on some paths
	client

	cmd   *exec.Cmd
	ended <-chan struct{}
}

var nodes atomic.Int64

// newNode prepares a node; the lines are added to wechat_auth.
func (w *world) newNode(lines ...string) *node {
	w.t.Helper()
	n := &node{
		world: w, dir: w.t.TempDir(), name: fmt.Sprintf("node-%d", nodes.Add(1)),
		port: testkit.FreePort(w.t), admin: "127.0.0.1:" + testkit.FreePort(w.t), lines: lines,
	}
	n.client = newClient(w.t, "http://127.0.0.1:"+n.port)
	w.t.Cleanup(func() {
		n.kill()
		if log := n.log(); strings.Contains(log, "DATA RACE") || strings.Contains(log, "panic") {
			w.t.Errorf("%s has a race or a panic: %s", n.name, log)
		}
		if w.t.Failed() {
			w.t.Logf("%s ended its log with:\n%s", n.name, tail(n.log(), 4000))
		}
	})
	return n
}

// start runs a node and waits until it serves.
func (w *world) start(lines ...string) *node {
	w.t.Helper()
	n := w.newNode(lines...)
	n.start()
	return n
}

func (n *node) site(lines ...string) string {
	app := "app " + appID
	if !slices.ContainsFunc(lines, func(line string) bool { return strings.HasPrefix(line, app) }) {
		lines = append([]string{app + " " + secret}, lines...)
	}
	echo := cmp.Or(n.echo, "openid={http.auth.user.openid} phone={http.auth.user.phone}")
	return "wechat_auth {\napi " + n.api + "\nlimit login off\nlimit phone off\npublic GET /health\n" +
		strings.Join(lines, "\n") + "\n}\nrespond /health " + n.name + "\n" + n.backend + "\nrespond \"" + echo + "\"\n"
}

// server is the node's site with its address.
func (n *node) server(lines ...string) string {
	return "http://:" + n.port + " {\n" + n.site(lines...) + "}\n"
}

func (n *node) global() string {
	return "{\nadmin " + n.admin + "\npersist_config off\ndefault_bind 127.0.0.1\ngrace_period 5s\n" + n.options + "}\n"
}

// patient lets the client of the node try again when a connection breaks, and take a new one for
// each request: any Caddy loses some connections in a reload. Requests can be repeated: that is the
// protocol.
func (n *node) patient() *node {
	n.client = client{n.url, &http.Client{Timeout: patience, Transport: again{&http.Transport{DisableKeepAlives: true}}}}
	return n
}

// again sends a request until there is an answer.
type again struct{ http.RoundTripper }

func (a again) RoundTrip(r *http.Request) (res *http.Response, err error) {
	for range 50 {
		if res, err = a.RoundTripper.RoundTrip(r); err == nil || r.Context().Err() != nil {
			return res, err
		}
		if r.GetBody != nil {
			if r.Body, err = r.GetBody(); err != nil {
				return nil, err
			}
		}
		pause()
	}
	return nil, err
}

// config is the Caddyfile of the node, with other lines if there are any.
func (n *node) config() string {
	return n.global() + n.server(n.lines...) + n.more
}

func (n *node) path(name string) string { return filepath.Join(n.dir, name) }

// data is the folder of the default store.
func (n *node) data() string { return n.path("data/caddy/wechat_auth") }

func (n *node) log() string {
	text, _ := os.ReadFile(n.path("log"))
	return string(text)
}

// command is caddy with the folders of the node.
func (n *node) command(args ...string) *exec.Cmd {
	cmd := exec.Command(program, args...)
	cmd.Env = append(os.Environ(), "HOME="+n.dir, "XDG_DATA_HOME="+n.path("data"), "XDG_CONFIG_HOME="+n.path("config"))
	cmd.Dir = n.dir
	return cmd
}

func (n *node) writeConfig() string {
	n.t.Helper()
	file := n.path("Caddyfile")
	if err := os.WriteFile(file, []byte(n.config()), 0o600); err != nil {
		n.t.Fatal(err)
	}
	return file
}

// launch runs the process and does not wait for it to serve.
func (n *node) launch() {
	n.t.Helper()
	n.run(n.writeConfig())
}

func (n *node) run(file string) {
	n.t.Helper()
	log, err := os.OpenFile(n.path("log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		n.t.Fatal(err)
	}
	defer log.Close()
	n.cmd = n.command("run", "--config", file, "--adapter", "caddyfile")
	n.cmd.Stdout, n.cmd.Stderr = log, log
	if n.ended, err = testkit.Start(n.cmd); err != nil {
		n.t.Fatal(err)
	}
}

func (n *node) start() {
	n.t.Helper()
	n.launch()
	n.ready()
}

// ready waits until this very process answers.
func (n *node) ready() {
	n.t.Helper()
	eventually(n.t, n.name+" serves", func() bool {
		select {
		case <-n.ended:
			n.t.Fatalf("%s ended: %s", n.name, tail(n.log(), 2000))
		default:
		}
		a := n.get("/health", "")
		return a.status == 200 && string(a.body) == n.name
	})
	eventually(n.t, n.name+" has an operator", func() bool { // Caddy serves a little before
		status := n.adminAPI().get("/wechat_auth/", "").status
		return status != 0 && status != 503
	})
}

// kill ends the process as a power cut does.
func (n *node) kill() {
	if n.cmd == nil || n.cmd.Process == nil {
		return
	}
	_ = n.cmd.Process.Kill()
	<-n.ended
}

// stop ends the process as an operator does.
func (n *node) stop() {
	n.t.Helper()
	_ = n.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-n.ended:
	case <-time.After(patience):
		n.t.Fatalf("%s does not end", n.name)
	}
}

// reload gives the process a new Caddyfile and returns what the admin API answered.
func (n *node) reload(caddyfile string) answer {
	n.t.Helper()
	return n.adminAPI().send("POST", "/load", caddyfile, "Content-Type", "text/caddyfile", "Cache-Control", "must-revalidate")
}

func (n *node) adminAPI() client {
	return client{"http://" + n.admin, &http.Client{Timeout: patience, Transport: again{&http.Transport{DisableKeepAlives: true}}}}
}

// client talks to one site.
type client struct {
	url  string
	http *http.Client
}

func (c client) logout(access string) answer { return c.post("/auth/logout", access) }

// login logs a user in, which must work.
func (n *node) login(u *wechattest.User) answer {
	n.t.Helper()
	a := n.post("/auth/login", "", "code", n.fake.LoginCode(u), "nonce", "n")
	want(n.t, "login", a, 200, "")
	return a
}

// newUser logs a new user in.
func (n *node) newUser() answer {
	n.t.Helper()
	return n.login(n.fake.NewUser(appID))
}

func want(t *testing.T, what string, a answer, status int, code string) {
	t.Helper()
	if !a.is(status, code) {
		t.Fatalf("%s: got %s, want %d %s", what, a, status, code)
	}
}

// unavailable wants the answer of a node whose store is away.
func unavailable(t *testing.T, what string, a answer) {
	t.Helper()
	if !a.is(503, "store_unavailable") || a.header.Get("Retry-After") == "" {
		t.Errorf("%s: got %s with Retry-After %q, want 503 store_unavailable and when to come again", what, a, a.header.Get("Retry-After"))
	}
}

// eventually polls until a condition holds.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	within(t, patience, what, condition)
}

func within(t *testing.T, limit time.Duration, what string, condition func() bool) time.Duration {
	t.Helper()
	start := time.Now()
	for time.Since(start) < limit {
		if condition() {
			return time.Since(start)
		}
		pause()
	}
	t.Fatalf("not within %s: %s", limit, what)
	return 0
}

// during checks that a condition holds all the time.
func during(t *testing.T, limit time.Duration, what string, condition func() bool) {
	t.Helper()
	for start := time.Now(); time.Since(start) < limit; pause() {
		if !condition() {
			t.Fatalf("%s ago all was well, now not: %s", time.Since(start), what)
		}
	}
}

func pause() { <-time.After(20 * time.Millisecond) }

// together does something n times at once.
func together(n int, do func(i int)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { do(i) })
	}
	wg.Wait()
}

func tail(text string, n int) string { return text[max(0, len(text)-n):] }
