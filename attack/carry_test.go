// Where a request may carry its token, and whether the upstream gets it.

package attack_test

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// With `authorization strip` no access token gets behind the guard, on any path; with `keep`
// it does.
// Threats: T10.
func TestAuthorizationKeepAndStrip(t *testing.T) {
	t.Parallel()
	r := caddyRig(t)
	alice := r.login(t, "main")
	own := bearer(alice.token)
	const basic = "Authorization: Basic YTpi"
	for _, tt := range []struct {
		site, path string
		line       string
		want       []string
	}{
		{"main", "/api", own, []string{"Bearer " + alice.token}},
		{"main", "/public/x", own, []string{"Bearer " + alice.token}},
		{"main", "/optional/x", own, []string{"Bearer " + alice.token}},
		{"strip", "/api", own, nil},
		{"strip", "/public/x", own, nil},
		{"strip", "/optional/x", own, nil},
		{"strip", "/api", "authorization: bearer " + alice.token, nil},
		{"strip", "/api", "AUTHORIZATION: BEARER    " + alice.token, nil},
		{"strip", "/public/x", bearer("not.a.token"), nil},
		{"strip", "/public/x", "Authorization: Bearer", nil},
		{"strip", "/public/x", basic, []string{"Basic YTpi"}},
		{"strip", "/optional/x", basic, []string{"Basic YTpi"}},
		{"main", "/optional/x", basic, []string{"Basic YTpi"}},
	} {
		t.Run(tt.site+tt.path+" "+tt.line[:20], func(t *testing.T) {
			t.Parallel()
			got := wantForwarded(t, r.exchange(t, tt.site, raw("GET "+tt.path, tt.line)))
			if values := got.get("Authorization"); !slices.Equal(values, tt.want) {
				t.Errorf("Authorization upstream: got %q, want %q", values, tt.want)
			}
		})
	}
	t.Run("two lines on a public path", func(t *testing.T) {
		t.Parallel()
		for _, lines := range [][]string{{basic, own}, {own, basic}, {own, own}} {
			got := wantForwarded(t, r.exchange(t, "strip", raw("GET /public/x", lines...)))
			if all := fmt.Sprint(got); strings.Contains(all, alice.token) {
				t.Errorf("the token reached the upstream: %v", all)
			}
		}
	})
}

// A token in the query or a cookie is no token unless the site says so.
// Threats: T50, C22.
func TestTokenElsewhereIsNoToken(t *testing.T) {
	t.Parallel()
	r := caddyRig(t)
	alice := r.login(t, "main")
	form := "access_token=" + alice.token
	for _, request := range []string{
		raw("GET /api?access_token=" + alice.token),
		raw("GET /api?token=" + alice.token),
		raw("GET /api?Authorization=Bearer%20" + alice.token),
		raw("GET /api", "Cookie: access_token="+alice.token),
		raw("GET /api", "Cookie: wxtoken="+alice.token+"; Authorization=Bearer "+alice.token),
		raw("GET /api", "X-Authorization: Bearer "+alice.token),
		raw("GET /api", "Proxy-Authorization: Bearer "+alice.token),
		raw("GET /api", "X-Forwarded-Authorization: Bearer "+alice.token),
		raw("GET /api", "Authentication: Bearer "+alice.token),
		raw("GET /api", "Sec-WebSocket-Protocol: bearer, "+alice.token),
		raw("GET http://user:"+alice.token+"@site.test/api", "Host: site.test"),
		raw("POST /api", "Content-Type: application/x-www-form-urlencoded", fmt.Sprintf("Content-Length: %d", len(form))) + form,
		chunked("POST /api", []string{"Trailer: Authorization"}, []string{bearer(alice.token)}),
	} {
		t.Run(strings.ReplaceAll(request[:20], "/", " "), func(t *testing.T) {
			t.Parallel()
			wantRefused(t, r.exchange(t, "main", request), 401, "token_missing")
		})
	}
}

