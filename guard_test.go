// Which requests pass, and with what identity.

package wechatauth_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// Threats: T03, T04.
func TestGuardForwardsTheIdentity(t *testing.T) {
	t.Parallel()
	s := newSite(t, "header X-User-Id openid", "header X-Session sid", "header X-Expires exp", "header X-Nobody nickname")
	alice := s.fake.NewUser(s.appID)
	token := s.token(alice)
	if a := s.do("GET", "/api/me?x=1", token, ""); a.status != 200 {
		t.Fatalf("got %d %s, want 200", a.status, a.body)
	}
	header := s.last().Header
	for name, want := range map[string]string{
		"X-Wx-Openid": alice.OpenID, "X-Wx-Appid": s.appID, "X-Wx-Unionid": alice.UnionID, "X-Wx-Source": "wx_client",
		"X-User-Id": alice.OpenID, "X-Session": claims(t, token)["sid"].(string), "X-Expires": fmt.Sprintf("%.0f", claims(t, token)["exp"]),
		"Authorization": "Bearer " + token,
	} {
		if got := header.Values(name); len(got) != 1 || got[0] != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	for _, name := range []string{"X-Wx-Phone", "X-Nobody"} {
		if got, ok := header[name]; ok {
			t.Errorf("%s: got %q, want no header", name, got)
		}
	}
	want(t, s.phone(token, s.fake.PhoneCode(alice, "13800138000")), 200, "")
	s.do("GET", "/api/me", s.token(alice), "")
	if got := s.last().Header.Get("X-Wx-Phone"); got != "13800138000" {
		t.Errorf("X-Wx-Phone: got %q", got)
	}
}

func TestGuardWithoutHeadersForwardsNone(t *testing.T) {
	t.Parallel()
	s := newSite(t, "headers none", "header X-WX-OPENID unionid")
	alice := s.fake.NewUser(s.appID)
	s.do("GET", "/", s.token(alice), "", "X-WX-APPID", "evil")
	header := s.last().Header
	if got := header.Get("X-Wx-Openid"); got != alice.UnionID {
		t.Errorf("X-WX-OPENID: got %q, want the unionid %q", got, alice.UnionID)
	}
	for name := range header {
		if strings.HasPrefix(name, "X-Wx-") && name != "X-Wx-Openid" {
			t.Errorf("got %s, want it absent", name)
		}
	}
}

// sealed: whoever holds the token cannot read the phone in it, the upstream still gets it whole.
// Threats: C52.
func TestSealedPhone(t *testing.T) {
	t.Parallel()
	s := newSite(t, "token {\nphone sealed\n}", "phone_required /orders")
	alice := s.fake.NewUser(s.appID)
	a := s.login("code", s.fake.LoginCode(alice), "phone_code", s.fake.PhoneCode(alice, "13800138000"))
	want(t, a, 200, "")
	token := a.text("access_token")
	if c := claims(t, token); strings.Contains(fmt.Sprint(c), "13800138000") {
		t.Errorf("the token shows the phone: %v", c)
	}
	if got := s.do("GET", "/orders", token, ""); got.status != 200 {
		t.Fatalf("got %d %s", got.status, got.body)
	}
	if got := s.last().Header.Get("X-Wx-Phone"); got != "13800138000" {
		t.Errorf("X-WX-PHONE: got %q", got)
	}
}

// Threats: T01, T14.
func TestGuardOpensOnlyWhatIsNamed(t *testing.T) {
	s := newSite(t,
		"public /health /assets/* *.css", "public GET HEAD /news/*",
		"optional /feed", "phone_required /orders/* /feed/private", "phone_required POST /comments")
	token := s.token(s.fake.NewUser(s.appID))
	tests := []struct {
		name, method, path, token string
		status                    int
		code                      string
	}{
		{"default deny", "GET", "/", "", 401, "token_missing"},
		{"protected", "GET", "/nope", token, 200, ""},
		{"public", "GET", "/health", "", 200, ""},
		{"public for all methods", "DELETE", "/health", "", 200, ""},
		{"public below", "GET", "/assets/a/b.js", "", 200, ""},
		{"public suffix", "GET", "/x/style.css", "", 200, ""},
		{"public with a bad token", "GET", "/health", "nonsense", 200, ""},
		{"public with a query", "GET", "/health?x=/nope", "", 200, ""},
		{"longer name", "GET", "/healthz", "", 401, "token_missing"},
		{"below an exact path", "GET", "/health/x", "", 401, "token_missing"},
		{"the folder itself", "GET", "/assets", "", 401, "token_missing"},
		{"other case", "GET", "/HEALTH", "", 401, "token_missing"},
		{"escaped letter", "GET", "/%68ealth", "", 401, "token_missing"},
		{"dots", "GET", "/assets/../api", "", 401, "token_missing"},
		{"escaped dots", "GET", "/assets/%2e%2e/api", "", 401, "token_missing"},
		{"escaped slash", "GET", "/assets/..%2Fapi", "", 401, "token_missing"},
		{"double escape", "GET", "/assets/%252e%252e/api", "", 401, "token_missing"},
		{"backslash", "GET", "/assets/..%5capi", "", 401, "token_missing"},
		{"parameter", "GET", "/assets/..;/api", "", 401, "token_missing"},
		{"empty segment", "GET", "/assets//x", "", 401, "token_missing"},
		{"NUL", "GET", "/assets/%00", "", 401, "token_missing"},
		{"escaped fragment", "GET", "/assets/x%23", "", 401, "token_missing"},
		{"Chinese below a public path", "GET", "/assets/%E5%9B%BE.png", "", 200, ""},
		{"public method", "GET", "/news/1", "", 200, ""},
		{"other method", "POST", "/news/1", "", 401, "token_missing"},
		{"optional, nobody", "GET", "/feed", "", 200, ""},
		{"optional, bad token", "GET", "/feed", "nonsense", 401, "token_invalid"},
		{"phone", "GET", "/orders/1", token, 403, "phone_required"},
		{"phone, other spelling", "GET", "/x/..//ORDERS/1", token, 403, "phone_required"},
		{"phone, escaped slash", "GET", "/orders%2f1", token, 403, "phone_required"},
		{"phone, nobody", "GET", "/orders/1", "", 401, "token_missing"},
		{"phone by method", "POST", "/comments", token, 403, "phone_required"},
		{"phone by method in small letters", "post", "/comments", token, 403, "phone_required"},
		{"another method", "GET", "/comments", token, 200, ""},
		{"own route, unknown", "GET", "/auth/nope", token, 404, "not_found"},
		{"own routes' folder", "GET", "/auth", token, 404, "not_found"},
		{"own route with a slash", "POST", "/auth/login/", token, 404, "not_found"},
		{"own route, escaped letter", "POST", "/auth/%6cogin", token, 404, "not_found"},
		{"own route, escaped slash", "POST", "/auth%2flogin", token, 404, "not_found"},
		{"own route, two slashes", "POST", "//auth/login", token, 404, "not_found"},
		{"longer than base_path", "GET", "/authors", token, 200, ""},
		{"TRACE", "TRACE", "/health", token, 405, "method_not_allowed"},
		{"OPTIONS", "OPTIONS", "/", "", 401, "token_missing"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			before := len(s.reached())
			want(t, s.do(tt.method, tt.path, tt.token, ""), tt.status, tt.code)
			if got := len(s.reached()) - before; (got == 1) != (tt.status == 200) {
				t.Errorf("reached the upstream %d times with %d", got, tt.status)
			}
		})
	}
}

