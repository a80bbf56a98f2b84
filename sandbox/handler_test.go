// The sandbox's own routes.

package sandbox_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-wechat/wechatauth/sandbox"
)

// provision returns a handler of these apps. Tests that run at the same time
// need apps of their own, since handlers of equal apps share their users.
func provision(t *testing.T, h *sandbox.Handler) *sandbox.Handler {
	t.Helper()
	ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
	t.Cleanup(cancel)
	if err := h.Provision(ctx); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Cleanup(); err != nil {
			t.Error(err)
		}
	})
	return h
}

// oneApp returns a handler of one app, named after the test.
func oneApp(t *testing.T) *sandbox.Handler {
	t.Helper()
	return provision(t, &sandbox.Handler{Apps: []sandbox.App{{AppID: t.Name(), Secret: "s3cret"}}})
}

// serve sends a request from this machine; what goes to the next handler answers 418.
func serve(t *testing.T, h *sandbox.Handler, r *http.Request) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	next := caddyhttp.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) error {
		w.WriteHeader(http.StatusTeapot)
		return nil
	})
	if err := h.ServeHTTP(w, r, next); err != nil {
		t.Fatal(err)
	}
	return w
}

func request(method, target, body string) *http.Request {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.RemoteAddr, r.Host = "127.0.0.1:40000", "localhost:8090"
	return r
}

// post sends JSON and returns the status and the object of the answer.
func post(t *testing.T, h *sandbox.Handler, path, body string) (status int, answer map[string]any) {
	t.Helper()
	w := serve(t, h, request(http.MethodPost, path, body))
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
		t.Fatalf("body %q: %v", w.Body, err)
	}
	return w.Code, answer
}

// login redeems a code, as the backend under test does.
func login(t *testing.T, h *sandbox.Handler, appid, secret string, code any) map[string]any {
	t.Helper()
	query := url.Values{
		"appid": {appid}, "secret": {secret}, "js_code": {fmt.Sprint(code)}, "grant_type": {"authorization_code"},
	}
	w := serve(t, h, request(http.MethodGet, "/sns/jscode2session?"+query.Encode(), ""))
	var answer map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
		t.Fatalf("body %q: %v", w.Body, err)
	}
	return answer
}

func TestFirstTryTakesOneLine(t *testing.T) {
	t.Parallel()
	h := oneApp(t)
	_, code := post(t, h, "/sandbox/codes", `{"user":"alice","kind":"login"}`)
	session := login(t, h, t.Name(), "s3cret", code["code"])

	status, alice := post(t, h, "/sandbox/users", `{"name":"alice"}`)
	if status != http.StatusOK || alice["name"] != "alice" || alice["appid"] != t.Name() {
		t.Errorf("user: got %d %v", status, alice)
	}
	if session["openid"] != alice["openid"] || alice["openid"] == nil {
		t.Errorf("openid: got %v, want %v", session["openid"], alice["openid"])
	}
	if _, found := alice["unionid"]; found {
		t.Error("unionid: got one, want none without open_platform")
	}
}

func TestPhoneCode(t *testing.T) {
	t.Parallel()
	h := oneApp(t)
	_, code := post(t, h, "/sandbox/codes", `{"user":"alice","kind":"phone","phone":"+852 91234567"}`)
	answer := business(t, h, "/wxa/business/getuserphonenumber?", fmt.Sprintf(`{"code":%q}`, code["code"]))
	info, _ := answer["phone_info"].(map[string]any)
	if info["purePhoneNumber"] != "91234567" {
		t.Errorf("answer: got %v, want the number 91234567", answer)
	}
}

// business makes a call with an access token, as the backend under test does.
func business(t *testing.T, h *sandbox.Handler, target, body string) map[string]any {
	t.Helper()
	_, token := post(t, h, "/cgi-bin/stable_token",
		fmt.Sprintf(`{"grant_type":"client_credential","appid":%q,"secret":"s3cret"}`, t.Name()))
	_, answer := post(t, h, target+"access_token="+fmt.Sprint(token["access_token"]), body)
	return answer
}

