//go:build unix

// What Caddy says about mistakes that a configuration can start with.

package e2e_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Caddy says what is wrong, and the line to write, when it reads a configuration, and prints no
// secret.
// Threats: F19, F20.
func TestMistakesAreLoggedWhenAConfigurationIsRead(t *testing.T) {
	n := newWorld(t).newNode()
	const other = "fedcba98765432100123456789abcdef"
	site := func(around string, lines ...string) string {
		text := "wechat_auth {\napp " + appID + " " + secret + "\n" + strings.Join(lines, "\n") + "\n}\n"
		return "http://:" + n.port + " {\n" + strings.Replace(around, "wechat_auth", strings.TrimSpace(text), 1) + "\nrespond ok\n}\n"
	}
	for _, row := range []struct{ name, text, want string }{
		{"matcher", strings.Replace(site("wechat_auth"), "wechat_auth {", "wechat_auth /api/* {", 1), "write @wechat path /api/* /auth/* and"},
		{"handle", site("handle /api/* {\nwechat_auth\n}"), "write @wechat path /api/* /auth/* and"},
		{"named matcher in a host's site", strings.Replace(site("@api path /v1/* /v2/*\nhandle @api {\nroute {\nwechat_auth\n}\n}"), "http://:", "http://localhost:", 1), "write @wechat path /v1/* /v2/* /auth/* and"},
		{"prefix taken away", site("handle_path /v1/* {\nhandle /api/* {\nwechat_auth\n}\n}"), "write @wechat path /api/* /auth/* and"},
		{"issuer", site("wechat_auth", "token {\nissuer https://api.example.com\n}"), "write issuer https://<your host>/auth"},
		{"public", site("wechat_auth", "public /auth/x"), "public /auth/x has no effect"},
		{"api", site("wechat_auth", "api http://api.example.com"), "write https://"},
		{"appid", strings.Replace(site("wechat_auth"), appID, "gh_0123456789ab", 1), "wx and 16 hex digits"},
		{"swapped", strings.Replace(site("wechat_auth"), "app "+appID+" "+secret, "app "+other+" "+appID, 1), "the AppID is wx and 16 hex digits, and comes first"},
		{"nothing: whole", site("wechat_auth", "api http://localhost:1 http://10.1.2.3 http://sandbox:8089"), ""},
		{"nothing: handle", site("@m path /x /auth/*\nhandle @m {\nwechat_auth\n}"), ""},
		{"nothing: prefix", site("handle_path /v1/* {\nwechat_auth\n}"), ""},
		{"nothing: route", site("route /v1/* {\nuri strip_prefix /v1\nwechat_auth\n}"), ""},
		{"nothing: second site", "http://localhost:" + n.port + " {\nhandle /api/* {\nrespond ok\n}\n}\n" + site("handle {\nwechat_auth\n}"), ""},
	} {
		file := filepath.Join(n.dir, "Checked")
		if err := os.WriteFile(file, []byte(n.global()+row.text), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := n.command("validate", "--config", file, "--adapter", "caddyfile").CombinedOutput()
		if (err != nil) != (row.name == "swapped") {
			t.Errorf("%s: got %v %s", row.name, err, out)
		}
		text := strings.ReplaceAll(string(out), `\u003c`, "<")
		if !strings.Contains(text, row.want) || row.want == "" && strings.Contains(text, "http.handlers.wechat_auth") && strings.Contains(text, `"warn"`) {
			t.Errorf("%s: got %s, want a line with %q", row.name, text, row.want)
		}
		if strings.Contains(text, secret) || strings.Contains(text, other) {
			t.Errorf("%s: a secret is in %s", row.name, text)
		}
	}
}
