// The playground's routes, as its page and others ask them.

package sandbox_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-wechat/wechatauth/sandbox"
)

const (
	stateRoute  = "/sandbox/playground/state"
	faultsRoute = "/sandbox/playground/faults"
	hookSecret  = "hook-secret-of-the-playground-alone"
)

// withPlayground returns a handler of one app, named after the test, with a page. The admin API is
// one that answers with what it was asked.
func withPlayground(t *testing.T) *sandbox.Handler {
	t.Helper()
	admin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]string{"asked": r.Method + " " + r.RequestURI + " " + string(body)})
	}))
	t.Cleanup(admin.Close)
	return provision(t, &sandbox.Handler{
		Apps: []sandbox.App{{AppID: t.Name(), Secret: "s3cret"}},
		Playground: &sandbox.Playground{
			Site: "http://LOCALHOST:8080/", Admin: strings.TrimPrefix(admin.URL, "http://"), HookSecret: hookSecret,
		},
	})
}

// get asks for a path and returns the status and the object of the answer.
func get(t *testing.T, h *sandbox.Handler, target string) (status int, answer map[string]any) {
	t.Helper()
	w := serve(t, h, request(http.MethodGet, target, ""))
	_ = json.Unmarshal(w.Body.Bytes(), &answer)
	return w.Code, answer
}

func TestPlaygroundServesThePage(t *testing.T) {
	t.Parallel()
	h := withPlayground(t)
	for path, want := range map[string]string{
		"/playground/":              "text/html; charset=utf-8",
		"/playground/app.js":        "text/javascript; charset=utf-8",
		"/playground/style.css":     "text/css; charset=utf-8",
		"/playground/icon.svg":      "image/svg+xml",
		"/playground/wechatauth.js": "text/javascript; charset=utf-8",
	} {
		w := serve(t, h, request(http.MethodGet, path, ""))
		if got := w.Header().Get("Content-Type"); w.Code != http.StatusOK || got != want || w.Body.Len() == 0 {
			t.Errorf("%s: got %d %q with %d bytes, want 200 %q", path, w.Code, got, w.Body.Len(), want)
		}
		policy := w.Header().Get("Content-Security-Policy")
		for _, part := range []string{"default-src 'none'", "script-src 'self';", "connect-src 'self' http://localhost:8080;", "trusted-types 'none'"} {
			if !strings.Contains(policy, part) {
				t.Errorf("%s: got policy %q, want %q in it", path, policy, part)
			}
		}
		if strings.Contains(policy, "unsafe") || w.Header().Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: got %v, want a strict policy and nosniff", path, w.Header())
		}
	}
	w := serve(t, h, request(http.MethodGet, "/", ""))
	if w.Code != http.StatusFound || w.Header().Get("Location") != "/playground/" {
		t.Errorf("/: got %d %q, want the way to the page", w.Code, w.Header().Get("Location"))
	}
}

// The files of the page are all that its routes give away.
func TestAttackPlaygroundFilesOnly(t *testing.T) {
	t.Parallel()
	h := withPlayground(t)
	for _, path := range []string{
		"/playground/../module.go", "/playground/../playground/app.js", "/playground/..", "/playground/.", "/playground//app.js",
		"/playground/nothing.js", "/playground/app.js/", "/playground/%2e%2e/module.go", `/playground/..\module.go`,
	} {
		r := request(http.MethodGet, "/", "")
		r.URL.Path = path
		if w := serve(t, h, r); w.Code != http.StatusNotFound {
			t.Errorf("%s: got %d %s, want 404", path, w.Code, w.Body)
		}
	}
	if w := serve(t, h, request(http.MethodPost, "/playground/app.js", "")); w.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST: got %d, want 405", w.Code)
	}
}

// Pages of other sites, names that lead here by DNS rebinding, and callers from outside get nothing
// of the playground either.
func TestAttackPlaygroundFromElsewhere(t *testing.T) {
	t.Parallel()
	h := withPlayground(t)
	for _, path := range []string{
		"/", "/playground", "/playground/", "/playground/app.js", stateRoute, faultsRoute, "/sandbox/hook",
		"/sandbox/playground/expire", "/sandbox/playground/user", "/sandbox/playground/end",
	} {
		for name, change := range map[string]func(*http.Request){
			"a page of another port": func(r *http.Request) { r.Header.Set("Origin", "http://localhost:8080") },
			"a sandboxed frame":      func(r *http.Request) { r.Header.Set("Origin", "null") },
			"DNS rebinding":          func(r *http.Request) { r.Host = "attacker.example" },
			"the internet":           func(r *http.Request) { r.RemoteAddr = "203.0.113.5:1" },
			"a tunnel":               func(r *http.Request) { r.Header.Set("X-Forwarded-For", "203.0.113.5") },
		} {
			r := request(http.MethodPost, path, `{"name":"busy","on":true}`)
			change(r)
			if w := serve(t, h, r); w.Code != http.StatusForbidden {
				t.Errorf("%s, %s: got %d %s, want 403", path, name, w.Code, w.Body)
			}
		}
	}
}

