// Placeholders in addresses, and secrets in the errors of the Caddyfile.

package wechatauth

import (
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// A password is random text. It must arrive as it is, whatever it would mean in an address.
func TestResolveURLTakesPasswordsAsTheyAre(t *testing.T) {
	const password = "p/w@#%2F:?[]\\ +&é{x}"
	t.Setenv("PASSWORD", password)
	t.Setenv("NAME", "us:er")
	t.Setenv("HOST", "a.example:6379")
	t.Setenv("WHOLE", "redis://u:p%2Fw@b.example/1")
	file := filepath.Join(t.TempDir(), "redis@password#1")
	if err := os.WriteFile(file, []byte(password+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ written, host, name, password, path string }{
		{"redis://:{env.PASSWORD}@a.example/2", "a.example", "", password, "/2"},
		{"http://u:{env.PASSWORD}@a.example/p?q=1#f", "a.example", "u", password, "/p"},
		{"http://{env.NAME}:{env.PASSWORD}@{env.HOST}/p", "a.example:6379", "us:er", password, "/p"},
		{"http://u:{file." + file + "}@a.example/p", "a.example", "u", password, "/p"},
		{"http://u:x{env.PASSWORD}%40@a.example", "a.example", "u", "x" + password + "@", ""},
		{"{env.WHOLE}", "b.example", "u", "p/w", "/1"},
		{"http://{env.HOST}/@{env.HOST}", "a.example:6379", "", "", "/@a.example:6379"},
		{"http://a.example/x", "a.example", "", "", "/x"},
	} {
		got, err := resolveURL(caddy.NewReplacer(), "url", test.written)
		if err != nil {
			t.Errorf("%s: %v", test.written, err)
			continue
		}
		u, err := url.Parse(got)
		if err != nil {
			t.Errorf("%s: got %s, which is no address", test.written, got)
			continue
		}
		given, _ := u.User.Password()
		if u.Host != test.host || u.User.Username() != test.name || given != test.password || u.Path != test.path {
			t.Errorf("%s: got %s, want %q, %q, %q, %q", test.written, got, test.host, test.name, test.password, test.path)
		}
	}
}

func TestResolveURLRefusesEmptyPlaceholders(t *testing.T) {
	t.Setenv("EMPTY", "")
	for _, written := range []string{
		"redis://:{env.EMPTY}@a", "redis://{env.EMPTY}@a", "redis://:p@{env.EMPTY}", "{env.EMPTY}://a", "redis://:x{unknown}@a",
	} {
		if got, err := resolveURL(caddy.NewReplacer(), "url", written); err == nil {
			t.Errorf("%s: got %s, want an error", written, got)
		}
	}
}

// A secret with a blank in it is two arguments, and Caddy's own error would show the second.
// Threats: F19.
func TestCaddyfileErrorsShowNoSecrets(t *testing.T) {
	t.Parallel()
	const half = "4f9d1c0e7a"
	for _, lines := range []string{
		"app wx1 a " + half,
		"app wx1 {\nsecret a " + half + "\n}",
		"app wx1 s {\naccess_token " + half + "\n}",
		"app wx1 s {\naccess_token http://a " + half + "\n}",
		"app wx1 s {\nsigning {\nkey k a " + half + "\n}\n}",
		"app wx1 s {\nsigning {\nkey " + half + "\n}\n}",
		"app wx1 s\ntoken {\nkey a " + half + "\n}",
		"app wx1 s\ntoken {\nkey a\nprevious_key a " + half + "\n}",
		"app wx1 s\nhook http://a " + half,
		"app wx1 s\nhook http://a {\nsecret a " + half + "\n}",
		"app wx1 s\nstore redis redis://a {\nseal_key a " + half + "\n}",
	} {
		err := new(Handler).UnmarshalCaddyfile(caddyfile.NewTestDispenser("wechat_auth {\n" + lines + "\n}"))
		if err == nil || strings.Contains(err.Error(), half) {
			t.Errorf("%q: got error %v, want one without %s", lines, err, half)
		}
	}
}