func TestEncryptedPhone(t *testing.T) {
	t.Parallel()
	h := oneApp(t)
	const ask = `{"user":"alice","kind":"encryptedData","phone":"13800138000"}`
	status, answer := post(t, h, "/sandbox/codes", ask)
	if got := fmt.Sprint(answer["error_description"]); status != http.StatusBadRequest || !strings.Contains(got, "no session_key") {
		t.Errorf("before a login: got %d %q, want 400 and why", status, got)
	}

	post(t, h, "/sandbox/codes", `{"user":"alice","kind":"login"}`)
	status, answer = post(t, h, "/sandbox/codes", ask)
	data, iv := fmt.Sprint(answer["encryptedData"]), fmt.Sprint(answer["iv"])
	if status != http.StatusOK || len(answer) != 2 || len(data) < 100 || len(iv) != 24 {
		t.Errorf("got %d %v, want encryptedData and iv", status, answer)
	}
}

func TestCloudID(t *testing.T) {
	t.Parallel()
	h := oneApp(t)
	_, alice := post(t, h, "/sandbox/users", `{"name":"alice"}`)
	_, id := post(t, h, "/sandbox/codes", `{"user":"alice","kind":"cloudID","phone":"13800138000"}`)
	answer := business(t, h, "/wxa/getopendata?openid="+fmt.Sprint(alice["openid"])+"&", fmt.Sprintf(`{"cloudid_list":[%q]}`, id["cloudID"]))
	if got := fmt.Sprint(answer["data_list"]); !strings.Contains(got, "13800138000") {
		t.Errorf("answer: got %v, want one with the number", answer)
	}
}

func TestNicknamesAreJudgedByTheirWords(t *testing.T) {
	t.Parallel()
	h := oneApp(t)
	_, alice := post(t, h, "/sandbox/users", `{"name":"alice"}`)
	post(t, h, "/sandbox/codes", `{"user":"alice","kind":"login"}`)
	for nickname, want := range map[string]string{"小明": "pass", "a risky name": "risky", "reviewed": "review", "risky review": "risky"} {
		answer := business(t, h, "/wxa/msg_sec_check?",
			fmt.Sprintf(`{"content":%q,"version":2,"scene":1,"openid":%q}`, nickname, alice["openid"]))
		result, _ := answer["result"].(map[string]any)
		if got := result["suggest"]; got != want {
			t.Errorf("%s: got %v, want %s", nickname, got, want)
		}
	}
}

func TestUsersWithoutAName(t *testing.T) {
	t.Parallel()
	h := oneApp(t)
	post(t, h, "/sandbox/users", `{"name":"user2"}`)
	var names []string
	for _, body := range []string{"", "{}"} {
		_, u := post(t, h, "/sandbox/users", body)
		names = append(names, fmt.Sprint(u["name"]))
	}
	if got := strings.Join(names, " "); got != "user1 user3" {
		t.Errorf("names: got %q, want %q", got, "user1 user3")
	}
}

func TestSeveralApps(t *testing.T) {
	t.Parallel()
	a, b := t.Name()+"A", t.Name()+"B"
	h := provision(t, &sandbox.Handler{
		Apps:         []sandbox.App{{AppID: a, Secret: "sa"}, {AppID: b, Secret: "sb"}},
		OpenPlatform: true,
	})
	if status, _ := post(t, h, "/sandbox/users", `{"name":"alice"}`); status != http.StatusBadRequest {
		t.Errorf("no appid: got %d, want 400", status)
	}
	_, inA := post(t, h, "/sandbox/users", fmt.Sprintf(`{"name":"alice","appid":%q}`, a))
	_, inB := post(t, h, "/sandbox/users", fmt.Sprintf(`{"name":"alice","appid":%q}`, b))
	if inA["unionid"] == nil || inA["unionid"] != inB["unionid"] || inA["openid"] == inB["openid"] {
		t.Errorf("alice: got %v and %v, want one unionid and two openids", inA, inB)
	}
	_, code := post(t, h, "/sandbox/codes", fmt.Sprintf(`{"user":"alice","kind":"login","appid":%q}`, b))
	if got := login(t, h, b, "sb", code["code"]); got["openid"] != inB["openid"] {
		t.Errorf("login: got %v, want openid %v", got, inB["openid"])
	}
}

