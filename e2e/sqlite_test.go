//go:build unix

// The SQLite store across kills and restarts.

package e2e_test

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/wechat/wechattest"
)

// held is one client's view of its session: the writes that a node has acknowledged.
type held struct {
	user    *wechattest.User
	access  string
	refresh string
	phone   string
	ended   bool
	unsure  bool // a logout without an answer
}

// clients do what mini programs do until their node dies, and remember what it acknowledged.
type clients struct {
	*node
	mu     sync.Mutex
	held   []*held
	logins int

	mayFail bool // the store goes away, not the node
}

// live is one client's life. It ends with the node's.
func (c *clients) live() {
	for i := 0; ; i++ {
		h := &held{user: c.fake.NewUser(appID)}
		a := c.post("/auth/login", "", "code", c.fake.LoginCode(h.user), "nonce", "n")
		if !c.acknowledged("login", a, 200) {
			return
		}
		h.access, h.refresh = a.access(), a.refresh()
		c.mu.Lock()
		c.held = append(c.held, h)
		c.logins++
		c.mu.Unlock()
		if i%3 == 0 {
			a = c.refresh(h.refresh)
			if !c.acknowledged("refresh", a, 200) {
				return
			}
			h.access, h.refresh = a.access(), a.refresh()
		}
		if i%4 == 1 {
			phone := fmt.Sprintf("138%08d", rand.N(100000000))
			a = c.post("/auth/phone", h.access, "code", c.fake.PhoneCode(h.user, phone))
			if !c.acknowledged("phone", a, 200) {
				return
			}
			h.phone = phone
		}
		if i%5 == 2 {
			h.unsure = true
			if !c.acknowledged("logout", c.logout(h.access), 204) {
				return
			}
			h.ended, h.unsure = true, false
		}
	}
}

func (c *clients) acknowledged(what string, a answer, status int) bool {
	if a.status != 0 && a.status != status && (!c.mayFail || a.status != 503) {
		c.t.Errorf("%s: got %s", what, a)
	}
	return a.status == status
}

// check uses all that is held.
func (c *clients) check(all []*held) {
	c.t.Helper()
	together(8, func(part int) {
		for i := part; i < len(all); i += 8 {
			c.checkOne(all[i])
		}
	})
	if c.t.Failed() {
		c.t.FailNow()
	}
}

func (c *clients) checkOne(h *held) {
	got := c.get("/", h.access)
	switch {
	case h.unsure:
	case h.ended:
		if !got.is(401, "session_revoked") {
			c.t.Errorf("after an acknowledged logout: got %s", got)
		}
		if a := c.refresh(h.refresh); !a.is(401, "refresh_invalid") {
			c.t.Errorf("refresh after an acknowledged logout: got %s", a)
		}
	default:
		if got.status != 200 || !strings.Contains(string(got.body), "openid="+h.user.OpenID+" ") {
			c.t.Errorf("a token from before the kill: got %s", got)
		}
		a := c.refresh(h.refresh)
		if !a.is(200, "") || a.text("user", "phone") != h.phone && h.phone != "" {
			c.t.Errorf("refresh with an acknowledged token: got %s, want phone %q", a, h.phone)
			return
		}
		h.access, h.refresh = a.access(), a.refresh()
	}
}

// The server's machine is switched off again and again while thousands log in, refresh, tap the
// phone button and log out. What anybody was told stays true.
func TestSQLiteKeepsWhatWasAcknowledgedOverKill(t *testing.T) {
	w := newWorld(t)
	c := &clients{node: w.newNode()}
	before := 0
	for round := 0; round < 6 || c.logins < 2000; round++ {
		if round == 30 {
			t.Fatalf("only %d logins in %d rounds", c.logins, round)
		}
		c.start()
		c.check(c.held[before:])
		before = len(c.held)
		kill := 100*time.Millisecond + rand.N(600*time.Millisecond)
		time.AfterFunc(kill, func() { _ = c.cmd.Process.Kill() })
		together(32, func(int) { c.live() })
		c.kill()
	}
	c.start()
	c.check(c.held)
	for _, h := range c.held {
		if h.phone != "" {
			if a := c.login(h.user); a.text("user", "phone") != h.phone || a.text("user", "openid") != h.user.OpenID {
				t.Fatalf("a known user's login: got %s, want phone %s", a, h.phone)
			}
			break
		}
	}
	for _, suffix := range []string{"", "-wal", "-shm", ".lock"} {
		info, err := os.Stat(filepath.Join(c.data(), "sessions.db"+suffix))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode() != 0o600 {
			t.Errorf("mode of %s: got %v, want 0600", info.Name(), info.Mode())
		}
	}
	t.Logf("%d logins", c.logins)
}

