// The hook at login and phone.

package wechatauth_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/wechat/wechattest"
)

const hookSecret = "hook-secret-hook-secret-hook-secret"

// backend is a hook that records what it is asked.
type backend struct {
	url string

	mu     sync.Mutex // guards what follows
	answer http.HandlerFunc
	asked  []map[string]any
}

func newBackend(t *testing.T, answer http.HandlerFunc) *backend {
	t.Helper()
	b := &backend{answer: answer}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		mac := hmac.New(sha256.New, []byte(hookSecret))
		mac.Write(body)
		if want := "sha256=" + hex.EncodeToString(mac.Sum(nil)); r.Header.Get("X-Signature") != want {
			t.Errorf("got signature %q, want %q", r.Header.Get("X-Signature"), want)
		}
		if r.Method != "POST" || r.Header.Get("Content-Type") != "application/json" {
			t.Errorf("got %s of %q, want a POST of JSON", r.Method, r.Header.Get("Content-Type"))
		}
		var event map[string]any
		if err := json.Unmarshal(body, &event); err != nil {
			t.Error(err)
		}
		b.mu.Lock()
		b.asked = append(b.asked, event)
		answer := b.answer
		b.mu.Unlock()
		answer(w, r)
	}))
	t.Cleanup(server.Close)
	b.url = server.URL + "/hook"
	return b
}

// then changes the answer.
func (b *backend) then(answer http.HandlerFunc) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.answer = answer
}

func (b *backend) events() []map[string]any {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]map[string]any(nil), b.asked...)
}

// option is the hook in a Caddyfile.
func (b *backend) option(more ...string) string {
	return "hook " + b.url + " {\nsecret " + hookSecret + "\n" + strings.Join(more, "\n") + "\n}"
}

func says(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, text) }
}

func TestHookIsAskedAtLoginAndPhone(t *testing.T) {
	t.Parallel()
	b := newBackend(t, says(`{"allow":true}`))
	s := newSite(t, b.option())
	u := s.fake.NewUser(s.appID)
	token := s.token(u)
	want(t, s.do("POST", "/auth/phone", token, object("code", s.fake.PhoneCode(u, "13800138000"))), 200, "")
	want(t, s.login("code", s.fake.LoginCode(u)), 200, "")

	unionid, _ := claims(t, token)["unionid"].(string)
	base := map[string]any{"appid": s.appID, "openid": u.OpenID, "unionid": unionid, "client_ip": "", "new": false}
	with := func(more map[string]any) string {
		event := map[string]any{}
		for _, m := range []map[string]any{base, more} {
			maps.Copy(event, m)
		}
		text, _ := json.Marshal(event)
		return string(text)
	}
	wanted := []string{
		with(map[string]any{"event": "login", "new": true}),
		with(map[string]any{"event": "phone", "phone": "13800138000"}),
		with(map[string]any{"event": "login", "phone": "13800138000"}),
	}
	asked := b.events()
	if len(asked) != len(wanted) {
		t.Fatalf("got %d questions, want %d: %v", len(asked), len(wanted), asked)
	}
	for i, event := range asked {
		delete(event, "client_ip") // there is no server in front that tells
		event["client_ip"] = ""
		if got, _ := json.Marshal(event); string(got) != wanted[i] {
			t.Errorf("got question %s, want %s", got, wanted[i])
		}
	}
}