// The sidecar keeps accounts in its store; after a restart of Caddy their users come back.
func TestNamesKeepTheirOpenIDsOverARestart(t *testing.T) {
	t.Parallel()
	a, b := t.Name()+"A", t.Name()+"B"
	known := func(apps ...string) map[string]any {
		h := provision(t, &sandbox.Handler{
			Apps:         []sandbox.App{{AppID: a, Secret: "sa"}, {AppID: b, Secret: "sb"}},
			OpenPlatform: true,
		})
		defer func() { // the fake ends with its last handler
			if err := h.Cleanup(); err != nil {
				t.Error(err)
			}
		}()
		ids := map[string]any{}
		for _, app := range apps {
			_, alice := post(t, h, "/sandbox/users", fmt.Sprintf(`{"name":"alice","appid":%q}`, app))
			_, bob := post(t, h, "/sandbox/users", fmt.Sprintf(`{"name":"bob","appid":%q}`, app))
			if alice["openid"] == bob["openid"] || alice["unionid"] == bob["unionid"] {
				t.Errorf("two names in one app: got %v and %v, want ids of their own", alice, bob)
			}
			ids[app], ids["union"] = alice["openid"], alice["unionid"]
		}
		return ids
	}
	if before, after := known(a, b), known(b, a); !maps.Equal(before, after) || before[a] == before[b] {
		t.Errorf("ids after a restart: got %v, want %v, and another openid in each app", after, before)
	}
}

func TestBadInput(t *testing.T) {
	t.Parallel()
	h := oneApp(t)
	tests := []struct {
		name, path, body string
		status           int
		want             string // in the description
	}{
		{"not JSON", "/sandbox/users", "name=alice", 400, "JSON object"},
		{"array", "/sandbox/users", "[]", 400, "must be a JSON object"},
		{"cut off", "/sandbox/users", `{"name":"al`, 400, "JSON object"},
		{"two values", "/sandbox/users", `{} {}`, 400, "more than one"},
		{"unknown field", "/sandbox/users", `{"user":"alice"}`, 400, `unknown field "user"`},
		{"name a number", "/sandbox/users", `{"name":7}`, 400, "name must be a string"},
		{"name too long", "/sandbox/users", `{"name":"` + strings.Repeat("é", 65) + `"}`, 400, "64 characters"},
		{"name with a newline", "/sandbox/users", `{"name":"a\nb"}`, 400, "control characters"},
		{"unknown app", "/sandbox/users", `{"name":"alice","appid":"wxnobody"}`, 400, "none of the sandbox's apps"},
		{"body too long", "/sandbox/users", `{"name":"` + strings.Repeat("a", 64<<10) + `"}`, 413, "65536 bytes"},
		{"no user", "/sandbox/codes", `{"kind":"login"}`, 400, "user is required"},
		{"no kind", "/sandbox/codes", `{"user":"alice"}`, 400, "kind must be"},
		{"unknown kind", "/sandbox/codes", `{"user":"alice","kind":"sms"}`, 400, "kind must be"},
		{"phone without number", "/sandbox/codes", `{"user":"alice","kind":"phone"}`, 400, "phone must be like"},
		{"encryptedData without number", "/sandbox/codes", `{"user":"alice","kind":"encryptedData"}`, 400, "phone must be like"},
		{"cloudID with a bad number", "/sandbox/codes", `{"user":"alice","kind":"cloudID","phone":"call me"}`, 400, "phone must be like"},
		{"cloudID with no user", "/sandbox/codes", `{"kind":"cloudID","phone":"13800138000"}`, 400, "user is required"},
		{"login with number", "/sandbox/codes", `{"user":"alice","kind":"login","phone":"13800138000"}`, 400, "phone belongs to"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			status, answer := post(t, h, tt.path, tt.body)
			if status != tt.status || answer["error"] != "invalid_request" {
				t.Errorf("got %d %v, want %d invalid_request", status, answer["error"], tt.status)
			}
			if got := fmt.Sprint(answer["error_description"]); !strings.Contains(got, tt.want) {
				t.Errorf("description: got %q, want one with %q", got, tt.want)
			}
		})
	}
}

func TestWrongMethod(t *testing.T) {
	t.Parallel()
	h := oneApp(t)
	for _, path := range []string{"/sandbox/users", "/sandbox/codes"} {
		w := serve(t, h, request(http.MethodGet, path, ""))
		if w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != "POST" {
			t.Errorf("%s: got %d, Allow %q, want 405, POST", path, w.Code, w.Header().Get("Allow"))
		}
	}
}

func TestOtherPathsGoOn(t *testing.T) {
	t.Parallel()
	h := oneApp(t)
	for _, path := range []string{"/", "/sandbox", "/sandbox/users/", "/Sandbox/users", "/cgi-bin/other"} {
		if w := serve(t, h, request(http.MethodPost, path, "{}")); w.Code != http.StatusTeapot {
			t.Errorf("%s: got %d, want the next handler", path, w.Code)
		}
	}
}

