//go:build unix

// The backends of examples/backends that trust Caddy's headers, run as programs behind it.

package e2e_test

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/internal/testkit"
)

// findProgram returns the path of a program that needs.sh installs.
func findProgram(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("there is no %s here: bash scripts/needs.sh", name)
	}
	return path
}

// findPython returns a Python that has PyJWT: Debian's own, or the first on the PATH.
func findPython(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"/usr/bin/python3", "python3"} {
		if exec.Command(name, "-I", "-c", "import jwt.algorithms; assert jwt.algorithms.has_crypto").Run() == nil {
			return name
		}
	}
	t.Fatal("there is no Python with PyJWT and cryptography here: bash scripts/needs.sh")
	return ""
}

// installedExpress returns a copy of the Express example with its packages, so that the checkout
// stays as it is.
func installedExpress(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for _, name := range []string{"headers.mjs", "jwt.mjs", "package.json", "package-lock.json"} {
		text, err := os.ReadFile("../examples/backends/express/" + name)
		if err != nil {
			t.Fatal(err)
		}
		writeFile(t, dir, name, string(text))
	}
	npm := exec.CommandContext(t.Context(), findProgram(t, "npm"), "ci", "--prefer-offline", "--ignore-scripts")
	npm.Dir = dir
	if out, err := npm.CombinedOutput(); err != nil {
		t.Fatalf("npm ci in examples/backends/express: %v (it needs the npm registry the first time)\n%s", err, out)
	}
	return dir
}

// builtBackend compiles a program of the Go example, which is a module of its own.
func builtBackend(t *testing.T, name string) (file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), name)
	build := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-o", file, "./"+name)
	build.Dir = "../examples/backends/go"
	build.Env = append(os.Environ(), "GOWORK=off")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", build, err, out)
	}
	return file
}

// runBackend starts an example on a free port.
func runBackend(t *testing.T, env []string, name string, args ...string) (address string) {
	t.Helper()
	port := testkit.FreePort(t)
	address = "127.0.0.1:" + port
	for i := range args {
		args[i] = strings.ReplaceAll(args[i], "PORT", port)
	}
	runProgram(t, address, append(env, "PORT="+port), name, args...)
	return address
}

// A backend that trusts the headers knows the user who is logged in, whatever else the client sends,
// and is reached through Caddy alone.
// Threats: T03, T13.
func TestBackendExamplesTrustHeaders(t *testing.T) {
	t.Parallel()
	for _, example := range []struct {
		name  string
		start func(t *testing.T) (address string)
		folds bool // a header that is spelled otherwise arrives under the same name
	}{
		{name: "Express", start: func(t *testing.T) string {
			t.Helper()
			return runBackend(t, nil, findProgram(t, "node"), filepath.Join(installedExpress(t), "headers.mjs"))
		}},
		{name: "Go", start: func(t *testing.T) string {
			t.Helper()
			return runBackend(t, nil, builtBackend(t, "headers"))
		}},
		{name: "Python", start: func(t *testing.T) string {
			t.Helper()
			return runBackend(t, nil, findProgram(t, "python3"), "../examples/backends/python/headers.py")
		}},
		{name: "Java", start: func(t *testing.T) string {
			t.Helper()
			return runBackend(t, nil, findProgram(t, "java"), "../examples/backends/java/Headers.java")
		}},
		{name: "PHP", folds: true, start: func(t *testing.T) string {
			t.Helper()
			return runBackend(t, nil, findProgram(t, "php"), "-S", "127.0.0.1:PORT", "../examples/backends/php/headers.php")
		}},
	} {
		t.Run(example.name, func(t *testing.T) {
			t.Parallel()
			address := example.start(t)
			w := newWorld(t)
			n := w.newNode("public GET /open/*")
			n.backend = "handle_path /open/* {\nreverse_proxy " + address + "\n}\nhandle /me {\nreverse_proxy " + address + "\n}"
			n.start()

			alice := w.fake.NewUser(appID)
			login := n.login(alice)
			phone := n.post("/auth/phone", login.access(), "code", w.fake.PhoneCode(alice, "13800138000"))
			want(t, "phone", phone, 200, "")
			isAlice := func(what string, a answer, phone string) {
				t.Helper()
				if a.status != 200 || a.text("openid") != alice.OpenID || a.text("appid") != appID || a.text("phone") != phone {
					t.Errorf("%s: got %s, want %s and the phone %q", what, a, alice.OpenID, phone)
				}
			}
			forged := []string{"X-WX-OPENID", "o-forged", "X-WX-APPID", "wxffffffffffffffff", "X-WX-PHONE", "13900139000", "X-WX-SOURCE", "wx_client"}
			with := func(token string) []string { return append([]string{"Authorization", "Bearer " + token}, forged...) }

			isAlice("logged in", n.get("/me", login.access()), "")
			isAlice("with a phone", n.get("/me", phone.access()), "13800138000")
			isAlice("with forged headers", n.send("GET", "/me", "", with(login.access())...), "")
			want(t, "without a token", n.send("GET", "/me", "", forged...), 401, "token_missing")
			want(t, "on a public path", n.send("GET", "/open/me", "", forged...), 401, "no_user")
			want(t, "on a public path with a token", n.send("GET", "/open/me", "", with(login.access())...), 401, "no_user")
			if got := n.getWith(t, "/me", login.access(), oddSpellings("X-WX-OPENID")); !strings.Contains(got, alice.OpenID) {
				t.Errorf("with odd spellings: got %s, want %s", got, alice.OpenID)
			}
			if example.folds { // else nothing is proven
				if got := newClient(t, "http://"+address).getWith(t, "/me", "", []string{"X_WX_OPENID"}); !strings.Contains(got, `"openid":"victim"`) {
					t.Errorf("an odd spelling past Caddy: got %s, want it taken", got)
				}
			}
			onlyLoopback(t, address)
		})
	}
}

