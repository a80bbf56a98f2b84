//go:build unix

// A central token server.

package e2e_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/caddy-wechat/wechatauth/wechat/wechattest"
)

const (
	tokenPassword = "pw-5e1f7c02"
	tokenPath     = "/token-9b44d1"
)

// tokenServer is a central token server: the only one that asks WeChat.
type tokenServer struct {
	url    string // with a user
	asked  atomic.Int64
	broken atomic.Pointer[http.HandlerFunc]
}

func newTokenServer(t *testing.T, w *world) *tokenServer {
	t.Helper()
	s := new(tokenServer)
	server := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		s.asked.Add(1)
		if broken := s.broken.Load(); broken != nil {
			(*broken)(out, r)
			return
		}
		if _, password, _ := r.BasicAuth(); r.Method != http.MethodGet || password != tokenPassword || r.URL.Path != tokenPath {
			http.Error(out, "who are you?", http.StatusForbidden)
			return
		}
		url := fmt.Sprintf("%s%s?grant_type=client_credential&appid=%s&secret=%s", w.api, wechattest.Token, appID, secret)
		req, err := http.NewRequestWithContext(r.Context(), http.MethodGet, url, nil)
		if err != nil {
			t.Error(err)
			return
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Error(err)
			return
		}
		defer resp.Body.Close()
		_, _ = io.Copy(out, resp.Body)
	}))
	t.Cleanup(server.Close)
	s.url = strings.Replace(server.URL, "//", "//user:"+tokenPassword+"@", 1) + tokenPath + "?key=" + tokenPassword
	return s
}

func (s *tokenServer) option() string {
	return "app " + appID + " " + secret + " {\naccess_token " + s.url + "\n}"
}

// discreet checks that no answer names the token's source, and the log its host alone.
func (s *tokenServer) discreet(t *testing.T, n *node, answers ...answer) {
	t.Helper()
	told := ""
	for _, a := range answers {
		told += a.String() + fmt.Sprint(a.header)
	}
	host, _, _ := strings.Cut(s.url[strings.Index(s.url, "@")+1:], "/")
	for _, secret := range []string{tokenPassword, tokenPath, host, "127.0.0.1"} {
		if strings.Contains(told, secret) {
			t.Errorf("%s is in an answer", secret)
		}
	}
	for _, secret := range []string{tokenPassword, tokenPath, "user:"} {
		if strings.Contains(n.log(), secret) {
			t.Errorf("%s is in the log", secret)
		}
	}
}

// Sites that have the same app and differ in something else use one access token.
func TestSitesShareTheAccessToken(t *testing.T) {
	t.Parallel()
	for _, central := range []bool{true, false} {
		t.Run(fmt.Sprintf("central %v", central), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			server := newTokenServer(t, w)
			n, other := w.newNode().patient(), w.newNode().patient() // other is only a second site of n
			app, fetches := "app "+appID+" "+secret, func() int { return w.fake.Count(wechattest.StableToken) }
			if central {
				app, fetches = server.option(), func() int { return int(server.asked.Load()) }
			}
			n.lines = []string{app}
			config := n.global() + n.server(app) + other.server(app, "timeout 4s", "max_in_flight 10")
			n.start()
			load := func() {
				t.Helper()
				if a := n.reload(config); a.status != 200 {
					t.Fatalf("reload: got %s", a)
				}
				eventually(t, "the second site serves", func() bool { return other.get("/health", "").status == 200 })
			}
			load()
			phones := func() {
				t.Helper()
				together(20, func(i int) {
					site, alice := []client{n.client, other.client}[i%2], w.fake.NewUser(appID)
					login := site.post("/auth/login", "", "code", w.fake.LoginCode(alice))
					if a := site.post("/auth/phone", login.access(), "code", w.fake.PhoneCode(alice, "13800138000")); a.status != 200 {
						t.Errorf("phone: got %s", a)
					}
				})
			}
			phones()
			if got := fetches(); got != 1 {
				t.Errorf("the token was fetched %d times, want once", got)
			}
			for range 3 {
				load()
				phones()
			}
			if got := fetches(); got != 1 {
				t.Errorf("after reloads the token was fetched %d times, want once", got)
			}
			if central && w.fake.Count(wechattest.StableToken) > 0 {
				t.Error("WeChat was asked beside the token server, which ends the server's own token")
			}
			w.fake.RevokeTokens() // somebody has fetched another: it is asked for anew
			phones()
			if got := fetches(); got != 2 {
				t.Errorf("after the token was refused it was fetched %d times, want twice", got)
			}
			server.discreet(t, n)
		})
	}
}

func TestTokenServerFails(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	server := newTokenServer(t, w)
	n := w.start(server.option())
	alice := w.fake.NewUser(appID)
	login := n.login(alice)
	var answers []answer
	for _, tt := range []struct {
		name   string
		status int
		code   string
		broken http.HandlerFunc
	}{
		{"cut", 503, "wechat_unavailable", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }},
		{"status 500", 503, "wechat_unavailable", func(out http.ResponseWriter, _ *http.Request) { http.Error(out, "oops "+tokenPassword, 500) }},
		{"busy", 503, "wechat_unavailable", func(out http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(out, `{"errcode":-1,"errmsg":"`+tokenPassword+`"}`)
		}},
		{"redirect", 502, "wechat_bad_answer", func(out http.ResponseWriter, r *http.Request) {
			http.Redirect(out, r, w.api+"/"+tokenPassword, http.StatusFound)
		}},
		{"not JSON", 502, "wechat_bad_answer", func(out http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(out, tokenPassword) }},
		{"wrong secret there", 502, "wechat_misconfigured", func(out http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(out, `{"errcode":40125,"errmsg":"`+tokenPassword+`"}`)
		}},
	} {
		server.broken.Store(&tt.broken)
		a := n.phone(alice, login)
		if !a.is(tt.status, tt.code) || tt.status == 503 && a.header.Get("Retry-After") == "" {
			t.Errorf("%s: got %s, want %d %s", tt.name, a, tt.status, tt.code)
		}
		answers = append(answers, a)
	}
	server.broken.Store(nil)
	want(t, "a login needs no token", n.newUser(), 200, "")
	eventually(t, "it heals", func() bool { return n.phone(alice, login).status == 200 })
	server.discreet(t, n, answers...)

	gone := w.start("app " + appID + " " + secret + " {\naccess_token http://user:" + tokenPassword + "@127.0.0.1:1" + tokenPath + "\n}")
	a := gone.phone(alice, gone.login(alice))
	want(t, "nobody there", a, 503, "wechat_unavailable")
	server.discreet(t, gone, a)
}