// token_from: more places, never a second token.
// Threats: T50, C27.
func TestTokenFromOtherPlaces(t *testing.T) {
	t.Parallel()
	r := caddyRig(t)
	a, b := r.login(t, "main"), r.login(t, "main")
	query := func(rest string) string { return "GET /api?" + strings.ReplaceAll(rest, "$A", a.token) }
	escaped := url.QueryEscape(a.token)
	half := "%" + fmt.Sprintf("%02x", a.token[0]) + a.token[1:]
	for _, tt := range []struct {
		name, site, line string
		fields           []string
		status           int
		code, target     string // target: what of it the upstream sees
	}{
		{"query", "query", query("access_token=$A"), nil, 200, "", "/api"},
		{"query among others", "query", query("a=1&access_token=$A&b=2"), nil, 200, "", "/api?a=1&b=2"},
		{"query first", "query", query("access_token=$A&b=%20%2f"), nil, 200, "", "/api?b=%20%2f"},
		{"query kept", "query-keep", query("a=1&access_token=$A"), nil, 200, "", "/api?a=1&access_token=" + a.token},
		{"query escaped", "query", "GET /api?access_token=" + escaped, nil, 200, "", "/api"},
		{"query escaped in part", "query", "GET /api?x&access_token=" + half + "&&y", nil, 200, "", "/api?x&&y"},
		{"query with escaped name", "query", query("%61ccess_token=$A&z"), nil, 200, "", "/api?z"},
		{"query in another case", "query", query("Access_Token=$A"), nil, 401, "token_missing", ""},
		{"query of another name", "query", query("token=$A"), nil, 401, "token_missing", ""},
		{"query as an array", "query", query("access_token[]=$A"), nil, 401, "token_missing", ""},
		{"query twice", "query", query("access_token=$A&access_token=$A"), nil, 400, "invalid_request", ""},
		{"query twice, one empty", "query", query("access_token=$A&access_token="), nil, 400, "invalid_request", ""},
		{"query twice, one without value", "query", query("access_token&access_token=$A"), nil, 400, "invalid_request", ""},
		{"query twice, one escaped", "query", query("access_token=$A&access%5ftoken=$A"), nil, 400, "invalid_request", ""},
		{"query and header", "query", query("access_token=$A"), []string{bearer(a.token)}, 400, "invalid_request", ""},
		{"query and another's header", "query", query("access_token=$A"), []string{bearer(b.token)}, 400, "invalid_request", ""},
		{"query and Basic (two schemes, one token)", "query", query("access_token=$A"), []string{"Authorization: Basic YTpi"}, 200, "", "/api"},
		{"query and empty Authorization", "query", query("access_token=$A"), []string{"Authorization:"}, 200, "", "/api"},
		{"query and empty Bearer", "query", query("access_token=$A"), []string{"Authorization: Bearer "}, 400, "invalid_request", ""},
		{"query empty", "query", "GET /api?access_token=", nil, 401, "", ""},
		{"query bad escape", "query", "GET /api?access_token=%zz" + a.token, nil, 401, "token_invalid", ""},
		{"query with a space", "query", "GET /api?access_token=+" + a.token, nil, 401, "token_invalid", ""},
		{"query and cookie of the name", "query", "GET /api", []string{"Cookie: access_token=" + a.token}, 401, "token_missing", ""},
		{"header at the query site", "query", "GET /api?a=1", []string{bearer(a.token)}, 200, "", "/api?a=1"},
		{"cookie", "cookie", "GET /api", []string{"Cookie: wxtoken=" + a.token}, 200, "", "/api"},
		{"cookie quoted", "cookie", "GET /api", []string{`Cookie: wxtoken="` + a.token + `"`}, 200, "", "/api"},
		{"cookie among others", "cookie", "GET /api", []string{"Cookie: a=1; wxtoken=" + a.token + "; b=2"}, 200, "", "/api"},
		{"cookie on the second line", "cookie", "GET /api", []string{"Cookie: a=1", "Cookie: wxtoken=" + a.token}, 200, "", "/api"},
		{"cookie in another case", "cookie", "GET /api", []string{"Cookie: WXToken=" + a.token}, 401, "token_missing", ""},
		{"cookie twice", "cookie", "GET /api", []string{"Cookie: wxtoken=" + a.token + "; wxtoken=" + a.token}, 400, "invalid_request", ""},
		{"cookie twice on two lines", "cookie", "GET /api", []string{"Cookie: wxtoken=" + a.token, "Cookie: wxtoken=" + b.token}, 400, "invalid_request", ""},
		{"cookie and header", "cookie", "GET /api", []string{"Cookie: wxtoken=" + a.token, bearer(a.token)}, 400, "invalid_request", ""},
		{"cookie and query", "cookie", "GET /api?wxtoken=" + a.token, nil, 401, "token_missing", ""},
		{"cookie kept", "cookie-keep", "GET /api", []string{"Cookie: a=1; wxtoken=" + a.token}, 200, "", "/api"},
		{"own header", "header", "GET /api", []string{"X-Access-Token: " + a.token}, 200, "", "/api"},
		{"own header in another case", "header", "GET /api", []string{"x-access-TOKEN:" + a.token}, 200, "", "/api"},
		{"own header with Bearer", "header", "GET /api", []string{"X-Access-Token: Bearer " + a.token}, 200, "", "/api"},
		{"own header kept", "header-keep", "GET /api", []string{"X-Access-Token: " + a.token}, 200, "", "/api"},
		{"own header twice", "header", "GET /api", []string{"X-Access-Token: " + a.token, "X-Access-Token: " + a.token}, 400, "invalid_request", ""},
		{"own header as a list", "header", "GET /api", []string{"X-Access-Token: " + a.token + ", " + b.token}, 401, "token_invalid", ""},
		{"own header and Authorization", "header", "GET /api", []string{"X-Access-Token: " + a.token, bearer(a.token)}, 400, "invalid_request", ""},
		{"own header and cookie", "header", "GET /api", []string{"X-Access-Token: " + a.token, "Cookie: wxtoken=" + b.token}, 400, "invalid_request", ""},
		{"own header and a stale Authorization", "header", "GET /api", []string{"X-Access-Token: " + a.token, "Authorization: Bearer"}, 400, "invalid_request", ""},
		{"own header empty, cookie", "header", "GET /api", []string{"X-Access-Token:", "Cookie: wxtoken=" + a.token}, 200, "", "/api"},
		{"own header empty", "header", "GET /api", []string{"X-Access-Token: "}, 401, "token_missing", ""},
		{"own header, a word", "header", "GET /api", []string{"X-Access-Token: undefined"}, 401, "token_invalid", ""},
		{"own header with _", "header", "GET /api", []string{"X_Access_Token: " + a.token}, 401, "token_missing", ""},
		{"own header as a trailer", "header", "GET /api", []string{"Trailer: X-Access-Token"}, 401, "token_missing", ""},
		{"own header in Connection", "header", "GET /api", []string{"X-Access-Token: " + a.token, "Connection: X-Access-Token"}, 200, "", "/api"},
		{"prefixed cookie name", "cookie", "GET /api", []string{"Cookie: __Host-wxtoken=" + a.token}, 401, "token_missing", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := r.exchange(t, tt.site, raw(tt.line, tt.fields...))
			if tt.status != 200 {
				wantRefused(t, got, tt.status, tt.code)
				return
			}
			w := wantForwarded(t, got)
			if w.target() != tt.target {
				t.Errorf("target upstream: got %q, want %q", w.target(), tt.target)
			}
			if id := w.get("X-WX-OPENID"); !slices.Equal(id, []string{a.OpenID}) {
				t.Errorf("X-WX-OPENID: got %q, want %q", id, a.OpenID)
			}
			kept := strings.HasSuffix(tt.site, "-keep")
			if seen := strings.Contains(fmt.Sprint(w), a.token[5:]); seen != kept {
				t.Errorf("token in what reached the upstream: got %t, want %t: %v", seen, kept, w)
			}
		})
	}
}

