//go:build unix

// The mini program's half, client/wechatauth.js, against started sites.

package e2e_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The tests of the client are in JavaScript. They start the Caddy under test by themselves.
func TestMiniProgramClient(t *testing.T) {
	t.Parallel()
	dir := installedClient(t)
	runIn(t, dir, nil, "node", "node_modules/typescript/bin/tsc", "-p", ".")
	files, err := filepath.Glob(filepath.Join(dir, "*.test.mjs"))
	if err != nil || len(files) < 7 {
		t.Fatalf("got %d files of tests (%v), want all of them", len(files), err)
	}
	args := append([]string{"--test", "--test-reporter=spec", "--test-concurrency=3"}, files...)
	runIn(t, dir, []string{"WECHATAUTH_CADDY=" + program}, "node", args...)
}

// Behind nginx the client sees nginx's refusals: in JSON as examples/nginx has them, and in the HTML of
// a site that leaves those lines out.
func TestNginxServesTheMiniProgramClient(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		changes []string
		away    string // what the client says when Caddy is away: of the backend's path, and of a login
	}{
		{"JSON", nil, `[["auth_unavailable",503,2],["auth_unavailable",503,2]]`},
		{
			"HTML",
			[]string{"error_page 401 403 @wechat_refused;", "", "error_page 500 = @wechat_failed;", ""},
			`[["http_500",500,null],["auth_unavailable",503,2]]`,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := &front{world: newWorld(t)}
			f.wire = newProxy(t, f.startCaddy(t, "nginx", "token {\nttl 3s\n}"))
			f.startNginx(t, strings.TrimPrefix(echoBackend(t), "http://"), c.changes...)
			alice := f.world.fake.NewUser(appID)
			codes := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				code := f.world.fake.LoginCode(alice)
				if r.URL.Path == "/phone" {
					code = f.world.fake.PhoneCode(alice, "13800138000")
				}
				_ = json.NewEncoder(w).Encode(map[string]string{"code": code})
			}))
			t.Cleanup(codes.Close)
			out := runIn(t, "../client/test", []string{"NODE_EXTRA_CA_CERTS=" + f.ca}, "node", "nginx.mjs", f.url, codes.URL)
			want := `["` + alice.OpenID + `","` + alice.OpenID + `",403,"13800138000","Alice",[1,1]]`
			if got := strings.TrimSpace(out); got != want {
				t.Errorf("got %s, want %s", got, want)
			}

			f.wire.cut()
			out = runIn(t, "../client/test", []string{"NODE_EXTRA_CA_CERTS=" + f.ca}, "node", "nginx.mjs", f.url)
			if got := strings.TrimSpace(out); got != c.away {
				t.Errorf("without Caddy: got %s, want %s", got, c.away)
			}
		})
	}
}

// installedClient copies the client and installs what its tests need, so that the checkout stays as it is.
func installedClient(t *testing.T) (tests string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, "client"), os.DirFS("../client")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"README.md", "README.zh-CN.md"} {
		text, err := os.ReadFile("../" + name)
		if err != nil {
			t.Fatal(err)
		}
		writeFile(t, dir, name, string(text))
	}
	tests = filepath.Join(dir, "client", "test")
	if err := os.RemoveAll(filepath.Join(tests, "node_modules")); err != nil {
		t.Fatal(err)
	}
	runIn(t, tests, nil, "npm", "ci", "--prefer-offline", "--ignore-scripts", "--no-audit", "--no-fund")
	return tests
}

// runIn runs a program, which must end well, and returns what it printed.
func runIn(t *testing.T, dir string, env []string, name string, args ...string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("this test runs %s, which is not installed: bash scripts/needs.sh installs it", name)
	}
	cmd := exec.CommandContext(t.Context(), path, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, tail(string(out), 8000))
	}
	return string(out)
}
