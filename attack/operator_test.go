// The operator's door is not the users'.

package attack_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
)

// Whoever reaches the site must not reach the operator: no spelling below base_path, and none at
// the site's root, answers what the admin API answers; and a web page that the operator opens can't
// ask the admin API with its own origin.
func TestOperationsAnswerOnTheAdminEndpointAlone(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	if !inChild(t, "HOME="+home, "XDG_CONFIG_HOME="+home, "XDG_DATA_HOME="+home) {
		return
	}
	ports, err := rigPorts(2)
	if err != nil {
		t.Fatal(err)
	}
	if err := loadCaddyfile(fmt.Sprintf(`{
		admin 127.0.0.1:%d
		auto_https off
		default_bind 127.0.0.1
	}
	http://:%d {
		wechat_auth {
			app %s %s
			store memory
		}
		respond ok
	}`, ports[0], ports[1], rigAppA, rigSecret)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := caddy.Stop(); err != nil {
			t.Error(err)
		}
	})
	ask := func(port int, path, origin string) int {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d%s", port, path), nil)
		if err != nil {
			t.Fatal(err)
		}
		if origin != "" {
			r.Header.Set("Origin", origin)
		}
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		if err := res.Body.Close(); err != nil {
			t.Fatal(err)
		}
		return res.StatusCode
	}
	if got := ask(ports[0], "/wechat_auth/users", ""); got != http.StatusOK {
		t.Fatalf("the admin API: got %d, want 200", got)
	}
	if got := ask(ports[0], "/wechat_auth/users", "https://evil.example"); got != http.StatusForbidden {
		t.Errorf("a foreign page: got %d, want 403", got)
	}
	for _, path := range []string{"status", "users", "users/-/x", "backup", "keys/rotate", "../wechat_auth/users", "%2e%2e/wechat_auth/users"} {
		for _, base := range []string{"/auth/", "/auth/wechat_auth/", "/auth/service/", "/wechat_auth/"} {
			got := ask(ports[1], base+path, "")
			if got != http.StatusNotFound && got != http.StatusUnauthorized {
				t.Errorf("%s: got %d, want 404, or 401 for what is the upstream's", strings.TrimSpace(base+path), got)
			}
		}
	}
}
