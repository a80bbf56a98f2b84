//go:build unix

// The doctor, as an operator calls it.

package e2e_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/caddy-wechat/wechatauth/session/redisstore/redistest"
	"github.com/caddy-wechat/wechatauth/wechat/wechattest"
)

// levels returns the level of each finding in the output of doctor --json.
func levels(t *testing.T, out string) map[string]string {
	t.Helper()
	var report struct {
		Findings []struct{ Name, Level string }
	}
	if err := json.NewDecoder(strings.NewReader(out[max(0, strings.Index(out, "{\n")):])).Decode(&report); err != nil {
		t.Fatalf("got %v for %q, want JSON", err, out)
	}
	all := map[string]string{}
	for _, f := range report.Findings {
		all[f.Name] = f.Level
	}
	return all
}

// The Caddy that runs is examined with its own environment and files, over its admin API.
func TestDoctorOfTheCaddyThatRuns(t *testing.T) {
	w := newWorld(t)
	n := w.newNode()
	file := n.path("secret")
	write := func(value string) {
		if err := os.WriteFile(file, []byte(value), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(secret)
	n.lines = []string{"app " + appID + " {file." + file + "}"}
	n.start()
	n.wantOperation("sandbox", "doctor")
	got := levels(t, n.wantOperation("findings", "doctor", "--json"))
	for _, name := range []string{"sites", "appid-form", "secret-unset", "file-secret", "clock", "credentials", "store", "sqlite-file", "matcher"} {
		if got[name] != "ok" {
			t.Errorf("%s: got %q of %v, want ok", name, got[name], got)
		}
	}
	if got["sandbox"] != "warn" { // the program under test has it
		t.Errorf("sandbox: got %v, want warn", got)
	}

	w.fake.SetApp(wechattest.App{ID: appID, Secret: secret, AllowIPs: []string{"192.0.2.7"}})
	n.refused("allow the address 127.0.0.1", "doctor")
	w.fake.SetApp(wechattest.App{ID: appID, Secret: secret})
	if err := os.Chmod(n.data()+"/sessions.db", 0o644); err != nil {
		t.Fatal(err)
	}
	n.refused("chmod 600", "doctor")
	write("fedcba98765432100123456789abcdef")
	n.refused("caddy reload --force", "doctor")
	if out, _ := n.operate("doctor", "--json"); strings.Contains(out, secret) || strings.Contains(out, "fedcba98") {
		t.Errorf("got %s, want no secret", out)
	}
}

// Where there are several stores, the doctor names the one that fails.
func TestDoctorNamesTheStoreThatFails(t *testing.T) {
	w := newWorld(t)
	redis := redistest.Start(t)
	n := w.newNode()
	n.more = "http://localhost:" + n.port + " {\n" + n.site("store redis "+redis.URL) + "}\n"
	n.start()
	n.wantOperation("the store answers", "doctor")
	redis.Pause()
	defer redis.Resume()
	n.refused("the redis store fails", "doctor")
	if out, _ := n.operate("doctor"); strings.Contains(out, "sqlite store") {
		t.Errorf("got %s, want nothing against the other store", out)
	}
}

// A configuration file is examined before any Caddy runs it.
func TestDoctorOfAConfigurationFile(t *testing.T) {
	n := newWorld(t).newNode()
	examine := func() (string, bool) {
		out, err := n.command("wechat-auth", "doctor", "--config", n.writeConfig()).CombinedOutput()
		return string(out), err == nil
	}
	if out, ok := examine(); !ok || !strings.Contains(out, "an access token was fetched") {
		t.Errorf("got %v %s, want success", ok, out)
	}
	n.lines = []string{"app " + appID + " {env.E2E_NO_SUCH}"}
	if out, ok := examine(); ok || !strings.Contains(out, "{env.E2E_NO_SUCH} is not set") {
		t.Errorf("got %v %s, want a failure and the variable", ok, out)
	}
}
