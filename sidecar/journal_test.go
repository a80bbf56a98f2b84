// What the log and the events say about users, and about outages.

package sidecar

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/session"
	"github.com/caddy-wechat/wechatauth/wechat/wechattest"
)

// witness keeps the log and the events of a site.
type witness struct {
	plainServer

	mu     sync.Mutex // guards what follows
	log    strings.Builder
	events []string
}

func (w *witness) Write(line []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.log.Write(line)
}

func (w *witness) Emit(event string, data map[string]any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	text, _ := json.Marshal(data)
	w.events = append(w.events, event+" "+string(text))
}

// lines returns those of the log with a text.
func (w *witness) lines(text string) (found []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for line := range strings.Lines(w.log.String()) {
		if strings.Contains(line, text) {
			found = append(found, line)
		}
	}
	return found
}

func (w *witness) watch(_ *Config, d *Deps) {
	d.Logger, d.Server = slog.New(slog.NewTextHandler(w, nil)), w
}

// hooked has a site ask a hook.
func (w *witness) hooked(t *testing.T, answer http.HandlerFunc) func(*Config, *Deps) {
	t.Helper()
	backend := httptest.NewServer(answer)
	t.Cleanup(backend.Close)
	return func(c *Config, d *Deps) {
		w.watch(c, d)
		d.Hook = NewHook(HookConfig{URL: backend.URL, Secret: testSecret, Timeout: 5 * time.Second}, d.Logger)
		t.Cleanup(func() { _ = d.Hook.Close() })
	}
}

// Each thing that happens to a user is one line and one event, and neither names the user.
// Threats: T88.
func TestJournal(t *testing.T) {
	t.Parallel()
	w, allow := &witness{}, `{"allow":true}`
	s := newTestSite(t, w.hooked(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, allow) }))
	alice := s.fake.NewUser(testAppID)
	_, login := s.loginAs(alice)
	s.do("POST", "/auth/logout", text(login, "access_token"), "")
	_, login = s.loginAs(alice)
	allow = `{"allow":false,"reason":"13800138000"}`
	s.loginAs(alice)
	s.do("POST", "/auth/refresh", "", `{"refresh_token":"`+text(login, "refresh_token")+`"}`)
	allow = `{"allow":true}`
	s.loginAs(alice)
	s.wantOperation("PUT", "users/-/"+alice.OpenID+"/ban", `{"reason":"spam"}`, 204, "")
	s.loginAs(alice)
	s.wantOperation("DELETE", "users/-/"+alice.OpenID+"/ban", "", 204, "")
	_, login = s.loginAs(alice)
	s.do("DELETE", "/auth/profile", text(login, "access_token"), "")

	var got []string
	for _, event := range w.events {
		name, _, _ := strings.Cut(event, " ")
		got = append(got, strings.TrimPrefix(name, "wechat_auth_"))
		if !strings.Contains(event, testAppID) || !strings.Contains(event, hashForLog(session.UserID{AppID: testAppID, OpenID: alice.OpenID}.Tag())) {
			t.Errorf("got %s, want the app and the user's hash", event)
		}
	}
	want := strings.Fields("phone login logout phone login phone denied denied phone login banned phone denied unbanned phone login erased")
	if !slices.Equal(got, want) {
		t.Errorf("got events %v, want %v", got, want)
	}
	if lines := len(w.lines("level=INFO")); lines != len(want) {
		t.Errorf("got %d lines, want one for each of %d events:\n%s", lines, len(want), &w.log)
	}
	for _, private := range []string{alice.OpenID, "13800138000", text(login, "refresh_token")} {
		if all := w.log.String() + fmt.Sprint(w.events); strings.Contains(all, private) {
			t.Errorf("%s is in %s", private, all)
		}
	}
}

// The operator quotes errcode and rid to WeChat's support.
func TestRefusalByWeChatIsOneLine(t *testing.T) {
	t.Parallel()
	w := &witness{}
	s := newTestSite(t, w.watch)
	s.do("POST", "/auth/login", "", `{"code":"0f3NoSuchCode0f3NoSuchCode00000"}`)
	lines := w.lines("a login is refused")
	if len(lines) != 1 || !strings.Contains(lines[0], "errcode=40029") || !strings.Contains(lines[0], "rid=") ||
		!strings.Contains(lines[0], "duration=") || strings.Contains(lines[0], "0f3NoSuch") {
		t.Errorf("got %q, want one line with errcode, rid and duration", lines)
	}
	if len(w.events) != 0 {
		t.Errorf("got events %v, want none", w.events)
	}
}

// A broken hook or WeChat does not fill the disk.
func TestOutagesOfHookAndWeChatAreOneLine(t *testing.T) {
	t.Parallel()
	w := &witness{}
	hooks := map[string]http.HandlerFunc{
		"broken": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) },
		"flawed": func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"allow":false, "reason":`) },
	}
	for name, hook := range hooks {
		s := newTestSite(t, w.hooked(t, hook))
		for range 20 {
			s.loginAs(s.fake.NewUser(testAppID))
		}
		if lines := w.lines("the hook fails"); len(lines) != 1 {
			t.Errorf("%s hook: got %q, want one line", name, lines)
		}
		w = &witness{}
	}
	s := newTestSite(t, func(c *Config, d *Deps) {
		w.watch(c, d)
		d.Apps[testAppID].log = d.Logger
	})
	for range 20 {
		s.fake.Fail(wechattest.Login, 1, wechattest.Truncate())
		s.loginAs(s.fake.NewUser(testAppID))
	}
	if lines := w.lines("WeChat fails"); len(lines) != 1 {
		t.Errorf("WeChat: got %q, want one line", lines)
	}
}

// A service that works for some and fails for others is one outage until it has settled.
func TestFlappingIsOneOutage(t *testing.T) {
	t.Parallel()
	w, now := &witness{}, time.Now()
	o := outage{what: "it", log: slog.New(slog.NewTextHandler(w, nil)), now: func() time.Time { return now }, settle: settled}
	for range 10 {
		o.failed("ask", hung{"ask"})
		o.works("ask")
		now = now.Add(time.Second)
	}
	if got := len(w.lines("")); got != 1 {
		t.Errorf("got %d lines, want one:\n%s", got, &w.log)
	}
	now = now.Add(settled)
	o.works("ask")
	if got := len(w.lines("it works again")); got != 1 {
		t.Errorf("got %d lines of its end, want one:\n%s", got, &w.log)
	}
}

// The first line of a bug report.
func TestStartIsLogged(t *testing.T) {
	t.Parallel()
	w := &witness{}
	newTestSite(t, w.watch).LogStart()
	for _, part := range []string{"version=", testAppID, "store=", "routes=/auth/*", "hook=false"} {
		if lines := w.lines(part); len(lines) != 1 {
			t.Errorf("got %q, want one line with %s", lines, part)
		}
	}
}
