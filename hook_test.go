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
