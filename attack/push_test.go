// WeChat's message push, from whoever is not WeChat.

package attack_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-wechat/wechatauth/wechat/wechattest"
)

const (
	rigPushToken = "q8Zr2Kf0Lw5TnB7y"
	rigPushKey   = "Vb3nQx7ZkP0sTfYw8GhJm2LcRdAe5UiOoN1vXzK4q6R"
)

// mailbox is a site that takes pushes, and the backend behind it.
type mailbox struct {
	t       *testing.T
	fake    *wechattest.Server
	console wechattest.PushConsole
	addr    string
	log     string

	mu  sync.Mutex // guards what follows
	got []*http.Request
	say []string // the bodies
}

// startMailbox returns nil in the process that only waits for the one with the Caddy.
func startMailbox(t *testing.T) *mailbox {
	t.Helper()
	home := t.TempDir()
	if !inChild(t, "HOME="+home, "XDG_CONFIG_HOME="+home, "XDG_DATA_HOME="+home, "PUSH_TOKEN="+rigPushToken, "PUSH_KEY="+rigPushKey) {
		return nil
	}
	m := &mailbox{t: t, fake: wechattest.New(wechattest.App{ID: rigAppA, Secret: rigSecret}), log: filepath.Join(t.TempDir(), "log")}
	api := httptest.NewServer(m.fake)
	t.Cleanup(api.Close)
	backend := httptest.NewServer(m)
	t.Cleanup(backend.Close)
	ports, err := rigPorts(2)
	if err != nil {
		t.Fatal(err)
	}
	m.addr = fmt.Sprintf("http://127.0.0.1:%d", ports[1])
	m.console = wechattest.PushConsole{AppID: rigAppA, URL: m.addr + "/auth/push/" + rigAppA, Token: rigPushToken, AESKey: rigPushKey}
	err = loadCaddyfile(fmt.Sprintf("{\nadmin 127.0.0.1:%d\nauto_https off\nlog {\noutput file %s\nlevel DEBUG\n}\n}\nhttp://127.0.0.1:%d {\nlog\n"+
		"wechat_auth {\napp %s %s {\npush {\ntoken {env.PUSH_TOKEN}\naes_key {env.PUSH_KEY}\nforward /wechat/push\n}\n}\napi %s\nstore memory\n}\nreverse_proxy %s\n}\n",
		ports[0], m.log, ports[1], rigAppA, rigSecret, api.URL, backend.URL))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := caddy.Stop(); err != nil {
			t.Error(err)
		}
	})
	return m
}

// ServeHTTP is the backend.
func (m *mailbox) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.got, m.say = append(m.got, r), append(m.say, string(body))
}

// pushed returns the bodies that came as pushes.
func (m *mailbox) pushed() (bodies []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i, r := range m.got {
		if r.Header.Get("X-Wx-Source") == "wx_push" {
			bodies = append(bodies, m.say[i])
		}
	}
	return bodies
}

func (m *mailbox) login() rigUser {
	m.t.Helper()
	u := m.fake.NewUser(rigAppA)
	r, err := http.NewRequestWithContext(m.t.Context(), "POST", m.addr+"/auth/login",
		strings.NewReader(object("code", m.fake.LoginCode(u), "phone_code", m.fake.PhoneCode(u, "13800138000"))))
	if err != nil {
		m.t.Fatal(err)
	}
	a := send(m.t, http.DefaultClient, r)
	want(m.t, a, 200, "")
	return rigUser{u, a.text("access_token"), a.body}
}

// request is a genuine push, to be spoiled.
func (m *mailbox) request(console wechattest.PushConsole, message wechattest.PushMessage) (*http.Request, string) {
	m.t.Helper()
	r, err := m.fake.PushRequest(m.t.Context(), console, message)
	if err != nil {
		m.t.Fatal(err)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		m.t.Fatal(err)
	}
	return r, string(body)
}

