//go:build linux

// Caddy as a process, and the client that talks to it.

package faults_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/internal/testkit"
)

// patience bounds every step whose duration is not under test.
const patience = 30 * time.Second

var program string // the caddy under test

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	if program = os.Getenv(inside); program != "" {
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "wechatauth-faults")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	program = filepath.Join(dir, "caddy")
	build := exec.Command("go", "build", "-buildvcs=false", "-o", program, "./cmd/caddy")
	build.Dir = "../.."
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building caddy: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// node is a Caddy with folders of its own.
type node struct {
	t       *testing.T
	dir     string
	admin   string
	secrets *secrets
	url     string
	http    *http.Client

	cmd   *exec.Cmd
	ended <-chan struct{}
}

func startNode(t *testing.T, r *rig, storage, api, receiver, store string) *node {
	t.Helper()
	n := &node{t: t, dir: t.TempDir(), admin: "127.0.0.1:" + testkit.FreePort(t), secrets: r.secrets}
	port := testkit.FreePort(t)
	n.url = "http://127.0.0.1:" + port
	transport := &http.Transport{MaxIdleConnsPerHost: 100}
	t.Cleanup(transport.CloseIdleConnections)
	n.http = &http.Client{Transport: transport, Timeout: patience}
	n.start("{\nadmin " + n.admin + "\npersist_config off\ndefault_bind 127.0.0.1\ngrace_period 5s\n" + storage + "}\n" +
		"http://:" + port + " {\n" + r.site(api, receiver, store) + "}\n")
	within(t, patience, "Caddy serves", func() bool { return n.get("/health", "").status == 200 })
	return n
}

// start runs the process; its log is in a file. What goes before the command is that of a namespace.
func (n *node) start(caddyfile string, before ...string) {
	n.t.Helper()
	file := filepath.Join(n.dir, "Caddyfile")
	if err := os.WriteFile(file, []byte(caddyfile), 0o600); err != nil {
		n.t.Fatal(err)
	}
	log, err := os.Create(n.logFile())
	if err != nil {
		n.t.Fatal(err)
	}
	defer log.Close()
	words := append(before, program, "run", "--config", file, "--adapter", "caddyfile")
	n.cmd = exec.Command(words[0], words[1:]...)
	n.cmd.Env = append(os.Environ(), "HOME="+n.dir, "XDG_DATA_HOME="+n.dir+"/data", "XDG_CONFIG_HOME="+n.dir+"/config")
	n.cmd.Stdout, n.cmd.Stderr = log, log
	if n.ended, err = testkit.Start(n.cmd); err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() {
		_ = n.cmd.Process.Kill()
		<-n.ended
		if log := n.log(); strings.Contains(log, "panic") || strings.Contains(log, "unexpected error") {
			n.t.Errorf("a panic or an internal error: %s", log)
		}
		if n.t.Failed() {
			log := n.log()
			n.t.Logf("the log ended with:\n%s", log[max(0, len(log)-3000):])
		}
	})
}

func (n *node) logFile() string { return filepath.Join(n.dir, "log") }
func (n *node) log() string     { return readText(n.logFile()) }

// goroutines asks the process how many it has, without those of this client's connections.
func (n *node) goroutines() (count int) {
	n.t.Helper()
	n.http.CloseIdleConnections()
	res, err := http.Get("http://" + n.admin + "/debug/pprof/goroutine?debug=1")
	if err != nil {
		n.t.Fatal(err)
	}
	defer res.Body.Close()
	if _, err := fmt.Fscanf(res.Body, "goroutine profile: total %d", &count); err != nil {
		n.t.Fatal(err)
	}
	return count
}

// files counts the open files of the process.
func (n *node) files() int {
	n.http.CloseIdleConnections()
	entries, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", n.cmd.Process.Pid))
	return len(entries)
}

// answer is the response to a request; status 0 means that none came.
type answer struct {
	status int
	header http.Header
	body   []byte
	err    error
	took   time.Duration
}

func (a answer) String() string {
	if a.err != nil {
		return a.err.Error()
	}
	return fmt.Sprintf("%d %s", a.status, a.body)
}

func (a answer) text(path ...string) string {
	var v any
	if json.Unmarshal(a.body, &v) != nil {
		return ""
	}
	for _, name := range path {
		m, _ := v.(map[string]any)
		v = m[name]
	}
	s, _ := v.(string)
	return s
}

func (a answer) access() string  { return a.text("access_token") }
func (a answer) refresh() string { return a.text("refresh_token") }

// is reports whether the answer is an error of ours, or none if code is empty.
func (a answer) is(status int, code string) bool {
	return a.status == status && a.text("error") == code
}

// outcome is the answer as a row of the matrix has it.
func (a answer) outcome() string {
	switch {
	case a.err != nil:
		return "none"
	case a.text("error") != "":
		return fmt.Sprint(a.status, " ", a.text("error"))
	}
	return fmt.Sprint(a.status)
}

func (n *node) send(method, path, body string, headers ...string) (a answer) {
	began := time.Now()
	defer func() { a.took = time.Since(began) }()
	r, err := http.NewRequest(method, n.url+path, strings.NewReader(body))
	if err != nil {
		return answer{err: err}
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	res, err := n.http.Do(r)
	if err != nil {
		return answer{err: err}
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return answer{err: err}
	}
	a = answer{status: res.StatusCode, header: res.Header, body: text}
	n.secrets.add(a.access(), a.refresh())
	return a
}

func bearer(token string) []string { return []string{"Authorization", "Bearer " + token} }

func (n *node) get(path, token string) answer {
	if token == "" {
		return n.send("GET", path, "")
	}
	return n.send("GET", path, "", bearer(token)...)
}

// post sends a JSON object of the given names and values.
func (n *node) post(path, token string, pairs ...any) answer {
	object := map[string]any{}
	for i := 0; i+1 < len(pairs); i += 2 {
		object[pairs[i].(string)] = pairs[i+1]
	}
	body, _ := json.Marshal(object) // strings and booleans
	headers := []string{"Content-Type", "application/json"}
	if token != "" {
		headers = append(headers, bearer(token)...)
	}
	return n.send("POST", path, string(body), headers...)
}

func (n *node) refresh(token string) answer {
	return n.post("/auth/refresh", "", "refresh_token", token)
}

func (n *node) service(method, path, body string) answer {
	return n.send(method, "/auth/service/"+path, body, bearer(serviceSecret)...)
}

// within polls until a condition holds, and returns how long that took.
func within(t *testing.T, limit time.Duration, what string, condition func() bool) time.Duration {
	t.Helper()
	took, ok := polled(limit, condition)
	if !ok {
		t.Errorf("not within %s: %s", limit, what)
	}
	return took
}

func polled(limit time.Duration, condition func() bool) (time.Duration, bool) {
	start := time.Now()
	for time.Since(start) < limit {
		if condition() {
			return time.Since(start), true
		}
		<-time.After(20 * time.Millisecond)
	}
	return limit, false
}
