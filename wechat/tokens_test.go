// Access tokens shared by clients, and central token servers.

package wechat_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-wechat/wechatauth/wechat"
)

// A token server's URL may carry its key wherever a URL has room.
const (
	testServerKey = "SERVERKEYserverkey"
	serverPath    = "/get"
	testTokenURL  = "https://keeper:" + testServerKey + "@tokens.internal:8443" + serverPath + "?z=1&key=" + testServerKey + "&a=%2F"
)

func newTokens(t *testing.T, transport http.RoundTripper, change ...func(*wechat.Config)) *wechat.Tokens {
	t.Helper()
	cfg := wechat.Config{AppID: testAppID, Secret: testSecret}.WithTransport(transport)
	for _, c := range change {
		c(&cfg)
	}
	tokens, err := wechat.NewTokens(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tokens.Close)
	return tokens
}

func withTokens(tokens *wechat.Tokens) func(*wechat.Config) {
	return func(cfg *wechat.Config) { cfg.Tokens = tokens }
}

func withServer(cfg *wechat.Config) { cfg.TokenURL = testTokenURL }

// Sites of the same app may differ in their limits. Their token is one.
func TestAttackStampedeThroughSeveralClientsMakesOneTokenCall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		fake := newFake().on(tokenPath, func(*http.Request) (*http.Response, error) {
			time.Sleep(time.Second)
			return reply(200, goodToken), nil
		})
		tokens := newTokens(t, fake)
		var calls sync.WaitGroup
		for i := range 5 {
			client := newClient(t, fake, withTokens(tokens), func(cfg *wechat.Config) {
				cfg.MaxInFlight, cfg.Timeout = 100+i, time.Duration(i+1)*time.Second
			})
			for range 100 {
				calls.Go(func() { mustPhone(t, client) })
			}
		}
		calls.Wait()
		if token, phone := fake.calls(tokenPath), fake.calls(phonePath); token != 1 || phone != 500 {
			t.Errorf("got %d token and %d phone calls, want 1 and 500", token, phone)
		}
	})
}

func TestOneClientsRefusedTokenIsRenewedForAll(t *testing.T) {
	t.Parallel()
	fake := newFake().on(tokenPath, tokenAnswer("T1", 7200), tokenAnswer("T2", 7200)).on(phonePath, errcode(42001, ""), text(goodPhone))
	tokens := newTokens(t, fake)
	for range 3 {
		mustPhone(t, newClient(t, fake, withTokens(tokens)))
		if got := fake.lastToken(); got != "T2" {
			t.Errorf("got token %s, want T2", got)
		}
	}
	if got := fake.calls(tokenPath); got != 2 {
		t.Errorf("got %d token calls, want 2", got)
	}
}

func TestSharedTokensAreClosedByTheirMaker(t *testing.T) {
	t.Parallel()
	fake := newFake().on(tokenPath, tokenAnswer("T1", 7200))
	fake.on(phonePath, text(goodPhone), text(goodPhone), errcode(42001, ""))
	tokens := newTokens(t, fake)
	first, second := newClient(t, fake, withTokens(tokens)), newClient(t, fake, withTokens(tokens))
	mustPhone(t, first)
	first.Close()
	mustPhone(t, second)

	tokens.Close()
	tokens.Close()
	_, err := second.PhoneNumber(t.Context(), testCode, testOpenID)
	if got := asError(t, err).Class; got != wechat.ClassUnavailable {
		t.Errorf("a new token after Close: got %v, want unavailable", got)
	}
}

func TestTokensBelongToOneApp(t *testing.T) {
	t.Parallel()
	tokens := newTokens(t, newFake(), func(cfg *wechat.Config) { cfg.AppID = "wxanother" })
	_, err := wechat.New(wechat.Config{AppID: testAppID, Secret: testSecret, Tokens: tokens})
	if err == nil || !strings.Contains(err.Error(), "another mini program") {
		t.Errorf("got %v, want an error about another mini program", err)
	}
	for _, cfg := range []wechat.Config{{}, {AppID: testAppID, Secret: testSecret, BaseURLs: []string{"h"}}} {
		if _, err := wechat.NewTokens(cfg); err == nil {
			t.Errorf("%v: got success, want an error", cfg)
		}
	}
}