func TestUsersAreBounded(t *testing.T) {
	t.Parallel()
	h := oneApp(t)
	for i := range 1000 {
		post(t, h, "/sandbox/users", fmt.Sprintf(`{"name":"u%d"}`, i))
	}
	status, answer := post(t, h, "/sandbox/users", `{"name":"one more"}`)
	if status != http.StatusConflict || answer["error"] != "too_many_users" {
		t.Errorf("user 1001: got %d %v, want 409 too_many_users", status, answer)
	}
	if status, _ := post(t, h, "/sandbox/codes", `{"user":"u7","kind":"login"}`); status != http.StatusOK {
		t.Errorf("a known user: got %d, want 200", status)
	}
}

func TestOldestCodesGo(t *testing.T) {
	t.Parallel()
	h := oneApp(t)
	issue := func() any {
		_, answer := post(t, h, "/sandbox/codes", `{"user":"alice","kind":"login"}`)
		return answer["code"]
	}
	first := issue()
	second := issue()
	for range 9999 {
		issue()
	}
	if got := login(t, h, t.Name(), "s3cret", first)["errcode"]; got != 40029.0 {
		t.Errorf("the oldest of 10,001 codes: got errcode %v, want 40029", got)
	}
	if got := login(t, h, t.Name(), "s3cret", second)["errcode"]; got != nil {
		t.Errorf("the oldest but one: got errcode %v, want none", got)
	}
}

// A sandbox on a public address would let the internet log in as anybody, so it
// refuses clients outside this network, and clients that a proxy reports as outside.
func TestPublicCallersAreRefused(t *testing.T) {
	t.Parallel()
	h := oneApp(t)
	tests := []struct {
		name     string
		remote   string
		clientIP string
		header   [2]string
		allowed  bool
	}{
		{name: "loopback", remote: "127.0.0.1:1", allowed: true},
		{name: "loopback, IPv6", remote: "[::1]:1", allowed: true},
		{name: "private", remote: "172.17.0.1:1", allowed: true},
		{name: "private, mapped", remote: "[::ffff:192.168.1.2]:1", allowed: true},
		{name: "unique local", remote: "[fd00::1]:1", allowed: true},
		{name: "link-local with zone", remote: "[fe80::1%eth0]:1", allowed: true},
		{name: "unix socket", remote: "@", allowed: true},
		{
			name: "private through a private proxy", remote: "127.0.0.1:1",
			header: [2]string{"X-Forwarded-For", "192.168.1.2, 10.0.0.1"}, allowed: true,
		},
		{name: "public", remote: "203.0.113.5:1"},
		{name: "public, mapped", remote: "[::ffff:203.0.113.5]:1"},
		{name: "cloud load balancer", remote: "100.64.0.1:1"},
		{name: "not an address", remote: "somewhere"},
		{name: "public client of a trusted proxy", remote: "127.0.0.1:1", clientIP: "203.0.113.5"},
		{name: "tunnel", remote: "127.0.0.1:1", header: [2]string{"X-Forwarded-For", "203.0.113.5"}},
		{name: "tunnel behind a proxy", remote: "127.0.0.1:1", header: [2]string{"X-Forwarded-For", "10.0.0.1,203.0.113.5"}},
		{name: "forwarded for nobody knows whom", remote: "127.0.0.1:1", header: [2]string{"X-Forwarded-For", "unknown"}},
		{name: "nginx", remote: "127.0.0.1:1", header: [2]string{"X-Real-IP", "203.0.113.5"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, path := range []string{"/sandbox/codes", "/sns/jscode2session"} {
				r := request(http.MethodPost, path, `{"user":"alice","kind":"login"}`)
				r.RemoteAddr = tt.remote
				if tt.header[0] != "" {
					r.Header.Set(tt.header[0], tt.header[1])
				}
				if tt.clientIP != "" {
					vars := map[string]any{caddyhttp.ClientIPVarKey: tt.clientIP}
					r = r.WithContext(context.WithValue(r.Context(), caddyhttp.VarsCtxKey, vars))
				}
				w := serve(t, h, r)
				if got := w.Code != http.StatusForbidden; got != tt.allowed {
					t.Errorf("%s: got %d, want allowed %t", path, w.Code, tt.allowed)
				}
			}
		})
	}
	r := request(http.MethodGet, "/elsewhere", "")
	r.RemoteAddr = "203.0.113.5:1"
	if w := serve(t, h, r); w.Code != http.StatusTeapot {
		t.Errorf("another path: got %d, want the next handler", w.Code)
	}
}