// Without the option there is no page, and what it would ask goes to the next handler.
func TestNoPlaygroundByDefault(t *testing.T) {
	t.Parallel()
	h := oneApp(t)
	for _, path := range []string{"/", "/playground/", "/playground/app.js", stateRoute, faultsRoute, "/sandbox/hook", "/sandbox/playground/end"} {
		if w := serve(t, h, request(http.MethodPost, path, "{}")); w.Code != http.StatusTeapot {
			t.Errorf("%s: got %d, want the next handler", path, w.Code)
		}
	}
	bare := provision(t, &sandbox.Handler{
		Apps:       []sandbox.App{{AppID: t.Name() + "2", Secret: "s"}},
		Playground: &sandbox.Playground{Site: "http://localhost:8080"},
	})
	for _, path := range []string{"/sandbox/hook", "/sandbox/playground/end", "/sandbox/playground/user"} {
		if w := serve(t, bare, request(http.MethodPost, path, "{}")); w.Code != http.StatusTeapot {
			t.Errorf("%s without its option: got %d, want the next handler", path, w.Code)
		}
	}
}

func TestPlaygroundShowsTheCalls(t *testing.T) {
	t.Parallel()
	h := withPlayground(t)
	_, code := post(t, h, "/sandbox/codes", `{"user":"alice","kind":"login"}`)
	login(t, h, t.Name(), "s3cret", code["code"])
	post(t, h, "/cgi-bin/stable_token", fmt.Sprintf(`{"grant_type":"client_credential","appid":%q,"secret":"s3cret"}`, t.Name()))

	w := serve(t, h, request(http.MethodGet, stateRoute, ""))
	var state struct {
		Site  string
		Calls []struct {
			Number              int
			Path                string
			Query, Body, Answer map[string]any
		}
	}
	if err := json.Unmarshal(w.Body.Bytes(), &state); err != nil {
		t.Fatal(err)
	}
	if len(state.Calls) != 2 || state.Site != "http://localhost:8080" {
		t.Fatalf("got %s, want two calls", w.Body)
	}
	first, second := state.Calls[0], state.Calls[1]
	if first.Path != "/sns/jscode2session" || first.Query["js_code"] != code["code"] || first.Answer["openid"] == nil {
		t.Errorf("first call: got %+v, want the login", first)
	}
	for name, got := range map[string]any{
		"secret": first.Query["secret"], "session_key": first.Answer["session_key"],
		"secret in the body": second.Body["secret"], "access_token": second.Answer["access_token"],
	} {
		if text, _ := got.(string); len(text) > len("1234…") || !strings.HasSuffix(text, "…") {
			t.Errorf("%s: got %v, want it cut short", name, got)
		}
	}
	if _, later := get(t, h, fmt.Sprintf("%s?calls=%d", stateRoute, first.Number)); len(later["calls"].([]any)) != 1 {
		t.Errorf("after the first call: got %v, want the second", later["calls"])
	}
}

func TestPlaygroundBreaksAndMends(t *testing.T) {
	t.Parallel()
	h := withPlayground(t)
	errcode := func() any {
		t.Helper()
		_, code := post(t, h, "/sandbox/codes", `{"user":"alice","kind":"login"}`)
		return login(t, h, t.Name(), "s3cret", code["code"])["errcode"]
	}
	flip := func(name string, on bool) {
		t.Helper()
		w := serve(t, h, request(http.MethodPost, faultsRoute, fmt.Sprintf(`{"name":%q,"on":%t}`, name, on)))
		if want := fmt.Sprintf(`{"name":%q,"on":%t}`, name, on); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s: got %d %s, want %s in it", name, w.Code, w.Body, want)
		}
	}
	for name, want := range map[string]float64{
		"busy": -1, "minute_quota": 45011, "day_quota": 45009, "code_used": 40163, "user_blocked": 40226, "ip_not_allowed": 40164,
	} {
		flip(name, true)
		for range 2 {
			if got := errcode(); got != want {
				t.Errorf("%s: got errcode %v, want %v", name, got, want)
			}
		}
		flip(name, false)
		if got := errcode(); got != nil {
			t.Errorf("%s, switched off: got errcode %v, want none", name, got)
		}
	}
	flip("busy", true)
	flip("user_blocked", true)
	flip("busy", false)
	if got := errcode(); got != 40226.0 {
		t.Errorf("one of two switched off: got errcode %v, want that of the other", got)
	}
	if status, _ := post(t, h, faultsRoute, `{"name":"earthquake","on":true}`); status != http.StatusBadRequest {
		t.Errorf("an unknown fault: got %d, want 400", status)
	}
	if _, answer := post(t, h, faultsRoute, `{"name":"busy","on":"yes"}`); !strings.Contains(fmt.Sprint(answer["error_description"]), "true or false") {
		t.Errorf("a wrong type: got %v, want the right one", answer)
	}
}

