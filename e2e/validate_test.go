//go:build unix

// caddy validate and caddy adapt.

package e2e_test

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

// A configuration is checked on a machine that reaches nothing, while a server runs on the same
// folder.
func TestValidateAndAdaptCallNobody(t *testing.T) {
	t.Parallel()
	w := newSigned(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	var called atomic.Int64
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			called.Add(1)
			_ = conn.Close()
		}
	}()
	to := "http://" + listener.Addr().String()
	app := strings.TrimSuffix(w.app(w.fake.PlatformCertificate()), "}") + "access_token " + to + "/token\n}"
	options := []string{
		app, "encrypted_data on", "profile {\nmax_upload 2MB\navatar 256\ncheck on\n}", "limit profile 5/1m",
		"hook " + to + "/hook {\nsecret " + hookSecret + "\ntimeout 1s\non_error allow\n}", "api " + to,
	}
	for _, store := range []string{"store sqlite", "store redis redis://" + listener.Addr().String() + sealed} {
		n := w.start() // holds the default file of its folder
		n.lines = append(options, store)
		text := n.global() + strings.Replace(n.server(n.lines...), "api "+w.api+"\n", "", 1)
		file := filepath.Join(n.dir, "Checked")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, command := range []string{"validate", "adapt"} {
			out, err := n.command(command, "--config", file, "--adapter", "caddyfile").CombinedOutput()
			if err != nil {
				t.Errorf("%s: %v: %s", command, err, tail(string(out), 600))
			}
			if strings.Contains(string(out), w.key) {
				t.Errorf("%s shows the symmetric key, which is a placeholder in the Caddyfile", command)
			}
			if command == "validate" && strings.Contains(string(out), hookSecret) {
				t.Errorf("%s shows the hook's secret", command)
			}
		}
		want(t, "the server beside it", n.newUser(), 200, "")
	}
	if n := called.Load(); n != 0 {
		t.Errorf("%d connections were made", n)
	}
}