// Threats: T02.
func TestPublicAndAnonymousRequestsCarryNoIdentity(t *testing.T) {
	t.Parallel()
	s := newSite(t, "public /open", "optional /feed")
	token := s.token(s.fake.NewUser(s.appID))
	for _, tt := range []struct{ path, token string }{{"/open", ""}, {"/open", token}, {"/feed", ""}} {
		s.do("GET", tt.path, tt.token, "", "X-WX-OPENID", "evil", "X_Wx_Phone", "1", "X-WX.SOURCE", "evil", "Connection", "X-WX-OPENID, keep-alive")
		for name, values := range s.last().Header {
			if strings.HasPrefix(strings.ToLower(name), "x") || name == "Connection" && strings.Contains(values[0], "X-") {
				t.Errorf("%s: %s %q reached the upstream", tt.path, name, values)
			}
		}
	}
	s.do("GET", "/feed", token, "")
	if s.last().Header.Get("X-Wx-Openid") == "" {
		t.Error("optional with a token: no identity")
	}
}

// Threats: T48, T49, T50.
func TestTokenPlaces(t *testing.T) {
	header, query, cookie := newSite(t), newSite(t, "token_from query t"), newSite(t, "token_from cookie sid", "authorization strip")
	strip := newSite(t, "token_from query t", "authorization strip")
	tests := []struct {
		name   string
		site   *site
		path   string
		header []string // TOK stands for the token
		status int
		code   string
		query  string
		cookie string
	}{
		{name: "small letters", site: header, header: []string{"Authorization", "bearer TOK"}, status: 200},
		{name: "spaces", site: header, header: []string{"Authorization", "BEARER   TOK"}, status: 200},
		{name: "bare", site: header, header: []string{"Authorization", "TOK"}, status: 401, code: "token_missing"},
		{name: "Basic", site: header, header: []string{"Authorization", "Basic TOK"}, status: 401, code: "token_missing"},
		{name: "nothing after Bearer", site: header, header: []string{"Authorization", "Bearer"}, status: 401, code: "token_invalid"},
		{name: "two lines", site: header, header: []string{"Authorization", "Bearer TOK", "Authorization", "Bearer TOK"}, status: 400, code: "invalid_request"},
		{name: "list", site: header, header: []string{"Authorization", "Bearer TOK, Bearer TOK"}, status: 400, code: "invalid_request"},
		{name: "query when off", site: header, path: "?access_token=TOK&t=TOK", status: 401, code: "token_missing"},
		{name: "cookie when off", site: header, header: []string{"Cookie", "sid=TOK"}, status: 401, code: "token_missing"},
		{name: "query", site: query, path: "?a=1&t=TOK", status: 200, query: "a=1&t=TOK"},
		{name: "query and header", site: query, path: "?t=TOK", header: []string{"Authorization", "Bearer TOK"}, status: 400, code: "invalid_request"},
		{name: "query twice", site: query, path: "?t=TOK&t=TOK", status: 400, code: "invalid_request"},
		{name: "query twice, escaped", site: query, path: "?t=TOK&%74=TOK", status: 400, code: "invalid_request"},
		{name: "query stripped", site: strip, path: "?a=%31&t=TOK&b", status: 200, query: "a=%31&b"},
		{name: "cookie stripped", site: cookie, header: []string{"Cookie", "a=1; sid=TOK; b=2"}, status: 200, cookie: "a=1; b=2"},
		{name: "header stripped", site: cookie, header: []string{"Authorization", "Bearer TOK"}, status: 200},
		{name: "cookie twice", site: cookie, header: []string{"Cookie", "sid=TOK; sid=TOK"}, status: 400, code: "invalid_request"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			token := tt.site.token(tt.site.fake.NewUser(tt.site.appID))
			fill := strings.NewReplacer("TOK", token).Replace
			var header []string
			for _, h := range tt.header {
				header = append(header, fill(h))
			}
			want(t, tt.site.do("GET", "/"+fill(tt.path), "", "", header...), tt.status, tt.code)
			if tt.status != 200 {
				return
			}
			got := tt.site.last()
			if tt.query != "" && got.URL.RawQuery != fill(tt.query) {
				t.Errorf("query: got %q, want %q", got.URL.RawQuery, fill(tt.query))
			}
			if got.Header.Get("Cookie") != tt.cookie {
				t.Errorf("cookie: got %q, want %q", got.Header.Get("Cookie"), tt.cookie)
			}
			if tt.site == cookie && got.Header.Get("Authorization") != "" {
				t.Errorf("Authorization: got %q, want none", got.Header.Get("Authorization"))
			}
		})
	}
}

