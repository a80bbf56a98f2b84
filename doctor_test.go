// The doctor: each mistake has its finding.

package wechatauth_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	wechatauth "github.com/caddy-wechat/wechatauth"
	"github.com/caddy-wechat/wechatauth/session/redisstore/redistest"
	"github.com/caddy-wechat/wechatauth/wechat/wechattest"
)

const (
	doctorApp    = "wx0123456789abcdef"
	doctorSecret = "0123456789abcdef0123456789abcdef"
)

// patient is a configuration in which nothing is wrong but what a row changes.
type patient struct {
	global string // options
	app    string // default: a good one
	api    string // default: the fake
	lines  string // of wechat_auth
	site   string // around wechat_auth, which stands for AUTH
	ahead  time.Duration
	allow  []string // the IP whitelist
	code   int      // WeChat's answer
}

const doctorPushKey = "Vb3nQx7ZkP0sTfYw8GhJm2LcRdAe5UiOoN1vXzK4q6R"

// secretFile returns the placeholder of a file with a secret.
func secretFile(t *testing.T, secret string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "secret")
	writeText(t, file, secret)
	return "{file." + file + "}"
}

// pushApp is a good app whose push has these secrets.
func pushApp(secret, token, key string) string {
	return doctorApp + " " + secret + " {\npush {\ntoken " + token + "\naes_key " + key + "\n}\n}"
}

// caddyfile writes the configuration; its store is the file of that name, unless the lines have one.
func (p patient) caddyfile(api, file string) string {
	if p.api != "" {
		api = p.api
	}
	if p.site == "" {
		p.site = "AUTH"
	}
	if !strings.Contains(p.lines, "store ") {
		p.lines += "\nstore sqlite " + file
	}
	auth := "wechat_auth {\napp " + p.app + "\napi " + api + "\n" + p.lines + "\n}"
	return "{\n" + p.global + "\n}\nhttp://localhost:8080 {\n" + strings.ReplaceAll(p.site, "AUTH", auth) + "\n}\n"
}

func (p patient) diagnose(t *testing.T) []wechatauth.Finding {
	t.Helper()
	fake := wechattest.New(wechattest.App{ID: doctorApp, Secret: doctorSecret, AllowIPs: p.allow})
	api := fake.Start(t)
	if p.code != 0 {
		fake.Fail(wechattest.StableToken, 9, wechattest.ErrCode(p.code))
	}
	if p.app == "" {
		p.app = doctorApp + " " + secretFile(t, doctorSecret)
	}
	config := adapt(p.caddyfile(api, filepath.Join(t.TempDir(), "none.db")))
	config, _, _ = strings.Cut(config, "\nwarning: ")
	findings, err := wechatauth.Diagnose(t.Context(), []byte(config), p.ahead)
	if err != nil {
		t.Fatalf("got %v for %s, want findings", err, config)
	}
	return findings
}

func TestDoctorFindsNothingWrong(t *testing.T) {
	t.Parallel()
	const filtered = "log {\nformat filter {\nrequest>uri delete\nrequest>headers>X-Token delete\n}\n}\n"
	key := filepath.Join(t.TempDir(), "token.pem")
	writeText(t, key, "the doctor looks at its rights alone")
	for name, p := range map[string]patient{
		"plain":         {},
		"filtered log":  {site: filtered + "AUTH", lines: "token_from query t\ntoken_from header x-token"},
		"cookie":        {site: "log\nAUTH", lines: "token_from cookie t"},
		"handle":        {site: "handle /auth/* {\nAUTH\n}"},
		"handle_path":   {site: "handle_path /v1/* {\nAUTH\n}"},
		"one of two":    {site: "@m path /x /auth/*\nhandle @m {\nAUTH\n}"},
		"strict":        {global: "servers {\ntrusted_proxies static private_ranges\ntrusted_proxies_strict\n}"},
		"discovery":     {lines: "token {\nissuer https://api.example.com/auth\n}"},
		"push":          {app: pushApp(secretFile(t, doctorSecret), secretFile(t, "0123456789abcdef"), secretFile(t, doctorPushKey)), site: "log {\nformat filter {\nrequest>uri query {\ndelete openid\n}\n}\n}\nAUTH"},
		"public beside": {lines: "public /authors/*"},
		"key file":      {lines: "token {\nkey " + key + "\n}"},
		"error page":    {site: "AUTH\nfile_server\nhandle_errors {\nrewrite * /error.html\nfile_server\n}"},
		"admin socket":  {global: "admin unix//run/caddy/admin.sock"},
		"admin IPv6":    {global: "admin [::1]:2019"},
		"admin off":     {global: "admin off"},
		"other debug":   {global: "log tls {\nlevel DEBUG\ninclude tls\n}"},
		"debug without": {global: "log {\nlevel DEBUG\nexclude http.handlers\n}"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			findings := p.diagnose(t)
			if len(findings) < 10 {
				t.Errorf("got %v, want a finding for each check", findings)
			}
			for _, f := range findings {
				if f.Level != "ok" {
					t.Errorf("got %v, want all ok", f)
				}
			}
		})
	}
}