func TestPlaygroundExpiresAccessTokens(t *testing.T) {
	t.Parallel()
	h := withPlayground(t)
	_, token := post(t, h, "/cgi-bin/stable_token", fmt.Sprintf(`{"grant_type":"client_credential","appid":%q,"secret":"s3cret"}`, t.Name()))
	w := serve(t, h, request(http.MethodPost, "/sandbox/playground/expire", "{}"))
	_, answer := post(t, h, fmt.Sprintf("/wxa/business/getuserphonenumber?access_token=%v", token["access_token"]), `{"code":"x"}`)
	if w.Code != http.StatusOK || answer["errcode"] != 42001.0 {
		t.Errorf("got %d, then %v, want 200, then errcode 42001", w.Code, answer)
	}
}

func TestPlaygroundHook(t *testing.T) {
	t.Parallel()
	h := withPlayground(t)
	ask := func(secret string) *httptest.ResponseRecorder {
		const body = `{"event":"login","openid":"o1"}`
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write([]byte(body))
		r := request(http.MethodPost, "/sandbox/hook", body)
		r.Header.Set("X-Signature", "sha256="+hex.EncodeToString(mac.Sum(nil)))
		return serve(t, h, r)
	}
	if w := ask("another secret"); w.Code != http.StatusUnauthorized {
		t.Errorf("another secret: got %d, want 401", w.Code)
	}
	if w := ask(hookSecret); !strings.Contains(w.Body.String(), `"allow":true`) {
		t.Errorf("got %s, want it allowed", w.Body)
	}
	serve(t, h, request(http.MethodPost, faultsRoute, `{"name":"hook_denies","on":true}`))
	if w := ask(hookSecret); !strings.Contains(w.Body.String(), `"allow":false,"reason":"`) {
		t.Errorf("switched: got %s, want a no with its reason", w.Body)
	}
	_, state := get(t, h, stateRoute)
	if hooks, _ := state["side"].([]any); len(hooks) != 2 || !strings.Contains(fmt.Sprint(hooks), "o1") {
		t.Errorf("got %v, want both questions", state["side"])
	}
}

// What the page asks of the admin API is about one user: no name leads to another of its routes.
func TestAttackPlaygroundAdminIsForUsersAlone(t *testing.T) {
	t.Parallel()
	h := withPlayground(t)
	if _, answer := get(t, h, "/sandbox/playground/user?appid=wx1&openid=o-1_x"); answer["asked"] != "GET /wechat_auth/users/wx1/o-1_x " {
		t.Errorf("show: got %v", answer)
	}
	_, answer := post(t, h, "/sandbox/playground/end", `{"appid":"wx1","openid":"o1","sid":"s1"}`)
	if answer["asked"] != `POST /wechat_auth/users/wx1/o1/logout {"sid":"s1"}` {
		t.Errorf("end: got %v", answer)
	}
	for _, name := range []string{"", "..", "o1/ban", "o1?x=1", "o1#", "%2e%2e", `..\..`, "o1%2Fban", "o 1", strings.Repeat("o", 129)} {
		body, _ := json.Marshal(map[string]string{"appid": "wx1", "openid": name})
		if status, answer := post(t, h, "/sandbox/playground/end", string(body)); status != http.StatusBadRequest {
			t.Errorf("openid %q: got %d %v, want 400", name, status, answer)
		}
		body, _ = json.Marshal(map[string]string{"appid": name, "openid": "o1"})
		if status, answer := post(t, h, "/sandbox/playground/end", string(body)); status != http.StatusBadRequest {
			t.Errorf("appid %q: got %d %v, want 400", name, status, answer)
		}
	}
}

func TestPlaygroundConfigErrors(t *testing.T) {
	bad := []sandbox.Playground{
		{Site: "http://localhost", Admin: "{env.NO_SUCH_VARIABLE}"},
	}
	for _, site := range []string{
		"", "localhost:8080", "ftp://localhost", "http://", "http://localhost:8080/auth", "http://u@localhost", "http://localhost/?a",
		"http://a;script-src", "http://'self'", "http://*", "{env.NO_SUCH_VARIABLE}",
	} {
		bad = append(bad, sandbox.Playground{Site: site})
	}
	for _, p := range bad {
		ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
		h := &sandbox.Handler{
			Apps:       []sandbox.App{{AppID: t.Name(), Secret: "s"}},
			Playground: &p,
		}
		if err := h.Provision(ctx); err == nil || !strings.Contains(err.Error(), "playground") {
			t.Errorf("%+v: got %v, want an error about the playground", p, err)
		}
		if err := h.Cleanup(); err != nil {
			t.Error(err)
		}
		cancel()
	}
}
