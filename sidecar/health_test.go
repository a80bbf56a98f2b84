// The health of a site, and what is counted of tokens.

package sidecar

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/session"
	"github.com/caddy-wechat/wechatauth/session/memstore"
	"github.com/caddy-wechat/wechatauth/wechat/wechattest"
)

// healthz asks for the health, and compares status and a part of the body.
func (s *testSite) healthz(what string, status int, part string) {
	s.t.Helper()
	for _, method := range []string{http.MethodGet, http.MethodHead} {
		w := httptest.NewRecorder()
		s.serve(w, httptest.NewRequest(method, "/auth/healthz", nil))
		body := w.Body.String()
		if w.Code != status || !strings.Contains(body, part) || w.Header().Get("Cache-Control") != "no-store" {
			s.t.Errorf("%s: %s: got %d %s and header %v, want %d with %s", what, method, w.Code, body, w.Header(), status, part)
		}
		if strings.Contains(body, testAppID) || strings.Contains(body, "127.0.0.1") || strings.Contains(body, "secret") {
			s.t.Errorf("%s: got %s, want no word about apps, hosts and secrets", what, body)
		}
	}
}

func TestHealthOfWeChat(t *testing.T) {
	t.Parallel()
	s := newTestSite(t)
	s.healthz("at first", 200, `{"status":"ok"}`)
	s.login()
	s.healthz("after a login", 200, `{"status":"ok"}`)
	s.do("POST", "/auth/login", "", `{"code":"a-wrong-code-0123456789"}`)
	s.healthz("after a wrong code", 200, `{"status":"ok"}`)
	for code, why := range map[int]string{
		40164: "WeChat refuses the configuration", 45011: "WeChat's quota", -1: "WeChat does not answer",
	} {
		s.fake.Fail(wechattest.Login, 2, wechattest.ErrCode(code)) // -1 is tried again
		s.do("POST", "/auth/login", "", `{"code":"`+s.fake.LoginCode(s.fake.NewUser(testAppID))+`"}`)
		s.healthz(why, 200, `{"status":"degraded","why":["`+why)
		s.fake.ClearFaults()
		s.login()
		s.healthz("healed", 200, `{"status":"ok"}`)
	}
}

// The app may log in, and may not ask for phones: logins that work do not hide it.
func TestHealthOfOneCallOfMany(t *testing.T) {
	t.Parallel()
	s := newTestSite(t)
	u := s.fake.NewUser(testAppID)
	phone := func() { s.do("POST", "/auth/phone", s.login(), `{"code":"`+s.fake.PhoneCode(u, "13800138000")+`"}`) }
	s.fake.Fail(wechattest.Phone, 1, wechattest.ErrCode(48001))
	phone()
	s.login()
	s.healthz("phones fail", 200, "WeChat refuses the configuration")
	phone() // another user's code: WeChat's answer is about the user
	s.healthz("phones work", 200, `{"status":"ok"}`)
}

// A hook that gives no answer keeps everybody out: load balancers and operators see it.
func TestHealthOfTheHook(t *testing.T) {
	t.Parallel()
	for allow, why := range map[bool]string{false: "the hook fails: logins and refreshes", true: "the hook fails: users are let in"} {
		now := time.Now()
		var hook *Hook
		s := newTestSite(t, func(_ *Config, d *Deps) {
			hook = NewHook(HookConfig{URL: "http://127.0.0.1:1", Secret: strings.Repeat("s", 32), Timeout: time.Second, AllowOnError: allow}, d.Logger)
			hook.outage.now = func() time.Time { return now }
			d.Hook = hook
		})
		s.healthz("before a login", 200, `{"status":"ok"}`)
		s.do("POST", "/auth/login", "", `{"code":"`+s.fake.LoginCode(s.fake.NewUser(testAppID))+`"}`)
		s.healthz("a hook that is away", 200, `{"status":"degraded","why":["`+why)
		w := httptest.NewRecorder()
		NewOperations([]*Site{s.Site}).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/status", nil))
		if body := w.Body.String(); !strings.Contains(body, `"status":"degraded","why":["`+why) {
			t.Errorf("status: got %s, want degraded and %q", body, why)
		}
		now = now.Add(2 * time.Minute)
		s.healthz("a while after the last question", 200, `{"status":"ok"}`)
	}
}

