// What cors and token_from take.

package wechatauth_test

import (
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-wechat/wechatauth"
)

// An origin that no browser sends would never match, and one that every page can have would match
// too much.
func TestOriginsAreWrittenAsBrowsersSendThem(t *testing.T) {
	t.Setenv("ORIGIN", "https://m.example.com")
	t.Setenv("ORIGIN_WITH_PASSWORD", "https://admin:hunter2@m.example.com")
	tests := []struct{ origin, want string }{
		{"https://m.example.com", ""},
		{"http://localhost:5173", ""},
		{"http://127.0.0.1", ""},
		{"https://[::1]:8443", ""},
		{"https://xn--fsqu00a.example", ""},
		{"{env.ORIGIN}", ""},
		{"*", "any origin"},
		{"https://*.example.com", "name each origin"},
		{"null", "sandboxed"},
		{"m.example.com", "write an origin"},
		{"m.example.com:8443", "write an origin"},
		{"//m.example.com", "write an origin"},
		{"https://", "write an origin"},
		{"https://:8443", "write an origin"},
		{"file:///index.html", "write an origin"},
		{"ftp://m.example.com", "write an origin"},
		{"https://m.example.com/", "as https://m.example.com: write that"},
		{"https://m.example.com/app?x#y", "as https://m.example.com: write that"},
		{"https://m.example.com:443", "as https://m.example.com: write that"},
		{"http://m.example.com:80", "as http://m.example.com: write that"},
		{"http://m.example.com:443/", "as http://m.example.com:443: write that"},
		{"https://m.example.com:", "as https://m.example.com: write that"},
		{"HTTPS://M.Example.com", "as https://m.example.com: write that"},
		{"https://[0:0::1]", "as https://[::1]: write that"},
		{"https://例子.example", "xn--"},
		{"{env.ORIGIN_WITH_PASSWORD}", "as https://m.example.com: write that"},
		{"{env.NO_SUCH_ORIGIN}", "NO_SUCH_ORIGIN"},
		{`"https://a.example https://b.example"`, "write an origin"},
	}
	for _, tt := range tests {
		t.Run(tt.origin, func(t *testing.T) {
			err := provisionError(t, "cors https://first.example.com "+tt.origin)
			wantProvisionError(t, err, tt.want)
			if err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error shows the password: %v", err)
			}
		})
	}
}

func TestTokenFromNamesPlacesThatExist(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, lines, want string }{
		{"three places", "token_from header token\ntoken_from cookie token\ntoken_from query token", ""},
		{"two headers", "token_from header token\ntoken_from header X-Access-Token", ""},
		{"twice", "token_from query t\ntoken_from query t", "configured twice"},
		{"twice in another case", "token_from header X-T\ntoken_from header x-t", "configured twice"},
		{"Authorization", "token_from header authorization", "read anyway"},
		{"Cookie", "token_from header Cookie", "steers the connection"},
		{"identity header", "token_from header X-WX-Token", "carries the identity"},
		{"header for the upstream", "header X-User openid\ntoken_from header x-user", "carries the identity"},
		{"header with a space", `token_from header "X Token"`, "letters, digits and -"},
		{"header with _", "token_from header X_Token", "letters, digits and -"},
		{"cookie with ;", `token_from cookie "a;b"`, "no cookie"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			wantProvisionError(t, provisionError(t, tt.lines), tt.want)
		})
	}
}

func provisionError(t *testing.T, lines string) error {
	t.Helper()
	h := new(wechatauth.Handler)
	if err := h.UnmarshalCaddyfile(caddyfile.NewTestDispenser("wechat_auth {\napp wx1 s\nstore memory\n" + lines + "\n}")); err != nil {
		t.Fatalf("parsing: %v", err)
	}
	t.Cleanup(func() {
		if err := h.Cleanup(); err != nil {
			t.Errorf("Cleanup: %v", err)
		}
	})
	return h.Provision(newContext(t))
}

// wantProvisionError wants an error with some words, or none if there are no words.
func wantProvisionError(t *testing.T, err error, words string) {
	t.Helper()
	if words == "" && err != nil {
		t.Errorf("got %v, want no error", err)
	}
	if words != "" && (err == nil || !strings.Contains(err.Error(), words)) {
		t.Errorf("got %v, want an error with %q", err, words)
	}
}
