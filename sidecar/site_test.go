// A site for tests, on a server that is no Caddy.

package sidecar

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/jwt"
	"github.com/caddy-wechat/wechatauth/session"
	"github.com/caddy-wechat/wechatauth/session/memstore"
	"github.com/caddy-wechat/wechatauth/wechat"
	"github.com/caddy-wechat/wechatauth/wechat/wechattest"
)

const (
	testAppID  = "wx0000000000000001"
	testSecret = "0123456789abcdef0123456789abcdef"
	testKey    = "4pDrEP1sxH2rBqJSdk0wqQzvTn8mYcL7pD2sA9fK6jW3eR5tY8uI1oP4"
)

// plainServer is a server with nothing before the site.
type plainServer struct{}

func (plainServer) ClientIP(r *http.Request) string {
	host, _, _ := net.SplitHostPort(r.RemoteAddr)
	return host
}

func (plainServer) BehindTrustedProxy(*http.Request) bool  { return false }
func (plainServer) OriginalURL(*http.Request) *url.URL     { return nil }
func (plainServer) Identify(*http.Request, *jwt.Claims)    {}
func (plainServer) Emit(event string, data map[string]any) {}
func (plainServer) Internal(*http.Request) func(http.ResponseWriter, *http.Request) *http.Request {
	return func(_ http.ResponseWriter, r *http.Request) *http.Request { return r }
}

func (plainServer) Refuse(w http.ResponseWriter, _ *http.Request, e *Error) error {
	e.Write(w)
	return nil
}

func (plainServer) MatchPaths(patterns []string) (PathMatcher, error) {
	return func(r *http.Request) (bool, error) {
		return slices.ContainsFunc(patterns, func(p string) bool {
			matched, _ := path.Match(p, r.URL.Path)
			return matched
		}), nil
	}, nil
}

// testSite is a site between a client and an upstream that sees nobody but those it lets through.
type testSite struct {
	*Site
	t      testing.TB
	fake   *wechattest.Server
	cfg    Config
	deps   Deps
	ahead  *atomic.Int64 // of the site's clock
	counts map[Counter]*atomic.Int64
}

func newTestSite(t testing.TB, change ...func(*Config, *Deps)) *testSite {
	t.Helper()
	s := &testSite{t: t, ahead: new(atomic.Int64), counts: map[Counter]*atomic.Int64{}}
	for c := range InternalErrors + 1 {
		s.counts[c] = new(atomic.Int64)
	}
	s.fake = wechattest.New(wechattest.App{ID: testAppID, Secret: testSecret})
	client := wechat.Config{AppID: testAppID, Secret: testSecret, BaseURLs: []string{s.fake.Start(t)}, Timeout: 5 * time.Second, MaxInFlight: 9}
	var err error
	if client.Tokens, err = wechat.NewTokens(client); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Tokens.Close)
	app, err := NewApp(client, func() {})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = app.Close() })
	s.cfg = Config{
		BasePath: "/auth", Headers: "cloudrun", Stale: time.Minute,
		Token:   TokenConfig{Algorithm: "HS256", Issuer: "wechat_auth", TTL: time.Hour},
		Session: session.Policy{Idle: time.Hour, Lifetime: 2 * time.Hour, Grace: time.Minute, MaxPerUser: 9},
		Profile: ProfileConfig{MaxUpload: 4_000_000, UploadTime: time.Minute, Longest: 512},
	}
	log := slog.New(slog.DiscardHandler)
	s.deps = Deps{
		Apps: Apps{testAppID: app}, Store: newTestStore(t, memstore.New(64<<20)), Keys: newTestKeys(t, "HS256", testKey),
		Verified: newTestCache(t, 1<<20), Storage: newFaultyStorage(t), Machine: testMachine, Server: plainServer{}, Logger: log,
		Count: func(c Counter, _ ...string) { s.counts[c].Add(1) }, Verifications: new(Verifications),
		Now: func() time.Time { return time.Now().Add(time.Duration(s.ahead.Load())) },
	}
	return s.start(change)
}

// sibling is another site on the same shared parts.
func (s *testSite) sibling(t testing.TB, change ...func(*Config, *Deps)) *testSite {
	t.Helper()
	other := *s
	other.t = t
	return other.start(change)
}

// in is the site in another test, as in each input of a fuzz target.
func (s *testSite) in(t testing.TB) *testSite {
	t.Helper()
	other := *s
	other.t = t
	return &other
}

func (s *testSite) start(change []func(*Config, *Deps)) *testSite {
	s.t.Helper()
	for _, f := range change {
		f(&s.cfg, &s.deps)
	}
	var err error
	if s.Site, err = New(s.cfg, s.deps); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(s.Close)
	return s
}

func newTestStore(t testing.TB, store session.Store) *StoreHandle {
	t.Helper()
	handle := NewStoreHandle(StoreConfig{
		ID: "a store", Kind: "memory", Open: func() (session.Store, error) { return store, nil },
		Logger: slog.New(slog.DiscardHandler), Count: func(Counter, ...string) {},
	})
	t.Cleanup(func() { _ = handle.Close() })
	return handle
}

func newTestKeys(t testing.TB, alg, key string) *ConfiguredKeys {
	t.Helper()
	keys, err := NewKeys(alg, []byte(key))
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func newTestCache(t testing.TB, size int64) *TokenCache {
	t.Helper()
	cache, err := NewTokenCache(size, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return cache
}

// serve answers a request; who gets through is in the header Seen.
func (s *testSite) serve(w http.ResponseWriter, r *http.Request) {
	next := nextFunc(func(w http.ResponseWriter, r *http.Request) error {
		w.Header().Set("Seen", r.Header.Get("X-Wx-Openid"))
		return nil
	})
	if err := s.ServeHTTP(w, r, next); err != nil {
		s.t.Errorf("%s %s: %v", r.Method, r.URL, err)
	}
}

type nextFunc func(http.ResponseWriter, *http.Request) error

func (f nextFunc) ServeHTTP(w http.ResponseWriter, r *http.Request) error { return f(w, r) }

// do sends a request and returns its status, and the answer.
func (s *testSite) do(method, target, token, body string) (int, map[string]any) {
	s.t.Helper()
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	w := httptest.NewRecorder()
	s.serve(w, r)
	var answer map[string]any
	_ = json.Unmarshal(w.Body.Bytes(), &answer) // the upstream's is none
	return w.Code, answer
}

// get returns whom the upstream saw with a token, or the refusal.
func (s *testSite) get(token string) string {
	s.t.Helper()
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("Authorization", "Bearer "+token)
	w := httptest.NewRecorder()
	s.serve(w, r)
	if seen := w.Header().Get("Seen"); seen != "" {
		return seen
	}
	var refusal Error
	_ = json.Unmarshal(w.Body.Bytes(), &refusal)
	return fmt.Sprint(w.Code, " ", refusal.Code)
}

// want checks what comes of a request.
func (s *testSite) want(what, token, want string) {
	s.t.Helper()
	if got := s.get(token); got != want {
		s.t.Errorf("%s: got %s, want %s", what, got, want)
	}
}

// login returns the access token of a new user.
func (s *testSite) login() string {
	s.t.Helper()
	code := s.fake.LoginCode(s.fake.NewUser(testAppID))
	status, answer := s.do("POST", "/auth/login", "", `{"code":"`+code+`"}`)
	token, _ := answer["access_token"].(string)
	if status != http.StatusOK || token == "" {
		s.t.Fatalf("got %d %v", status, answer)
	}
	return token
}
