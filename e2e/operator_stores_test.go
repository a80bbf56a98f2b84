//go:build unix

// The operator's commands for whole stores.

package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-wechat/wechatauth/session/redisstore/redistest"
)

func TestOperatorImportsAndCopies(t *testing.T) {
	w := newWorld(t)
	n := w.start()
	alice := w.fake.NewUser(appID)
	var lines strings.Builder
	for i := range 4500 { // three requests
		fmt.Fprintf(&lines, `{"openid":"o%d","phone":"138%08d"}`+"\n", i, i)
	}
	lines.WriteString("no user\n" + `{"openid":"` + alice.OpenID + `","phone":"13800138000"}`)
	file := writeFile(t, n.dir, "users.jsonl", lines.String())
	n.refused("line 4501:", "import", file)
	n.wantOperation("1 user imported", "import", writeFile(t, n.dir, "one.jsonl", `{"openid":"o1"}`))
	n.wantOperation(`"failed": []`, "import", writeFile(t, n.dir, "one.jsonl", `{"openid":"o1"}`), "--json")
	n.wantOperation("4501, with 0 sessions", "status")
	if login := n.login(alice); login.text("user", "phone") != "13800138000" {
		t.Errorf("login: got %s, want the imported phone", login)
	}

	copied := filepath.Join(t.TempDir(), "copy.db")
	n.wantOperation("", "backup", copied)
	if info, err := os.Stat(copied); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("backup: got %v %v, want a file of mode 600", info, err)
	}
	n.refused("exists", "backup", copied)
	if out := n.wantOperation("signs from", "rotate"); strings.Count(out, "signs from") != 2 {
		t.Errorf("rotate: got %s, want two keys", out)
	}
}

// Moved from SQLite to Redis and back, nobody has to log in again, nobody who is banned or logged
// out comes in, and no phone has to be tapped for again.
func TestConvertLosesNothing(t *testing.T) {
	w := newWorld(t)
	redis := redistest.Start(t)
	n := w.start()
	alice, banned := w.fake.NewUser(appID), w.fake.NewUser(appID)
	login := n.post("/auth/login", "", "code", w.fake.LoginCode(alice), "phone_code", w.fake.PhoneCode(alice, "13800138000"))
	want(t, "login", login, 200, "")
	gone := n.newUser()
	want(t, "logout", n.logout(gone.access()), 204, "")
	n.login(banned)
	n.wantOperation("banned", "ban", banned.OpenID)
	erased := n.newUser() // of whom a trace is kept for a while, which is copied and counts as nobody
	n.wantOperation("erased", "erase", erased.text("user", "openid"))

	database := "sqlite:" + filepath.Join(n.data(), "sessions.db")
	n.refusedOffline("stop the Caddy that has it", "convert", database, redis.URL) // Caddy is still there
	refresh := login.refresh()
	for _, step := range []struct{ from, to, store string }{
		{database, redis.URL, "store redis " + redis.URL + sealed},
		{redis.URL, "sqlite:" + n.path("new.db"), "store sqlite " + n.path("new.db")},
	} {
		n.stop()
		seal := strings.Fields(strings.Trim(sealed, " {}\n"))
		args := []string{"convert", step.from, step.to}
		for _, side := range []string{"from", "to"} {
			args = append(args, "--"+side+"-seal-key", seal[len(seal)-1])
		}
		if out, ok := n.offline(args...); !ok || !strings.Contains(out, "3 users and 1 session copied") {
			t.Fatalf("convert: got %v %s", ok, out)
		}
		n.lines = []string{step.store}
		n.start()
		if got := n.get("/", login.access()); got.status != 200 {
			t.Errorf("%s: a token from before: got %s, want 200", step.store, got)
		}
		if !n.revoked(gone.access()) {
			t.Errorf("%s: a token that was revoked is taken", step.store)
		}
		if got := n.tryLogin(banned); !got.is(403, "denied") {
			t.Errorf("%s: a banned user: got %s, want 403 denied", step.store, got)
		}
		next := n.refresh(refresh)
		want(t, step.store+": refresh", next, 200, "")
		if refresh = next.refresh(); next.text("user", "phone") != "13800138000" {
			t.Errorf("%s: got %s, want the phone", step.store, next)
		}
	}
}

// offline runs a command that asks no Caddy.
func (n *node) offline(args ...string) (out string, ok bool) {
	n.t.Helper()
	text, err := n.command(append([]string{"wechat-auth"}, args...)...).CombinedOutput()
	return string(text), err == nil
}

func (n *node) refusedOffline(text string, args ...string) {
	n.t.Helper()
	if out, ok := n.offline(args...); ok || !strings.Contains(out, text) {
		n.t.Errorf("caddy wechat-auth %v: got %v %q, want a failure and %q", args, ok, out, text)
	}
}