func TestHookAddsClaims(t *testing.T) {
	t.Parallel()
	b := newBackend(t, says(`{"allow":true,"claims":{"role":"clerk","level":7,"openid":"forged","Phone":"forged","deep":{"a":[1,null]}}}`))
	s := newSite(t, b.option(), "header X-User-Role role")
	u := s.fake.NewUser(s.appID)
	a := s.login("code", s.fake.LoginCode(u))
	want(t, a, 200, "")
	check := func(token, role string, level any) {
		t.Helper()
		c := claims(t, token)
		if c["role"] != role || c["level"] != level || c["openid"] != u.OpenID || c["Phone"] != nil || c["phone"] == "forged" {
			t.Errorf("got claims %v, want role %s, level %v and nothing forged", c, role, level)
		}
		if got := fmt.Sprint(c["deep"]); level != nil && got != "map[a:[1 <nil>]]" {
			t.Errorf("got deep claim %s", got)
		}
		want(t, s.do("GET", "/api", token, ""), 200, "")
		if got := s.last().Header.Get("X-User-Role"); got != role {
			t.Errorf("got role %q upstream, want %q", got, role)
		}
	}
	check(a.text("access_token"), "clerk", 7.0)
	refreshed := s.do("POST", "/auth/refresh", "", object("refresh_token", a.text("refresh_token")))
	check(refreshed.text("access_token"), "clerk", 7.0)

	b.then(says(`{"allow":true,"claims":{"role":"admin"}}`))
	phone := s.do("POST", "/auth/phone", a.text("access_token"), object("code", s.fake.PhoneCode(u, "13800138000")))
	want(t, phone, 200, "")
	check(phone.text("access_token"), "admin", 7.0)
	refreshed = s.do("POST", "/auth/refresh", "", object("refresh_token", refreshed.text("refresh_token")))
	check(refreshed.text("access_token"), "admin", nil) // at refresh they replace the session's
	profile := s.do("POST", "/auth/profile", phone.text("access_token"), object("nickname", "小明"))
	check(profile.text("access_token"), "admin", nil)
}

func TestHookDenies(t *testing.T) {
	t.Parallel()
	b := newBackend(t, says(`{"allow":false,"reason":"会员才能登录"}`))
	s := newSite(t, b.option())
	u := s.fake.NewUser(s.appID)
	a := s.login("code", s.fake.LoginCode(u))
	want(t, a, 403, "denied")
	if got := a.text("error_description"); got != "会员才能登录" {
		t.Errorf("got %q, want the hook's reason", got)
	}
	if a.text("access_token") != "" {
		t.Error("got a token with the refusal")
	}

	b.then(says(`{"allow":true}`))
	token := s.token(u)
	b.then(says(`{"allow":false}`))
	want(t, s.do("POST", "/auth/phone", token, object("code", s.fake.PhoneCode(u, "13800138000"))), 403, "denied")
	if got := s.do("GET", "/auth/profile", token, "").text("phone"); got != "" {
		t.Errorf("got phone %q stored, want none: it was denied", got)
	}
	b.then(says(`{"allow":true}`))
	if got := claims(t, s.token(u))["phone"]; got != nil {
		t.Errorf("got phone %v at the next login, want none", got)
	}
}

// What a hook says besides yes and no is an error, and on_error decides.
func TestHookErrors(t *testing.T) {
	t.Parallel()
	elsewhere := newBackend(t, says(`{"allow":true,"claims":{"role":"admin"}}`))
	huge := `{"allow":true,"reason":"` + strings.Repeat("x", 70_000) + `"}`
	tests := []struct {
		name   string
		answer http.HandlerFunc
	}{
		{"status 500", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, `{"allow":true}`, 500) }},
		{"status 204", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }},
		{"redirect", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.url, http.StatusTemporaryRedirect)
		}},
		{"empty", says("")},
		{"not JSON", says("allow")},
		{"not an object", says("true")},
		{"no allow", says(`{"reason":"x"}`)},
		{"allow is text", says(`{"allow":"true"}`)},
		{"allow twice", says(`{"allow":true,"allow":true}`)},
		{"trailing data", says(`{"allow":true}{"allow":true}`)},
		{"byte order mark", says("\ufeff" + `{"allow":true}`)},
		{"Allow", says(`{"Allow":true}`)},
		{"status 401", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(401) }},
		{"allow is null", says(`{"allow":null}`)},
		{"claims are a list", says(`{"allow":true,"claims":["role"]}`)},
		{"claims are too large", says(`{"allow":true,"claims":{"a":"` + strings.Repeat("x", 5000) + `"}}`)},
		{"claims are too deep", says(`{"allow":true,"claims":{"a":` + strings.Repeat("[", 1000) + strings.Repeat("]", 1000) + `}}`)},
		{"too large", says(huge)},
		{"too slow", func(_ http.ResponseWriter, r *http.Request) {
			select {
			case <-r.Context().Done():
			case <-time.After(10 * time.Second):
			}
		}},
		{"cut off", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, `{"allow":true}`)
			panic(http.ErrAbortHandler)
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := newBackend(t, test.answer)
			denies, allows := newSite(t, b.option("timeout 300ms")), newSite(t, b.option("timeout 300ms", "on_error allow"))
			a := denies.login("code", denies.fake.LoginCode(denies.fake.NewUser(denies.appID)))
			want(t, a, 403, "denied")
			if strings.Contains(string(a.body), b.url) || strings.Contains(string(a.body), hookSecret) {
				t.Errorf("got %s, which tells about the hook", a.body)
			}
			a = allows.login("code", allows.fake.LoginCode(allows.fake.NewUser(allows.appID)))
			want(t, a, 200, "")
			if c := claims(t, a.text("access_token")); c["role"] != nil {
				t.Errorf("got claims %v, want none of a redirect's", c)
			}
		})
	}
	if n := len(elsewhere.events()); n != 0 {
		t.Errorf("a redirect was followed %d times", n)
	}
}

