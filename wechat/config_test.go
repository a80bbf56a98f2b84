// Configurations, and Close.

package wechat_test

import (
	"bytes"
	"log/slog"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-wechat/wechatauth/wechat"
)

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		change func(*wechat.Config)
		want   string // in the error
	}{
		{"no AppID", func(c *wechat.Config) { c.AppID = "" }, "AppID"},
		{"AppID placeholder", func(c *wechat.Config) { c.AppID = "{env.WECHAT_APPID}" }, "AppID"},
		{"AppID line break", func(c *wechat.Config) { c.AppID = "wx1\n" }, "AppID"},
		{"no secret", func(c *wechat.Config) { c.Secret = "" }, "AppSecret"},
		{"secret placeholder", func(c *wechat.Config) { c.Secret = "{env." + testSecret + "}" }, "AppSecret"},
		{"secret line break", func(c *wechat.Config) { c.Secret = testSecret + "\n" }, "AppSecret"},
		{"timeout", func(c *wechat.Config) { c.Timeout = -1 }, "timeout"},
		{"in flight", func(c *wechat.Config) { c.MaxInFlight = -1 }, "in flight"},
		{"no scheme", base("api.weixin.qq.com"), "base URL 1"},
		{"scheme", base("ftp://api.weixin.qq.com"), "base URL 1"},
		{"no host", base("https:///x"), "base URL 1"},
		{"port alone", base("https://:443"), "base URL 1"},
		{"empty", base(""), "base URL 1"},
		{"user", base("https://" + testSecret + "@h"), "base URL 1"},
		{"query", base("https://h/?secret=" + testSecret), "base URL 1"},
		{"empty query", base("https://h?"), "base URL 1"},
		{"fragment", base("https://h#" + testSecret), "base URL 1"},
		{"empty fragment", base("https://h#"), "base URL 1"},
		{"unreadable", base("https://h/%zz" + testSecret), "base URL 1"},
		{"the second", base("https://h", "h"), "base URL 2"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			cfg := wechat.Config{AppID: testAppID, Secret: testSecret}
			tt.change(&cfg)
			_, err := wechat.New(cfg)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("got %v, want an error about %s", err, tt.want)
			}
			checkErrorClean(t, redactScheme(err))
		})
	}
}

// redactScheme hides the "://" of an error's advice, which is no URL.
func redactScheme(err error) error {
	return textError(strings.ReplaceAll(err.Error(), "http:// or https://", "a scheme"))
}

type textError string

func (e textError) Error() string { return string(e) }

func base(urls ...string) func(*wechat.Config) {
	return func(c *wechat.Config) { c.BaseURLs = urls }
}

func TestNewAccepts(t *testing.T) {
	t.Parallel()
	for _, u := range []string{"https://h", "http://h:8080/", "https://[::1]:8443/a/b/", "http://127.0.0.1"} {
		client, err := wechat.New(wechat.Config{AppID: testAppID, Secret: testSecret, BaseURLs: []string{u}})
		if err != nil {
			t.Errorf("%s: got %v, want success", u, err)
			continue
		}
		client.Close()
	}
}

func TestCloseEndsATokenFetchAndLaterCalls(t *testing.T) {
	t.Parallel()
	// A goroutine that outlives the bubble's function fails the test by itself.
	synctest.Test(t, func(t *testing.T) {
		client := newClient(t, newFake().on(tokenPath, silence))
		failed := make(chan error)
		go func() {
			_, err := client.PhoneNumber(t.Context(), testCode, testOpenID)
			failed <- err
		}()
		synctest.Wait()

		start := time.Now()
		go client.Close()
		e := asError(t, <-failed)
		if e.Class != wechat.ClassUnavailable || e.Unwrap() != nil || e.Reason != "the client is closed" {
			t.Errorf("waiter: got %v, want unavailable, the client is closed", e)
		}
		client.Close()
		if took := time.Since(start); took != 0 {
			t.Errorf("took %v, want 0s", took)
		}
		for _, path := range []string{loginPath, phonePath} {
			if got := asError(t, callEither(t, client, path)).Class; got != wechat.ClassUnavailable {
				t.Errorf("after Close: got %v, want unavailable", got)
			}
		}
	})
}

func TestNewMakesNoCallAndNoGoroutine(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		fake := newFake()
		for range 10 {
			if _, err := wechat.New(wechat.Config{AppID: testAppID, Secret: testSecret}.WithTransport(fake)); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Hour)
		if len(fake.seen) != 0 {
			t.Errorf("got %d requests, want 0", len(fake.seen))
		}
	})
}

// Not parallel: it counts the goroutines of the whole process.
func TestCallsOverTheNetworkLeaveNothingBehind(t *testing.T) {
	before := runtime.NumGoroutine()
	for range 10 {
		server := serveUntilClosed(t)
		client := overNetwork(t, server.url)
		for range 5 {
			_, _ = client.Code2Session(t.Context(), testCode)
			_, _ = client.PhoneNumber(t.Context(), testCode, testOpenID)
		}
		client.Close()
		server.close()
	}
	for range 200 {
		if runtime.NumGoroutine() <= before {
			return
		}
		time.Sleep(10 * time.Millisecond) // the server's own goroutines see the end of a connection in their own time
	}
	t.Errorf("got %d goroutines, want %d", runtime.NumGoroutine(), before)
}

func TestARetiredAddressIsGivenUp(t *testing.T) {
	t.Parallel()
	conns := map[string]bool{}
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		conns[r.RemoteAddr] = true
		_, _ = w.Write([]byte(`{"errcode":48017}`))
	})
	client := overNetwork(t, url)
	for range 3 {
		if _, err := client.Code2Session(t.Context(), testCode); wechat.ClassOf(err) != wechat.ClassConfig {
			t.Errorf("got %v, want config", err)
		}
	}
	if len(conns) != 3 {
		t.Errorf("got %d connections, want 3: only a new one looks the name up again", len(conns))
	}
}

func TestTheLoggerIsOptional(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	for _, logger := range []*slog.Logger{nil, slog.New(slog.NewTextHandler(&log, nil))} {
		client := newClient(t, newFake(), func(cfg *wechat.Config) { cfg.Logger = logger })
		mustPhone(t, client)
	}
	if log.Len() != 0 {
		t.Errorf("got %q, want nothing to say about a good call", log.String())
	}
}