// fingerprint detects whether anything in a folder has changed, apart from what SQLite's readers
// leave.
func fingerprint(t *testing.T, dir string) string {
	t.Helper()
	var all strings.Builder
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if strings.HasSuffix(path, "-shm") {
			return nil
		}
		fmt.Fprintln(&all, path, info.Mode(), info.Size(), info.ModTime().UnixNano())
		if !d.IsDir() {
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			fmt.Fprintf(&all, "%x\n", sha256.Sum256(text))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all.String()
}

// settled returns the fingerprint of a store's folder when nothing is written any more.
func settled(t *testing.T, dir string) (mark string) {
	t.Helper()
	eventually(t, "nothing is written any more", func() bool {
		before := fingerprint(t, dir)
		time.Sleep(time.Second)
		mark = fingerprint(t, dir)
		return mark == before
	})
	return mark
}

// An operator tries a configuration on the machine where the old one serves.
func TestValidateAndAdaptBesideARunningServerTouchNothing(t *testing.T) {
	w := newWorld(t)
	n := w.start()
	before := n.newUser()
	mark := settled(t, n.data())
	for _, what := range []string{"validate", "adapt"} {
		out, err := n.command(what, "--config", n.path("Caddyfile"), "--adapter", "caddyfile").CombinedOutput()
		if err != nil {
			t.Errorf("caddy %s: %v\n%s", what, err, out)
		}
	}
	if after := fingerprint(t, n.data()); after != mark {
		t.Errorf("the store's folder was\n%s\nand is\n%s", mark, after)
	}
	want(t, "refresh", n.refresh(before.refresh()), 200, "")

	fresh := w.newNode()
	out, err := fresh.command("validate", "--config", fresh.writeConfig(), "--adapter", "caddyfile").CombinedOutput()
	if err != nil {
		t.Errorf("caddy validate: %v\n%s", err, out)
	}
	if _, err := os.Stat(fresh.data()); err == nil {
		t.Error("caddy validate made the store's folder")
	}
}

// A server is replaced by another on the same file: the second waits for the first, says so, and
// goes on.
func TestSecondProcessWaitsForTheFile(t *testing.T) {
	w := newWorld(t)
	n := w.start()
	kept := n.newUser()
	second := w.newNode("store sqlite " + filepath.Join(n.data(), "sessions.db"))
	second.launch()
	eventually(t, "the second process says that it waits", func() bool {
		return strings.Contains(second.log(), "the session file is in use") &&
			strings.Contains(second.log(), fmt.Sprint("process ", n.cmd.Process.Pid))
	})
	answer := n.refresh(kept.refresh())
	want(t, "refresh at the first", answer, 200, "")
	n.kill()
	second.ready()
	want(t, "refresh at the second, alone", second.refresh(answer.refresh()), 200, "")
	if a := second.get("/", kept.access()); a.status != 200 {
		t.Errorf("a token of the first at the second: got %s", a)
	}
}

// A server that is stopped finishes its requests; the next one goes on.
func TestSQLiteOverARestart(t *testing.T) {
	w := newWorld(t)
	n := w.start()
	kept, gone := n.newUser(), n.newUser()
	want(t, "logout", n.logout(gone.access()), 204, "")
	n.stop()
	n.start()
	if a := n.get("/", kept.access()); a.status != 200 {
		t.Errorf("after the restart: got %s", a)
	}
	want(t, "after the restart", n.get("/", gone.access()), 401, "session_revoked")
	want(t, "refresh", n.refresh(kept.refresh()), 200, "")
}