func TestATokenServerIsAskedInsteadOfWeChat(t *testing.T) {
	t.Parallel()
	fake := newFake().on(serverPath, tokenAnswer("T1", 7200), tokenAnswer("T2", `"7200"`)).on(phonePath, errcode(40001, ""), text(goodPhone))
	client := newClient(t, fake, withServer)
	mustPhone(t, client)
	mustPhone(t, client)
	if got := fake.lastToken(); got != "T2" {
		t.Errorf("got token %s, want T2", got)
	}
	if server, token := fake.calls(serverPath), fake.calls(tokenPath); server != 2 || token != 0 {
		t.Errorf("got %d calls to the server, %d to WeChat, want 2 and 0", server, token)
	}

	r := fake.seen[0]
	if r.Method != http.MethodGet || r.URL.Host != "tokens.internal:8443" || r.URL.RawQuery != "z=1&key="+testServerKey+"&a=%2F" {
		t.Errorf("got %s to %s, want GET, the host, and the query as it was written", r.Method, r.URL.Host)
	}
	if name, password, _ := r.BasicAuth(); name != "keeper" || password != testServerKey || r.URL.User != nil {
		t.Error("got other credentials, want those of the URL as Basic authentication")
	}
	if len(fake.bodies[0]) != 0 || strings.Contains(fmt.Sprint(r.Header), testSecret) {
		t.Error("the token server was sent a body or the AppSecret, want neither")
	}
}

func TestATokenServerRefusesForGood(t *testing.T) {
	t.Parallel()
	fake := newFake().on(serverPath, tokenAnswer("T1", 7200)).on(phonePath, errcode(42001, ""))
	_, err := newClient(t, fake, withServer).PhoneNumber(t.Context(), testCode, testOpenID)
	if got := asError(t, err).Class; got != wechat.ClassToken {
		t.Errorf("got %v, want token", got)
	}
	if server, phone := fake.calls(serverPath), fake.calls(phonePath); server != 2 || phone != 2 {
		t.Errorf("got %d token and %d phone calls, want 2 and 2", server, phone)
	}
}

