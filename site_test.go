// A site for tests: a provisioned handler between a client and an upstream.

package wechatauth_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-wechat/wechatauth"
	"github.com/caddy-wechat/wechatauth/wechat/wechattest"
)

const testSecret = "0123456789abcdef0123456789abcdef"

// sites counts the mini programs of the tests: handlers of the same app share users and limits.
var sites atomic.Int64

// site is a provisioned handler between a client and an upstream that records what reaches it, with
// the fake WeChat behind it.
type site struct {
	t       *testing.T
	appID   string
	fake    *wechattest.Server
	api     string
	handler *wechatauth.Handler
	url     string

	ahead  atomic.Int64 // how far the handler's clock is ahead
	broken atomic.Bool  // the clock panics

	mu       sync.Mutex
	upstream []*http.Request
}

// newSite provisions a handler with the given further lines of Caddyfile.
func newSite(t *testing.T, lines ...string) *site {
	t.Helper()
	s := &site{t: t, appID: fmt.Sprintf("wx%016x", sites.Add(1))}
	s.fake = wechattest.New(wechattest.App{ID: s.appID, Secret: testSecret, OpenPlatform: true})
	s.api = s.fake.Start(t)
	s.start(lines)
	return s
}

// sibling provisions another handler for the same mini program, with further lines of its own.
func sibling(t *testing.T, of *site, lines ...string) *site {
	t.Helper()
	s := &site{t: t, appID: of.appID, fake: of.fake, api: of.api}
	s.start(lines)
	return s
}

// start provisions the handler and serves it.
func (s *site) start(lines []string, change ...func(*wechatauth.Handler)) {
	s.t.Helper()
	lines = append([]string{"app " + s.appID + " " + testSecret, "api " + s.api}, lines...)
	if !slices.ContainsFunc(lines, func(line string) bool { return strings.HasPrefix(line, "store ") }) {
		lines = append(lines, "store memory")
	}
	change = append(change, func(h *wechatauth.Handler) { h.SetNow(s.now) })
	s.handler = provision(s.t, "wechat_auth {\n"+strings.Join(lines, "\n")+"\n}", change...)
	server := httptest.NewServer(http.HandlerFunc(s.serve))
	s.t.Cleanup(server.Close)
	s.url = server.URL
}

// now is the handler's clock.
func (s *site) now() time.Time {
	if s.broken.Load() {
		panic("13800138000")
	}
	return time.Now().Add(time.Duration(s.ahead.Load()))
}

// provision parses a directive and provisions it until the test ends.
func provision(t *testing.T, directive string, change ...func(*wechatauth.Handler)) *wechatauth.Handler {
	t.Helper()
	h := new(wechatauth.Handler)
	if err := h.UnmarshalCaddyfile(caddyfile.NewTestDispenser(directive)); err != nil {
		t.Fatalf("parsing %s: %v", directive, err)
	}
	for _, f := range change {
		f(h)
	}
	ctx := newContext(t)
	t.Cleanup(func() {
		if err := h.Cleanup(); err != nil {
			t.Errorf("Cleanup: %v", err)
		}
	})
	if err := h.Provision(ctx); err != nil {
		t.Fatalf("provisioning %s: %v", directive, err)
	}
	return h
}

// provisioning guards Caddy's setting up of a context, which is made for one configuration at a
// time.
var provisioning sync.Mutex

// newContext returns the context of an empty configuration.
func newContext(t testing.TB) caddy.Context {
	t.Helper()
	provisioning.Lock()
	defer provisioning.Unlock()
	ctx, err := caddy.ProvisionContext(&caddy.Config{Admin: &caddy.AdminConfig{Disabled: true}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := caddy.NewContext(ctx)
	t.Cleanup(cancel)
	return ctx
}

func (s *site) serve(w http.ResponseWriter, r *http.Request) {
	r = caddyhttp.PrepareRequest(r, caddy.NewReplacer(), w, &caddyhttp.Server{})
	next := caddyhttp.HandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.upstream = append(s.upstream, r)
		_, err := io.WriteString(w, "upstream")
		return err
	})
	if err := s.handler.ServeHTTP(w, r, next); err != nil {
		s.t.Errorf("handler error for %s %s: %v", r.Method, r.URL, err)
	}
}

// advance moves the clocks of the handler and of WeChat.
func (s *site) advance(d time.Duration) {
	s.ahead.Add(int64(d))
	s.fake.Advance(d)
}

// reached returns the requests that reached the upstream.
func (s *site) reached() []*http.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]*http.Request(nil), s.upstream...)
}

// last returns the latest request that reached the upstream.
func (s *site) last() *http.Request {
	s.t.Helper()
	all := s.reached()
	if len(all) == 0 {
		s.t.Fatal("no request reached the upstream")
	}
	return all[len(all)-1]
}

// answer is an HTTP answer, read.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// field returns a field of the JSON answer by its path of names, nil if it is not there.
func (a answer) field(path ...string) any {
	var value any
	if err := json.Unmarshal(a.body, &value); err != nil {
		return nil
	}
	for _, name := range path {
		object, _ := value.(map[string]any)
		value = object[name]
	}
	return value
}

func (a answer) text(path ...string) string {
	text, _ := a.field(path...).(string)
	return text
}

func (s *site) do(method, path, token, body string, header ...string) answer {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i+1 < len(header); i += 2 {
		if header[i] == "Content-Type" {
			req.Header.Del(header[i])
		}
		req.Header.Add(header[i], header[i+1])
	}
	return send(s.t, http.DefaultClient, req)
}

func send(t *testing.T, client *http.Client, req *http.Request) answer {
	t.Helper()
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, data}
}

func (s *site) login(fields ...string) answer {
	s.t.Helper()
	return s.do("POST", "/auth/login", "", object(fields...))
}

// token logs a user in and returns the access token.
func (s *site) token(u *wechattest.User) string {
	s.t.Helper()
	a := s.login("code", s.fake.LoginCode(u))
	want(s.t, a, 200, "")
	return a.text("access_token")
}

// object writes names and values as a JSON object.
func object(fields ...string) string {
	m := map[string]string{}
	for i := 0; i+1 < len(fields); i += 2 {
		m[fields[i]] = fields[i+1]
	}
	text, _ := json.Marshal(m)
	return string(text)
}

// want checks status and error code of an answer.
func want(t *testing.T, a answer, status int, code string) {
	t.Helper()
	if got := a.text("error"); a.status != status || got != code {
		t.Fatalf("got %d %q, want %d %q: %s", a.status, got, status, code, a.body)
	}
	if a.status >= 400 && a.text("error_description") == "" {
		t.Errorf("error without description: %s", a.body)
	}
}

// claims reads a token without verifying it.
func claims(t *testing.T, token string) map[string]any {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("not a token: %q", token)
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	var c map[string]any
	if err := json.Unmarshal(payload, &c); err != nil {
		t.Fatal(err)
	}
	return c
}