// brokenStore fails at all, or is silent about revocations.
type brokenStore struct {
	session.Store

	broken atomic.Bool
	full   atomic.Bool // reads, and does not write
}

func (s *brokenStore) Login(ctx context.Context, l session.Login) ([]session.Revocation, error) {
	if s.full.Load() {
		return nil, session.ErrUnavailable
	}
	return s.Store.Login(ctx, l)
}

func (s *brokenStore) Account(ctx context.Context, user session.Tag) (session.Account, error) {
	if s.broken.Load() {
		return session.Account{}, session.ErrUnavailable
	}
	return s.Store.Account(ctx, user)
}

func TestHealthOfTheStore(t *testing.T) {
	t.Parallel()
	store := &brokenStore{Store: memstore.New(64 << 20)}
	s := newTestSite(t, func(_ *Config, d *Deps) { d.Store = newTestStore(t, store) })
	s.login()
	store.broken.Store(true)
	s.do("POST", "/auth/login", "", `{"code":"`+s.fake.LoginCode(s.fake.NewUser(testAppID))+`"}`)
	s.healthz("a store that fails", 200, `{"status":"degraded","why":["the session store fails`)
	store.broken.Store(false)
	s.login()
	s.healthz("a store that works again", 200, `{"status":"ok"}`)
	s.tokens.stale = -time.Second
	s.healthz("a store that was silent for longer than stale", 503, `{"status":"unavailable","why":["the session store`)
}

// A store whose disk is full reads at each login, before it fails to write: it does not work in between.
func TestHealthOfAStoreThatOnlyReads(t *testing.T) {
	t.Parallel()
	store := &brokenStore{Store: memstore.New(64 << 20)}
	s := newTestSite(t, func(_ *Config, d *Deps) { d.Store = newTestStore(t, store) })
	token := s.login()
	ask := func() (status string, failing []string) {
		operations := NewOperations([]*Site{s.Site})
		w := httptest.NewRecorder()
		operations.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/status", nil))
		return w.Body.String(), operations.Failing(t.Context())
	}
	store.full.Store(true)
	s.do("POST", "/auth/login", "", `{"code":"`+s.fake.LoginCode(s.fake.NewUser(testAppID))+`"}`)
	s.do("GET", "/auth/profile", token, "")
	s.healthz("a full disk", 200, `{"status":"degraded","why":["the session store fails`)
	if status, failing := ask(); !strings.Contains(status, `"up":false`) || !strings.Contains(status, "the store fails when it is written") || len(failing) != 1 {
		t.Errorf("got %s and failing %q, want a store that is not up, and named by the doctor", status, failing)
	}
	store.full.Store(false)
	s.login()
	s.healthz("with room again", 200, `{"status":"ok"}`)
	if status, failing := ask(); !strings.Contains(status, `"up":true`) || len(failing) != 0 {
		t.Errorf("with room again: got %s and failing %q, want a store that is up", status, failing)
	}
}

// Keys that could not be read so far sign nothing and verify nothing.
func TestHealthWithoutKeys(t *testing.T) {
	t.Parallel()
	store := newTestStore(t, memstore.New(64<<20))
	keys := NewKeyring(KeyringConfig{Algorithm: "ES256", Issuer: "wechat_auth", Rotate: time.Hour, TTL: time.Hour}, store)
	keys.once.Do(func() {}) // a start that has read none
	s := newTestSite(t, func(c *Config, d *Deps) { c.Token.Algorithm, d.Store, d.Keys = "ES256", store, keys })
	s.healthz("no keys", 503, `{"status":"unavailable","why":["the signing keys`)
}

// A token is counted as remembered from its second sight on; one that is refused is not counted.
func TestVerificationsAreCounted(t *testing.T) {
	t.Parallel()
	s := newTestSite(t)
	token := s.login()
	for range 3 {
		s.get(token)
	}
	s.get(token + "x")
	if v := s.deps.Verifications; v.Verified.Load() != 1 || v.Remembered.Load() != 2 {
		t.Errorf("got %d verified and %d remembered, want 1 and 2", v.Verified.Load(), v.Remembered.Load())
	}
}
