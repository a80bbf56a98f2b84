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

// brokenStore fails at all, or is silent about revocations.
type brokenStore struct {
	session.Store

	broken atomic.Bool
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
