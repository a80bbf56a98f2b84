// Provisioning and reloads.

package sandbox_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	_ "github.com/caddyserver/caddy/v2/modules/filestorage"

	"github.com/caddy-wechat/wechatauth/sandbox"
)

func TestProvisionErrors(t *testing.T) {
	t.Setenv("SANDBOX_EMPTY", "")
	tests := []struct {
		name string
		apps []sandbox.App
		want string
	}{
		{"no app", nil, "no app"},
		{"no secret", []sandbox.App{{AppID: "wx1"}}, "must not be empty"},
		{"no appid", []sandbox.App{{Secret: "s"}}, "must not be empty"},
		{"app twice", []sandbox.App{{AppID: "wx1", Secret: "a"}, {AppID: "wx1", Secret: "b"}}, "wx1 is given twice"},
		{"variable empty", []sandbox.App{{AppID: "wx1", Secret: "{env.SANDBOX_EMPTY}"}}, "secret of app 1"},
		{"placeholder unknown", []sandbox.App{{AppID: "{no.such}", Secret: "s"}}, "appid of app 1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
			defer cancel()
			h := &sandbox.Handler{Apps: tt.apps}
			err := h.Provision(ctx)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error: got %v, want one with %q", err, tt.want)
			}
			if err := h.Cleanup(); err != nil {
				t.Errorf("cleanup after a failed provision: %v", err)
			}
		})
	}
}

func TestSecretFromTheEnvironment(t *testing.T) {
	t.Setenv("SANDBOX_SECRET", "from outside")
	h := provision(t, &sandbox.Handler{Apps: []sandbox.App{{AppID: t.Name(), Secret: "{env.SANDBOX_SECRET}"}}})
	_, code := post(t, h, "/sandbox/codes", `{"user":"alice","kind":"login"}`)
	if got := login(t, h, t.Name(), "from outside", code["code"])["errcode"]; got != nil {
		t.Errorf("errcode: got %v, want none", got)
	}
	if config, _ := json.Marshal(h); strings.Contains(string(config), "from outside") {
		t.Errorf("config: got %s, want the placeholder", config)
	}
}

// A rejected config is cleaned up too, and must not end the fake of the one
// that goes on running, however often.
func TestCleanupGivesBackOnce(t *testing.T) {
	t.Parallel()
	apps := []sandbox.App{{AppID: t.Name(), Secret: "s3cret"}}
	running := provision(t, &sandbox.Handler{Apps: apps})
	_, before := post(t, running, "/sandbox/users", `{"name":"alice"}`)

	for range 3 {
		ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
		rejected := &sandbox.Handler{Apps: apps}
		if err := rejected.Provision(ctx); err != nil {
			t.Fatal(err)
		}
		half := &sandbox.Handler{Apps: apps} // never provisioned
		for _, h := range []*sandbox.Handler{rejected, rejected, half} {
			if err := h.Cleanup(); err != nil {
				t.Fatal(err)
			}
		}
		cancel()
	}

	next := provision(t, &sandbox.Handler{Apps: apps})
	if _, after := post(t, next, "/sandbox/users", `{"name":"alice"}`); after["openid"] != before["openid"] {
		t.Errorf("openid: got %v, want %v", after["openid"], before["openid"])
	}
}

// Not parallel: Caddy has one running config.
func TestReloadKeepsUsers(t *testing.T) {
	// Not t.TempDir: Caddy goes on to write into its storage in the background.
	storage, err := os.MkdirTemp("", "wechat_sandbox") //nolint:usetesting // see above
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := caddy.Stop(); err != nil {
			t.Error(err)
		}
		_ = os.RemoveAll(storage)
	})
	load := func(comment string) (base string) {
		t.Helper()
		config := fmt.Sprintf(`{
			"admin": {"disabled": true, "config": {"persist": false}},
			"logging": {"logs": {"default": {"writer": {"output": "discard"}}}},
			"storage": {"module": "file_system", "root": %q},
			"apps": {"http": {"servers": {"sandbox": {
				"listen": ["127.0.0.1:0"],
				"automatic_https": {"disable": true},
				"routes": [
					{"group": %q, "handle": [{"handler": "wechat_sandbox", "apps": [{"appid": "wxreload", "secret": "s3cret"}]}]},
					{"handle": [{"handler": "static_response", "status_code": 418}]}
				]
			}}}}
		}`, storage, comment)
		if err := caddy.Load([]byte(config), true); err != nil {
			t.Fatal(err)
		}
		app, err := caddy.ActiveContext().App("http")
		if err != nil {
			t.Fatal(err)
		}
		listeners := app.(*caddyhttp.App).Servers["sandbox"].Listeners()
		return "http://" + listeners[0].Addr().String()
	}
	openid := func(base string) any {
		t.Helper()
		resp, err := http.Post(base+"/sandbox/users", "application/json", strings.NewReader(`{"name":"alice"}`))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var body bytes.Buffer
		if _, err := body.ReadFrom(resp.Body); err != nil {
			t.Fatal(err)
		}
		var user map[string]any
		if err := json.Unmarshal(body.Bytes(), &user); err != nil {
			t.Fatalf("%d %q: %v", resp.StatusCode, body.String(), err)
		}
		return user["openid"]
	}

	base := load("first")
	before := openid(base)
	resp, err := http.Get(base + "/elsewhere")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusTeapot {
		t.Errorf("another path: got %d, want the next handler's 418", resp.StatusCode)
	}
	if after := openid(load("second")); after != before || before == nil {
		t.Errorf("openid after the reload: got %v, want %v", after, before)
	}
}
