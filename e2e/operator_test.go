//go:build unix

// The operator's commands.

package e2e_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/session/redisstore/redistest"
	"github.com/caddy-wechat/wechatauth/wechat/wechattest"
)

// operate runs a command and returns what it printed, and whether it succeeded.
func (n *node) operate(args ...string) (out string, ok bool) {
	n.t.Helper()
	cmd := n.command(append(append([]string{"wechat-auth"}, args...), "--address", n.admin)...)
	text, err := cmd.CombinedOutput()
	return string(text), err == nil
}

// wantOperation runs a command that must succeed and print a text.
func (n *node) wantOperation(text string, args ...string) string {
	n.t.Helper()
	out, ok := n.operate(args...)
	if !ok || !strings.Contains(out, text) {
		n.t.Fatalf("caddy wechat-auth %v: got %v %q, want %q", args, ok, out, text)
	}
	return out
}

// refused runs a command that must fail and say why.
func (n *node) refused(text string, args ...string) {
	n.t.Helper()
	if out, ok := n.operate(args...); ok || !strings.Contains(out, text) {
		n.t.Errorf("caddy wechat-auth %v: got %v %q, want a failure and %q", args, ok, out, text)
	}
}

func (n *node) tryLogin(u *wechattest.User) answer {
	return n.post("/auth/login", "", "code", n.fake.LoginCode(u))
}

// A ban on one of two nodes holds on the other within a second, against a token, a refresh and a
// login, and over a restart.
// Threats: C36.
func TestOperatorBansOnAllNodes(t *testing.T) {
	w := newWorld(t)
	redis := redistest.Start(t)
	a, b := w.pair("store redis " + redis.URL + sealed)
	alice := w.fake.NewUser(appID)
	login := b.login(alice)
	a.wantOperation("banned", "ban", alice.OpenID, "--reason", "spam")
	within(t, time.Second, "the other node refuses the token", func() bool { return b.revoked(login.access()) })
	for _, n := range []*node{a, b} {
		if got := n.refresh(login.refresh()); got.status != 401 {
			t.Errorf("refresh at %s: got %s, want 401", n.name, got)
		}
		if got := n.tryLogin(alice); !got.is(403, "denied") || got.text("error_description") != "spam" {
			t.Errorf("login at %s: got %s, want 403 denied and the reason", n.name, got)
		}
	}
	b.stop()
	b.start()
	if got := b.tryLogin(alice); !got.is(403, "denied") {
		t.Errorf("login after a restart: got %s, want 403 denied", got)
	}
	b.wantOperation("may log in", "unban", alice.OpenID)
	want(t, "login after unban", a.tryLogin(alice), 200, "")
}

// A day of an operator at the default store.
func TestOperatorCommands(t *testing.T) {
	w := newWorld(t)
	n := w.start()
	const phone = "13800138000"
	alice, bob := w.fake.NewUser(appID), w.fake.NewUser(appID)
	login := n.post("/auth/login", "", "code", w.fake.LoginCode(alice), "phone_code", w.fake.PhoneCode(alice, phone))
	want(t, "login", login, 200, "")
	other := n.login(bob)
	body, form := formOf(t, []string{"nickname", "avatar"}, plainPNG(t, 20, 20), "Alice")
	want(t, "profile", n.send("POST", "/auth/profile", body, "Content-Type", form, "Authorization", "Bearer "+login.access()), 200, "")

	n.wantOperation("sqlite, up", "status")
	n.wantOperation("2, with 2 sessions", "status")
	list := n.wantOperation("138****8000", "users")
	if !strings.Contains(list, bob.OpenID) || strings.Contains(list, phone) {
		t.Errorf("users: got %s, want both, and no phone", list)
	}
	n.wantOperation(phone, "users", "--phones")
	if found := n.wantOperation(alice.OpenID, "users", "--phone", phone, "--json"); strings.Contains(found, bob.OpenID) {
		t.Errorf("by phone: got %s, want one user", found)
	}
	n.wantOperation("more: --after ", "users", "--limit", "1")
	n.wantOperation("wechat_auth", "show", alice.OpenID)
	n.refused("not_found: there is no such user", "show", "nobody")
	n.refused("phone must be a whole number", "users", "--phone", "1")
	n.wantOperation("no user found", "users", "--phone", "13900139000")
	n.refused("limit must be", "users", "--limit", "x")

	var all map[string]any
	if err := json.Unmarshal([]byte(n.wantOperation("{", "export", alice.OpenID)), &all); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"openid", "unionid", "phone", "phone_number", "nickname", "avatar", "avatar_jpeg", "sessions", "first_seen", "last_login"} {
		if all[name] == nil {
			t.Errorf("export: got no %s", name)
		}
	}

	n.wantOperation("ended", "logout", bob.OpenID)
	if !n.revoked(other.access()) {
		t.Error("after logout: the token is still taken")
	}
	n.wantOperation("erased", "erase", alice.OpenID)
	if !n.revoked(login.access()) {
		t.Error("after erase: the token is still taken")
	}
	n.refused("not_found", "export", alice.OpenID)
	if pictures, _ := filepath.Glob(filepath.Join(n.data(), "avatars", "*", "*", "*")); len(pictures) > 0 {
		t.Errorf("after erase: got %v, want no picture", pictures)
	}
	eventually(t, "nothing of the user is left in the files", func() bool {
		for _, personal := range []string{phone, alice.OpenID, alice.UnionID, "Alice"} {
			for _, file := range []string{"sessions.db", "sessions.db-wal"} {
				text, err := os.ReadFile(filepath.Join(n.data(), file))
				if err != nil || bytes.Contains(text, []byte(personal)) {
					return false
				}
			}
		}
		return true
	})
	n.stop()
	n.refused("refused", "status")
}

// The command, status and the line of the start name the same build: the first thing that a bug
// report needs.
func TestOperatorSeesTheVersion(t *testing.T) {
	t.Parallel()
	n := newWorld(t).start()
	out, err := n.command("wechat-auth", "version", "--json").Output()
	var build struct{ Version, Caddy, Go string }
	if err == nil {
		err = json.Unmarshal(out, &build)
	}
	if err != nil || build.Version == "" || !strings.HasPrefix(build.Caddy, "v2.") || !strings.HasPrefix(build.Go, "go1.") {
		t.Fatalf("version: got %s, error %v, want all three", out, err)
	}
	n.wantOperation(build.Version, "status")
	if line := `"version":"` + build.Version + `"`; !strings.Contains(n.log(), line) {
		t.Errorf("the log has no %s:\n%s", line, n.log())
	}
}
