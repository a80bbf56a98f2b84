// The operator's operations.

package sidecar

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/session"
	"github.com/caddy-wechat/wechatauth/session/memstore"
	"github.com/caddy-wechat/wechatauth/wechat/wechattest"
)

// operate asks as the operator and returns the status and the answer.
func (s *testSite) operate(method, path, body string) (int, map[string]any) {
	s.t.Helper()
	w := httptest.NewRecorder()
	NewOperations([]*Site{s.Site}).ServeHTTP(w, httptest.NewRequest(method, "/"+path, strings.NewReader(body)))
	var answer map[string]any
	_ = json.Unmarshal(w.Body.Bytes(), &answer)
	return w.Code, answer
}

func (s *testSite) wantOperation(method, path, body string, status int, code string) map[string]any {
	s.t.Helper()
	got, answer := s.operate(method, path, body)
	if text, _ := answer["error"].(string); got != status || text != code {
		s.t.Fatalf("%s %s: got %d %v, want %d %s", method, path, got, answer, status, code)
	}
	return answer
}

// loginAs returns the answer to a login.
func (s *testSite) loginAs(u *wechattest.User) (int, map[string]any) {
	s.t.Helper()
	return s.do("POST", "/auth/login", "", `{"code":"`+s.fake.LoginCode(u)+`","phone_code":"`+s.fake.PhoneCode(u, "13800138000")+`"}`)
}

func text(v any, path ...string) string {
	for _, name := range path {
		m, _ := v.(map[string]any)
		v = m[name]
	}
	s, _ := v.(string)
	return s
}

// Threats: C36.
func TestBan(t *testing.T) {
	t.Parallel()
	s := newTestSite(t)
	alice := s.fake.NewUser(testAppID)
	_, login := s.loginAs(alice)
	user := "users/-/" + alice.OpenID
	s.want("before", text(login, "access_token"), alice.OpenID)

	until := time.Now().Add(time.Hour).Format(time.RFC3339)
	s.wantOperation("PUT", user+"/ban", `{"reason":"spam","until":"`+until+`"}`, 204, "")
	s.want("a banned user's token", text(login, "access_token"), "401 session_revoked")
	if status, answer := s.do("POST", "/auth/refresh", "", `{"refresh_token":"`+text(login, "refresh_token")+`"}`); status != 401 {
		t.Errorf("refresh: got %d %v, want 401", status, answer)
	}
	if status, answer := s.loginAs(alice); status != 403 || text(answer, "error") != "denied" || text(answer, "error_description") != "spam" {
		t.Errorf("login: got %d %v, want 403 denied and the reason", status, answer)
	}
	if shown := s.wantOperation("GET", user, "", 200, ""); text(shown, "user", "ban", "reason") != "spam" {
		t.Errorf("got %v, want the ban", shown)
	}
	s.wantOperation("DELETE", user+"/ban", "", 204, "")
	if status, answer := s.loginAs(alice); status != 200 {
		t.Errorf("login after unban: got %d %v, want 200", status, answer)
	}
}

// Erasing keeps the ban and nothing else: the user must not come back by asking to be erased.
func TestEraseKeepsTheBan(t *testing.T) {
	t.Parallel()
	s := newTestSite(t)
	alice := s.fake.NewUser(testAppID)
	_, login := s.loginAs(alice)
	user := "users/" + testAppID + "/" + alice.OpenID
	s.wantOperation("PUT", user+"/ban", "", 204, "")
	s.wantOperation("DELETE", user, "", 204, "")
	s.wantOperation("DELETE", user, "", 404, "not_found")
	if shown := s.wantOperation("GET", user+"/export", "", 200, ""); shown["phone"] != nil || shown["first_seen"] != nil {
		t.Errorf("after erase: got %v, want the ban alone", shown)
	}
	s.want("an erased user's token", text(login, "access_token"), "401 session_revoked")
	if status, _ := s.loginAs(alice); status != 403 {
		t.Errorf("login: got %d, want 403", status)
	}
	s.wantOperation("DELETE", user+"/ban", "", 204, "")
	s.wantOperation("GET", user, "", 404, "not_found")
}

