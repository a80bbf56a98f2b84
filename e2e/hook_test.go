//go:build unix

// The hook examples, run as programs.

package e2e_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/internal/testkit"
)

const hookSecret = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"

// runHook starts a program that listens at the address, with the secret and the list, until the
// test ends.
func runHook(t *testing.T, address, staff, name string, args ...string) (ended <-chan struct{}) {
	t.Helper()
	return runProgram(t, address, []string{"HOOK_ADDRESS=" + address, "HOOK_SECRET=" + hookSecret, "HOOK_STAFF=" + staff}, name, args...)
}

// runProgram starts a program that listens at the address until the test ends.
func runProgram(t *testing.T, address string, env []string, name string, args ...string) (ended <-chan struct{}) {
	t.Helper()
	ended = launchProgram(t, env, name, args...)
	listens(t, patience, name, address)
	return ended
}

func listens(t *testing.T, limit time.Duration, name, address string) {
	t.Helper()
	within(t, limit, name+" listens", func() bool {
		conn, err := net.DialTimeout("tcp", address, time.Second)
		if err != nil {
			return false
		}
		_ = conn.Close()
		return true
	})
}

// launchProgram does not wait for the program to listen.
func launchProgram(t *testing.T, env []string, name string, args ...string) (ended <-chan struct{}) {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), env...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	ended, err := testkit.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // a server ends its own processes, too
		select {
		case <-ended:
		case <-time.After(3 * time.Second):
		}
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // those that are left
		_ = cmd.Process.Kill()
		<-ended
		if t.Failed() {
			t.Logf("%s said: %s", name, out.String())
		}
	})
	return ended
}

func rewrite(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// The backends that the examples show, as they are, behind a whole Caddy.
func TestHookExamples(t *testing.T) {
	t.Parallel()
	examples := map[string]func(t *testing.T, address, staff string) <-chan struct{}{
		"Go": func(t *testing.T, address, staff string) <-chan struct{} {
			t.Helper()
			file := filepath.Join(t.TempDir(), "hook")
			if out, err := exec.Command("go", "build", "-buildvcs=false", "-o", file, "../examples/hook").CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			return runHook(t, address, staff, file)
		},
		"Node": func(t *testing.T, address, staff string) <-chan struct{} {
			t.Helper()
			node, err := exec.LookPath("node")
			if err != nil {
				t.Fatal("there is no node here: bash scripts/needs.sh")
			}
			return runHook(t, address, staff, node, "../examples/hook/hook.mjs")
		},
	}
	for name, start := range examples {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address := "127.0.0.1:" + testkit.FreePort(t)
			staff := filepath.Join(t.TempDir(), "staff.json")
			rewrite(t, staff, `{"13800138000": "admin", "13800138001": "clerk"}`)
			ended := start(t, address, staff)
			w := newWorld(t)
			n := w.newNode("hook http://"+address+"/wechat-hook {\nsecret "+hookSecret+"\ntimeout 5s\n}", "header X-User-Role role")
			n.echo = "role={http.request.header.X-User-Role}"
			n.start()
			hook := newClient(t, "http://"+address)

			// Whoever has no phone yet may come in, without a role.
			alice, bob := w.fake.NewUser(appID), w.fake.NewUser(appID)
			login := n.login(alice)
			if got := string(n.get("/", login.access()).body); got != "role=" {
				t.Errorf("before the phone: got %q, want no role", got)
			}
			for _, tt := range [][2]string{{"13800138000", "admin"}, {"13800138001", "clerk"}} {
				phone, role := tt[0], tt[1]
				a := n.post("/auth/phone", login.access(), "code", w.fake.PhoneCode(alice, phone))
				want(t, phone, a, 200, "")
				if got := string(n.get("/", a.access()).body); got != "role="+role {
					t.Errorf("%s: got %q, want the role %s", phone, got, role)
				}
				next := n.login(alice) // now with the phone
				if got := string(n.get("/", next.access()).body); got != "role="+role {
					t.Errorf("%s at the next login: got %q, want the role %s", phone, got, role)
				}
			}
			a := n.post("/auth/phone", n.login(bob).access(), "code", w.fake.PhoneCode(bob, "13900139000"))
			want(t, "a stranger", a, 403, "denied")
			if got := a.text("error_description"); got != "only staff" {
				t.Errorf("got %q, want the hook's reason", got)
			}
			a = n.post("/auth/login", "", "code", w.fake.LoginCode(bob), "phone_code", w.fake.PhoneCode(bob, "13900139000"))
			want(t, "a stranger in one tap", a, 403, "denied")

			// A role changes, and a clerk is taken off the list.
			session := n.login(alice)
			refresh := func() answer {
				return n.post("/auth/refresh", "", "refresh_token", session.text("refresh_token"))
			}
			rewrite(t, staff, `{"13800138001": "boss"}`)
			session = refresh()
			want(t, "another role", session, 200, "")
			if got := string(n.get("/", session.access()).body); got != "role=boss" {
				t.Errorf("after the refresh: got %q, want the role boss", got)
			}
			rewrite(t, staff, `half a l`)
			want(t, "a list that can't be read", refresh(), 503, "hook_unavailable")
			rewrite(t, staff, `{}`)
			want(t, "taken off the list", refresh(), 403, "denied")
			want(t, "afterwards", n.get("/", session.access()), 401, "session_revoked")
			rewrite(t, staff, `{"13800138000": "admin", "13800138001": "clerk"}`)

			// Whoever is not this Caddy is not answered.
			body := `{"event":"login","appid":"x","openid":"x","phone":"13800138000","client_ip":"","new":false}`
			mac := hmac.New(sha256.New, []byte(hookSecret))
			mac.Write([]byte(body))
			signature := hex.EncodeToString(mac.Sum(nil))
			for _, tt := range []struct {
				signature, body string
				status          int
			}{
				{"sha256=" + signature, body, 200},
				{"", body, 401},
				{"sha256=", body, 401},
				{signature, body, 401},
				{"sha256=" + signature[:63] + "z", body, 401},
				{"sha256=" + signature, body + " ", 401},
				{"sha256=" + signature + signature, body, 401},
				{"sha256=\xff" + signature, body, 401},
			} {
				if got := hook.send("POST", "/wechat-hook", tt.body, "X-Signature", tt.signature); got.status != tt.status {
					t.Errorf("signature %q: got %s, want %d", tt.signature, got, tt.status)
				}
			}
			// Nor ends it when a stranger hangs up.
			for range 5 {
				conn, err := net.Dial("tcp", address)
				if err != nil {
					t.Fatal(err)
				}
				_, _ = fmt.Fprint(conn, "POST /wechat-hook HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{\"")
				pause()
				_ = conn.(*net.TCPConn).SetLinger(0)
				_ = conn.Close()
			}
			pause()
			select {
			case <-ended:
				t.Error("it ended when a client hung up")
			default:
				want(t, "afterwards", n.newUser(), 200, "")
			}
		})
	}
}
