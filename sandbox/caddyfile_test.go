// The wechat_sandbox directive.

package sandbox_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"

	"github.com/caddy-wechat/wechatauth/sandbox"
)

func TestUnmarshalCaddyfile(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		input string
		want  string // the JSON
	}{
		{
			"one app",
			"wechat_sandbox {\n app wx1 s1\n}",
			`{"apps":[{"appid":"wx1","secret":"s1"}]}`,
		},
		{
			"several apps of an Open Platform account",
			"wechat_sandbox {\n app wx1 {env.SECRET}\n app wx2 s2\n open_platform\n}",
			`{"apps":[{"appid":"wx1","secret":"{env.SECRET}"},{"appid":"wx2","secret":"s2"}],"open_platform":true}`,
		},
		{
			"hosts",
			"wechat_sandbox {\n app wx1 s1\n host wechat {env.NAME}\n host fake\n}",
			`{"apps":[{"appid":"wx1","secret":"s1"}],"hosts":["wechat","{env.NAME}","fake"]}`,
		},
		{"codes of DevTools", "wechat_sandbox {\n app wx1 s1\n accept_any_code\n}", `{"apps":[{"appid":"wx1","secret":"s1"}],"accept_any_code":true}`},
		{
			"playground", "wechat_sandbox {\n app wx1 s1\n playground http://localhost:8080 {\n admin localhost:2019\n hook_secret s\n }\n}",
			`{"apps":[{"appid":"wx1","secret":"s1"}],"playground":{"site":"http://localhost:8080","admin":"localhost:2019",` +
				`"hook_secret":"s"}}`,
		},
		{"nothing, which Provision refuses", "wechat_sandbox", `{}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var h sandbox.Handler
			if err := h.UnmarshalCaddyfile(caddyfile.NewTestDispenser(tt.input)); err != nil {
				t.Fatal(err)
			}
			got, err := json.Marshal(&h)
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != tt.want {
				t.Errorf("JSON: got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestUnmarshalCaddyfileErrors(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, input, want string
	}{
		{"argument", "wechat_sandbox wx1", "wrong argument count"},
		{"app without secret", "wechat_sandbox {\n app wx1\n}", "wrong argument count"},
		{"app without anything", "wechat_sandbox {\n app\n}", "wrong argument count"},
		{"app with too much", "wechat_sandbox {\n app wx1 s1 more\n}", "wrong argument count"},
		{"app with a block", "wechat_sandbox {\n app wx1 s1 {\n secret s2\n }\n}", "unrecognized subdirective: {"},
		{"app twice", "wechat_sandbox {\n app wx1 s1\n app wx1 s2\n}", "app wx1 already specified"},
		{"open_platform with argument", "wechat_sandbox {\n open_platform on\n}", "wrong argument count"},
		{"open_platform with a block", "wechat_sandbox {\n open_platform {\n x\n }\n}", "unrecognized subdirective: {"},
		{"open_platform twice", "wechat_sandbox {\n open_platform\n open_platform\n}", "open_platform already specified"},
		{"accept_any_code with argument", "wechat_sandbox {\n accept_any_code on\n}", "wrong argument count"},
		{"accept_any_code twice", "wechat_sandbox {\n accept_any_code\n accept_any_code\n}", "accept_any_code already specified"},
		{"playground without a site", "wechat_sandbox {\n playground\n}", "wrong argument count"},
		{"playground twice", "wechat_sandbox {\n playground http://a\n playground http://a\n}", "playground already specified"},
		{"playground with something else", "wechat_sandbox {\n playground http://a {\n port 1\n }\n}", "unrecognized subdirective: port"},
		{"playground with two admins", "wechat_sandbox {\n playground http://a {\n admin a\n admin b\n }\n}", "admin already specified"},
		{"playground with an empty secret", "wechat_sandbox {\n playground http://a {\n hook_secret\n }\n}", "wrong argument count"},
		{"host without a name", "wechat_sandbox {\n host\n}", "wrong argument count"},
		{"unknown subdirective", "wechat_sandbox {\n user alice\n}", "unrecognized subdirective: user"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var h sandbox.Handler
			err := h.UnmarshalCaddyfile(caddyfile.NewTestDispenser(tt.input))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error: got %v, want one with %q", err, tt.want)
			}
		})
	}
}

// The directive needs no order line, and runs before respond.
func TestDirectiveHasAnOrder(t *testing.T) {
	t.Parallel()
	adapter := caddyfile.Adapter{ServerType: httpcaddyfile.ServerType{}}
	config, warnings, err := adapter.Adapt([]byte(`:8090 {
	respond "not of the sandbox" 404
	wechat_sandbox /sns/* {
		app wx1 s1
	}
}
`), nil)
	if err != nil || len(warnings) > 0 {
		t.Fatalf("adapt: %v, warnings %v", err, warnings)
	}
	first := strings.Index(string(config), `"wechat_sandbox"`)
	second := strings.Index(string(config), `"static_response"`)
	if first < 0 || second < first {
		t.Errorf("order: got %s, want wechat_sandbox before static_response", config)
	}
}
