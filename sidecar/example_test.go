// An example for the documentation.

package sidecar_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"time"

	"github.com/caddy-wechat/wechatauth/jwt"
	"github.com/caddy-wechat/wechatauth/session"
	"github.com/caddy-wechat/wechatauth/session/memstore"
	"github.com/caddy-wechat/wechatauth/sidecar"
	"github.com/caddy-wechat/wechatauth/wechat"
	"github.com/caddy-wechat/wechatauth/wechat/wechattest"
)

// server is net/http alone: no trusted proxies, no other modules, no paths of the operator.
type server struct{}

func (server) ClientIP(r *http.Request) string                  { return r.RemoteAddr }
func (server) BehindTrustedProxy(*http.Request) bool            { return false }
func (server) OriginalURL(*http.Request) *url.URL               { return nil }
func (server) MatchPaths([]string) (sidecar.PathMatcher, error) { return nil, nil }
func (server) Identify(*http.Request, *jwt.Claims)              {}
func (server) Emit(string, map[string]any)                      {}
func (server) Refuse(w http.ResponseWriter, _ *http.Request, e *sidecar.Error) error {
	e.Write(w)
	return nil
}

func (server) Internal(*http.Request) func(http.ResponseWriter, *http.Request) *http.Request {
	return func(_ http.ResponseWriter, r *http.Request) *http.Request { return r }
}

type backend struct{}

func (backend) ServeHTTP(w http.ResponseWriter, r *http.Request) error {
	_, err := fmt.Fprint(w, "your openid has ", len(r.Header.Get("X-WX-OPENID")), " characters")
	return err
}

// A site in a server of one's own, before a backend, with the fake WeChat in place of the real one.
func Example() {
	const appID, secret = "wx0123456789abcdef", "s3cret"
	fake := wechattest.New(wechattest.App{ID: appID, Secret: secret})
	weChat := httptest.NewServer(fake)
	defer weChat.Close()

	cfg := wechat.Config{AppID: appID, Secret: secret, BaseURLs: []string{weChat.URL}, Timeout: 5 * time.Second, MaxInFlight: 256}
	tokens, err := wechat.NewTokens(cfg)
	must(err)
	defer tokens.Close()
	cfg.Tokens = tokens
	app, err := sidecar.NewApp(cfg, func() {})
	must(err)
	defer app.Close()

	count, log := func(sidecar.Counter, ...string) {}, slog.New(slog.DiscardHandler)
	store := sidecar.NewStoreHandle(sidecar.StoreConfig{
		ID: "memory", Kind: "memory", Volatile: true, Logger: log, Count: count,
		Open: func() (session.Store, error) { return memstore.New(64 << 20), nil },
	})
	defer store.Close()
	keys, err := sidecar.NewKeys("HS256", []byte("a secret of 32 characters or more"))
	must(err)

	site, err := sidecar.New(sidecar.Config{
		BasePath: "/auth", Headers: "cloudrun", Stale: 10 * time.Minute,
		Token:   sidecar.TokenConfig{Algorithm: "HS256", Issuer: "wechat_auth", TTL: time.Hour},
		Session: session.Policy{Idle: 720 * time.Hour, Lifetime: 4320 * time.Hour, Grace: 30 * time.Second, MaxPerUser: 20},
		Profile: sidecar.ProfileConfig{MaxUpload: 4 << 20, UploadTime: time.Minute, Longest: 512},
	}, sidecar.Deps{
		Apps: sidecar.Apps{appID: app}, Store: store, Keys: keys, Verifications: new(sidecar.Verifications), Server: server{},
		Machine: func() string { return "one" }, Count: count, Logger: log, Now: time.Now,
	})
	must(err)
	defer site.Close()

	ask := func(method, path, token, body string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(method, path, strings.NewReader(body))
		r.Header.Set("Authorization", token)
		r.Header.Set("X-WX-OPENID", "forged")
		w := httptest.NewRecorder()
		must(site.ServeHTTP(w, r, backend{}))
		return w
	}
	fmt.Println(ask("GET", "/orders", "", "").Code)

	var login struct {
		Token string `json:"access_token"`
	}
	code := fake.LoginCode(fake.NewUser(appID)) // wx.login in the mini program
	must(json.Unmarshal(ask("POST", "/auth/login", "", `{"code":"`+code+`"}`).Body.Bytes(), &login))
	fmt.Println(ask("GET", "/orders", "Bearer "+login.Token, "").Body)
	// Output:
	// 401
	// your openid has 28 characters
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}
