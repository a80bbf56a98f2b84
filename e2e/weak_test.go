//go:build unix

// Configurations that must not start.

package e2e_test

import (
	"context"
	"encoding/base64"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// An operator is in a hurry: a secret from an example, one that is cut off, a variable that is not
// set, a file with an open brace. Nothing of it serves a single request, and no secret is printed.
// Threats: T26, T52, T91, C04.
func TestWeakConfigurationsDoNotStart(t *testing.T) {
	t.Parallel()
	const known = "weak-secret-of-this-operator" // under the 32 bytes of HS256
	for name, row := range map[string]struct{ lines, says string }{
		"short secret":      {"token {\nalgorithm HS256\nkey " + known + "\n}", "32"},
		"word":              {"token {\nalgorithm HS256\nkey secret\n}", "32"},
		"zeros":             {"token {\nalgorithm HS256\nkey " + strings.Repeat("0", 64) + "\n}", "key"},
		"short for HS512":   {"token {\nalgorithm HS512\nkey " + base64.StdEncoding.EncodeToString(make([]byte, 24)) + known[:4] + "\n}", "64"},
		"unset":             {"token {\nalgorithm HS256\nkey {env.E2E_NO_SUCH}\n}", "E2E_NO_SUCH"},
		"empty file":        {"token {\nkey empty.pem\n}", "empty.pem"},
		"hook secret":       {"hook https://127.0.0.1:1/ {\nsecret " + known + "\n}", "32"},
		"service secret":    {"service {\nsecret " + known + "\n}", "32"},
		"seal key":          {"store redis redis://127.0.0.1:1 {\nseal_key " + known + "\n}", "32"},
		"everything public": {"public /*", "public"},
		"no pattern":        {"public", "public"},
		"identity name":     {"header X_Wx_Openid openid", "X_Wx_Openid"},
		"line break":        {"header \"X-A\\nX-B\" openid", "header"},
		"unknown option":    {"publik /x", "publik"},
		"twice":             {"base_path /a\nbase_path /b", "base_path"},
		"open brace":        {"token {\nttl 1h", "Caddyfile"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := newWorld(t).newNode()
			n.lines = []string{row.lines}
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			args := n.command("run", "--config", n.writeConfig())
			cmd := exec.CommandContext(ctx, args.Path, args.Args[1:]...)
			cmd.Env, cmd.Dir = args.Env, args.Dir
			out, err := cmd.CombinedOutput()
			if err == nil || ctx.Err() != nil {
				t.Fatalf("got %v, want a refusal: %s", err, tail(string(out), 600))
			}
			if !strings.Contains(string(out), row.says) || strings.Contains(string(out), "panic") {
				t.Errorf("got %s, want %q in it", tail(string(out), 600), row.says)
			}
			if _, last, _ := strings.Cut(string(out), "Error:"); strings.Contains(last, known) || strings.Contains(last, secret) {
				t.Errorf("the error prints a secret: %s", last)
			}
			if conn, err := net.DialTimeout("tcp", "127.0.0.1:"+n.port, time.Second); err == nil {
				_ = conn.Close()
				t.Error("something listens")
			}
		})
	}
}
