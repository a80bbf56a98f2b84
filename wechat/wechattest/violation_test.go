// The record of calls and of violations.

package wechattest_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-wechat/wechatauth/wechat/wechattest"
)

func TestViolations(t *testing.T) {
	t.Parallel()
	const ok = "appid=" + appID + "&secret=s3cret&grant_type=authorization_code&js_code="
	tests := []struct {
		name         string
		method, path string
		header       [2]string
		body         string
		want         string // a part of the one violation; empty: none
	}{
		{name: "as it should be", method: "GET", path: wechattest.Login + "?" + ok + "a%26b"},
		{name: "code not escaped", method: "GET", path: wechattest.Login + "?" + ok + "a&x=1", want: `unexpected parameter "x"`},
		{name: "code overrides the appid", method: "GET", path: wechattest.Login + "?" + ok + "a&appid=wxevil", want: `parameter "appid" 2 times`},
		{name: "code with bad escape", method: "GET", path: wechattest.Login + "?" + ok + "a;b", want: "malformed query"},
		{name: "code with a raw sign", method: "GET", path: wechattest.Login + "?" + ok + `a"b`, want: "malformed query"},
		{name: "login by POST", method: "POST", path: wechattest.Login + "?" + ok + "a", want: "method POST, want GET"},
		{name: "login with a body", method: "GET", path: wechattest.Login + "?" + ok + "a", body: "{}", want: "takes none"},
		{
			name: "phone with the secret", method: "POST", path: wechattest.Phone + "?access_token=a&secret=s3cret",
			header: [2]string{"Content-Type", "application/json"}, body: `{"code":"a"}`, want: `unexpected parameter "secret"`,
		},
		{
			name: "phone with the secret in the body", method: "POST", path: wechattest.Phone + "?access_token=a",
			header: [2]string{"Content-Type", "application/json"}, body: `{"code":"a","secret":"s3cret"}`, want: `unexpected field "secret"`,
		},
		{
			name: "phone without a content type", method: "POST", path: wechattest.Phone + "?access_token=a",
			body: `{"code":"a"}`, want: "want application/json",
		},
		{
			name: "content type with charset", method: "POST", path: wechattest.Phone + "?access_token=a",
			header: [2]string{"Content-Type", "application/json; charset=utf-8"}, body: `{"code":"a"}`,
		},
		{
			name: "secret in the query of stable_token", method: "POST", path: wechattest.StableToken + "?secret=s3cret",
			header: [2]string{"Content-Type", "application/json"}, body: `{}`, want: `unexpected parameter "secret"`,
		},
		{
			name: "the user's own header", method: "GET", path: wechattest.Login + "?" + ok + "a",
			header: [2]string{"Authorization", "Bearer x"}, want: "header Authorization",
		},
		{
			name: "secret in a header", method: "GET", path: wechattest.Login + "?" + ok + "a",
			header: [2]string{"X-Debug", "key=s3cret"}, want: "the secret of " + appID + " in header X-Debug",
		},
		{name: "check of a session", method: "GET", path: wechattest.CheckSession + "?access_token=a&openid=o&signature=s&sig_method=hmac_sha256"},
		{
			name: "session_key in the query", method: "GET", path: wechattest.CheckSession + "?access_token=a&openid=o&session_key=k",
			want: `unexpected parameter "session_key"`,
		},
		{
			name: "openid in the body of a cloudID", method: "POST", path: wechattest.OpenData + "?access_token=a",
			header: [2]string{"Content-Type", "application/json"}, body: `{"cloudid_list":[],"openid":"o"}`, want: `unexpected field "openid"`,
		},
		{
			name: "text as it is", method: "POST", path: wechattest.CheckContent + "?access_token=a",
			header: [2]string{"Content-Type", "application/json"}, body: `{"content":"中<\\u4e2d"}`,
		},
		{
			name: "escaped text", method: "POST", path: wechattest.CheckContent + "?access_token=a",
			header: [2]string{"Content-Type", "application/json"}, body: `{"content":"\u4e2d"}`, want: "escapes in the text",
		},
		{
			name: "escaped HTML", method: "POST", path: wechattest.CheckContent + "?access_token=a",
			header: [2]string{"Content-Type", "application/json"}, body: `{"content":"a\\\u003cb"}`, want: "escapes in the text",
		},
		{name: "unknown path", method: "GET", path: "/sns/elsewhere", want: "unknown path"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			fake, api := start(t)
			req, err := http.NewRequestWithContext(t.Context(), tt.method, api+tt.path, strings.NewReader(tt.body))
			if err != nil {
				t.Fatal(err)
			}
			if tt.header[0] != "" {
				req.Header.Set(tt.header[0], tt.header[1])
			}
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()

			got := fake.Violations()
			if tt.want == "" && len(got) == 0 {
				return
			}
			if len(got) != 1 || tt.want == "" || !strings.Contains(got[0], tt.want) {
				t.Errorf("violations: got %q, want one of %q", got, tt.want)
			}
			if strings.Contains(strings.Join(got, ""), secret) {
				t.Errorf("violations hold the secret: %q", got)
			}
		})
	}
}

func TestCallsAreRecorded(t *testing.T) {
	t.Parallel()
	fake, api := start(t)
	get(t, loginURL(api, appID, secret, "a&b=c"))
	post(t, api+wechattest.Phone+"?access_token=t", map[string]any{"code": "p", "openid": "o1"})

	calls := fake.Calls()
	if len(calls) != 2 {
		t.Fatalf("calls: got %d, want 2", len(calls))
	}
	login, phone := calls[0], calls[1]
	if login.Endpoint != wechattest.Login || login.Method != "GET" || login.Query.Get("js_code") != "a&b=c" || login.ErrCode != 40029 {
		t.Errorf("login: got %+v", login)
	}
	if phone.Body["openid"] != "o1" || phone.ErrCode != 40001 || !phone.Time.Equal(fake.Now()) {
		t.Errorf("phone: got %+v", phone)
	}
	if got := fake.Count(wechattest.Phone); got != 1 {
		t.Errorf("phone calls: got %d, want 1", got)
	}

	fake.KeepCalls(1)
	get(t, loginURL(api, appID, secret, "last"))
	if calls := fake.Calls(); len(calls) != 1 || calls[0].Query.Get("js_code") != "last" {
		t.Errorf("bounded record: got %d calls, want the last one", len(calls))
	}
	if got := fake.Count(wechattest.Login); got != 2 {
		t.Errorf("login calls: got %d, want 2", got)
	}
}