func TestATokenServersFailures(t *testing.T) {
	t.Parallel()
	leak := "LEAK " + testTokenURL
	status := func(code int, body string) answerFunc {
		return func(*http.Request) (*http.Response, error) {
			r := reply(code, body)
			r.Header.Set("Location", leak)
			return r, nil
		}
	}
	tests := []struct {
		name   string
		answer answerFunc
		class  wechat.Class
		code   int
		reason string // a part of it
	}{
		{"errcode", errcode(40125, leak), wechat.ClassConfig, 40125, "AppSecret"},
		{"errcode with a status", status(500, `{"errcode":45009}`), wechat.ClassQuota, 45009, "today"},
		{"an errcode of its own", errcode(7, leak), wechat.ClassConfig, 7, ""},
		{"token errcode", errcode(40001, ""), wechat.ClassConfig, 40001, ""},
		{"busy", errcode(-1, leak), wechat.ClassBusy, -1, ""},
		{"unauthorized", status(401, leak), wechat.ClassConfig, 0, "status 401"},
		{"not found", status(404, "<html>"+leak), wechat.ClassConfig, 0, "status 404"},
		{"a token with a status", status(403, goodToken), wechat.ClassConfig, 0, "status 403"},
		{"broken", status(502, leak), wechat.ClassUnavailable, 0, "status 502"},
		{"too many", status(429, ""), wechat.ClassUnavailable, 0, "status 429"},
		{"redirect", status(302, leak), wechat.ClassBadAnswer, 0, "redirect"},
		{"text", text(leak), wechat.ClassBadAnswer, 0, "JSON"},
		{"empty", text(""), wechat.ClassBadAnswer, 0, "empty"},
		{"large", text(`{"access_token":"` + strings.Repeat("x", 1<<20)), wechat.ClassBadAnswer, 0, "1 MiB"},
		{"no token", text(`{"expires_in":7200}`), wechat.ClassBadAnswer, 0, "access_token"},
		{"long token", tokenAnswer(strings.Repeat("x", 2049), 7200), wechat.ClassBadAnswer, 0, "access_token"},
		{"no life", text(`{"access_token":"T"}`), wechat.ClassBadAnswer, 0, "expires_in"},
		{"past its life", tokenAnswer("T", 0), wechat.ClassBadAnswer, 0, "expires_in"},
		{"for ever", tokenAnswer("T", 1e9), wechat.ClassBadAnswer, 0, "expires_in"},
		{"away", failure(textError(leak)), wechat.ClassUnavailable, 0, "(tokens.internal:8443)"},
		{"silence", silence, wechat.ClassUnavailable, 0, "timeout"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				client := newClient(t, newFake().on(serverPath, tt.answer), withServer, func(cfg *wechat.Config) {
					cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
				})
				_, err := client.PhoneNumber(t.Context(), testCode, testOpenID)
				e := asError(t, err)
				if e.Op != wechat.OpTokenServer || e.Class != tt.class || e.Code != tt.code || !strings.Contains(e.Reason, tt.reason) {
					t.Errorf("got %v %v, want token_server, %v, errcode %d, %s", e.Class, e, tt.class, tt.code, tt.reason)
				}
				checkErrorClean(t, err)
				checkClean(t, "log", log.String())
			})
		})
	}
}

// The central server as operators run it, over the network: one token for all who ask, the same
// until its end.
func TestATokenServerOverTheNetwork(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if name, key, _ := r.BasicAuth(); name != "keeper" || key != testServerKey {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"access_token": testToken, "expires_in": 7200})
	}))
	defer server.Close()
	api := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("access_token") != testToken {
			t.Error("the phone call came without the server's token")
		}
		_, _ = w.Write([]byte(goodPhone))
	})

	tokenURL := strings.Replace(server.URL, "://", "://keeper:"+testServerKey+"@", 1)
	client := newClient(t, nil, func(cfg *wechat.Config) { cfg.BaseURLs, cfg.TokenURL = []string{api}, tokenURL })
	mustPhone(t, client)

	wrong := newClient(t, nil, func(cfg *wechat.Config) { cfg.BaseURLs, cfg.TokenURL = []string{api}, server.URL })
	_, err := wrong.PhoneNumber(t.Context(), testCode, testOpenID)
	if e := asError(t, err); e.Class != wechat.ClassConfig || !strings.Contains(e.Reason, "401") {
		t.Errorf("without the key: got %v, want config, 401", err)
	}
	checkErrorClean(t, err)
}

func TestNewRefusesATokenURL(t *testing.T) {
	t.Parallel()
	for _, u := range []string{
		"stable", "tokens.internal/get?key=" + testServerKey, "ftp://h", "https://", "https://:443/", "https:///get", "https://h/#" + testServerKey,
		"https://h/%zz" + testServerKey, "https://h/?key={env." + testServerKey + "}", "https://u:" + testServerKey + "@h:port/", "https://h\n/" + testServerKey,
	} {
		for name, build := range map[string]func(wechat.Config) error{
			"New":       func(cfg wechat.Config) error { _, err := wechat.New(cfg); return err },
			"NewTokens": func(cfg wechat.Config) error { _, err := wechat.NewTokens(cfg); return err },
		} {
			err := build(wechat.Config{AppID: testAppID, Secret: testSecret, TokenURL: u})
			if err == nil || !strings.Contains(err.Error(), "token URL") {
				t.Errorf("%s: got %v, want an error about the token URL", name, err)
				continue
			}
			checkErrorClean(t, redactScheme(err))
		}
	}
}
