// Addresses of pictures where Caddy takes a part of the path off.

package wechatauth_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"image/color"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/rewrite"
)

// rewritten is a site behind a rewrite.
func rewritten(t *testing.T, rule string, lines ...string) *site {
	t.Helper()
	s := newSite(t, lines...)
	var rewrite rewrite.Rewrite
	if err := json.Unmarshal([]byte(rule), &rewrite); err != nil {
		t.Fatal(err)
	}
	if err := rewrite.Provision(newContext(t)); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		repl := caddy.NewReplacer()
		r = caddyhttp.PrepareRequest(r, repl, w, &caddyhttp.Server{})
		rewrite.Rewrite(r, repl)
		if err := s.handler.ServeHTTP(w, r, caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error { return nil })); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(server.Close)
	s.url = server.URL
	return s
}

// With handle_path /api/* the mini program knows the routes as /api/auth/…, and so has to be the
// picture, in every answer and in every token.
func TestPicturesBehindHandlePath(t *testing.T) {
	t.Parallel()
	for base, line := range map[string]string{"/auth": "", "/wx/user": "base_path /wx/user"} {
		s := rewritten(t, `{"strip_path_prefix":"/api"}`, "limit profile off", line)
		u := s.fake.NewUser(s.appID)
		at := "/api" + base
		login := func() answer { return s.do("POST", at+"/login", "", object("code", s.fake.LoginCode(u), "nonce", "n")) }
		first := login()
		want(t, first, 200, "")
		token := first.text("access_token")
		uploaded := s.uploadTo(at+"/profile", token, avatarOf(t, picture(t, 4, 4, color.Black)))
		want(t, uploaded, 200, "")
		if got := s.do("GET", at+"/healthz", "", ""); got.status != 200 || string(got.body) != `{"status":"ok"}` {
			t.Errorf("healthz: got %d %s", got.status, got.body)
		}
		path := uploaded.text("user", "avatar")
		if !strings.HasPrefix(path, at+"/avatar/") {
			t.Fatalf("got %q, want it below %s", path, at)
		}
		if got := s.do("GET", path, "", ""); got.status != 200 || got.header.Get("Content-Type") != "image/jpeg" {
			t.Errorf("the picture: got %d %s", got.status, got.body)
		}
		for name, got := range map[string]answer{
			"upload":   uploaded,
			"nickname": s.do("POST", at+"/profile", token, object("nickname", "n")),
			"refresh":  s.do("POST", at+"/refresh", "", object("refresh_token", first.text("refresh_token"))),
			"phone":    s.do("POST", at+"/phone", token, object("code", s.fake.PhoneCode(u, "13800138000"))),
			"login":    login(),
		} {
			want(t, got, 200, "")
			if claim := claims(t, got.text("access_token"))["picture"]; got.text("user", "avatar") != path || claim != path {
				t.Errorf("%s: got avatar %q and picture %q, want %q", name, got.text("user", "avatar"), claim, path)
			}
		}
		if got := s.do("GET", at+"/profile", token, "").text("avatar"); got != path {
			t.Errorf("profile: got %q, want %q", got, path)
		}
	}
}

// The path is the client's, and what a rule takes off it may be. Nothing goes into an address that
// could lead to another server, or up.
func TestAttackPathThatBecomesAnAddress(t *testing.T) {
	t.Parallel()
	s := rewritten(t, `{"path_regexp":[{"find":"^.*?(/auth/)","replace":"$1"}]}`, "limit profile off")
	token := s.token(s.fake.NewUser(s.appID))
	path := s.upload(token, avatarOf(t, picture(t, 4, 4, color.Black))).text("user", "avatar")
	for prefix, mount := range map[string]string{
		"": "", "/tenant": "/tenant", "/a/b-c_d.e~f": "/a/b-c_d.e~f", "/%E6%8E%A5%E5%8F%A3": "/%E6%8E%A5%E5%8F%A3",
		"//evil.example": "", "/a//evil.example": "", "///evil.example": "", `/\evil.example`: "", "/..": "", "/a/../..": "", "/.": "", "/%2e%2e": "", "/a%2f..%2f..": "",
		"/%2f/evil.example": "", "/%5cevil.example": "", "/x;y": "", "/%00": "", "/%0d%0aSet-Cookie:%20a=b": "", "/a%3f": "", "/a%23": "", "/" + strings.Repeat("a", 300): "",
	} {
		conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", strings.TrimPrefix(s.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		_, _ = fmt.Fprintf(conn, "GET %s/auth/profile HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer %s\r\n\r\n", prefix, token)
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		conn.Close()
		if got := (answer{body: body}).text("avatar"); resp.StatusCode == 200 && got != mount+path || resp.StatusCode != 200 && mount != "" {
			t.Errorf("%.50s: got %d %q, want %q", prefix, resp.StatusCode, got, mount+path)
		}
	}
}