// Threats: T29, C25, C26, C28.
func TestRefusalsFollowRFC6750(t *testing.T) {
	t.Parallel()
	s := newSite(t, "phone_required /orders")
	token := s.token(s.fake.NewUser(s.appID))
	expired := s.token(s.fake.NewUser(s.appID))
	const realm = `Bearer realm="wechat_auth"`
	check := func(name string, a answer, status int, code, challenge string) {
		t.Helper()
		want(t, a, status, code)
		if got := a.header.Get("WWW-Authenticate"); got != challenge {
			t.Errorf("%s: got %q, want %q", name, got, challenge)
		}
		if a.header.Get("Cache-Control") != "no-store" || a.header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: headers %v", name, a.header)
		}
	}
	check("missing", s.do("GET", "/", "", ""), 401, "token_missing", realm)
	check("invalid", s.do("GET", "/", token+"x", ""), 401, "token_invalid", realm+`, error="invalid_token"`)
	check("phone", s.do("GET", "/orders", token, ""), 403, "phone_required", realm+`, error="insufficient_scope"`)
	s.advance(time.Hour)
	check("expired", s.do("GET", "/", expired, ""), 401, "token_expired", realm+`, error="invalid_token"`)
	check("expired and forged", s.do("GET", "/", expired[:len(expired)-4]+"AAAA", ""), 401, "token_invalid", realm+`, error="invalid_token"`)
}

