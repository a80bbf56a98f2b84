//go:build unix

// The sandbox, from the pages of others.

package e2e_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-wechat/wechatauth/internal/testkit"
)

// A page that the developer looks at points its own name to 127.0.0.1, or posts blindly: it must not
// log in as anybody at the Caddy on the developer's machine.
// Threats: F15.
func TestPagesOfOthersGetNothingOfTheSandbox(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.newNode()
	port := testkit.FreePort(t)
	n.more = "http://:" + port + " {\nwechat_sandbox {\napp " + appID + " " + secret + "\n}\n}\n"
	n.start()
	ask := func(host, origin string) (int, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://127.0.0.1:"+port+"/sandbox/codes", strings.NewReader(`{"user":"alice","kind":"login"}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Host = host
		if origin != "" {
			req.Header.Set("Origin", origin)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, string(body)
	}
	for _, row := range []struct {
		host, origin string
		status       int
	}{
		{"localhost:" + port, "", http.StatusOK},
		{"localhost:" + port, "http://localhost:" + port, http.StatusOK},
		{"rebound.evil.test", "", http.StatusForbidden},
		{"rebound.evil.test:" + port, "http://rebound.evil.test:" + port, http.StatusForbidden},
		{"localhost.evil.test", "", http.StatusForbidden},
		{"localhost:" + port, "https://evil.test", http.StatusForbidden},
		{"localhost:" + port, "null", http.StatusForbidden},
	} {
		status, body := ask(row.host, row.origin)
		if status != row.status || status != http.StatusOK && strings.Contains(body, `"code"`) {
			t.Errorf("Host %s, Origin %q: got %d %s, want %d", row.host, row.origin, status, body, row.status)
		}
	}
}
