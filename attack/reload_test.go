// Configuration reloads under load.

package attack_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-wechat/wechatauth/wechat/wechattest"
)

// A reload, accepted or rejected, loses nothing. These tests load configurations, which are
// global to a process, so each runs in one of its own.

// reloader is a Caddy that is reloaded, with users who stay.
type reloader struct {
	t      *testing.T
	fake   *wechattest.Server
	api    string
	dir    string
	ports  []int
	up     *httptest.Server
	client *http.Client
}

func newReloader(t *testing.T) *reloader {
	t.Helper()
	rl := &reloader{
		t:      t,
		fake:   wechattest.New(wechattest.App{ID: rigAppA, Secret: rigSecret, OpenPlatform: true}, wechattest.App{ID: rigAppB, Secret: rigSecret}),
		dir:    t.TempDir(),
		client: &http.Client{Transport: new(http.Transport), Timeout: patience},
	}
	rl.api = rl.fake.Start(t)
	rl.up = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.Header.Get("X-WX-OPENID"), " ", r.Header.Get("X-WX-PHONE"))
	}))
	t.Cleanup(rl.up.Close)
	var err error
	if rl.ports, err = rigPorts(3); err != nil {
		t.Fatal(err)
	}
	return rl
}

// config returns the configuration of all reloads, with further lines for the handler and further
// sites.
func (rl *reloader) config(lines, sites string) string {
	return fmt.Sprintf(`{
		admin off
		auto_https off
		persist_config off
		storage file_system %s
		default_bind 127.0.0.1
		log {
			output discard
		}
	}
	http://:%d {
		wechat_auth {
			app %s %s
			api %s
			limit login off
			limit phone off
			phone_required /vip/*
			session {
				max_per_user 10000
			}
			%s
		}
		reverse_proxy %s {
			transport http {
				keepalive off
			}
		}
	}
	%s`, rl.dir, rl.ports[0], rigAppA, rigSecret, rl.api, lines, strings.TrimPrefix(rl.up.URL, "http://"), sites)
}

func (rl *reloader) mustLoad(lines, sites string) {
	rl.t.Helper()
	if err := loadCaddyfile(rl.config(lines, sites)); err != nil {
		rl.t.Fatalf("reload: %v", err)
	}
}

func (rl *reloader) stop() {
	rl.t.Helper()
	if err := caddy.Stop(); err != nil {
		rl.t.Errorf("stop: %v", err)
	}
}

// request repeats what the network lost, as mini programs do: Linux resets the connections that
// wait on a listening socket when a reload of Caddy closes it, whatever the site is made of.
func (rl *reloader) request(ctx context.Context, method, path, token, body string) (a answer, err error) {
	for range 10 {
		if a, err = rl.try(ctx, method, path, token, body); err == nil || ctx.Err() != nil {
			break
		}
	}
	return a, err
}

func (rl *reloader) try(ctx context.Context, method, path, token, body string) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, method, fmt.Sprintf("http://127.0.0.1:%d%s", rl.ports[0], path), strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := rl.client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, data}, err
}

func (rl *reloader) mustRequest(method, path, token, body string) answer {
	rl.t.Helper()
	a, err := rl.request(rl.t.Context(), method, path, token, body)
	if err != nil {
		rl.t.Fatalf("%s %s: %v", method, path, err)
	}
	return a
}

// resident is a user whose login, phone and spent codes must outlive every reload.
type resident struct {
	*wechattest.User
	token, spent, nonced string
	nonce, jwks          []byte
	tokenCalls           int
}

const residentPhone = "13800138077"

func (rl *reloader) settle() *resident {
	rl.t.Helper()
	r := &resident{User: rl.fake.NewUser(rigAppA)}
	r.spent = rl.fake.LoginCode(r.User)
	a := rl.mustRequest("POST", "/auth/login", "", object("code", r.spent))
	want(rl.t, a, 200, "")
	a = rl.mustRequest("POST", "/auth/phone", a.text("access_token"), object("code", rl.fake.PhoneCode(r.User, residentPhone)))
	want(rl.t, a, 200, "")
	r.token = a.text("access_token")
	r.nonced = rl.fake.LoginCode(r.User)
	a = rl.mustRequest("POST", "/auth/login", "", object("code", r.nonced, "nonce", "n1"))
	want(rl.t, a, 200, "")
	r.nonce = a.body
	r.jwks = rl.mustRequest("GET", "/auth/.well-known/jwks.json", "", "").body
	r.tokenCalls = rl.fake.Count(wechattest.StableToken)
	return r
}

