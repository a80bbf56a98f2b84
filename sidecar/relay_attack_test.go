// Attacks on what a backend gets of WeChat, and on what it costs.

package sidecar

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/wechat"
	"github.com/caddy-wechat/wechatauth/wechat/wechattest"
)

// WeChat's trouble with one relayed call is over with the next that works, and a backend that leaves
// or breaks off is no trouble of WeChat's: otherwise the site is degraded until it is restarted.
func TestAttackBackendDegradesTheSite(t *testing.T) {
	t.Parallel()
	s := newTestSite(t, withAPI("/wxa/*"))
	s.fake.Fail(wechattest.StableToken, 1, wechattest.ErrCode(40125))
	if got := s.relay("POST", "/wxa/msg_sec_check", "{}"); got.Code != 502 {
		t.Errorf("a wrong AppSecret: got %d %s, want 502", got.Code, got.Body)
	}
	s.healthz("a wrong AppSecret", 200, `"degraded"`)
	s.relay("POST", "/wxa/msg_sec_check", "{}")
	s.healthz("it is right again", 200, `"ok"`)

	before := s.fake.Count(wechattest.Any)
	tooLarge := func(r *http.Request) { r.Body, r.ContentLength = &brokenBody{left: 2 << 20}, maxImport+1 }
	if got := s.relay("POST", "/wxa/img_sec_check", "", tooLarge); got.Code != 413 || s.fake.Count(wechattest.Any) != before {
		t.Errorf("a length of more than 64 MiB: got %d %s, want 413 and WeChat not called", got.Code, got.Body)
	}
	s.healthz("too much", 200, `"ok"`)

	s.fake.Fail(wechattest.CheckContent, 1, wechattest.Delay(time.Minute))
	ctx, leave := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, leave)
	s.relay("POST", "/wxa/msg_sec_check", "{}", func(r *http.Request) { *r = *r.WithContext(ctx) })
	s.healthz("the backend left", 200, `"ok"`)

	broken := func(r *http.Request) { r.Body, r.ContentLength = &brokenBody{left: 2 << 20}, 3<<20 }
	if got := s.relay("POST", "/wxa/msg_sec_check", "", broken); got.Code != 400 { // where the fake reads before it answers
		t.Errorf("an upload that breaks off: got %d %s, want 400", got.Code, got.Body)
	}
	s.healthz("an upload that breaks off", 200, `"ok"`)
}

// brokenBody breaks off in the middle.
type brokenBody struct{ left int }

func (b *brokenBody) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, http.ErrBodyReadAfterClose
	}
	n := min(len(p), b.left)
	b.left -= n
	return n, nil
}

func (*brokenBody) Close() error { return nil }

// TRACE has the server say what it got, and the access token is in there.
func TestAttackRelayOfOddMethods(t *testing.T) {
	t.Parallel()
	s := newTestSite(t, withAPI("/wxa/*"))
	for _, method := range []string{"TRACE", "CONNECT", "PRI", "get", "PROPFIND"} {
		if got := s.relay(method, "/wxa/x", ""); got.Code != 405 || got.Header().Get("Allow") == "" {
			t.Errorf("%s: got %d %s, want 405", method, got.Code, got.Body)
		}
	}
	if got := s.relay("POST", "/wxa/x.", ""); got.Code != 404 {
		t.Errorf("a dot at the end: got %d, want 404", got.Code)
	}
	if got := s.fake.Count(wechattest.Any); got != 0 {
		t.Errorf("calls to WeChat: got %d, want none", got)
	}
}

// An answer without a type stays without one: a guess could make a page of it.
func TestAttackRelayedAnswerIsTakenForAPage(t *testing.T) {
	t.Parallel()
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == wechattest.StableToken {
			fmt.Fprint(w, `{"access_token":"x","expires_in":7200}`)
			return
		}
		w.Header()["Content-Type"] = nil
		w.Header().Set("Set-Cookie", "a=b")
		fmt.Fprint(w, "<html><script>alert(1)</script>")
	}))
	defer api.Close()
	s := newTestSite(t, withAPI("/wxa/*"), withWeChat(t, api.URL))
	server := httptest.NewServer(http.HandlerFunc(s.serve))
	defer server.Close()
	req, err := http.NewRequestWithContext(t.Context(), "GET", server.URL+"/auth/service/api/wxa/x", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+testServiceSecret)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if got := resp.Header; len(got["Content-Type"]) != 0 || got.Get("X-Content-Type-Options") != "nosniff" || got.Get("Set-Cookie") != "" {
		t.Errorf("got header %v, want no type, nosniff and no cookie", got)
	}
}