func TestLogoutByTheOperator(t *testing.T) {
	t.Parallel()
	s := newTestSite(t)
	alice := s.fake.NewUser(testAppID)
	_, first := s.loginAs(alice)
	_, second := s.loginAs(alice)
	user := "users/-/" + alice.OpenID
	shown := s.wantOperation("GET", user, "", 200, "")
	sessions, _ := shown["sessions"].([]any)
	if len(sessions) != 2 {
		t.Fatalf("got %v, want two sessions", shown)
	}
	bob := s.fake.NewUser(testAppID)
	s.loginAs(bob)
	others, _ := s.wantOperation("GET", "users/-/"+bob.OpenID, "", 200, "")["sessions"].([]any)
	s.wantOperation("POST", user+"/logout", `{"sid":"`+text(others[0], "sid")+`"}`, 404, "not_found")
	s.wantOperation("POST", user+"/logout", `{"sid":""}`, 400, "invalid_request")
	s.wantOperation("POST", user+"/logout", `{"sdi":"x"}`, 400, "invalid_request")
	s.wantOperation("POST", user+"/logout", `{"sid":"`+text(sessions[0], "sid")+`"}`, 204, "")
	s.want("the session named", text(first, "access_token"), "401 session_revoked")
	s.want("the other", text(second, "access_token"), alice.OpenID)
	s.wantOperation("POST", user+"/logout", "", 204, "")
	s.want("after all", text(second, "access_token"), "401 session_revoked")
}

func TestUsersByPage(t *testing.T) {
	t.Parallel()
	s := newTestSite(t)
	seen := map[string]bool{}
	for range 5 {
		u := s.fake.NewUser(testAppID)
		seen[u.OpenID] = false
		s.loginAs(u)
	}
	path := "users?limit=2"
	for pages := 0; path != ""; pages++ {
		if pages > 5 {
			t.Fatal("the pages do not end")
		}
		page := s.wantOperation("GET", path, "", 200, "")
		users, _ := page["users"].([]any)
		for _, u := range users {
			seen[text(u, "openid")] = true
			if got := text(u, "phone"); got != "138****8000" {
				t.Errorf("got phone %s, want it masked", got)
			}
		}
		if path = ""; text(page, "next") != "" {
			path = "users?limit=2&after=" + text(page, "next")
		}
	}
	for openID, listed := range seen {
		if !listed {
			t.Errorf("%s is on no page", openID)
		}
		page := s.wantOperation("GET", "users?phones=full&openid="+openID, "", 200, "")
		if users, _ := page["users"].([]any); len(users) != 1 || text(users[0], "phone") != "13800138000" {
			t.Errorf("by openid: got %v", page)
		}
	}
	page := s.wantOperation("GET", "users?phone=13800138000", "", 200, "")
	if users, _ := page["users"].([]any); len(users) != len(seen) {
		t.Errorf("by phone: got %v, want all", page)
	}
	if page := s.wantOperation("GET", "users?phone=13900139000", "", 200, ""); page["users"] == nil {
		t.Errorf("nobody: got %v, want an empty list", page)
	}
}