func TestVerifyForOtherServers(t *testing.T) {
	t.Parallel()
	s := newSite(t, "header X-User openid")
	alice := s.fake.NewUser(s.appID)
	token := s.token(alice)
	for _, method := range []string{"GET", "POST", "HEAD", "DELETE"} {
		a := s.do(method, "/auth/verify", token, "", "X-Original-URI", "/auth/login", "X-WX-PHONE", "1")
		if a.status != http.StatusNoContent || a.header.Get("X-Wx-Openid") != alice.OpenID || a.header.Get("X-User") != alice.OpenID || a.header.Get("X-Wx-Phone") != "" {
			t.Errorf("%s: got %d %v", method, a.status, a.header)
		}
	}
	want(t, s.do("GET", "/auth/verify", "", ""), 401, "token_missing")
	want(t, s.do("GET", "/auth/verify?phone=required", token, ""), 403, "phone_required")
	s.phone(token, s.fake.PhoneCode(alice, "13800138000"))
	a := s.do("GET", "/auth/verify?phone=required", s.token(alice), "")
	if a.status != 204 || a.header.Get("X-Wx-Phone") != "13800138000" {
		t.Errorf("with phone: got %d %v", a.status, a.header)
	}
	if len(s.reached()) > 0 {
		t.Error("verify reached the upstream")
	}
}

func TestJWKS(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	a := s.do("GET", "/auth/.well-known/jwks.json", "", "")
	if a.status != 200 || !strings.Contains(string(a.body), `"kty":"EC"`) || strings.Contains(string(a.body), `"d"`) {
		t.Errorf("got %d %s", a.status, a.body)
	}
	if got := a.header.Get("Cache-Control"); !strings.HasPrefix(got, "public, max-age=") {
		t.Errorf("Cache-Control: got %q", got)
	}
	want(t, s.do("POST", "/auth/.well-known/jwks.json", "", ""), 405, "method_not_allowed")
	hmac := newSite(t, "token {\nalgorithm HS256\nkey 4pDrEP1sxH2rBqJSdk0wqQzvTn8mYcL7\n}")
	if a := hmac.do("GET", "/auth/.well-known/jwks.json", "", ""); string(a.body) != `{"keys":[]}` {
		t.Errorf("HMAC: got %s", a.body)
	}
}