// checkResident proves that all the sidecar knew of a user it still knows.
func (rl *reloader) checkResident(r *resident, when string) {
	rl.t.Helper()
	a := rl.mustRequest("GET", "/vip/x", r.token, "")
	if want := r.OpenID + " " + residentPhone; a.status != 200 || string(a.body) != want {
		rl.t.Errorf("%s: token from before: got %d %s, want 200 %s", when, a.status, a.body, want)
	}
	if a := rl.mustRequest("GET", "/auth/.well-known/jwks.json", "", ""); !bytes.Equal(a.body, r.jwks) {
		rl.t.Errorf("%s: the automatic key is another one", when)
	}
	a = rl.mustRequest("POST", "/auth/login", "", object("code", rl.fake.LoginCode(r.User)))
	if a.status != 200 || a.text("user", "phone") != residentPhone || a.field("user", "new") != false {
		rl.t.Errorf("%s: login: got %d %s, want a known user with phone", when, a.status, a.body)
	}
	calls := rl.fake.Count(wechattest.Login)
	a = rl.mustRequest("POST", "/auth/login", "", object("code", r.spent))
	if a.status != 401 || a.text("error") != "code_used" || rl.fake.Count(wechattest.Login) != calls {
		rl.t.Errorf("%s: spent code: got %d %s and %d calls, want 401 code_used and none", when, a.status, a.body, rl.fake.Count(wechattest.Login)-calls)
	}
	if a := rl.mustRequest("POST", "/auth/login", "", object("code", r.nonced, "nonce", "n1")); !bytes.Equal(a.body, r.nonce) {
		rl.t.Errorf("%s: repeated login: got %d %s, want the same answer", when, a.status, a.body)
	}
	a = rl.mustRequest("POST", "/auth/phone", r.token, object("code", rl.fake.PhoneCode(r.User, residentPhone)))
	if a.status != 200 {
		rl.t.Errorf("%s: phone: got %d %s, want 200", when, a.status, a.body)
	}
	if got := rl.fake.Count(wechattest.StableToken); got != r.tokenCalls {
		rl.t.Errorf("%s: WeChat's access token was fetched again: got %d calls, want %d", when, got, r.tokenCalls)
	}
}

// eventually waits for what happens in the background, and gives up after a while.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	giveUp := time.After(patience)
	for !ok() {
		select {
		case <-tick.C:
		case <-giveUp:
			t.Errorf("%s: not after %s", what, patience)
			return
		}
	}
}

// load has clients call until their context ends. A failed request is an error, and the last is
// told.
func (rl *reloader) load(ctx context.Context, r *resident) (served *atomic.Int64, done func()) {
	var wg sync.WaitGroup
	served = new(atomic.Int64)
	call := func(check func() error) {
		wg.Go(func() {
			for ctx.Err() == nil {
				if err := check(); err != nil && ctx.Err() == nil {
					rl.t.Errorf("under load: %v", err)
					return
				}
				served.Add(1)
			}
		})
	}
	for range 4 {
		call(func() error {
			a, err := rl.request(ctx, "GET", "/vip/x", r.token, "")
			return errors.Join(err, expect(a, err, r.OpenID))
		})
	}
	call(func() error {
		u := rl.fake.NewUser(rigAppA)
		a, err := rl.request(ctx, "POST", "/auth/login", "", object("code", rl.fake.LoginCode(u), "nonce", "n"))
		if err := errors.Join(err, expect(a, err, u.OpenID)); err != nil {
			return err
		}
		a, err = rl.request(ctx, "POST", "/auth/phone", a.text("access_token"), object("code", rl.fake.PhoneCode(u, "13800138078")))
		return errors.Join(err, expect(a, err, "13800138078"))
	})
	return served, wg.Wait
}

func expect(a answer, err error, text string) error {
	if err == nil && (a.status != 200 || !bytes.Contains(a.body, []byte(text))) {
		return fmt.Errorf("got %d %s, want 200 with %s", a.status, a.body, text)
	}
	return nil
}

// Threats: T85.
func TestReloadsUnderLoadLoseNothing(t *testing.T) {
	t.Parallel()
	if !inChild(t) {
		return
	}
	rl := newReloader(t)
	begin := runtime.NumGoroutine()
	rl.mustLoad("", "")
	alice := rl.settle()
	neighbour := fmt.Sprintf("http://:%d {\n wechat_auth {\n app %s %s\n api %s\n }\n respond ok\n}", rl.ports[1], rigAppB, rigSecret, rl.api)
	variants := []struct{ lines, sites string }{
		{"", ""}, {"header X-User openid", ""}, {"", neighbour}, {"public /public/*", neighbour}, {"authorization strip", ""}, {"header X-Sid sid", neighbour},
	}
	reload := func(n int) {
		ctx, cancel := context.WithCancel(t.Context())
		served, wait := rl.load(ctx, alice)
		for i := range n {
			// Each configuration serves something before the next one comes.
			before := served.Load()
			eventually(t, "requests between reloads", func() bool { return served.Load() > before+5 })
			v := variants[i%len(variants)]
			rl.mustLoad(v.lines, v.sites)
		}
		cancel()
		wait()
		rl.client.CloseIdleConnections()
	}
	reload(6)
	rl.mustLoad("", "")
	var base int
	eventually(t, "a quiet process", func() bool { // the same count twice
		runtime.GC()
		n := runtime.NumGoroutine()
		quiet := n == base
		base = n
		return quiet
	})
	reload(30)
	rl.mustLoad("", "")
	rl.checkResident(alice, "after 38 reloads")
	rl.client.CloseIdleConnections()
	eventually(t, fmt.Sprintf("no more than %d goroutines", base+5), func() bool { return runtime.NumGoroutine() <= base+5 })
	rl.stop()
	rl.client.CloseIdleConnections()
	eventually(t, fmt.Sprintf("no more than %d goroutines after stopping", begin+10), func() bool { return runtime.NumGoroutine() <= begin+10 })
}

