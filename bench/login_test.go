// What a login takes, by store, and the handler with a fake WeChat that it goes through.

//go:build unix

package bench

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-wechat/wechatauth"
	"github.com/caddy-wechat/wechatauth/session/redisstore/redistest"
	"github.com/caddy-wechat/wechatauth/wechat/wechattest"
)

// BenchmarkLogin is a login of a user who was never seen before, by store, from the request to the answer.
// The fake WeChat answers at once, and what it takes is in the numbers.
func BenchmarkLogin(b *testing.B) {
	eachStore(b, func(b *testing.B, store string) {
		b.Helper()
		s := newShop(b, store)
		inTurns(b, func() error {
			_, err := s.login()
			return err
		})
	})
}

// eachStore runs a benchmark with each store, for one client and for 64 at once.
func eachStore(b *testing.B, run func(b *testing.B, store string)) {
	b.Helper()
	for _, store := range []string{"memory", "sqlite", "redis"} {
		for _, clients := range []int{1, 64} {
			b.Run(fmt.Sprintf("store=%s/clients=%d", store, clients), func(b *testing.B) {
				if clients > 1 {
					b.SetParallelism(max(1, clients/runtime.GOMAXPROCS(0)))
				}
				run(b, store)
			})
		}
	}
}

// storeConfig is a new, empty store in a configuration.
func storeConfig(tb testing.TB, store string) string {
	tb.Helper()
	switch store {
	case "sqlite":
		return fmt.Sprintf(`{"type":"sqlite","file":%q}`, filepath.Join(tb.TempDir(), "sessions.db"))
	case "redis":
		return fmt.Sprintf(`{"type":"redis","urls":[%q]}`, redistest.Start(tb).URL)
	}
	return fmt.Sprintf(`{"type":"memory","max_mib":%d}`, memoryMiB)
}

// memoryMiB has room for all logins of a long run.
const memoryMiB = 2048

// inTurns calls step as often as the benchmark wants, from all its clients.
func inTurns(b *testing.B, step func() error) {
	b.Helper()
	b.ReportAllocs()
	if strings.HasSuffix(b.Name(), "clients=1") {
		for b.Loop() {
			if err := step(); err != nil {
				b.Fatal(err)
			}
		}
		return
	}
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := step(); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

// shop is a provisioned handler with a store, and the fake WeChat that it asks.
type shop struct {
	tb      testing.TB
	fake    *wechattest.Server
	handler *wechatauth.Handler
}

const (
	shopID     = "wx00000000000005ef"
	shopSecret = "0123456789abcdef0123456789abcdef"
)

func newShop(tb testing.TB, store string) *shop {
	tb.Helper()
	s := &shop{tb: tb, fake: wechattest.New(wechattest.App{ID: shopID, Secret: shopSecret, OpenPlatform: true})}
	s.fake.KeepCalls(0)
	s.fake.KeepCodes(10_000)
	directive := fmt.Sprintf("wechat_auth {\napp %s %s\napi %s\nlimit login off\n}", shopID, shopSecret, s.fake.Start(tb))
	s.handler = new(wechatauth.Handler)
	if err := s.handler.UnmarshalCaddyfile(caddyfile.NewTestDispenser(directive)); err != nil {
		tb.Fatal(err)
	}
	s.handler.StoreRaw = json.RawMessage(storeConfig(tb, store))
	ctx, err := caddy.ProvisionContext(&caddy.Config{Admin: &caddy.AdminConfig{Disabled: true}})
	if err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := caddy.NewContext(ctx)
	tb.Cleanup(cancel)
	tb.Cleanup(func() {
		if err := s.handler.Cleanup(); err != nil {
			tb.Error(err)
		}
	})
	if err := s.handler.Provision(ctx); err != nil {
		tb.Fatal(err)
	}
	if _, err := s.login(); err != nil { // makes the key and the connections
		tb.Fatal(err)
	}
	return s
}

// login logs a new user in and returns the refresh token.
func (s *shop) login() (refresh string, err error) {
	return s.post("/auth/login", "code", s.fake.LoginCode(s.fake.NewUser(shopID)))
}

// post sends a field to a route and returns the answer's refresh token.
func (s *shop) post(route, name, value string) (refresh string, err error) {
	r := httptest.NewRequest(http.MethodPost, route, strings.NewReader(fmt.Sprintf(`{%q:%q}`, name, value)))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	r = caddyhttp.PrepareRequest(r, caddy.NewReplacer(), w, &caddyhttp.Server{})
	if err := s.handler.ServeHTTP(w, r, caddyhttp.HandlerFunc(nil)); err != nil {
		return "", err
	}
	var answer struct {
		Refresh string `json:"refresh_token"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || answer.Refresh == "" {
		return "", fmt.Errorf("%s: got %d %s", route, w.Code, w.Body)
	}
	return answer.Refresh, nil
}