// What stands beside the token comes through byte for byte.
func TestHidingTheTokenLeavesTheRest(t *testing.T) {
	t.Parallel()
	r := caddyRig(t)
	a := r.login(t, "main")
	for _, tt := range []struct{ name, site, target, cookie, wantTarget, wantCookie string }{
		{"query of odd bytes", "query", "/api?q=%zz&a=b;c=d&e=%2F+%20&access_token=$A&=&f", "", "/api?q=%zz&a=b;c=d&e=%2F+%20&=&f", ""},
		{"public query", "query", "/public/x?access_token=$A&a=1", "", "/public/x?a=1", ""},
		{"public query, garbage token", "query", "/public/x?a=1&access_token=x", "", "/public/x?a=1", ""},
		{"optional query", "query", "/optional/x?access_token=$A", "", "/optional/x", ""},
		{"cookies", "cookie", "/api", `a="1 2"; wxtoken=$A; b=c=d`, "/api", `a="1 2"; b=c=d`},
		{"cookie last", "cookie", "/api", "a=1; wxtoken=$A", "/api", "a=1"},
		{"cookie first", "cookie", "/api", "wxtoken=$A; b=2", "/api", "b=2"},
		{"cookie alone", "cookie", "/api", "wxtoken=$A", "/api", ""},
		{"public cookie", "cookie", "/public/x", "wxtoken=$A; b=2", "/public/x", "b=2"},
		{"two places", "header", "/public/x", "wxtoken=$A; b=2", "/public/x", "b=2"},
		{"another's similar cookie", "cookie", "/public/x", "wxtoken2=1; xwxtoken=2", "/public/x", "wxtoken2=1; xwxtoken=2"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var fields []string
			if tt.cookie != "" {
				fields = []string{"Cookie: " + strings.ReplaceAll(tt.cookie, "$A", a.token)}
			}
			got := wantForwarded(t, r.exchange(t, tt.site, raw("GET "+strings.ReplaceAll(tt.target, "$A", a.token), fields...)))
			if got.target() != tt.wantTarget {
				t.Errorf("target: got %q, want %q", got.target(), tt.wantTarget)
			}
			if cookie := strings.Join(got.get("Cookie"), "|"); cookie != tt.wantCookie {
				t.Errorf("Cookie: got %q, want %q", cookie, tt.wantCookie)
			}
		})
	}
}