// A rejected reload must neither take what the running configuration uses nor give back what it
// never took: caddy-ratelimit lost its state in 53 of 60 of them.
func TestRejectedReloadsChangeNothing(t *testing.T) {
	t.Parallel()
	if !inChild(t) {
		return
	}
	rl := newReloader(t)
	rl.mustLoad("", "")
	alice := rl.settle()
	taken, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", rl.ports[2]))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { taken.Close() })
	site := func(port int, lines string) string {
		return fmt.Sprintf("http://:%d {\n wechat_auth {\n app %s %s\n api %s\n limit login off\n limit phone off\n %s\n }\n respond ok\n}", port, rigAppA, rigSecret, rl.api, lines)
	}
	short := "token {\n algorithm HS256\n key short\n }"
	rejected := []struct{ name, lines, sites string }{
		{"no Caddyfile", "nope", ""},
		{"unbalanced", "token {", ""},
		{"bad header, after apps and keys were taken", "header Content-Length openid", ""},
		{"bad key, after apps were taken", short, ""},
		{"bad pattern", "public /*", ""},
		{"bad base path", "base_path /auth/", ""},
		{"a second handler fails, the first has all", "", site(rl.ports[1], short)},
		{"a second handler fails at its last step", "", site(rl.ports[1], "phone_required /a\n headers none\n header X-A a\n header x-a b")},
		{"another module fails", "", fmt.Sprintf("http://:%d {\n file_server {\n hide {\n }\n }\n reverse_proxy {\n to localhost:1-2-3\n }\n}", rl.ports[1])},
		{"an app twice", "app " + rigAppA + " " + rigSecret, ""},
		{"an unset variable", "app wxother {env.RIG_IS_NOT_SET}", ""},
		{"a port that is taken, when all is provisioned", "", site(rl.ports[2], "")},
	}
	for round := range 3 {
		for _, tt := range rejected {
			if err := loadCaddyfile(rl.config(tt.lines, tt.sites)); err == nil {
				t.Fatalf("%s: loaded, want an error", tt.name)
			}
			rl.checkResident(alice, fmt.Sprintf("round %d, %s", round, tt.name))
		}
		rl.mustLoad("", "")
		rl.checkResident(alice, fmt.Sprintf("round %d, a good reload after the bad ones", round))
	}
	rl.stop()
}

// Another key, issuer or lifetime is a decision of the operator: what was issued before follows it.
func TestReloadWithOtherKeysRefusesOldTokens(t *testing.T) {
	t.Parallel()
	if !inChild(t) {
		return
	}
	rl := newReloader(t)
	first, second := "b1946ac92492d2347c6235b4d2611184-one", "591785b794601e212b260e25925636fd-two"
	token := func(options string) string { return "token {\n algorithm HS256\n " + options + "\n }" }
	rl.mustLoad(token("key "+first), "")
	a := rl.mustRequest("POST", "/auth/login", "", object("code", rl.fake.LoginCode(rl.fake.NewUser(rigAppA))))
	want(t, a, 200, "")
	for _, tt := range []struct {
		name, lines string
		status      int
	}{
		{"same key", token("key " + first), 200},
		{"other key", token("key " + second), 401},
		{"other key, old one still accepted", token("key " + second + "\n previous_key " + first), 200},
		{"other issuer", token("key " + first + "\n issuer other"), 401},
		{"other audience", token("key " + first + "\n audience other"), 401},
		{"shorter lifetime", token("key " + first + "\n ttl 5m"), 401},
		{"longer lifetime", token("key " + first + "\n ttl 2h"), 200},
		{"automatic key", "", 401},
		{"same key again", token("key " + first), 200},
	} {
		rl.mustLoad(tt.lines, "")
		// Connections to the old configuration are served by it until it has closed them.
		var got answer
		eventually(t, tt.name+": the new configuration", func() bool {
			got = rl.mustRequest("GET", "/x", a.text("access_token"), "")
			return got.status == tt.status
		})
		if got = rl.mustRequest("GET", "/x", a.text("access_token"), ""); got.status != tt.status { // it may be remembered
			t.Errorf("%s: got %d %s, want %d", tt.name, got.status, got.body, tt.status)
		}
	}
	rl.stop()
}