// A hook that decided against a user was asked and did answer: on_error allow, which is for a hook
// that is away, must not let the user in because the answer is badly written.
func TestHookSaysNoBadly(t *testing.T) {
	t.Parallel()
	status := func(code int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(code)
			_, _ = io.WriteString(w, body)
		}
	}
	tests := []struct {
		name   string
		answer http.HandlerFunc
	}{
		{"PHP's empty array", says(`{"allow":false,"claims":[]}`)},
		{"claims are a list", says(`{"allow":false,"claims":["role"]}`)},
		{"claims are text", says(`{"allow":false,"claims":"none"}`)},
		{"claims are too deep", says(`{"allow":false,"claims":{"a":` + strings.Repeat("[", 1000) + strings.Repeat("]", 1000) + `}}`)},
		{"reason is a number", says(`{"allow":false,"reason":7}`)},
		{"no and yes", says(`{"allow":false,"allow":true}`)},
		{"yes and no", says(`{"allow":true,"allow":false}`)},
		{"yes and No", says(`{"allow":true,"Allow":false}`)},
		{"capitals", says(`{"ALLOW":false}`)},
		{"text", says(`{"allow":"false"}`)},
		{"Python's", says(`{"allow": False}`)},
		{"zero", says(`{"allow":0}`)},
		{"a word", says(`{"allow":"deny"}`)},
		{"Python's object", says(`{'allow': False}`)},
		{"Python's object with text", says(`{'allow': 'no'}`)},
		{"a name without quotation marks", says(`{allow: false}`)},
		{"a form", says(`user=o1&allow=false`)},
		{"PHP's false as text", says(`{"allow":""}`)},
		{"escaped name", says(`{"\u0061llow":false,"claims":[1]}`)},
		{"byte order mark", says("\ufeff" + `{"allow":false}`)},
		{"trailing data", says(`{"allow":false}{"allow":true}`)},
		{"a warning in front", says("<br />Warning: x<br />" + `{"allow":false}`)},
		{"broken after", says(`{"allow":false,"reason":"a"b"}`)},
		{"not UTF-8", says("{\"allow\":false,\"reason\":\"\xff\"}")},
		{"in a wrapper", says(`{"code":0,"data":{"allow":false}}`)},
		{"too large", says(`{"allow":false,"reason":"` + strings.Repeat("x", 70_000) + `"}`)},
		{"cut off", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, `{"allow":false,`)
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}},
		{"status 403", status(403, "")},
		{"status 401 with a no", status(401, `{"allow":false}`)},
		{"status 500 with a no", status(500, `{"allow":false}`)},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, newBackend(t, test.answer).option("on_error allow"))
			want(t, s.login("code", s.fake.LoginCode(s.fake.NewUser(s.appID))), 403, "denied")
		})
	}
}