func TestExportHasEverythingButSecrets(t *testing.T) {
	t.Parallel()
	s := newTestSite(t, func(c *Config, _ *Deps) { c.EncryptedData = true })
	alice := s.fake.NewUser(testAppID)
	_, login := s.loginAs(alice)
	status, edited := s.do("POST", "/auth/profile", text(login, "access_token"), `{"nickname":"Alice"}`)
	if status != 200 {
		t.Fatalf("got %d %v", status, edited)
	}
	all := s.wantOperation("GET", "users/-/"+alice.OpenID+"/export", "", 200, "")
	for name, want := range map[string]string{
		"appid": testAppID, "openid": alice.OpenID, "phone": "13800138000", "phone_number": "+8613800138000", "nickname": "Alice",
	} {
		if got := text(all, name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	if sessions, _ := all["sessions"].([]any); len(sessions) != 1 || all["key_since"] == nil {
		t.Errorf("got %v, want a session and the time of the session_key", all)
	}
	for _, name := range []string{"key", "previous_key"} {
		if all[name] != nil {
			t.Errorf("%s is there", name)
		}
	}
}

func TestOperationsRefuse(t *testing.T) {
	t.Parallel()
	s := newTestSite(t)
	alice := s.fake.NewUser(testAppID)
	s.loginAs(alice)
	user := "users/-/" + alice.OpenID
	for _, row := range []struct {
		method, path, body string
		status             int
		code               string
	}{
		{"GET", "", "", 404, "not_found"},
		{"GET", "user", "", 404, "not_found"},
		{"GET", user + "/x", "", 404, "not_found"},
		{"GET", user + "/ban/x", "", 404, "not_found"},
		{"GET", user + "/ban", "", 405, "method_not_allowed"},
		{"DELETE", "users", "", 405, "method_not_allowed"},
		{"GET", "users/-", "", 404, "not_found"},
		{"GET", "users/-/nobody", "", 404, "not_found"},
		{"GET", "users/-/", "", 404, "not_found"},
		{"GET", "users/wxother/" + alice.OpenID, "", 404, "not_found"},
		{"PUT", "users/-/nobody/ban", "", 404, "not_found"},
		{"DELETE", "users/-/nobody", "", 404, "not_found"},
		{"GET", "users?phnoe=1", "", 400, "invalid_request"},
		{"GET", "users?phone=", "", 400, "invalid_request"},
		{"GET", "users?limit=0", "", 400, "invalid_request"},
		{"GET", "users?limit=1001", "", 400, "invalid_request"},
		{"GET", "users?after=!", "", 400, "invalid_request"},
		{"GET", "users?store=x", "", 404, "not_found"},
		{"GET", "users?phone=%zz", "", 400, "invalid_request"}, // net/url leaves it out, and lists everybody
		{"GET", "users?limit=1;phone=13900139000", "", 400, "invalid_request"},
		{"GET", "users?phones=no", "", 400, "invalid_request"},
		{"POST", "users?phone=13900139000", `{"openid":"bob"}`, 400, "invalid_request"},
		{"GET", user + "/export?phone=1", "", 400, "invalid_request"},
		{"DELETE", user + "?dry_run=1", "", 400, "invalid_request"},
		{"POST", user + "/logout?sid=1", "", 400, "invalid_request"},
		{"PUT", user + "/ban?until=2099-01-01T00:00:00Z", "", 400, "invalid_request"},
		{"PUT", user + "/ban", `{"until":"9999-12-31T23:59:59-23:59"}`, 400, "invalid_request"}, // the year 10000 is no JSON
		{"PUT", user + "/ban", `{"until":"2020-01-01T00:00:00Z"}`, 400, "invalid_request"},
		{"PUT", user + "/ban", `{"until":"tomorrow"}`, 400, "invalid_request"},
		{"PUT", user + "/ban", `{"reason":"two\nlines"}`, 400, "invalid_request"},
		{"PUT", user + "/ban", `{"from":"2099-01-01T00:00:00Z"}`, 400, "invalid_request"},
		{"PUT", user + "/ban", `[]`, 400, "invalid_request"},
	} {
		s.wantOperation(row.method, row.path, row.body, row.status, row.code)
	}
	if status, _ := s.loginAs(alice); status != 200 {
		t.Errorf("after what was refused: got %d, want 200", status)
	}
}

// Two sites on two stores: a request has to say which is meant.
func TestOperationsChooseAStore(t *testing.T) {
	t.Parallel()
	a := newTestSite(t)
	b := newTestSite(t, func(_ *Config, d *Deps) {
		d.Store = NewStoreHandle(StoreConfig{
			ID: "b store", Kind: "memory", Open: func() (session.Store, error) { return memstore.New(1 << 20), nil },
			Logger: slog.New(slog.DiscardHandler), Count: func(Counter, ...string) {},
		})
		t.Cleanup(func() { _ = d.Store.Close() })
	})
	for path, want := range map[string]int{"status": 400, "status?store=memory": 200, "status?store=memory-2": 200, "status?store=redis": 404} {
		w := httptest.NewRecorder()
		NewOperations([]*Site{a.Site, b.Site}).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/"+path, nil))
		if w.Code != want {
			t.Errorf("%s: got %d %s, want %d", path, w.Code, w.Body, want)
		}
	}
}

func TestStatus(t *testing.T) {
	t.Parallel()
	s := newTestSite(t)
	s.loginAs(s.fake.NewUser(testAppID))
	got := s.wantOperation("GET", "status", "", 200, "")
	if text(got, "status") != "ok" || got["users"] != 1.0 || got["sessions"] != 1.0 {
		t.Errorf("got %v, want ok, a user and a session", got)
	}
	apps, _ := got["apps"].([]any)
	if len(apps) != 1 || text(apps[0], "appid") != testAppID || apps[0].(map[string]any)["access_token_age"] == nil {
		t.Errorf("got %v, want the app with its token", apps)
	}
}

// A change is in the log and an event, without saying whose.
func TestOperationsAreLogged(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	events := &eventServer{}
	s := newTestSite(t, func(_ *Config, d *Deps) {
		d.Logger, d.Server = slog.New(slog.NewTextHandler(&log, nil)), events
	})
	alice := s.fake.NewUser(testAppID)
	s.loginAs(alice)
	user := "users/-/" + alice.OpenID
	for _, op := range [][3]string{
		{"POST", user + "/logout", EventLogout},
		{"PUT", user + "/ban", EventBanned},
		{"DELETE", user + "/ban", EventUnbanned},
		{"DELETE", user, EventErased},
	} {
		s.wantOperation(op[0], op[1], "", 204, "")
		if !strings.Contains(log.String(), messages[op[2]]) || events.last != op[2] {
			t.Errorf("%s: got event %s and log %s", op[2], events.last, &log)
		}
	}
	if strings.Contains(log.String(), alice.OpenID) {
		t.Errorf("the log names the user: %s", &log)
	}
}

// eventServer keeps the name of the last event.
type eventServer struct {
	plainServer

	last string
}

func (s *eventServer) Emit(event string, data map[string]any) {
	s.last = ""
	if data["by"] == "operator" {
		s.last = event
	}
}
