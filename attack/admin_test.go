// Secrets in Caddy's admin API and in its autosaved configuration.

package attack_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
)

// Whoever may read Caddy's configuration, its log or its autosave need not know the secrets.
// They stand there as placeholders, and stay so when they are wrong.
func TestAdminAPIShowsNoSecret(t *testing.T) {
	t.Parallel()
	const hmac, short, pem = "4f1d8c9e7b6a5f0e3d2c1b0a99887766-hmac", "tooshort-c0ffee", "-----BEGIN PRIVATE KEY-----\nc0ffeec0ffeec0ffee\n-----END PRIVATE KEY-----"
	home := t.TempDir()
	if !inChild(t, "RIG_SECRET="+rigSecret, "RIG_HMAC="+hmac, "RIG_SHORT="+short, "RIG_PEM="+pem, "HOME="+home, "XDG_CONFIG_HOME="+home, "XDG_DATA_HOME="+home) {
		return
	}
	home = os.Getenv("HOME")
	ports, err := rigPorts(3)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(home, "secret")
	if err := os.WriteFile(file, []byte(rigSecret), 0o600); err != nil {
		t.Fatal(err)
	}
	config := func(key string) string {
		return fmt.Sprintf(`{
			admin 127.0.0.1:%d
			auto_https off
			default_bind 127.0.0.1
			metrics
			log {
				output file %s
				level DEBUG
				format json
			}
		}
		http://:%d {
			wechat_auth {
				app %s {env.RIG_SECRET}
				token {
					algorithm HS256
					key %s
				}
			}
			respond ok
		}
		http://:%d {
			wechat_auth {
				app %s {
					secret {file.%s}
				}
			}
			respond ok
		}`, ports[0], filepath.Join(home, "caddy.log"), ports[1], rigAppA, key, ports[2], rigAppB, file)
	}
	if err := loadCaddyfile(config("{env.RIG_HMAC}")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := caddy.Stop(); err != nil {
			t.Error(err)
		}
	})
	seen := map[string]string{}
	for _, path := range []string{"/config/", "/config/apps/http/servers", "/metrics", "/debug/vars", "/reverse_proxy/upstreams", "/id/x"} {
		seen[path] = adminCall(t, ports[0], "GET", path, "", "")
	}
	for _, placeholder := range []string{"{env.RIG_SECRET}", "{env.RIG_HMAC}", "{file." + file + "}"} {
		if !strings.Contains(seen["/config/"], placeholder) {
			t.Errorf("/config/: want %s in %s", placeholder, seen["/config/"])
		}
	}
	// Configurations that are refused because of a secret, with the sentence that says so.
	for _, key := range []string{"{env.RIG_SHORT}", "{env.RIG_PEM}", "{env.RIG_UNSET}", "{file." + file + ".none}", "{env.RIG_SHORT}{env.RIG_SHORT}"} {
		answer := adminCall(t, ports[0], "POST", "/load", "text/caddyfile", config(key))
		if !strings.Contains(answer, "error") {
			t.Errorf("key %s: got %s, want an error", key, answer)
		}
		seen["/load with "+key] = answer
	}
	seen["/adapt"] = adminCall(t, ports[0], "POST", "/adapt", "text/caddyfile", config("{env.RIG_HMAC}"))
	files, err := filepath.Glob(filepath.Join(home, "*"))
	if err != nil {
		t.Fatal(err)
	}
	more, err := filepath.Glob(filepath.Join(home, "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range slices.Concat(files, more) {
		if data, err := os.ReadFile(name); err == nil && name != file {
			seen[name] = string(data)
		}
	}
	if !slices.ContainsFunc(files, func(f string) bool { return strings.HasSuffix(f, "caddy.log") }) || len(more) == 0 {
		t.Errorf("got files %v %v, want the log and the autosave among them", files, more)
	}
	for where, text := range seen {
		for what, secret := range map[string]string{"AppSecret": rigSecret, "HMAC key": hmac, "short key": short, "PEM key": "c0ffeec0ffee"} {
			if strings.Contains(text, secret) {
				t.Errorf("%s shows the %s: %s", where, what, text)
			}
		}
	}
}

// adminCall repeats what the network lost: a load has the admin endpoint listen anew.
func adminCall(t *testing.T, port int, method, path, contentType, body string) string {
	t.Helper()
	var resp *http.Response
	for range 10 {
		req, err := http.NewRequestWithContext(t.Context(), method, fmt.Sprintf("http://127.0.0.1:%d%s", port, path), strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Close = true
		if contentType != "" {
			req.Header.Set("Content-Type", contentType)
		}
		if resp, err = http.DefaultClient.Do(req); err == nil {
			break
		}
		t.Log(err)
	}
	if resp == nil {
		t.Fatalf("no answer to %s %s", method, path)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	// JSON writes < and & as escapes; a secret has neither, but a placeholder's path might.
	var value any
	if json.Unmarshal(text, &value) == nil && method == "GET" {
		return fmt.Sprint(string(text), value)
	}
	return string(text)
}