// What looks like a no in another place is none.
func TestHookSaysYes(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		`{"allow":true,"claims":[]}`,
		`{"allow":true,"claims":[ ]}`,
		`{"allow":true,"claims":{"allow":false}}`,
		`{"allow":true,"reason":"say \"allow\":false"}`,
		`{"allow":true,"reason":null,"data":{"allow":false}}`,
	} {
		s := newSite(t, newBackend(t, says(text)).option())
		a := s.login("code", s.fake.LoginCode(s.fake.NewUser(s.appID)))
		if want(t, a, 200, ""); a.status != 200 {
			t.Errorf("the answer was %s", text)
		}
	}
}

// An address with a user is sent as Basic authentication, and the password is what the placeholder
// stands for.
func TestHookWithPassword(t *testing.T) {
	t.Setenv("HOOK_PASSWORD", "p/w@#%2F:?")
	b := newBackend(t, func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		if user != "u" || password != "p/w@#%2F:?" {
			t.Errorf("got user %q, password %q", user, password)
		}
		says(`{"allow":true}`)(w, r)
	})
	b.url = strings.Replace(b.url, "http://", "http://u:{env.HOOK_PASSWORD}@", 1)
	s := newSite(t, b.option())
	want(t, s.login("code", s.fake.LoginCode(s.fake.NewUser(s.appID))), 200, "")
}

func TestHookAway(t *testing.T) {
	t.Parallel()
	s := newSite(t, "hook http://127.0.0.1:1/hook {\nsecret "+hookSecret+"\n}")
	want(t, s.login("code", s.fake.LoginCode(s.fake.NewUser(s.appID))), 403, "denied")
}

// A reason that could pose as something else in a terminal or an app is not passed on.
func TestHookReasonIsPlain(t *testing.T) {
	t.Parallel()
	for _, reason := range []string{"a\\nb", "a\\u202eb", strings.Repeat("x", 201)} {
		b := newBackend(t, says(`{"allow":false,"reason":"`+reason+`"}`))
		s := newSite(t, b.option())
		a := s.login("code", s.fake.LoginCode(s.fake.NewUser(s.appID)))
		want(t, a, 403, "denied")
		if strings.Contains(string(a.body), reason) {
			t.Errorf("got %s, want another description", a.body)
		}
	}
}

// A tap that was paid for is not lost because the hook was away: the repeated request asks the hook
// alone.
func TestHookFailureKeepsTheTap(t *testing.T) {
	t.Parallel()
	down := func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "", http.StatusBadGateway) }
	b := newBackend(t, says(`{"allow":true}`))
	s := newSite(t, b.option())
	u := s.fake.NewUser(s.appID)
	token := s.token(u)
	body := object("code", s.fake.PhoneCode(u, "13800138000"))
	b.then(down)
	want(t, s.do("POST", "/auth/phone", token, body), 403, "denied")
	if got := s.do("GET", "/auth/profile", token, "").text("phone"); got != "" {
		t.Errorf("got phone %q, want none before the hook allows it", got)
	}
	b.then(says(`{"allow":true,"claims":{"role":"clerk"}}`))
	a := s.do("POST", "/auth/phone", token, body)
	want(t, a, 200, "")
	if a.text("user", "phone") != "13800138000" || claims(t, a.text("access_token"))["role"] != "clerk" {
		t.Errorf("got %s, want phone and role", a.body)
	}
	if n := s.fake.Count(wechattest.Phone); n != 1 {
		t.Errorf("WeChat was asked for the phone %d times, want once", n)
	}
	// Nobody else gets it.
	want(t, s.do("POST", "/auth/phone", s.token(s.fake.NewUser(s.appID)), body), 401, "code_invalid")

	// The same at a one tap login: the login code is spent, the tap is not lost.
	v := s.fake.NewUser(s.appID)
	tap := s.fake.PhoneCode(v, "13900139000")
	b.then(down)
	want(t, s.login("code", s.fake.LoginCode(v), "phone_code", tap), 403, "denied")
	b.then(says(`{"allow":true}`))
	a = s.login("code", s.fake.LoginCode(v), "phone_code", tap)
	want(t, a, 200, "")
	if a.text("user", "phone") != "13900139000" || a.field("user", "new") != true || a.field("phone_error") != nil {
		t.Errorf("got %s, want a new user with the phone", a.body)
	}
}

