// The backend's door to the operations.

package sidecar

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/session"
)

const testServiceSecret = "b7d1c04f9e6a4852a3f0e1d2c3b4a596"

func withService(cfg *Config, deps *Deps) {
	cfg.Service.Secret = testServiceSecret
	deps.Limits.Service = NewLimiter(MaxWrongSecrets, time.Minute, func() {})
}

// wantService asks as the backend.
func (s *testSite) wantService(method, path, body string, status int, code string) map[string]any {
	s.t.Helper()
	got, answer := s.do(method, "/auth/service/"+path, testServiceSecret, body)
	if e := text(answer, "error"); got != status || e != code {
		s.t.Errorf("%s %s: got %d %v, want %d %s", method, path, got, answer, status, code)
	}
	return answer
}

// The operations are those of the admin API, but for what belongs on the machine.
func TestServiceOperations(t *testing.T) {
	t.Parallel()
	s := newTestSite(t, withService)
	alice := s.fake.NewUser(testAppID)
	_, login := s.loginAs(alice)
	user := "users/-/" + alice.OpenID
	if status := s.wantService("GET", "status", "", 200, ""); text(status, "status") != "ok" || status["users"] != nil {
		t.Errorf("status: got %v, want ok, without the numbers of the whole store", status)
	}
	if shown := s.wantService("GET", user, "", 200, ""); text(shown, "user", "openid") != alice.OpenID {
		t.Errorf("show: got %v, want the user", shown)
	}
	s.wantService("GET", user+"/export", "", 200, "")
	s.wantService("PUT", user+"/ban", `{"reason":"spam"}`, 204, "")
	s.want("a banned user's token", text(login, "access_token"), "401 session_revoked")
	s.wantService("DELETE", user+"/ban", "", 204, "")
	s.wantService("POST", user+"/logout", "", 204, "")
	s.wantService("DELETE", user, "", 204, "")
	s.wantService("GET", user, "", 404, "not_found")
	if done := s.wantService("POST", "users", `{"openid":"brought-along"}`+"\n"+`{"openid":""}`, 200, ""); done["imported"] != 1.0 {
		t.Errorf("import: got %v, want one of two", done)
	}
	s.wantService("POST", "keys/rotate", "", 400, "invalid_request") // this site has a key of its own
	for _, path := range []string{"backup", "doctor", "status/", "", "users/", "users%2F-%2Fx", "%75sers/..%2fstatus", "nope"} {
		s.wantService("GET", path, "", 404, "not_found")
		s.wantService("POST", path, `{"file":"/tmp/copy"}`, 404, "not_found")
	}
}

// What other sites keep in the same store is not to be seen.
func TestServiceShowsThisSitesUsersAlone(t *testing.T) {
	t.Parallel()
	s := newTestSite(t, withService)
	alice := s.fake.NewUser(testAppID)
	s.loginAs(alice)
	store, err := s.store.get()
	if err != nil {
		t.Fatal(err)
	}
	others := []session.User{{UserID: session.UserID{AppID: "wx-other", OpenID: "bob"}, Phone: "13900139000"}}
	if err := store.Import(t.Context(), others, time.Now()); err != nil {
		t.Fatal(err)
	}
	for query, want := range map[string]int{"": 1, "?openid=bob": 0, "?phone=13900139000": 0, "?appid=wx-other": 0, "?appid=" + testAppID: 1} {
		if users, _ := s.wantService("GET", "users"+query, "", 200, "")["users"].([]any); len(users) != want {
			t.Errorf("users%s: got %v, want %d", query, users, want)
		}
	}
	if users, _ := s.wantOperation("GET", "users", "", 200, "")["users"].([]any); len(users) != 2 {
		t.Errorf("the admin API: got %v, want both", users)
	}
	s.wantService("GET", "users/wx-other/bob", "", 404, "not_found")
	s.wantService("DELETE", "users/wx-other/bob", "", 404, "not_found")
	s.wantService("PUT", "users/wx-other/bob/ban", "", 404, "not_found")
	if done := s.wantService("POST", "users", `{"appid":"wx-other","openid":"eve"}`, 200, ""); done["imported"] != 0.0 {
		t.Errorf("import: got %v, want nobody of another mini program", done)
	}
}

// Wrong secrets are limited; the right one gets in all the same, or a neighbour shuts the backend
// out.
func TestServiceSecret(t *testing.T) {
	t.Parallel()
	s := newTestSite(t, withService)
	token := s.login()
	if status, answer := s.do("GET", "/auth/service/users", "", ""); status != 401 || text(answer, "error") != "token_missing" {
		t.Errorf("without: got %d %v, want 401 token_missing", status, answer)
	}
	for _, wrong := range []string{token, testServiceSecret[1:], testServiceSecret + "x", strings.ToUpper(testServiceSecret), strings.Repeat("a", 100_000)} {
		if status, answer := s.do("GET", "/auth/service/users", wrong, ""); status != 401 || text(answer, "error") != "token_invalid" {
			t.Errorf("wrong: got %d %v, want 401 token_invalid", status, answer)
		}
	}
	for range MaxWrongSecrets {
		s.do("GET", "/auth/service/nope", "wrong", "")
	}
	if status, _ := s.do("GET", "/auth/service/users", "wrong", ""); status != 429 {
		t.Errorf("after many: got %d, want 429", status)
	}
	s.wantService("GET", "users", "", 200, "")
	s.want("the secret is no token", testServiceSecret, "401 token_invalid")
}

// A body that never ends, or is all mistakes, must not fill the memory.
func TestServiceBoundsBodies(t *testing.T) {
	t.Parallel()
	s := newTestSite(t, withService)
	s.wantService("POST", "users", strings.Repeat("x\n", maxFailed+1), 400, "invalid_request")
	s.wantService("POST", "users", strings.Repeat(" ", maxImport+1), 413, "payload_too_large")
	s.wantService("PUT", "users/-/x/ban", `{"reason":"`+strings.Repeat("x", maxBody)+`"}`, 413, "payload_too_large")
	long := s.wantService("POST", "users", `{"openid":"a`+strings.Repeat(" ", 2*maxLine)+`"}`+"\n"+`{"openid":"good"}`, 200, "")
	if long["imported"] != 1.0 {
		t.Errorf("a long line: got %v, want the next one imported", long)
	}
}

// Early data can be replayed: nothing changes by it.
func TestServiceInEarlyData(t *testing.T) {
	t.Parallel()
	s := newTestSite(t, withService)
	for method, path := range map[string]string{"POST": "keys/rotate", "PUT": "users/-/x/ban", "DELETE": "users/-/x"} {
		r := httptest.NewRequest(method, "/auth/service/"+path, http.NoBody)
		r.Header.Set("Authorization", "Bearer "+testServiceSecret)
		r.Header.Set("Early-Data", "1")
		w := httptest.NewRecorder()
		if s.serve(w, r); w.Code != http.StatusTooEarly {
			t.Errorf("%s %s: got %d, want 425", method, path, w.Code)
		}
	}
}
