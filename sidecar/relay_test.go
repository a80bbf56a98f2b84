// WeChat's API through the service door.

package sidecar

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddy-wechat/wechatauth/wechat"
	"github.com/caddy-wechat/wechatauth/wechat/wechattest"
)

func withAPI(paths ...string) func(*Config, *Deps) {
	return func(cfg *Config, deps *Deps) {
		withKeyUses(cfg, deps)
		cfg.Service.API = paths
	}
}

// relay sends a request through the door and returns the whole answer.
func (s *testSite) relay(method, target, body string, change ...func(*http.Request)) *httptest.ResponseRecorder {
	s.t.Helper()
	r := httptest.NewRequest(method, "/auth/service/api"+target, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+testServiceSecret)
	r.Header.Set("Content-Type", "application/json")
	for _, f := range change {
		f(r)
	}
	w := httptest.NewRecorder()
	s.serve(w, r)
	return w
}

func TestRelayAddsTheTokenAndNothingElse(t *testing.T) {
	t.Parallel()
	s := newTestSite(t, withAPI("/wxa/msg_sec_check", "/wxa/getwxacodeunlimit"))
	alice := s.fake.NewUser(testAppID)
	s.loginAs(alice)
	body := fmt.Sprintf(`{"content":"好","version":2,"scene":2,"openid":%q}`, alice.OpenID)
	answer := s.relay("POST", "/wxa/msg_sec_check?appid="+testAppID+"&access_token=mine", body, func(r *http.Request) {
		r.Header.Set("Cookie", "a=b")
		r.Header.Set("X-Forwarded-For", "192.0.2.1")
		r.Header.Set("Referer", "https://example.com/")
	})
	if answer.Code != 200 || !strings.Contains(answer.Body.String(), `"suggest":"pass"`) {
		t.Errorf("got %d %s, want WeChat's answer", answer.Code, answer.Body)
	}
	if v := s.fake.Violations(); len(v) != 0 {
		t.Errorf("violations: got %q, want none", v)
	}
	calls := s.fake.Calls()
	last := calls[len(calls)-1]
	if last.Header.Get("Authorization") != "" || len(last.Query["access_token"]) != 1 || last.Query.Has("appid") {
		t.Errorf("got header %v, query %v, want our token alone", last.Header, last.Query)
	}
	if picture := s.relay("POST", "/wxa/getwxacodeunlimit", `{"scene":"a"}`); picture.Header().Get("Content-Type") != "image/jpeg" || picture.Body.Len() < 100_000 {
		t.Errorf("a picture: got %d bytes of %s, want a JPEG", picture.Body.Len(), picture.Header().Get("Content-Type"))
	}
	if refused := s.relay("POST", "/wxa/msg_sec_check", `{}`); refused.Code != 200 || !strings.Contains(refused.Body.String(), "47001") {
		t.Errorf("a bad call: got %d %s, want WeChat's own refusal", refused.Code, refused.Body)
	}
}

func TestAttackRelayReachesOnlyWhatIsListed(t *testing.T) {
	t.Parallel()
	s := newTestSite(t, withAPI("/wxa/*", "/cgi-bin/*"))
	s.relay("GET", "/wxa/checksession", "") // so that there is a token
	before := s.fake.Count(wechattest.Any)
	for _, target := range []string{
		"/sns/jscode2session", "/SNS/jscode2session", "/wxa/../sns/jscode2session", "/wxa/..%2fsns/jscode2session", "/wxa/%2e%2e/sns/x",
		"/cgi-bin/token", "/cgi-bin/Token", "/cgi-bin/token/", "/cgi-bin/token%2f", "/cgi-bin/stable_token", "/cgi-bin/stable%5ftoken", "/cgi-bin/./token",
		"/cgi-bin/component/api_component_token", "/cgi-bin//token", "//api.example.com/wxa/x", "/wxa/x;/../y", "/wxa/x%00", "/wxa/x%23y", "/wxa/x%3fy",
		"/xpay/query_user_balance", "/wxa", "/wxa/", "", "/", "/@evil.example/wxa/x", "/wxa/a b", "/wxa/ü", `/wxa\x`,
	} {
		r := &http.Request{Method: "POST", Header: http.Header{"Authorization": {"Bearer " + testServiceSecret}}, Body: http.NoBody, RemoteAddr: "192.0.2.1:1"}
		u, err := r.URL.Parse("http://x/")
		if r.URL = u; err != nil {
			t.Fatal(err)
		}
		r.URL.RawPath = "/auth/service/api" + target
		r.URL.Path = strings.NewReplacer("%2e", ".", "%2f", "/", "%5f", "_", "%00", "\x00", "%23", "#", "%3f", "?").Replace(r.URL.RawPath)
		w := httptest.NewRecorder()
		s.serve(w, r)
		if w.Code != 404 && w.Code != 400 {
			t.Errorf("%s: got %d %s, want 404", target, w.Code, w.Body)
		}
	}
	if got := s.fake.Count(wechattest.Any) - before; got != 0 {
		t.Errorf("calls to WeChat: got %d, want none", got)
	}
}

