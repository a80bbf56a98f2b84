// What the operator sees and does of pushes.

package sidecar

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestPushesThatWait(t *testing.T) {
	t.Parallel()
	s := newPushSite(t, withService, func(cfg *Config, _ *Deps) {
		push := cfg.Push[testAppID]
		push.Forward = "/wechat/push"
		cfg.Push[testAppID] = push
	})
	t.Cleanup(s.Close)
	backend := &pushBackend{fails: func(string) error { return errBackendAway }}
	if err := s.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/auth/healthz", nil), backend); err != nil {
		t.Fatal(err)
	}
	if list := s.wantOperation("GET", "/pushes", "", 200, ""); len(list["pushes"].([]any)) != 0 {
		t.Errorf("got %v, want an empty list", list)
	}
	u := s.fake.NewUser(testAppID)
	for _, word := range []string{"first", "second"} {
		s.wantSuccess(word, s.push(s.fake.TextMessage(u, word)))
	}
	for _, list := range []map[string]any{s.wantOperation("GET", "/pushes", "", 200, ""), s.wantService("GET", "pushes", "", 200, "")} {
		pushes, _ := list["pushes"].([]any)
		if len(pushes) != 2 || text(pushes[0], "kind") != "text" || text(pushes[0], "appid") != testAppID || text(pushes[0], "base_path") != "/auth" {
			t.Fatalf("got %v, want two messages", list)
		}
	}
	list, _ := s.wantOperation("GET", "/pushes", "", 200, "")["pushes"].([]any)
	status := s.wantOperation("GET", "/status", "", 200, "")
	apps, _ := status["apps"].([]any)
	if app, _ := apps[0].(map[string]any); app["pushes_waiting"] != 2.0 || text(app, "oldest_push") == "" || text(status, "status") != "ok" {
		t.Errorf("got %v, want two that wait, and ok so far", status)
	}
	s.ahead.Store(int64(time.Hour))
	if status := s.wantOperation("GET", "/status", "", 200, ""); text(status, "status") != "degraded" {
		t.Errorf("got %v after an hour, want degraded", status)
	}
	s.ahead.Store(0)

	s.wantOperation("POST", "/pushes", `{"id":"none"}`, 404, "not_found")
	s.wantOperation("POST", "/pushes", `{}`, 404, "not_found")
	backend.set(func(b *pushBackend) { b.fails = nil })
	s.wantService("POST", "pushes", `{"id":"`+text(list[1], "id")+`"}`, 204, "")
	for end := time.Now().Add(20 * time.Second); len(backend.taken()) < 2 && time.Now().Before(end); {
		time.Sleep(10 * time.Millisecond)
	}
	if got := strings.Join(backend.taken(), " "); got != "first second" {
		t.Errorf("got %q, want both in their order", got)
	}
}