// post sends a body with the query of a request.
func (m *mailbox) post(r *http.Request, body string) answer {
	m.t.Helper()
	again, err := http.NewRequestWithContext(m.t.Context(), "POST", r.URL.String(), strings.NewReader(body))
	if err != nil {
		m.t.Fatal(err)
	}
	return send(m.t, http.DefaultClient, again)
}

// knows reports whether the user is still there, with the phone.
func (m *mailbox) knows(u rigUser) bool {
	m.t.Helper()
	r, err := http.NewRequestWithContext(m.t.Context(), "GET", m.addr+"/auth/profile", http.NoBody)
	if err != nil {
		m.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+u.token)
	return send(m.t, http.DefaultClient, r).text("phone") == "13800138000"
}

func encryptOf(t *testing.T, body string) string {
	t.Helper()
	var outer struct{ Encrypt string }
	if err := json.Unmarshal([]byte(body), &outer); err != nil || outer.Encrypt == "" {
		t.Fatalf("no Encrypt in %s", body)
	}
	return outer.Encrypt
}

// Somebody read the query of a genuine push in a log of a proxy, and has the whole request of
// another. With both he tries to have a user erased, and the backend believe what WeChat never said.
func TestAttackPushFromALeakedQuery(t *testing.T) {
	t.Parallel()
	m := startMailbox(t)
	if m == nil {
		return
	}
	victim := m.login()
	erase := m.fake.AuthorizationEvent(victim.User, "user_authorization_cancellation", "")
	leaked, genuine := m.request(m.console, m.fake.TextMessage(m.fake.NewUser(rigAppA), "hi"))
	_, other := m.request(m.console, m.fake.TextMessage(m.fake.NewUser(rigAppA), "there"))
	stranger := m.console
	stranger.Token, stranger.AESKey = "guessed", strings.Repeat("A", 43)
	forged, forgedBody := m.request(stranger, erase)
	stranger.Token = rigPushToken // the Token leaked, the key did not
	_, wrongKey := m.request(stranger, erase)
	plainConsole := m.console
	plainConsole.Mode = wechattest.PlainPush
	plain, plainBody := m.request(plainConsole, erase)
	encrypted := encryptOf(t, genuine)

	for name, a := range map[string]answer{
		"the other's body":          m.post(leaked, other),
		"a plain body":              m.post(leaked, plainBody),
		"a body under no key":       m.post(leaked, wrongKey),
		"all forged":                m.post(forged, forgedBody),
		"the plain mode, signed":    m.post(plain, plainBody),
		"no body":                   m.post(leaked, ""),
		"garbage":                   m.post(leaked, strings.Repeat("\x00\xff", 1<<18)),
		"a form":                    m.post(leaked, "Encrypt="+url.QueryEscape(encrypted)),
		"two of them":               m.post(leaked, `{"Encrypt":"`+encrypted+`","Encrypt":"`+encrypted+`"}`),
		"two elements":              m.post(leaked, "<xml><Encrypt>"+encrypted+"</Encrypt><Encrypt>"+encrypted+"</Encrypt></xml>"),
		"another case":              m.post(leaked, `{"encrypt":"`+encrypted+`"}`),
		"base64url":                 m.post(leaked, `{"Encrypt":"`+strings.NewReplacer("+", "-", "/", "_").Replace(encrypted)+`x"}`),
		"a line in it":              m.post(leaked, `{"Encrypt":"`+encrypted[:20]+`\n`+encrypted[20:]+`"}`),
		"a list":                    m.post(leaked, `{"Encrypt":["`+encrypted+`"]}`),
		"nested":                    m.post(leaked, `{"xml":{"Encrypt":"`+encrypted+`"}}`),
		"a bomb of entities":        m.post(leaked, `<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]><xml><Encrypt>&b;</Encrypt></xml>`),
		"an entity that is a file":  m.post(leaked, `<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]><xml><Encrypt>&f;</Encrypt></xml>`),
		"a hundred thousand levels": m.post(leaked, strings.Repeat("<a>", 100_000)+strings.Repeat("</a>", 100_000)),
		"and in JSON":               m.post(leaked, strings.Repeat(`[`, 100_000)),
		"a million elements":        m.post(leaked, "<xml>"+strings.Repeat("<a/>", 200_000)+"</xml>"),
	} {
		if a.status != 401 || a.text("error") != "token_invalid" {
			t.Errorf("%s: got %d %.200s, want 401 token_invalid", name, a.status, a.body)
		}
	}
	for cut := 1; cut < len(genuine); cut += 7 {
		if a := m.post(leaked, genuine[:cut]); a.status != 401 {
			t.Fatalf("cut after %d bytes: got %d %s, want 401", cut, a.status, a.body)
		}
	}
	if a := m.post(leaked, strings.Repeat("x", 1<<20+1)); a.status != 413 {
		t.Errorf("above 1 MiB: got %d, want 413", a.status)
	}
	for name, change := range map[string]func(url.Values){
		"two signatures": func(q url.Values) { q.Add("msg_signature", q.Get("msg_signature")) },
		"no signature":   func(q url.Values) { q.Del("msg_signature") },
		"the other":      func(q url.Values) { q.Set("msg_signature", q.Get("signature")) },
		"capitals":       func(q url.Values) { q.Set("msg_signature", strings.ToUpper(q.Get("msg_signature"))) },
		"another nonce":  func(q url.Values) { q.Set("nonce", q.Get("nonce")+"1") },
		"a later time":   func(q url.Values) { q.Set("timestamp", q.Get("timestamp")+"0") },
		"a long nonce":   func(q url.Values) { q.Set("nonce", strings.Repeat("1", 10_000)) },
	} {
		r := leaked.Clone(t.Context())
		q := r.URL.Query()
		change(q)
		r.URL.RawQuery = q.Encode()
		if a := m.post(r, genuine); a.status != 401 {
			t.Errorf("%s: got %d %s, want 401", name, a.status, a.body)
		}
	}
	if !m.knows(victim) {
		t.Error("the victim was erased")
	}
	if got := m.pushed(); len(got) != 0 {
		t.Errorf("got %v at the backend, want nothing", got)
	}

	// In the compatible mode the message stands beside Encrypt, and nothing covers it there.
	beside, err := json.Marshal(map[string]any{
		"MsgType": "event", "Event": "user_authorization_cancellation", "OpenID": victim.OpenID, "AppID": rigAppA, "Encrypt": encrypted,
	})
	if err != nil {
		t.Fatal(err)
	}
	leaked.URL.RawQuery += "&openid=" + victim.OpenID
	if a := m.post(leaked, string(beside)); string(a.body) != "success" {
		t.Errorf("got %d %s, want success for what was encrypted", a.status, a.body)
	}
	if got := m.pushed(); !m.knows(victim) || len(got) != 1 || !strings.Contains(got[0], `"Content":"hi"`) || strings.Contains(got[0], "cancellation") {
		t.Errorf("got %v at the backend, want the encrypted message alone, and the victim as before", got)
	}
	log, err := os.ReadFile(m.log)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{rigPushToken, rigPushKey} {
		if strings.Contains(string(log), secret) {
			t.Errorf("the log has %s", secret)
		}
	}
}

