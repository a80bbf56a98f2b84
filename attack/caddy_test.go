// Package attack_test goes through a started Caddy: what net/http, Caddy's server and its reverse
// proxy do to a request before and after the handler is half of what an attacker plays with.
package attack_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/caddy-wechat/wechatauth"
	"github.com/caddy-wechat/wechatauth/internal/testkit"
	"github.com/caddy-wechat/wechatauth/wechat/wechattest"
)

func TestMain(m *testing.M) { testkit.RunTests(func() int { return withRig(m) }) }

func withRig(m *testing.M) int {
	// The default store is a file in Caddy's data directory, which must not be the developer's own.
	data, err := os.MkdirTemp("", "wechatauth-data")
	if err == nil && os.Getenv("XDG_DATA_HOME") == "" {
		err = os.Setenv("XDG_DATA_HOME", data)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "data directory:", err)
		return 1
	}
	code := m.Run()
	if err := stopRig(); err != nil {
		fmt.Fprintln(os.Stderr, "stopping Caddy:", err)
		code = 1
	}
	_ = os.RemoveAll(data)
	return code
}

const (
	rigAppA = "wxaaaaaaaaaaaaaaaa"
	rigAppB = "wxbbbbbbbbbbbbbbbb"

	// rigSecret is an AppSecret that occurs nowhere else, so that a search for it is conclusive.
	rigSecret = "7c3e0f5ab1d94826a0d6fe12c4b87593"
)

// rig is the one Caddy of this process, with a fake WeChat behind it and an upstream that records
// every request as it came over the wire. Caddy's configuration is global, so all sites live in
// one.
type rig struct {
	dir      string
	fake     *wechattest.Server
	api      string
	upstream *wire
	backend  string // Go's own server, for what streams
	hook     *rigHook
	keys     rigKeys
	addr     map[string]string // site → address
	cases    atomic.Int64
	close    []func()
}

var startRig = sync.OnceValues(newRig)

// rigStarted tells stopRig that there is something to stop.
var rigStarted atomic.Bool

// caddyRig starts Caddy once for all tests.
func caddyRig(t *testing.T) *rig {
	t.Helper()
	r, err := startRig()
	if err != nil {
		t.Fatalf("starting Caddy: %v", err)
	}
	return r
}

func newRig() (r *rig, err error) {
	r = &rig{
		fake: wechattest.New(
			wechattest.App{ID: rigAppA, Secret: rigSecret, OpenPlatform: true},
			wechattest.App{ID: rigAppB, Secret: rigSecret, OpenPlatform: true},
		),
		addr: map[string]string{},
	}
	if r.dir, err = os.MkdirTemp("", "wechatauth"); err != nil {
		return nil, err
	}
	rigStarted.Store(true)
	r.api = r.serve(r.fake)
	r.backend = r.serve(http.HandlerFunc(streamingBackend))
	r.hook = new(rigHook)
	r.hook.url = r.serve(r.hook) + rigHookPath
	if r.upstream, err = listenWire(); err != nil {
		return nil, err
	}
	r.close = append(r.close, r.upstream.close)
	if r.keys, err = newRigKeys(r.dir); err != nil {
		return nil, err
	}
	return r, r.start()
}

// serve starts a server that ends with the rig, and returns its URL.
func (r *rig) serve(h http.Handler) string {
	server := httptest.NewServer(h)
	r.close = append(r.close, server.Close)
	return server.URL
}

// start loads the configuration. Between finding free ports and listening on them another process
// may take one, so it tries again.
func (r *rig) start() (err error) {
	for range 3 {
		if err = r.load(); err == nil || !strings.Contains(err.Error(), "address already in use") {
			return err
		}
	}
	return err
}

func (r *rig) load() error {
	ports, err := rigPorts(len(rigSites))
	if err != nil {
		return err
	}
	text := r.fill(rigGlobals)
	for i, site := range rigSites {
		address := fmt.Sprintf("127.0.0.1:%d", ports[i])
		r.addr[site.name] = address
		block := site.caddyfile
		if !strings.Contains(block, "$PORT") {
			block = "http://:$PORT {\n log\n" + block + "\n}"
		}
		text += "\n" + strings.ReplaceAll(r.fill(block), "$PORT", fmt.Sprint(ports[i]))
	}
	// What names another site by its port comes last, when all have theirs.
	return loadCaddyfile(strings.NewReplacer(
		"$ALIASED", r.addr["aliased"][len("127.0.0.1"):],
		"$BEHIND", r.addr["behind-proxy"][len("127.0.0.1"):],
		"$TLS", r.addr["tls"][len("127.0.0.1"):],
		"$MAIN", r.addr["main"],
	).Replace(text))
}

