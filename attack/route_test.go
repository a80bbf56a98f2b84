// Requests to the sidecar's own routes that clients should not send.

package attack_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-wechat/wechatauth/wechat/wechattest"
)

// Bodies of own routes as they come over the wire.
// Threats: T73, T83, C44.
func TestOwnRoutesReadBodiesStrictly(t *testing.T) { // not parallel: it counts calls to WeChat
	r := caddyRig(t)
	alice := r.login(t, "main")
	code := func() string { return r.fake.LoginCode(r.fake.NewUser(rigAppA)) }
	var zipped bytes.Buffer
	zip := gzip.NewWriter(&zipped)
	_, _ = zip.Write([]byte(object("code", code())))
	if err := zip.Close(); err != nil {
		t.Fatal(err)
	}
	calls := r.fake.Count(wechattest.Any)
	for _, tt := range []struct {
		name, body string
		fields     []string
		status     int
		code       string
	}{
		{"empty", "", nil, 400, "invalid_request"},
		{"not JSON", "code=" + code(), nil, 400, "invalid_request"},
		{"gzip", zipped.String(), []string{"Content-Encoding: gzip"}, 400, "invalid_request"},
		{"form", "code=" + code(), []string{"Content-Type: application/x-www-form-urlencoded"}, 415, "unsupported_media_type"},
		{"form with charset", "code=" + code(), []string{"Content-Type: Application/X-WWW-Form-URLEncoded; charset=utf-8"}, 415, "unsupported_media_type"},
		{"multipart", "--x\r\n\r\n", []string{"Content-Type: multipart/form-data; boundary=x"}, 415, "unsupported_media_type"},
		{"array", `["` + code() + `"]`, nil, 400, "invalid_request"},
		{"null", "null", nil, 400, "invalid_request"},
		{"string", `"x"`, nil, 400, "invalid_request"},
		{"two objects", object("code", code()) + "{}", nil, 400, "invalid_request"},
		{"key twice", `{"code":"` + code() + `","code":"` + code() + `"}`, nil, 400, "invalid_request"},
		{"key twice, escaped", `{"code":"` + code() + `","\u0063ode":"` + code() + `"}`, nil, 400, "invalid_request"},
		{"Code", `{"Code":"` + code() + `"}`, nil, 400, "invalid_request"},
		{"number", `{"code":12345678901234567890}`, nil, 400, "invalid_request"},
		{"object", `{"code":{"$ne":null}}`, nil, 400, "invalid_request"},
		{"deep", `{"code":` + strings.Repeat("[", 30000) + strings.Repeat("]", 30000) + "}", nil, 400, "invalid_request"},
		{"deep in an unknown field", `{"code":"` + code() + `","x":` + strings.Repeat(`{"a":`, 9000), nil, 400, "invalid_request"},
		{"BOM", "\ufeff" + object("code", code()), nil, 400, "invalid_request"},
		{"UTF-16", "{\x00}\x00", nil, 400, "invalid_request"},
		{"invalid UTF-8", "{\"code\":\"\xff\"}", nil, 400, "invalid_request"},
		{"code with query characters", object("code", "a&secret=b"), nil, 400, "invalid_request"},
		{"code with a line break", object("code", "a\r\nb"), nil, 400, "invalid_request"},
		{"code of dots", object("code", "../../cgi-bin/token"), nil, 400, "invalid_request"},
		{"code too long", object("code", strings.Repeat("a", 129)), nil, 400, "invalid_request"},
		{"code with NUL", object("code", "a\x00b"), nil, 400, "invalid_request"},
		{"code of wide letters", object("code", "\uff41\uff42"), nil, 400, "invalid_request"},
		{"early data", object("code", code()), []string{"Early-Data: 1"}, 425, "too_early"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, path := range []string{"/auth/login", "/auth/phone"} {
				got := r.exchange(t, "main", raw("POST "+path, append(tt.fields, bearer(alice.token), "Content-Length: "+itoa(len(tt.body)))...)+tt.body)
				wantRefused(t, got, tt.status, tt.code)
				if got.header.Get("Cache-Control") != "no-store" || got.header.Get("X-Content-Type-Options") != "nosniff" {
					t.Errorf("%s: got %v, want no-store and nosniff", path, got.header)
				}
			}
		})
	}
	if got := r.fake.Count(wechattest.Any) - calls; got != 0 {
		t.Errorf("calls to WeChat: got %d, want none", got)
	}
}