func TestHookClaimsAreOfTheSession(t *testing.T) {
	t.Parallel()
	b := newBackend(t, says(`{"allow":true,"claims":{"role":"admin","team":"a"}}`))
	s := newSite(t, b.option())
	u := s.fake.NewUser(s.appID)
	a := s.login("code", s.fake.LoginCode(u))
	old := a.text("access_token")
	b.then(says(`{"allow":true,"claims":{"role":"clerk"}}`))
	want(t, s.do("POST", "/auth/phone", old, object("code", s.fake.PhoneCode(u, "13800138000"))), 200, "")

	// A token from before does not bring the old role back.
	again := s.do("POST", "/auth/profile", old, object("nickname", "n"))
	want(t, again, 200, "")
	if c := claims(t, again.text("access_token")); c["role"] != "clerk" || c["team"] != "a" {
		t.Errorf("got role %v and team %v, want clerk and a", c["role"], c["team"])
	}

	// Together they stay within bounds; an answer with too much is an error.
	for _, empty := range []string{`{}`, `{"openid":"x"}`, `null`} {
		b.then(says(`{"allow":true,"claims":` + empty + `}`))
		want(t, s.do("POST", "/auth/phone", old, object("code", s.fake.PhoneCode(u, "13800138000"))), 200, "")
		v := s.fake.NewUser(s.appID)
		fresh := s.login("code", s.fake.LoginCode(v))
		want(t, s.do("POST", "/auth/phone", fresh.text("access_token"), object("code", s.fake.PhoneCode(v, "13800138000"))), 200, "")
		want(t, s.do("POST", "/auth/refresh", "", object("refresh_token", fresh.text("refresh_token"))), 200, "")
	}
	for i, code := range []string{"", "denied"} {
		b.then(says(`{"allow":true,"claims":{"c` + fmt.Sprint(i) + `":"` + strings.Repeat("x", 3000) + `"}}`))
		got := s.do("POST", "/auth/phone", old, object("code", s.fake.PhoneCode(u, "13800138000")))
		if got.text("error") != code {
			t.Errorf("answer %d: got %s, want error %q", i, got.body, code)
		}
	}
}

// A login that waits for the hook while its user is erased does not bring him back.
func TestLoginUnderWayDoesNotUndoErasing(t *testing.T) {
	t.Parallel()
	b := newBackend(t, says(`{"allow":true}`))
	s := newSite(t, b.option("timeout 20s"))
	u := s.fake.NewUser(s.appID)
	token := s.token(u)
	want(t, s.do("POST", "/auth/phone", token, object("code", s.fake.PhoneCode(u, "13800138000"))), 200, "")

	asked, release := make(chan struct{}), make(chan struct{})
	b.then(func(w http.ResponseWriter, r *http.Request) {
		close(asked)
		<-release
		says(`{"allow":true}`)(w, r)
	})
	late := make(chan answer)
	code := s.fake.LoginCode(u)
	go func() { late <- s.login("code", code) }()
	<-asked
	if a := s.do("DELETE", "/auth/profile", token, ""); a.status != 204 {
		t.Fatalf("got %d, want 204: %s", a.status, a.body)
	}
	close(release)
	want(t, <-late, 401, "session_revoked")

	b.then(says(`{"allow":true}`))
	a := s.login("code", s.fake.LoginCode(u))
	want(t, a, 200, "")
	if a.field("user", "new") != true || a.text("user", "phone") != "" {
		t.Errorf("got %s, want a new user", a.body)
	}
}