// Somebody has a copy of a revocation, and sends it again and again, at once and after the user
// gave the phone anew.
func TestAttackRepeatedPush(t *testing.T) {
	t.Parallel()
	m := startMailbox(t)
	if m == nil {
		return
	}
	u := m.login()
	r, body := m.request(m.console, m.fake.AuthorizationEvent(u.User, "user_authorization_revoke", "8"))
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if a := m.post(r, body); string(a.body) != "success" {
				t.Errorf("got %d %s, want success", a.status, a.body)
			}
		})
	}
	wg.Wait()
	if m.knows(u) {
		t.Error("the phone is still there")
	}
	again, err := http.NewRequestWithContext(t.Context(), "POST", m.addr+"/auth/phone", strings.NewReader(object("code", m.fake.PhoneCode(u.User, "13800138000"))))
	if err != nil {
		t.Fatal(err)
	}
	again.Header.Set("Authorization", "Bearer "+u.token)
	want(t, send(t, http.DefaultClient, again), 200, "")
	if a := m.post(r, body); string(a.body) != "success" || !m.knows(u) {
		t.Errorf("got %d %s; knows the phone: %t; want success and the new phone kept", a.status, a.body, m.knows(u))
	}
	if got := m.pushed(); len(got) != 1 {
		t.Errorf("got it %d times at the backend, want once", len(got))
	}
}

