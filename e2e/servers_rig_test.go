//go:build unix

// Servers and languages as people run them behind Caddy, with programs that show what they see.

package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/internal/testkit"
)

// upstream is a server behind Caddy.
type upstream struct {
	name      string
	directive string // of Caddy
	file      string // below each folder
	folds     string // what it takes for a - in names

	client             // the site before it
	lenient     client // the same, and Caddy removes no names
	bare        client // without wechat_auth
	bareLenient client
}

// yard is a machine with servers of all kinds.
type yard struct {
	t                *testing.T
	dir              string            // programs, also of users with fewer rights
	php, uwsgi, scgi string            // addresses
	awaited          map[string]string // program → address
	all              []upstream
}

const serversDir = "testdata/servers"

func newYard(t *testing.T) *yard {
	t.Helper()
	dir := t.TempDir()
	for _, folder := range []string{filepath.Dir(dir), dir} { // Apache's processes are of another user
		if err := os.Chmod(folder, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	y := &yard{t: t, dir: dir, awaited: map[string]string{}}
	for _, folder := range []string{"public", "optional", "api", "pay"} {
		y.copy("dump.php", "www/"+folder+"/x.php")
		y.copy("dump.cgi", "www/"+folder+"/x.cgi")
	}
	return y
}

// copy puts a program where everybody may run it.
func (y *yard) copy(program, name string) {
	y.t.Helper()
	file := y.path(name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		y.t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(readText(y.t, filepath.Join(serversDir, program))), 0o755); err != nil {
		y.t.Fatal(err)
	}
}

func (y *yard) path(name string) string { return filepath.Join(y.dir, name) }

func (y *yard) write(name, text string, values ...any) (file string) {
	y.t.Helper()
	file = y.path(name)
	if err := os.WriteFile(file, fmt.Appendf(nil, text, values...), 0o644); err != nil {
		y.t.Fatal(err)
	}
	return file
}

func (y *yard) address() string {
	y.t.Helper()
	return "127.0.0.1:" + testkit.FreePort(y.t)
}

func (y *yard) add(name, folds, file, directive string) {
	y.all = append(y.all, upstream{name: name, folds: folds, file: file, directive: directive})
}

// start runs all servers.
func (y *yard) start() {
	y.t.Helper()
	y.startJava() // which takes the longest
	y.startPHP()
	y.startUWSGI()
	y.startPython()
	y.startOthers()
	y.startNginx()
	y.startLighttpd()
	y.startApache()
	for name, address := range y.awaited {
		listens(y.t, time.Minute, name, address)
	}
}

// run starts a server that is waited for when all are started.
func (y *yard) run(address string, env []string, name string, args ...string) {
	y.t.Helper()
	launchProgram(y.t, env, name, args...)
	y.awaited[name] = address
}