func (r *rig) fill(caddyfile string) string {
	return strings.NewReplacer(
		"$DIR", r.dir,
		"$APP_A", "app "+rigAppA+" "+rigSecret,
		"$APP_B", "app "+rigAppB+" "+rigSecret,
		"$COMMON", "api "+r.api+"\n limit login off\n limit phone off",
		"$API", r.api,
		"$HOOK", r.hook.url,
		"$UPSTREAM", r.upstream.addr,
		"$BACKEND", strings.TrimPrefix(r.backend, "http://"),
	).Replace(caddyfile)
}

// loadCaddyfile does what `caddy run` and `caddy reload` do.
func loadCaddyfile(text string) error {
	config, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(text), map[string]any{"filename": "Caddyfile"})
	if err != nil {
		return err
	}
	return caddy.Load(config, true)
}

func stopRig() error {
	if !rigStarted.Load() {
		return nil
	}
	r, _ := startRig() // its error was the tests' to tell
	if r == nil {
		return nil
	}
	r.fake.Close()
	log, _ := os.ReadFile(filepath.Join(r.dir, "caddy.log"))
	var panicked error
	if i := bytes.Index(log, []byte("panic")); i >= 0 {
		panicked = fmt.Errorf("a handler panicked: %.4000s", log[max(0, i-200):])
	}
	err := errors.Join(caddy.Stop(), os.RemoveAll(r.dir), panicked)
	for _, f := range r.close {
		f()
	}
	return err
}

// rigPorts holds all listeners open at once, so that the ports differ.
func rigPorts(n int) (ports []int, err error) {
	for range n {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer ln.Close()
		ports = append(ports, ln.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}

// rigUser is a user who has logged in at a site.
type rigUser struct {
	*wechattest.User
	token string
	body  []byte // the token answer
}

// login logs a new user of a site's first app in.
func (r *rig) login(t *testing.T, site string) rigUser {
	t.Helper()
	app := rigAppA
	if site == "b" || site == "limited" || site == "behind-proxy" {
		app = rigAppB
	}
	return r.loginAs(t, site, r.fake.NewUser(app))
}

func (r *rig) loginAs(t *testing.T, site string, u *wechattest.User) rigUser {
	t.Helper()
	return r.tokenOf(t, u, r.post(t, site, r.base(site)+"/login", "", object("appid", u.AppID, "code", r.fake.LoginCode(u))))
}

// loginWithPhone logs a new user in whose token has a phone number.
func (r *rig) loginWithPhone(t *testing.T, site, phone string) rigUser {
	t.Helper()
	u := r.login(t, site)
	return r.tokenOf(t, u.User, r.post(t, site, r.base(site)+"/phone", u.token, object("code", r.fake.PhoneCode(u.User, phone))))
}

func (r *rig) tokenOf(t *testing.T, u *wechattest.User, a answer) rigUser {
	t.Helper()
	want(t, a, 200, "")
	return rigUser{u, a.text("access_token"), a.body}
}

func (r *rig) base(site string) string {
	if site == "based" {
		return "/api/wx"
	}
	return "/auth"
}

// post sends a JSON request over a connection of its own.
func (r *rig) post(t *testing.T, site, path, token, body string, header ...string) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+r.addr[site]+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Close = true
	req.Header.Set("Content-Type", "application/json")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	return send(t, http.DefaultClient, req)
}

// logLines returns what Caddy has logged so far, a line an object.
func (r *rig) logLines(t *testing.T) (lines []map[string]any) {
	t.Helper()
	file, err := os.Open(filepath.Join(r.dir, "caddy.log"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	dec := json.NewDecoder(file)
	for {
		var line map[string]any
		switch err := dec.Decode(&line); {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF): // another test is writing a line
			return lines
		case err != nil:
			t.Fatalf("the log is not JSON: %v", err)
		}
		lines = append(lines, line)
	}
}

// patience bounds every wait on the network: a test that hangs says where.
const patience = 20 * time.Second

const childVariable = "WECHATAUTH_TEST_CHILD"

// inChild runs the calling test again in a process of its own and waits for it, if this is not that
// process already: for Caddys that come and go, and for what Go reads from the environment at
// start.
func inChild(t *testing.T, env ...string) bool {
	t.Helper()
	if os.Getenv(childVariable) == t.Name() {
		return true
	}
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+regexp.QuoteMeta(t.Name())+"$", "-test.timeout=2m")
	child.Env = append(append(os.Environ(), childVariable+"="+t.Name(), "XDG_DATA_HOME="), env...)
	if testing.Verbose() {
		child.Args = append(child.Args, "-test.v")
	}
	out, err := child.CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	if testing.Verbose() {
		t.Logf("%s", out)
	}
	return false
}
