// Web pages that reach for the sandbox of the developer who looks at them.

package sandbox_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-wechat/wechatauth/sandbox"
)

const askForCode = `{"user":"alice","kind":"login"}`

// DNS rebinding: the name of a web page leads to 127.0.0.1 all at once, and the page may read what
// it gets there. Its name stays in the Host header.
// Threats: F15.
func TestAttackRebindingFindsNoSandbox(t *testing.T) {
	t.Parallel()
	h := provision(t, &sandbox.Handler{Apps: []sandbox.App{{AppID: t.Name(), Secret: "s"}}, Hosts: []string{"WeChat.internal", "fake"}})
	for host, answered := range map[string]bool{
		"localhost":                   true,
		"LOCALHOST:8090":              true,
		"localhost.:8090":             true,
		"dev.localhost:8090":          true,
		"127.0.0.1":                   true,
		"127.0.0.1:8090":              true,
		"192.168.1.20:8090":           true,
		"[::1]":                       true,
		"[::1]:8090":                  true,
		"wechat.INTERNAL.:8090":       true,
		"fake":                        true,
		"":                            false,
		"attacker.example":            false,
		"attacker.example:8090":       false,
		"localhost.attacker.example":  false,
		"127.0.0.1.attacker.example":  false,
		"127.0.0.1.nip.io:8090":       false,
		"xlocalhost":                  false,
		"evil.fake":                   false,
		"wechat.internal.example":     false,
		"localhost:8090@a.example":    false,
		"2130706433":                  false,
		"attacker.example:localhost":  false,
		"attacker.example, localhost": false,
	} {
		for _, path := range []string{"/sandbox/codes", "/cgi-bin/stable_token"} {
			r := request(http.MethodPost, path, askForCode)
			r.Host = host
			w := serve(t, h, r)
			if got := w.Code != http.StatusForbidden; got != answered {
				t.Errorf("Host %q, %s: got %d %s, want it answered: %t", host, path, w.Code, w.Body, answered)
			}
			if !answered && !strings.Contains(w.Body.String(), "host option") {
				t.Errorf("Host %q: got %s, want what to write", host, w.Body)
			}
		}
		r := request(http.MethodGet, "/elsewhere", "")
		r.Host = host
		if w := serve(t, h, r); w.Code != http.StatusTeapot {
			t.Errorf("Host %q, another path: got %d, want it passed on", host, w.Code)
		}
	}
}

// A page cannot read the answer to a post it may not make, but the post arrives.
// Threats: F15.
func TestAttackBlindPostIsRefused(t *testing.T) {
	t.Parallel()
	h := oneApp(t)
	for origin, answered := range map[string]bool{
		"http://localhost:8090":                  true,
		"https://LOCALHOST:8090":                 true,
		"http://localhost":                       false,
		"http://localhost:8080":                  false,
		"http://127.0.0.1:8090":                  false,
		"http://attacker.example":                false,
		"null":                                   false,
		"":                                       false,
		"localhost:8090":                         false,
		"file://localhost:8090":                  false,
		"http://localhost:8090.attacker.example": false,
	} {
		r := request(http.MethodPost, "/sandbox/codes", askForCode)
		r.Header.Set("Origin", origin)
		w := serve(t, h, r)
		if got := w.Code == http.StatusOK; got != answered {
			t.Errorf("Origin %q: got %d %s, want it answered: %t", origin, w.Code, w.Body, answered)
		}
	}
	r := request(http.MethodPost, "/sandbox/codes", askForCode)
	r.Header["Origin"] = []string{"http://localhost:8090", "http://attacker.example"}
	if w := serve(t, h, r); w.Code != http.StatusForbidden {
		t.Errorf("two origins: got %d, want 403", w.Code)
	}
}

func TestHostsAreNames(t *testing.T) {
	for _, host := range []string{"", "http://fake", "fake:8090", "*.fake", "*", "{env.NO_SUCH_VARIABLE}"} {
		ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
		h := &sandbox.Handler{Apps: []sandbox.App{{AppID: t.Name(), Secret: "s"}}, Hosts: []string{host}}
		if err := h.Provision(ctx); err == nil || !strings.Contains(err.Error(), "host") {
			t.Errorf("%q: got %v, want an error about the host", host, err)
		}
		if err := h.Cleanup(); err != nil {
			t.Error(err)
		}
		cancel()
	}
}