// A site that went to production with the quick start's secrets: anybody can push to it that a user is gone.
//
// Threats: F20.
func TestDoctorKnowsTheSecretsOfTheExample(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("Caddyfile.example")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`(?m)^\s*(?:(secret|token|aes_key)|app \w+) ([\w-]+)(?: \{)?$`).FindAllStringSubmatch(string(text), -1)
	if len(found) < 6 {
		t.Fatalf("got %v, want the app's secret, the hook's, and the push token and key", found)
	}
	for _, f := range found {
		p := patient{app: doctorApp + " " + f[2]}
		switch f[1] {
		case "secret":
			p = patient{lines: "hook http://localhost:1 {\nsecret " + f[2] + "\n}"}
		case "token":
			p = patient{app: pushApp(doctorSecret, f[2], doctorPushKey)}
		case "aes_key":
			p = patient{app: pushApp(doctorSecret, "0123456789abcdef", f[2])}
		}
		findings := p.diagnose(t)
		if !slices.ContainsFunc(findings, func(f wechatauth.Finding) bool {
			return f.Level == "error" && strings.Contains(f.Text, "is the one of Caddyfile.example")
		}) {
			t.Errorf("%s: got %v, want an error that says where it is from", f[0], findings)
		}
	}
}

// Threats: F20.
func TestDoctorFindsEachMistake(t *testing.T) {
	t.Parallel()
	readable, key := filepath.Join(t.TempDir(), "readable.db"), filepath.Join(t.TempDir(), "readable.pem")
	if err := os.WriteFile(key, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name    string
		patient patient
		check   string
		level   string
		text    string
	}{
		{"appid of no form", patient{app: "gh_0123456789ab " + doctorSecret}, "appid-form", "error", "app 1 is not wx and 16 hex digits"},
		{"secret in the appid's place", patient{app: doctorSecret + " " + doctorApp}, "appid-form", "error", "appid first, then the secret"},
		{"secret unset", patient{app: doctorApp + " {env.DOCTOR_NO_SUCH}"}, "secret-unset", "error", "{env.DOCTOR_NO_SUCH} is not set"},
		{"hook secret unset", patient{lines: "hook http://localhost:1 {\nsecret {env.DOCTOR_NO_SUCH}\n}"}, "secret-unset", "error", "the hook's secret"},
		{"api unset", patient{api: "{env.DOCTOR_NO_SUCH}"}, "secret-unset", "error", "api: "},
		{"secret short", patient{app: doctorApp + " 0123456789abcdef"}, "secret-short", "error", "the secret of app " + doctorApp},
		{"token key short", patient{lines: "token {\nalgorithm HS256\nkey 0123456789abcdef\n}"}, "secret-short", "error", "the token's key"},
		{"previous key unset", patient{lines: "token {\nalgorithm HS256\nkey " + doctorSecret + "0\nprevious_key {env.DOCTOR_NO_SUCH}\n}"}, "secret-unset", "error", "previous_key"},
		{"secret used twice", patient{lines: "hook http://localhost:1 {\nsecret " + doctorSecret + "\n}"}, "secret-repeated", "error", "the hook's secret is also the secret of app"},
		{"secret of one character", patient{app: doctorApp + " " + strings.Repeat("a", 32)}, "secret-repeated", "error", "openssl rand"},
		{"push key that is a dummy", patient{app: pushApp(doctorSecret, "0123456789abcdef", strings.Repeat("A", 43))}, "secret-repeated", "error", "the push aes_key of app " + doctorApp},
		{"push token that is short", patient{app: pushApp(doctorSecret, "AAAAA", doctorPushKey)}, "secret-short", "warn", "openssl rand -hex 16"},
		{"openids of pushes in the log", patient{app: pushApp(doctorSecret, "0123456789abcdef", doctorPushKey), site: "log\nAUTH"}, "access-log", "warn", "docs/push.md"},
		{"push token unset", patient{app: pushApp(doctorSecret, "{env.DOCTOR_NO_SUCH}", doctorPushKey)}, "secret-unset", "error", "the push token of app " + doctorApp},
		{"service secret of one character", patient{lines: "service {\nsecret " + strings.Repeat("b", 32) + "\n}"}, "secret-repeated", "error", "the service's secret"},
		{"api by name in clear", patient{api: "http://api.example.com"}, "api-plain", "error", "api http://api.example.com sends AppSecrets"},
		{"hook in clear", patient{lines: "hook http://hook.example.com/x {\nsecret " + doctorSecret + "\n}"}, "api-plain", "error", "hook http://hook.example.com sends"},
		{"api in clear", patient{api: "http://203.0.113.7:1"}, "api-plain", "error", "write https://"},
		{"clock ahead", patient{ahead: 5 * time.Minute}, "clock", "error", "clock is 5m"},
		{"clock behind", patient{ahead: -5 * time.Minute}, "clock", "error", "timedatectl"},
		{"address not allowed", patient{allow: []string{"192.0.2.7"}}, "credentials", "error", "allow the address 127.0.0.1 in"},
		{"wrong secret", patient{app: doctorApp + " fedcba98765432100123456789abcdef"}, "credentials", "error", "40125"},
		{"unknown app", patient{app: "wxfedcba9876543210 " + doctorSecret}, "credentials", "error", "40013"},
		{"quota", patient{code: 45009}, "credentials", "error", "try again later"},
		{"no WeChat", patient{api: "http://127.0.0.1:1"}, "credentials", "error", "DNS, firewall"},
		{"no hook", patient{lines: "hook http://127.0.0.1:1/x {\nsecret " + doctorSecret + "\n}"}, "hook", "error", "127.0.0.1:1 does not answer, and nobody can log in"},
		{"no Redis", patient{lines: "store redis redis://127.0.0.1:1"}, "store", "error", "Redis does not answer"},
		{"readable file", patient{lines: "store sqlite " + readable}, "sqlite-file", "error", "chmod 600"},
		{"readable key", patient{lines: "token {\nkey " + key + "\n}"}, "key-file", "error", key + " of token"},
		{"readable previous key", patient{lines: "token {\nkey other.pem\nprevious_key " + key + "\n}"}, "key-file", "error", "chmod 640"},
		{"secret as text", patient{app: doctorApp + " " + doctorSecret}, "secret-in-config", "warn", "the secret of app " + doctorApp + " stands"},
		{"hook secret as text", patient{lines: "hook http://localhost:1 {\nsecret " + doctorSecret + "\n}"}, "secret-in-config", "warn", "the hook's secret"},
		{"debug", patient{global: "debug"}, "debug-log", "warn", "global option debug"},
		{"debug of handlers", patient{global: "log handlers {\nlevel DEBUG\ninclude http.handlers\n}"}, "debug-log", "warn", "openid and phone"},
		{"files as error pages", patient{site: "AUTH\nfile_server\nhandle_errors {\nfile_server\n}"}, "error-files", "warn", "rewrite to an error page"},
		{
			"files beside error pages",
			patient{site: "AUTH\nhandle_errors {\nhandle /x/* {\nrewrite * /e.html\nfile_server\n}\nhandle {\nfile_server\n}\n}"},
			"error-files", "warn", "status 401",
		},
		{"admin for all", patient{global: "admin :2019"}, "admin-api", "warn", "listens on :2019"},
		{"admin in a network", patient{global: "admin 10.0.0.7:2019"}, "admin-api", "warn", "10.0.0.7:2019"},
		{"proxies", patient{global: "servers {\ntrusted_proxies static private_ranges\n}"}, "trusted-proxies", "warn", "trusted_proxies_strict"},
		{"log of queries", patient{site: "log\nAUTH", lines: "token_from query t"}, "access-log", "warn", "request>uri"},
		{
			"log of headers",
			patient{site: "log {\nformat filter {\nrequest>uri delete\n}\n}\nAUTH", lines: "token_from header x-token"},
			"access-log", "warn", "request>headers>X-Token",
		},
		{"log of credentials", patient{global: "servers {\nlog_credentials\n}", site: "log\nAUTH"}, "access-log", "warn", "log_credentials"},
		{"matcher", patient{site: "handle /api/* {\nAUTH\n}"}, "matcher", "error", "leaves /auth out, so nobody can log in: write @wechat path /api/* /auth/*"},
		{"prefix taken away", patient{site: "handle_path /auth/* {\nhandle /api/* {\nAUTH\n}\n}"}, "matcher", "error", "leaves /auth out"},
		{
			"pushes past it",
			patient{
				app:  strings.Replace(pushApp(secretFile(t, doctorSecret), secretFile(t, "0123456789abcdef"), secretFile(t, doctorPushKey)), "push {", "push {\nforward /wechat/push", 1),
				site: "handle /auth/* {\nAUTH\n}",
			},
			"matcher", "warn", "leaves /wechat/push out, where forward sends pushes",
		},
		{"public below", patient{lines: "public /auth/login"}, "below-base-path", "warn", "public /auth/login"},
		{"optional below", patient{lines: "base_path /x\noptional /x/*"}, "below-base-path", "warn", "optional /x/*"},
		{"phone_required below", patient{lines: "phone_required /auth/x"}, "below-base-path", "warn", "phone_required /auth/x has no effect"},
		{"no discovery", patient{lines: "token {\nissuer https://api.example.com\n}"}, "discovery", "warn", "<your host>/auth"},
		{"no wechat_auth", patient{site: "respond ok"}, "sites", "error", "no site has wechat_auth"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			if row.check == "sqlite-file" {
				if err := os.WriteFile(readable, nil, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			found := false
			for _, f := range row.patient.diagnose(t) {
				found = found || f.Name == row.check && f.Level == row.level && strings.Contains(f.Text, row.text)
				for _, secret := range []string{doctorSecret, "fedcba98765432100123456789abcdef", strings.Repeat("a", 32)} {
					if strings.Contains(f.Text, secret) {
						t.Errorf("got %v, want no secret in it", f)
					}
				}
			}
			if !found {
				t.Errorf("got %v, want %s %s with %q", row.patient.diagnose(t), row.level, row.check, row.text)
			}
		})
	}
}

// An operator sees what a backend gets, before there is a user.
func TestDoctorShowsWhatTheBackendGets(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		lines        string
		want, absent []string
	}{
		"default": {"", []string{"localhost/auth gets", "X-WX-OPENID: o-example", "X-WX-PHONE: 138****8000", "Authorization: Bearer"}, nil},
		"own": {
			"headers none\nauthorization strip\nheader X-Nick nickname\nheader X-Role role",
			[]string{"X-Nick: %E5%B0%8F%E6%98%8E", "X-Role: <role>, where the hook gives it"},
			[]string{"OPENID", "Authorization"},
		},
		"nothing": {"headers none\nbase_path /x", []string{"localhost/x gets", "no header about the user"}, []string{"OPENID"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, f := range (patient{lines: row.lines}).diagnose(t) {
				if f.Name != "upstream" {
					continue
				}
				for _, text := range row.want {
					if !strings.Contains(f.Text, text) {
						t.Errorf("got %q, want %q in it", f.Text, text)
					}
				}
				for _, text := range row.absent {
					if strings.Contains(f.Text, text) {
						t.Errorf("got %q, want no %q in it", f.Text, text)
					}
				}
				return
			}
			t.Error("got no finding upstream")
		})
	}
}

func TestDoctorFindsARedisThatEvicts(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	for policy, level := range map[string]string{"allkeys-lru": "error", "noeviction": "ok"} {
		redis.Do(t, "config", "set", "maxmemory-policy", policy)
		got := map[string]string{}
		for _, f := range (patient{lines: "store redis " + redis.URL}).diagnose(t) {
			got[f.Name] = f.Level
		}
		if got["redis-evicts"] != level || got["store"] != "ok" {
			t.Errorf("%s: got %v, want the store ok and redis-evicts %s", policy, got, level)
		}
	}
}