// A client posts to the backend's path itself, and names itself WeChat in every spelling that some
// server might read so.
func TestAttackClientThatPassesAsWeChat(t *testing.T) {
	t.Parallel()
	m := startMailbox(t)
	if m == nil {
		return
	}
	u := m.login()
	names := []string{"X-WX-SOURCE", "x-wx-source", "X_WX_SOURCE", "X-Wx_Source", "X.WX.SOURCE", "X-WX-SOURCE-", "X-WX-APPID", "X-WX-OPENID"}
	for _, token := range []string{"", u.token} {
		for _, method := range []string{"POST", "GET", "PUT"} {
			r, err := http.NewRequestWithContext(t.Context(), method, m.addr+"/wechat/push", strings.NewReader(`{"MsgType":"text"}`))
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range names {
				r.Header[name] = []string{"wx_push"}
			}
			if token != "" {
				r.Header.Set("Authorization", "Bearer "+token)
			}
			status := send(t, http.DefaultClient, r).status
			if wanted := map[bool]int{true: 401, false: 200}[token == ""]; status != wanted {
				t.Errorf("%s: got %d, want %d", method, status, wanted)
			}
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.got) != 3 {
		t.Errorf("got %d requests at the backend, want those with a token", len(m.got))
	}
	for _, r := range m.got {
		for name, values := range r.Header {
			if slices.Contains(values, "wx_push") {
				t.Errorf("got %s: %v at the backend", name, values)
			}
		}
		if got := r.Header.Get("X-Wx-Source"); got != "wx_client" {
			t.Errorf("got X-WX-SOURCE %q, want wx_client", got)
		}
	}
}

// A page has a browser open the echo with a script in it; others try the route by other spellings
// and methods.
func TestAttackEcho(t *testing.T) {
	t.Parallel()
	m := startMailbox(t)
	if m == nil {
		return
	}
	const script = "<script>alert(1)</script>"
	r, err := m.fake.VerifyRequest(t.Context(), m.console, script)
	if err != nil {
		t.Fatal(err)
	}
	a := send(t, http.DefaultClient, r)
	if a.status != 200 || string(a.body) != script || !strings.HasPrefix(a.header.Get("Content-Type"), "text/plain") ||
		a.header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("got %d %s %v, want plain text", a.status, a.body, a.header)
	}
	for _, row := range []struct {
		method, path string
		status       int
	}{
		{"GET", "/auth/push/" + rigAppA + "?echostr=1", 401},
		{"GET", "/auth/push/" + rigAppB + "?echostr=1", 404},
		{"HEAD", "/auth/push/" + rigAppA, 405},
		{"PUT", "/auth/push/" + rigAppA, 405},
		{"POST", "/auth/push/" + rigAppA + "/", 404},
		{"POST", "/auth/push//" + rigAppA, 404},
		{"POST", "/auth/push/%77xaaaaaaaaaaaaaaaa", 404},
		{"POST", "/auth//push/" + rigAppA, 404},
		{"POST", "/auth/push", 404},
		{"POST", "/auth/push/../push/" + rigAppA, 404},
	} {
		r, err := http.NewRequestWithContext(t.Context(), row.method, m.addr+row.path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		if a := send(t, http.DefaultClient, r); a.status != row.status {
			t.Errorf("%s %s: got %d %s, want %d", row.method, row.path, a.status, a.body, row.status)
		}
	}
}
