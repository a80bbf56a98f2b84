// The documents, run as a reader would.

package wechatauth_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// The two commands that the READMEs give for a start. The first runs here as a built program, the
// second runs this test.
const (
	demoCommand = "go run -v ./cmd/caddy run --config Caddyfile.example\n"
	testCommand = "bash scripts/test.sh\n"
)

// Every command of the READMEs does what they say, and every Caddyfile in the documents is one.
func TestDocumentsRunAsWritten(t *testing.T) {
	t.Parallel()
	caddy := filepath.Join(t.TempDir(), "caddy.exe")
	build := command(t, "", "go", "build", "-buildvcs=false", "-ldflags=-s -w", "-o", caddy, "./cmd/caddy")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", build, err, out)
	}
	for _, doc := range allDocs {
		t.Run(doc, func(t *testing.T) {
			t.Parallel()
			fences := readFences(t, doc)
			w := newWorkplace(t, caddy)
			switch {
			case slices.Contains(readmes, doc):
				w.wantCommands(fences, demoCommand, testCommand)
				w.validate("Caddyfile.example", readText(t, "Caddyfile.example"))
			case slices.Contains(tours, doc):
				w.start(demoCommand)
				if compared := w.runBlocks(fences); compared < 5 {
					t.Errorf("got %d blocks with their output, want 5 and more", compared)
				}
				w.stop()
				w.checkFiles()
			case slices.Contains(keyDocs, doc):
				w.runBlocks(fences)
				w.checkFiles()
			}
			switch {
			case strings.HasPrefix(doc, "docs/guide"):
				w.followGuide(doc)
			case doc == "SKILL.md":
				w.follow(doc, slices.Clone(fences), 2, "")
			}
			for _, f := range fences {
				if f.lang == "caddyfile" {
					w.validate(fmt.Sprintf("%s:%d", doc, f.line), f.text)
				}
			}
		})
	}
}

// workplace is a machine of its own for one document, as far as folders and ports make one.
type workplace struct {
	t     *testing.T
	root  string
	caddy string
	ports *strings.Replacer // from the documented ones to free ones
	cmd   *exec.Cmd
	log   *startLog
	done  chan struct{} // closed when cmd has ended with err
	err   error
}

