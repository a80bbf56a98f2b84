// The fake as a whole, and helpers of its tests.

package wechattest_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/wechat/wechattest"
)

const (
	appID  = "wx0123456789abcdef"
	secret = "s3cret"
	other  = "wxfedcba9876543210"
)

// start serves a fake of two apps on a clock that moves by Advance only.
func start(t *testing.T) (*wechattest.Server, string) {
	t.Helper()
	fake := wechattest.New(
		wechattest.App{ID: appID, Secret: secret},
		wechattest.App{ID: other, Secret: "other", OpenPlatform: true},
	)
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	fake.Now = func() time.Time { return now }
	return fake, fake.Start(t)
}

// call sends a request and decodes the answer, which has status 200 always.
func call(t *testing.T, method, target, contentType, body string) map[string]any {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, target, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("status: got %d, want 200", resp.StatusCode)
	}
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var answer map[string]any
	if err := json.Unmarshal(text, &answer); err != nil {
		t.Fatalf("body %q: %v", text, err)
	}
	return answer
}

func get(t *testing.T, target string) map[string]any {
	t.Helper()
	return call(t, http.MethodGet, target, "", "")
}

func post(t *testing.T, target string, body map[string]any) map[string]any {
	t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	return call(t, http.MethodPost, target, "application/json", string(text))
}

// loginURL is the call a server makes with a code of wx.login.
func loginURL(api, appid, secret, code string) string {
	return api + wechattest.Login + "?" + url.Values{
		"appid": {appid}, "secret": {secret}, "js_code": {code}, "grant_type": {"authorization_code"},
	}.Encode()
}

func errcode(answer map[string]any) int {
	n, _ := answer["errcode"].(float64)
	return int(n)
}

func wantErrcode(t *testing.T, answer map[string]any, want int) {
	t.Helper()
	if got := errcode(answer); got != want {
		t.Fatalf("errcode: got %d (%v), want %d", got, answer["errmsg"], want)
	}
}

// The whole of a login and a phone number, as a server makes the calls.
func TestLoginThenPhone(t *testing.T) {
	t.Parallel()
	fake, api := start(t)
	alice := fake.NewUser(appID)

	session := get(t, loginURL(api, appID, secret, fake.LoginCode(alice)))
	if got := session["openid"]; got != alice.OpenID {
		t.Errorf("openid: got %v, want %v", got, alice.OpenID)
	}
	token := post(t, api+wechattest.StableToken, map[string]any{
		"grant_type": "client_credential", "appid": appID, "secret": secret,
	})["access_token"].(string)

	answer := post(t, api+wechattest.Phone+"?access_token="+token, map[string]any{
		"code": fake.PhoneCode(alice, "13800138000"), "openid": alice.OpenID,
	})
	wantErrcode(t, answer, 0)
	info := answer["phone_info"].(map[string]any)
	if got := info["purePhoneNumber"]; got != "13800138000" {
		t.Errorf("purePhoneNumber: got %v, want 13800138000", got)
	}
	if got := fake.Violations(); len(got) > 0 {
		t.Errorf("violations: got %q, want none", got)
	}
	if got := fake.Count(wechattest.Any); got != 3 {
		t.Errorf("calls: got %d, want 3", got)
	}
}

func TestErrorsCarryARequestID(t *testing.T) {
	t.Parallel()
	_, api := start(t)
	pattern := regexp.MustCompile(`^invalid code(, rid: | rid: | hint: \[[A-Za-z0-9_-]{16}\] rid: )[0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{8}$`)
	forms := make(map[string]bool)
	for range 6 {
		answer := get(t, loginURL(api, appID, secret, "unknown"))
		wantErrcode(t, answer, 40029)
		m := pattern.FindStringSubmatch(answer["errmsg"].(string))
		if m == nil {
			t.Fatalf("errmsg: got %q, want %s", answer["errmsg"], pattern)
		}
		forms[m[1][:2]] = true
	}
	if len(forms) != 3 {
		t.Errorf("forms: got %d, want 3", len(forms))
	}
}

func TestContentTypeVaries(t *testing.T) {
	t.Parallel()
	_, api := start(t)
	var got []string
	for range 3 {
		resp, err := http.Get(loginURL(api, appID, secret, "unknown"))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		got = append(got, resp.Header.Get("Content-Type"))
	}
	if want := "application/json; charset=UTF-8|text/plain|application/json"; strings.Join(got, "|") != want {
		t.Errorf("content types: got %q, want %q", strings.Join(got, "|"), want)
	}
}

func TestUnknownPathIs404(t *testing.T) {
	t.Parallel()
	fake, api := start(t)
	resp, err := http.Get(api + "/cgi-bin/unheard")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusNotFound {
		t.Errorf("status: got %d, want 404", resp.StatusCode)
	}
	if fake.Handles("/cgi-bin/unheard") || !fake.Handles(wechattest.Login) {
		t.Error("Handles disagrees with what is served")
	}
}

func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	fake, api := start(t)
	alice := fake.NewUser(appID)
	code := fake.LoginCode(alice)

	var winners sync.Map
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			resp, err := http.Get(loginURL(api, appID, secret, code))
			if err != nil {
				t.Error(err)
				return
			}
			defer resp.Body.Close()
			body, _ := io.ReadAll(resp.Body)
			if bytes.Contains(body, []byte(alice.OpenID)) {
				winners.Store(i, true)
			}
			fake.Advance(time.Millisecond)
			_, _ = fake.Calls(), fake.Violations()
		})
	}
	wg.Wait()
	n := 0
	winners.Range(func(_, _ any) bool { n++; return true })
	if n != 1 {
		t.Errorf("logins by one code: got %d, want 1", n)
	}
}