// A backend that reads nothing must not keep the server from stopping. The connection is the next
// request's again afterwards.
func TestAttackStalledReaderKeepsTheServerUp(t *testing.T) {
	t.Parallel()
	s := newTestSite(t, withAPI("/wxa/*"))
	w := &deadlines{ResponseRecorder: httptest.NewRecorder()}
	r := httptest.NewRequest("POST", "/auth/service/api/wxa/getwxacodeunlimit", strings.NewReader(`{"scene":"a"}`))
	r.Header.Set("Authorization", "Bearer "+testServiceSecret)
	s.serve(w, r)
	if len(w.set) != 2 || time.Until(w.set[0]) < time.Minute || time.Until(w.set[0]) > 3*time.Minute || !w.set[1].IsZero() {
		t.Errorf("got deadlines %v, want one in some minutes, and none afterwards", w.set)
	}
}

// deadlines records those of writing.
type deadlines struct {
	*httptest.ResponseRecorder

	set []time.Time
}

func (d *deadlines) SetWriteDeadline(at time.Time) error {
	d.set = append(d.set, at)
	return nil
}

// withWeChat has a site ask another WeChat than the fake.
func withWeChat(t testing.TB, address string) func(*Config, *Deps) {
	t.Helper()
	return func(_ *Config, deps *Deps) {
		app, err := NewApp(wechat.Config{AppID: testAppID, Secret: testSecret, BaseURLs: []string{address}, Timeout: 5 * time.Second, MaxInFlight: 9}, func() {})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = app.Close() })
		deps.Apps = Apps{testAppID: app}
	}
}

// The user calls wx.login and keeps the code back: the key that is stored is stale, and still
// decrypts. Tries with it must count, or there is no end of them.
func TestAttackOracleWithAStaleKey(t *testing.T) {
	t.Parallel()
	s := newTestSite(t, withKeyUses)
	mallory := s.fake.NewUser(testAppID)
	s.loginAs(mallory)
	forged, iv := s.fake.EncryptedSteps(mallory, 1_000_000) // as if made by means of the oracle
	bad, badIV := s.fake.Encrypt(mallory, "garbage")
	code := s.fake.LoginCode(mallory)
	for range maxDecryptFailures {
		s.wantService("POST", "decrypt", decryptBody(mallory.OpenID, bad, badIV), 409, "session_key_stale")
	}
	s.wantService("POST", "decrypt", decryptBody(mallory.OpenID, forged, iv), 409, "session_key_stale")

	// The next login has a key with a count of its own.
	if status, answer := s.do("POST", "/auth/login", "", `{"code":"`+code+`"}`); status != 200 {
		t.Fatalf("login: got %d %v, want 200", status, answer)
	}
	steps, iv := s.fake.EncryptedSteps(mallory, 2)
	s.wantService("POST", "decrypt", decryptBody(mallory.OpenID, steps, iv), 200, "")
}

// A backend that sends phones to the wrong route must not cost the user the right one.
func TestAttackPhonesAtDecryptCountForTheUser(t *testing.T) {
	t.Parallel()
	s := newTestSite(t, withKeyUses, func(cfg *Config, _ *Deps) { cfg.EncryptedData = true })
	alice := s.fake.NewUser(testAppID)
	_, login := s.loginAs(alice)
	data, iv := s.fake.EncryptedPhone(alice, "13800138000")
	for range 2 * maxDecryptFailures {
		s.wantService("POST", "decrypt", decryptBody(alice.OpenID, data, iv), 400, "invalid_request")
	}
	body := `{"encryptedData":"` + data + `","iv":"` + iv + `"}`
	if status, answer := s.do("POST", "/auth/phone", text(login, "access_token"), body); status != 200 {
		t.Errorf("phone: got %d %v, want 200", status, answer)
	}
}

// A user taps on after the limit of phones; WeChat, who counts questions about risks, is not asked.
func TestAttackPhoneRouteSpendsRiskQuota(t *testing.T) {
	t.Parallel()
	s := newTestSite(t, withRiskDeny(4), func(_ *Config, deps *Deps) { deps.Limits.Phone = NewLimiter(3, time.Minute, func() {}) })
	alice := s.fake.NewUser(testAppID)
	_, login := s.loginAs(alice) // with a tap
	before := s.fake.Count(wechattest.RiskRank)
	for i := range 10 {
		s.do("POST", "/auth/phone", text(login, "access_token"), fmt.Sprintf(`{"code":"code-%d"}`, i))
	}
	if got := s.fake.Count(wechattest.RiskRank) - before; got != 2 {
		t.Errorf("questions about risk: got %d, want 2", got)
	}
}

// Openids as long as a body would fill the memory of the limiter.
func TestAttackLongOpenIDsFillTheLimiter(t *testing.T) {
	t.Parallel()
	s := newTestSite(t, withKeyUses)
	for _, openid := range []string{strings.Repeat("o", 60_000), "a/b", "", "ä"} {
		s.wantService("POST", "sign", signBody(openid, "x"), 404, "not_found")
	}
	if got := len(s.service.keyUses.current); got != 0 {
		t.Errorf("users in the limiter: got %d, want none", got)
	}
}
