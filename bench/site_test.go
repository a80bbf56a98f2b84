// Package bench measures what a request costs. `make bench` prints it, and benchstat compares two versions.
package bench

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-wechat/wechatauth"
	"github.com/caddy-wechat/wechatauth/jwt"
	"github.com/caddy-wechat/wechatauth/session"
)

const (
	appID  = "wx0123456789abcdef"
	issuer = "wechat_auth"
)

// site is a provisioned handler, and its key, with which tokens can be made without WeChat.
type site struct {
	tb      testing.TB
	lines   string
	key     *jwt.Key
	ring    *jwt.Ring
	handler *wechatauth.Handler

	upstream caddyhttp.Handler
	passed   bool
}

// newSite provisions a handler that signs with the algorithm, with further lines of Caddyfile in its
// token block.
func newSite(tb testing.TB, alg string, token ...string) *site {
	tb.Helper()
	key, err := jwt.GenerateKey(alg)
	if err != nil {
		tb.Fatal(err)
	}
	secret, err := key.ExportPrivate()
	if err != nil {
		tb.Fatal(err)
	}
	file := filepath.Join(tb.TempDir(), "key")
	if err := os.WriteFile(file, secret, 0o600); err != nil {
		tb.Fatal(err)
	}
	ring, err := jwt.NewRing(key)
	if err != nil {
		tb.Fatal(err)
	}
	s := &site{tb: tb, key: key, ring: ring, lines: fmt.Sprintf(`wechat_auth {
		app %s 0123456789abcdef0123456789abcdef
		store memory
		public /health /assets/*
		optional GET /news/*
		token {
			algorithm %s
			key {file.%s}
			%s
		}
	}`, appID, alg, file, strings.Join(token, "\n"))}
	s.upstream = s.newUpstream()
	s.start()
	tb.Cleanup(s.stop)
	return s
}

func (s *site) start() {
	s.tb.Helper()
	s.handler = new(wechatauth.Handler)
	if err := s.handler.UnmarshalCaddyfile(caddyfile.NewTestDispenser(s.lines)); err != nil {
		s.tb.Fatal(err)
	}
	ctx, err := caddy.ProvisionContext(&caddy.Config{Admin: &caddy.AdminConfig{Disabled: true}})
	if err != nil {
		s.tb.Fatal(err)
	}
	ctx, cancel := caddy.NewContext(ctx)
	s.tb.Cleanup(cancel)
	if err := s.handler.Provision(ctx); err != nil {
		s.tb.Fatal(err)
	}
}

func (s *site) stop() {
	if err := s.handler.Cleanup(); err != nil {
		s.tb.Error(err)
	}
}

// issuer makes tokens as the handler does.
func (s *site) issuer() *jwt.Issuer {
	return &jwt.Issuer{Ring: s.ring, Name: issuer, TTL: time.Hour}
}

// user returns the claims of a user who gave a phone number, of an app that is bound to an Open Platform.
func user(tb testing.TB) jwt.Claims {
	tb.Helper()
	id := session.UserID{AppID: appID, OpenID: "oGZUI0egBJY1zhBYw2KhdUfwVJJE"}
	made, _ := session.New(id, session.Site{}, time.Now())
	return jwt.Claims{
		AppID: id.AppID, OpenID: id.OpenID, SID: string(made.SID), UnionID: "o6_bmasdasdsad6_2sgVt7hMZOPfL",
		Phone: "13800138000", PhoneNumber: "+8613800138000", PhoneNumberVerified: true,
	}
}

func (s *site) token() string {
	s.tb.Helper()
	token, _, err := s.issuer().Issue(user(s.tb))
	if err != nil {
		s.tb.Fatal(err)
	}
	return token
}

// request returns a request as Caddy hands it to the handler, with so many headers besides the token's.
func request(token string, headers int) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/api/orders?page=2", nil)
	r.Header.Set("Authorization", "Bearer "+token)
	for i := range headers {
		name := fmt.Sprintf("X-Header-%d", i)
		if i < len(commonHeaders) {
			name = commonHeaders[i]
		}
		r.Header.Set(name, "some value")
	}
	return caddyhttp.PrepareRequest(r, caddy.NewReplacer(), httptest.NewRecorder(), &caddyhttp.Server{})
}

var commonHeaders = []string{
	"Accept", "Accept-Encoding", "Content-Type", "Referer", "User-Agent",
	"Accept-Language", "Cache-Control", "Sec-Fetch-Dest", "Sec-Fetch-Mode", "Sec-Fetch-Site",
}

// guard sends a request through the handler, which must let it pass.
func (s *site) guard(r *http.Request, w http.ResponseWriter) {
	s.passed = false
	if err := s.handler.ServeHTTP(w, r, s.upstream); err != nil || !s.passed {
		s.tb.Fatalf("the request did not pass: %v", err)
	}
}

// newUpstream returns what stands behind the guard. It takes the headers that the guard has set away
// again, so that the next round starts as the first did.
func (s *site) newUpstream() caddyhttp.HandlerFunc {
	return func(_ http.ResponseWriter, r *http.Request) error {
		s.passed = true
		for _, name := range []string{"X-Wx-Openid", "X-Wx-Appid", "X-Wx-Source", "X-Wx-Unionid", "X-Wx-Phone"} {
			delete(r.Header, name)
		}
		return nil
	}
}