func TestAttackRelayTakesNoSmuggledParts(t *testing.T) {
	t.Parallel()
	s := newTestSite(t, withAPI("/wxa/*"))
	for name, tt := range map[string]struct {
		target string
		change func(*http.Request)
		status int
	}{
		"two mini programs":       {"/wxa/x?appid=" + testAppID + "&appid=wx-other", nil, 400},
		"another mini program":    {"/wxa/x?appid=wx-other", nil, 404},
		"a query with a ;":        {"/wxa/x?a=1;access_token=mine", nil, 400},
		"a page of a browser":     {"/wxa/x", func(r *http.Request) { r.Header.Set("Origin", "https://example.com") }, 403},
		"compressed":              {"/wxa/x", func(r *http.Request) { r.Header.Set("Content-Encoding", "gzip") }, 415},
		"without the secret":      {"/wxa/x", func(r *http.Request) { r.Header.Del("Authorization") }, 401},
		"the secret in the query": {"/wxa/x?secret=" + testServiceSecret, func(r *http.Request) { r.Header.Del("Authorization") }, 401},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if tt.change == nil {
				tt.change = func(*http.Request) {}
			}
			if got := s.relay("POST", tt.target, "{}", tt.change); got.Code != tt.status {
				t.Errorf("got %d %s, want %d", got.Code, got.Body, tt.status)
			}
		})
	}
	t.Cleanup(func() {
		if got := s.fake.Count(wechattest.Any); got != 0 {
			t.Errorf("calls to WeChat: got %d, want none", got)
		}
	})
}

func TestRelayRefusesWhenWeChatIsAway(t *testing.T) {
	t.Parallel()
	s := newTestSite(t, withAPI("/wxa/*"))
	s.fake.Fail(wechattest.StableToken, 9, wechattest.ErrCode(40125))
	if got := s.relay("POST", "/wxa/msg_sec_check", "{}"); got.Code != 502 || !strings.Contains(got.Body.String(), "wechat_misconfigured") {
		t.Errorf("no token: got %d %s, want 502 wechat_misconfigured", got.Code, got.Body)
	}
	s.fake.ClearFaults()
	s.fake.Fail(wechattest.CheckContent, 9, wechattest.Cut())
	if got := s.relay("POST", "/wxa/msg_sec_check", "{}"); got.Code != 503 && got.Code != 502 {
		t.Errorf("cut off: got %d %s, want 502 or 503", got.Code, got.Body)
	}
}

// An answer that breaks off must not look like a whole one.
func TestRelayBreaksOffWithWeChatsAnswer(t *testing.T) {
	t.Parallel()
	wechatAPI := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == wechattest.StableToken {
			fmt.Fprint(w, `{"access_token":"x","expires_in":7200}`)
			return
		}
		for range 64 { // without a length, in chunks
			_, _ = w.Write(make([]byte, 1024))
		}
		panic(http.ErrAbortHandler)
	}))
	defer wechatAPI.Close()
	s := newTestSite(t, withAPI("/wxa/*"), func(_ *Config, deps *Deps) {
		app, err := NewApp(wechat.Config{AppID: testAppID, Secret: testSecret, BaseURLs: []string{wechatAPI.URL}}, func() {})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = app.Close() })
		deps.Apps = Apps{testAppID: app}
	})
	server := httptest.NewServer(http.HandlerFunc(s.serve))
	defer server.Close()
	req, err := http.NewRequestWithContext(t.Context(), "POST", server.URL+"/auth/service/api/wxa/getwxacodeunlimit", strings.NewReader(`{"scene":"a"}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+testServiceSecret)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if n, err := io.Copy(io.Discard, resp.Body); err == nil || resp.StatusCode != 200 {
		t.Errorf("got a whole answer of status %d and %d bytes, want one that breaks off", resp.StatusCode, n)
	}
}

func TestServiceAPIConfiguration(t *testing.T) {
	t.Parallel()
	for pattern, want := range map[string]string{
		"/wxa/msg_sec_check": "", "/cgi-bin/*": "", "/wxa/*": "",
		"/sns/*": "never open", "/sns/jscode2session": "never open", "/cgi-bin/stable_token": "never open", "/CGI-BIN/token": "never open",
		"wxa/x": "starts with /", "/wxa/:x": "write", "/wxa/../x": "never match", "/wxa/{x}": "",
	} {
		err := ServiceConfig{Secret: testServiceSecret, API: []string{pattern}}.Check()
		if pattern == "/wxa/{x}" {
			if err == nil {
				t.Error("a placeholder: got no error")
			}
			continue
		}
		if got := fmt.Sprint(err); want == "" && err != nil || want != "" && !strings.Contains(got, want) {
			t.Errorf("%s: got %s, want %q", pattern, got, want)
		}
	}
}
