// The Caddy under test, the fake WeChat and the backend, and what disturbs them.

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/caddy-wechat/wechatauth/internal/testkit"
	"github.com/caddy-wechat/wechatauth/wechat/wechattest"
)

const (
	appID         = "wx0123456789abcdef"
	appSecret     = "4a6b8c0d1e2f3a5b7c9d0e1f2a3b4c5d"
	serviceSecret = "9e1d4c7b2a5f8e3d6c9b0a1f4e7d2c5b8a3f6e9d"
	pushToken     = "q8Zr2Kf0Lw5TnB7y"
	pushKey       = "Vb3nQx7ZkP0sTfYw8GhJm2LcRdAe5UiOoN1vXzK4q6R"

	// settle is the wait before the last look: longer than any call may take.
	settle = 20 * time.Second

	// Between two of them; a fault takes a tenth of the time.
	reloadEvery = 20 * time.Second
	faultEvery  = 30 * time.Second
)

type site struct {
	dir, store string
	url, admin string
	console    wechattest.PushConsole
	fake       *wechattest.Server
	api        *httptest.Server
	backend    *httptest.Server
	caddy      *exec.Cmd
	ended      <-chan struct{}
	reloads    int
}

func startSite(ctx context.Context, redis string) (s *site, err error) {
	s = &site{fake: wechattest.New(wechattest.App{ID: appID, Secret: appSecret})}
	if s.dir, err = os.MkdirTemp("", "wechatauth-soak"); err != nil {
		return nil, err
	}
	s.store = "sqlite " + filepath.Join(s.dir, "sessions.db")
	if redis != "" {
		s.store = "redis redis://" + redis
	}
	program := filepath.Join(s.dir, "caddy")
	build := exec.CommandContext(ctx, "go", "build", "-C", "../..", "-buildvcs=false", "-o", program, "./cmd/caddy")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("building caddy: %w\n%s", err, out)
	}
	s.api, s.backend = httptest.NewServer(s.fake), httptest.NewServer(http.HandlerFunc(backend))
	ports, err := freePorts(2)
	if err != nil {
		return nil, err
	}
	s.admin, s.url = ports[0], "http://"+ports[1]
	s.console = wechattest.PushConsole{AppID: appID, URL: s.url + "/auth/push/" + appID, Token: pushToken, AESKey: pushKey}
	file := filepath.Join(s.dir, "Caddyfile")
	if err := os.WriteFile(file, s.config(), 0o600); err != nil {
		return nil, err
	}
	log, err := os.Create(s.log())
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }() // the process has its own
	s.caddy = exec.CommandContext(ctx, program, "run", "--config", file)
	s.caddy.Env = append(os.Environ(), "XDG_DATA_HOME="+s.dir+"/data", "XDG_CONFIG_HOME="+s.dir+"/config")
	s.caddy.Stderr = log
	if s.ended, err = testkit.Start(s.caddy); err != nil {
		return nil, err
	}
	return s, s.ready(ctx)
}

// backend answers with the user that it sees, so that a mix-up does not stay unseen.
func backend(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/push" && rand.N(10) == 0 {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	_, _ = io.Copy(io.Discard, r.Body)
	_, _ = io.WriteString(w, r.Header.Get("X-WX-OPENID"))
}

// config is a configuration that differs from the one before in how much a user may do, and in a port
// that comes and goes.
func (s *site) config() []byte {
	s.reloads++
	return fmt.Appendf(nil, `{
	admin %s
	persist_config off
	auto_https off
	default_bind 127.0.0.1
	log {
		level ERROR
	}
}
%s {
	wechat_auth {
		app %s %s {
			push {
				token %s
				aes_key %s
				forward /push
			}
		}
		api %s
		store %s
		session {
			idle 2m
			lifetime 4m
			grace 5s
		}
		token {
			ttl 1m
			rotate 3m
		}
		timeout 2s
		limit login off
		limit phone %d/1s
		limit profile 1000/1s
		profile
		service {
			secret %s
		}
		public /public/*
	}
	reverse_proxy %s
}
`, s.admin, s.url, appID, appSecret, pushToken, pushKey, s.api.URL, s.store, 1000+s.reloads%2, serviceSecret, s.backend.URL)
}

func (s *site) ready(ctx context.Context) error {
	for range 200 {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+"/auth/healthz", nil)
		if err != nil {
			return err
		}
		if response, err := http.DefaultClient.Do(r); err == nil {
			_ = response.Body.Close()
			return nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	return fmt.Errorf("caddy does not start: %w", s.logged())
}

func (s *site) log() string { return filepath.Join(s.dir, "caddy.log") }

// disturb reloads, and has WeChat fail.
func (s *site) disturb(ctx context.Context) {
	reload, fault := time.NewTicker(reloadEvery), time.NewTicker(faultEvery)
	defer reload.Stop()
	defer fault.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-reload.C:
			if err := s.reload(ctx); err != nil && ctx.Err() == nil {
				fmt.Fprintln(os.Stderr, "reload:", err)
			}
		case <-fault.C:
			faults := []wechattest.Fault{
				wechattest.Hang(), wechattest.Delay(time.Second), wechattest.Cut(), wechattest.Truncate(), wechattest.Huge(),
				wechattest.ErrCode(-1), wechattest.ErrCode(45009), wechattest.Cut().AfterWork(), wechattest.Raw(500, "text/plain", "no"),
			}
			s.fake.Fail(wechattest.Any, -1, faults[rand.N(len(faults))])
			time.AfterFunc(faultEvery/10, s.heal)
		}
	}
}

func (s *site) heal() { s.fake.ClearFaults() }

func (s *site) reload(ctx context.Context) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+s.admin+"/load", bytes.NewReader(s.config()))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "text/caddyfile")
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(response.Body)
		return fmt.Errorf("%s: %s", response.Status, text)
	}
	return nil
}

// logged returns the panics, and what Caddy did not expect, from its log.
func (s *site) logged() error {
	text, err := os.ReadFile(s.log())
	if err != nil {
		return err
	}
	var found []error
	for line := range bytes.Lines(text) {
		if bytes.Contains(line, []byte("panic")) || bytes.Contains(line, []byte("unexpected error")) {
			found = append(found, fmt.Errorf("logged: %.300s", line))
		}
	}
	return errors.Join(found[:min(len(found), 5)]...)
}

func (s *site) stop() error {
	err := s.caddy.Process.Signal(os.Interrupt)
	select {
	case <-s.ended:
	case <-time.After(settle):
		err = errors.Join(errors.New("caddy does not end"), s.caddy.Process.Kill())
	}
	s.fake.Close()
	s.api.Close()
	s.backend.Close()
	return errors.Join(err, os.RemoveAll(s.dir))
}

func freePorts(n int) (addresses []string, err error) {
	for range n {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer func() { _ = listener.Close() }() // all at the end, so that they differ
		addresses = append(addresses, listener.Addr().String())
	}
	return addresses, nil
}