func newWorkplace(t *testing.T, caddy string) *workplace {
	t.Helper()
	w := &workplace{t: t, root: t.TempDir(), caddy: caddy, ports: strings.NewReplacer(), log: new(startLog)}
	for _, dir := range []string{"checkout", "terminal", "home", "config", "data"} {
		if err := os.Mkdir(filepath.Join(w.root, dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

// command prepares a command in one of the folders. It knows only the workplace's home.
func (w *workplace) command(dir, name string, args ...string) *exec.Cmd {
	w.t.Helper()
	cmd := command(w.t, filepath.Join(w.root, dir), name, args...)
	cmd.Env = append(os.Environ(), "NO_PROXY=*", "no_proxy=*",
		"HOME="+filepath.Join(w.root, "home"),
		"XDG_CONFIG_HOME="+filepath.Join(w.root, "config"),
		"XDG_DATA_HOME="+filepath.Join(w.root, "data"))
	return cmd
}

// startLog keeps what Caddy logs and tells when it has started.
type startLog struct {
	started chan struct{}
	mu      sync.Mutex
	text    bytes.Buffer
	told    bool
}

func (l *startLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text.Write(p)
	if !l.told && bytes.Contains(l.text.Bytes(), []byte("serving initial configuration")) {
		l.told = true
		close(l.started)
	}
	return len(p), nil
}

func (l *startLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// start runs the documented command with the documented configuration, on free ports.
func (w *workplace) start(documented string) {
	w.t.Helper()
	_, args, ok := strings.Cut(strings.TrimSpace(documented), " ./cmd/caddy ")
	if !ok {
		w.t.Fatalf("%q does not start ./cmd/caddy", documented)
	}
	config := readText(w.t, "Caddyfile.example")
	for range 3 { // somebody may be faster to take a free port
		w.ports = freePorts(w.t, "8080", "8087", "8088", "8089")
		writeText(w.t, filepath.Join(w.root, "checkout", "Caddyfile.example"), w.ports.Replace(config))
		w.cmd = w.command("checkout", w.caddy, strings.Fields(args)...)
		w.log = &startLog{started: make(chan struct{})}
		w.cmd.Stdout, w.cmd.Stderr = w.log, w.log
		if err := w.cmd.Start(); err != nil {
			w.t.Fatal(err)
		}
		done := make(chan struct{})
		w.done = done
		go func() {
			w.err = w.cmd.Wait()
			close(done)
		}()
		w.t.Cleanup(func() { <-done }) // the test's context has ended it
		select {
		case <-w.log.started:
			return
		case <-w.done:
			if !strings.Contains(w.log.String(), "address already in use") {
				w.t.Fatalf("%s: %v\n%s", documented, w.err, w.log)
			}
		case <-time.After(time.Minute):
			w.t.Fatalf("%s: not started after a minute\n%s", documented, w.log)
		}
	}
	w.t.Fatalf("%s: found no free ports\n%s", documented, w.log)
}

func (w *workplace) stop() {
	w.t.Helper()
	if err := w.cmd.Process.Signal(os.Interrupt); err != nil {
		w.t.Fatal(err)
	}
	select {
	case <-w.done:
		if w.err != nil {
			w.t.Errorf("caddy ended with %v\n%s", w.err, w.log)
		}
	case <-time.After(time.Minute):
		w.t.Fatalf("caddy did not end\n%s", w.log)
	}
}

// freePorts replaces ports by free ones, below those that outgoing connections take.
func freePorts(t *testing.T, documented ...string) *strings.Replacer {
	t.Helper()
	var pairs []string
	for range 1000 {
		if len(pairs) == 2*len(documented) {
			break
		}
		port := strconv.Itoa(20_000 + rand.IntN(10_000))
		l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:"+port)
		if err != nil {
			continue
		}
		defer l.Close()
		pairs = append(pairs, ":"+documented[len(pairs)/2], ":"+port)
	}
	if len(pairs) < 2*len(documented) {
		t.Fatal("there are no free ports between 20000 and 30000 on 127.0.0.1")
	}
	return strings.NewReplacer(pairs...)
}

// runBlocks runs a document's bash blocks one after the other in one shell, as a reader pastes them
// into one terminal, compares what they print, and returns how many it compared.
func (w *workplace) runBlocks(fences []*fence) (compared int) {
	w.t.Helper()
	const end = "=== end of block ==="
	var script strings.Builder
	var blocks []*fence
	for _, f := range fences {
		if f.lang == "bash" {
			blocks = append(blocks, f)
			fmt.Fprintf(&script, "%s\necho '%s'\n", w.ports.Replace(f.text), end)
		}
	}
	for _, name := range []string{"curl", "openssl"} {
		command(w.t, "", name) // fails when it is missing
	}
	file := filepath.Join(w.root, "script.sh")
	writeText(w.t, file, script.String())
	bash := w.command("terminal", "bash", "-euo", "pipefail", file)
	var stderr strings.Builder
	bash.Stderr = &stderr
	out, err := bash.Output()
	if err != nil {
		w.t.Fatalf("bash: %v\n%s%s\nCaddy's log:\n%s", err, out, stderr.String(), w.log)
	}
	outputs := strings.Split(string(out), end+"\n")
	seen := map[string]string{}
	for i, f := range blocks {
		if f.output == nil {
			continue
		}
		compared++
		if err := samePrint(f.output, outputs[i], seen); err != nil {
			w.t.Errorf("line %d: %v; it printed\n%s", f.line, err, outputs[i])
		}
	}
	return compared
}

// wantCommands checks that a document gives just these commands.
func (w *workplace) wantCommands(fences []*fence, commands ...string) {
	w.t.Helper()
	var got []string
	for _, f := range fences {
		if f.lang == "bash" {
			got = append(got, f.text)
		}
	}
	if !slices.Equal(got, commands) {
		w.t.Errorf("the document gives the commands %q, want %q", got, commands)
	}
}

// checkFiles finds what was written outside Caddy's data directory; keys go where the reader makes
// them.
func (w *workplace) checkFiles() {
	w.t.Helper()
	allowed := regexp.MustCompile(`^(data/caddy/.*|checkout/Caddyfile\.example|terminal/[a-z0-9-]+\.pem|script\.sh)$`)
	err := filepath.WalkDir(w.root, func(path string, entry fs.DirEntry, err error) error {
		name, _ := filepath.Rel(w.root, path)
		if err == nil && !entry.IsDir() && !allowed.MatchString(filepath.ToSlash(name)) {
			w.t.Errorf("the quick start wrote %s", name)
		}
		return err
	})
	if err != nil {
		w.t.Error(err)
	}
}

// validate checks that a Caddyfile is formatted and that Caddy provisions it.
func (w *workplace) validate(name, text string) {
	w.t.Helper()
	if formatted := string(caddyfile.Format([]byte(text))); formatted != text {
		w.t.Errorf("%s: caddy fmt makes of it\n%s", name, formatted)
	}
	file := filepath.Join(w.root, "Caddyfile")
	writeText(w.t, file, strings.ReplaceAll(text, "/etc/caddy/", filepath.ToSlash(w.root)+"/terminal/"))
	cmd := w.command("checkout", w.caddy, "validate", "--adapter", "caddyfile", "--config", file)
	for _, name := range []string{"WECHAT", "SHOP", "COURIER"} {
		cmd.Env = append(cmd.Env, fmt.Sprintf("%s_APPID=wx%016x", name, len(name)), name+"_SECRET="+testSecret)
	}
	cmd.Env = append(cmd.Env, "REDIS_PASSWORD=secret", "SEAL_KEY="+w.sealKey(), "HOOK_SECRET="+w.sealKey(), "SERVICE_SECRET="+w.sealKey(),
		"WECHAT_PUSH_TOKEN="+testSecret, "WECHAT_PUSH_AES_KEY="+strings.TrimSuffix(w.sealKey(), "="))
	if out, err := cmd.CombinedOutput(); err != nil {
		w.t.Errorf("%s: caddy validate: %v\n%s", name, err, out)
	}
}

// sealKey runs the documented command and returns its key.
func (w *workplace) sealKey() string {
	w.t.Helper()
	const makeKey = "openssl rand -base64 32"
	for _, doc := range storeDocs {
		if !strings.Contains(readText(w.t, doc), "\n"+makeKey+"\n") {
			w.t.Errorf("%s does not say %q", doc, makeKey)
		}
	}
	out, err := w.command("terminal", "bash", "-c", makeKey).Output()
	if err != nil {
		w.t.Fatalf("%s: %v", makeKey, err)
	}
	return strings.TrimSpace(string(out))
}