// What is copied is short.
func TestBackendExamplesAreShort(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../examples/backends/*/*.*")
	if err != nil {
		t.Fatal(err)
	}
	inFolders, err := filepath.Glob("../examples/backends/*/*/*.*")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, file := range append(files, inFolders...) {
		switch filepath.Ext(file) {
		case ".mjs", ".go", ".py", ".java", ".php":
			seen++
			if got := strings.Count(readText(t, file), "\n"); got >= 50 {
				t.Errorf("%s: got %d lines, want fewer than 50, as docs/backends.md says", file, got)
			}
		}
	}
	if seen < 10 {
		t.Errorf("got %d examples, want 10", seen)
	}
}

// onlyLoopback wants nothing to listen at another address of this machine.
func onlyLoopback(t *testing.T, address string) {
	t.Helper()
	_, port, _ := net.SplitHostPort(address)
	conn, err := net.DialTimeout("tcp", "127.0.0.2:"+port, time.Second)
	if err == nil {
		_ = conn.Close()
		t.Errorf("it listens on more than 127.0.0.1")
	}
}

// A backend written for WeChat Cloud Run runs behind wechat_auth as it is: as WeixinCloud's Express
// template does, it takes the presence of X-WX-SOURCE for its proof, and never answers without.
func TestCloudRunBackendRunsUnchanged(t *testing.T) {
	t.Parallel()
	dir := installedExpress(t)
	text, err := os.ReadFile("testdata/cloudrun.mjs")
	if err != nil {
		t.Fatal(err)
	}
	address := runBackend(t, nil, findProgram(t, "node"), writeFile(t, dir, "cloudrun.mjs", string(text)))
	w := newWorld(t)
	n := w.newNode("public GET /open/*", "optional GET /api/count")
	n.backend = "handle_path /open/* {\nreverse_proxy " + address + "\n}\nhandle /api/* {\nreverse_proxy " + address + "\n}"
	n.start()
	alice := w.fake.NewUser(appID)
	token := n.login(alice).access()
	if a := n.send("GET", "/api/wx_openid", "", "Authorization", "Bearer "+token, "X-WX-OPENID", "o-forged"); a.status != 200 || string(a.body) != alice.OpenID {
		t.Errorf("got %s, want %s", a, alice.OpenID)
	}
	want(t, "a route without identity", n.get("/api/count", ""), 200, "")
	want(t, "without a token", n.send("GET", "/api/wx_openid", "", "X-WX-SOURCE", "wx_client", "X-WX-OPENID", "o-forged"), 401, "token_missing")

	impatient := n.client
	impatient.http.Timeout = time.Second
	if a := impatient.send("GET", "/open/api/wx_openid", "", "X-WX-SOURCE", "wx_client", "X-WX-OPENID", "o-forged"); a.err == nil {
		t.Errorf("forged on a public path: got %s, want no answer", a)
	}
}