// What a client says about itself is not listened to: identity comes from WeChat.
// Threats: T65, T75, T76, C37.
func TestClientsCannotChooseWhoTheyAre(t *testing.T) {
	t.Parallel()
	r := caddyRig(t)
	u := r.fake.NewUser(rigAppA)
	victim := r.login(t, "main")
	evil := map[string]any{
		"code": r.fake.LoginCode(u), "openid": victim.OpenID, "unionid": victim.UnionID, "sub": victim.OpenID, "sid": "S", "jti": "J", "phone": "13900139000",
		"user": map[string]any{"openid": victim.OpenID}, "session_key": "AAAA", "exp": 9999999999, "ttl": "100h", "new": true, "__proto__": map[string]any{"a": 1},
	}
	body, err := json.Marshal(evil)
	if err != nil {
		t.Fatal(err)
	}
	got := r.exchange(t, "main", raw("POST /auth/login?openid="+victim.OpenID, "Content-Length: "+itoa(len(body)), "X-WX-OPENID: "+victim.OpenID,
		"X-WX-SOURCE: wx_client", bearer(victim.token))+string(body))
	want(t, got.answer, 200, "")
	c := claims(t, got.text("access_token"))
	if c["openid"] != u.OpenID || c["sub"] != u.OpenID || c["phone"] != nil || c["sid"] == "S" || c["jti"] == "J" || got.text("user", "openid") != u.OpenID {
		t.Errorf("got %v and %s, want %s alone", c, got.body, u.OpenID)
	}
	if life := c["exp"].(float64) - c["iat"].(float64); life != 3600 {
		t.Errorf("lifetime: got %v, want 3600", life)
	}

	// The phone code of one user in the session of another.
	code := r.fake.PhoneCode(u, "13800138000")
	a := r.post(t, "main", "/auth/phone", victim.token, object("code", code, "openid", u.OpenID))
	want(t, a, 401, "code_invalid")
	for _, call := range r.fake.Calls() {
		if call.Endpoint == wechattest.Phone && call.Body["code"] == code && call.Body["openid"] != victim.OpenID {
			t.Errorf("openid sent to WeChat: got %v, want the session's", call.Body["openid"])
		}
	}
}

// What WeChat says is checked as what a client says, before it becomes a header or a claim.
// Threats: T09.
func TestOpenIDsOfWeChatAreChecked(t *testing.T) { // not parallel: it makes the fake WeChat fail
	r := caddyRig(t)
	for _, openid := range []any{
		"a\r\nX-WX-PHONE: 13900139000", "a\x00b", "a b", "\u00e9", strings.Repeat("o", 5000), "", nil, 12345, true, []string{"a"}, "{env.PATH}", "a,b", "../x", "a\u2028b",
	} {
		t.Run(fmt.Sprintf("%.30q", fmt.Sprint(openid)), func(t *testing.T) {
			code := r.fake.LoginCode(r.fake.NewUser(rigAppA))
			r.fake.Fail(wechattest.Login, 1, wechattest.Edit(func(body map[string]any) { body["openid"] = openid }))
			defer r.fake.ClearFaults()
			want(t, r.post(t, "main", "/auth/login", "", object("code", code)), 502, "wechat_bad_answer")
		})
	}
}

// Forward authentication with Caddy in the other role: identity comes back in headers, spoofs do
// not pass, and a refusal reaches the client as it is.
func TestForwardAuth(t *testing.T) {
	t.Parallel()
	r := caddyRig(t)
	alice, bob := r.login(t, "main"), r.loginWithPhone(t, "main", "13800138055")
	identity := func(u rigUser, phone ...string) map[string][]string {
		m := map[string][]string{"x-wx-openid": {u.OpenID}, "x-wx-appid": {u.AppID}, "x-wx-unionid": {u.UnionID}, "x-wx-source": {"wx_client"}}
		if len(phone) > 0 {
			m["x-wx-phone"] = phone
		}
		return m
	}
	spoofs := []string{"X-WX-OPENID: evil", "X-WX-PHONE: 13900139000", "X-Forwarded-Uri: /public/x", "X-Forwarded-Method: OPTIONS"}
	for _, line := range []string{"GET /api", "POST /public/x", "DELETE /auth/x", "GET /public/../api"} {
		wantIdentity(t, lastOf(t, r.exchange(t, "forward", raw(line, append(spoofs, bearer(alice.token))...))), identity(alice))
		wantIdentity(t, lastOf(t, r.exchange(t, "forward", raw(line, append(spoofs, bearer(bob.token))...))), identity(bob, "13800138055"))
		wantIdentity(t, lastOf(t, r.exchange(t, "forward-phone", raw(line, append(spoofs, bearer(bob.token))...))), identity(bob, "13800138055"))
		wantRefused(t, r.exchange(t, "forward", raw(line, spoofs...)), 401, "token_missing")
		wantRefused(t, r.exchange(t, "forward", raw(line, append(spoofs, bearer(alice.token+"x"))...)), 401, "token_invalid")
		wantRefused(t, r.exchange(t, "forward", raw(line, bearer(alice.token), bearer(bob.token))), 400, "invalid_request")
		got := r.exchange(t, "forward-phone", raw(line, append(spoofs, bearer(alice.token))...))
		wantRefused(t, got, 403, "phone_required")
		if !slices.Contains(got.header["Www-Authenticate"], `Bearer realm="wechat_auth", error="insufficient_scope"`) {
			t.Errorf("WWW-Authenticate: got %q, want insufficient_scope", got.header["Www-Authenticate"])
		}
	}
}

func lastOf(t *testing.T, got reply) wireRequest {
	t.Helper()
	if got.status != 200 || len(got.reached) == 0 {
		t.Fatalf("got %d %s with %d requests upstream, want 200", got.status, got.body, len(got.reached))
	}
	return got.reached[len(got.reached)-1]
}
