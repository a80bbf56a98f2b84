//go:build unix

// The quick start and its playground, in Chromium.

package e2e_test

import (
	"flag"
	"image/png"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-wechat/wechatauth/internal/testkit"
)

// WECHATAUTH_SCREENSHOTS names a folder for a picture of every state of the page.
var updatePictures = flag.Bool("update", false, "take the pictures of docs/pictures anew")

const pictures = "../docs/pictures"

// What the quick start promises: no warning, the page's address in the last line, and a page on
// which all of it can be tried. The script says what it does there.
func TestPlayground(t *testing.T) {
	t.Parallel()
	q := newQuickStart(t)
	q.start()
	lines := strings.Split(strings.TrimSpace(q.log()), "\n")
	for _, line := range lines {
		if !strings.Contains(line, `"level":"info"`) {
			t.Errorf("the quick start prints %s", line)
		}
	}
	_, address, ok := strings.Cut(lines[len(lines)-1], "http://")
	if !ok {
		t.Fatalf("the last line that the quick start prints: got %s, want an address", lines[len(lines)-1])
	}
	address = "http://" + strings.TrimRight(address, `"}`)

	control := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/stop":
			q.kill()
		case "/start":
			q.run(q.file)
		}
	}))
	t.Cleanup(control.Close)

	questions := map[string]string{"url": address, "control": control.URL, "screenshots": os.Getenv("WECHATAUTH_SCREENSHOTS")}
	if *updatePictures {
		questions["pictures"], _ = filepath.Abs(pictures)
	}
	for _, dir := range []string{questions["screenshots"], questions["pictures"]} {
		if dir == "" {
			continue
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	var found struct {
		Checks   int
		Failures []string
	}
	runBrowser(t, "playground.mjs", questions, &found)
	for _, failure := range found.Failures {
		t.Error(failure)
	}
	if found.Checks < 100 {
		t.Errorf("got %d checks, want those of the whole story", found.Checks)
	}
}

// quickStart is the program that the READMEs start first, on other ports.
type quickStart struct {
	*node
	file string
}

func newQuickStart(t *testing.T) *quickStart {
	t.Helper()
	text, err := os.ReadFile("../Caddyfile.example")
	if err != nil {
		t.Fatal(err)
	}
	var pairs []string
	for _, port := range []string{"8080", "8087", "8088", "8089"} {
		pairs = append(pairs, ":"+port, ":"+testkit.FreePort(t))
	}
	q := &quickStart{node: newWorld(t).newNode()}
	q.file = q.path("Caddyfile.example")
	if err := os.WriteFile(q.file, []byte(strings.NewReplacer(pairs...).Replace(string(text))), 0o600); err != nil {
		t.Fatal(err)
	}
	return q
}

// start runs it until the playground is announced.
func (q *quickStart) start() {
	q.t.Helper()
	q.run(q.file)
	eventually(q.t, "the playground is announced", func() bool { return strings.Contains(q.log(), "open the playground") })
}

// Pictures that are missing or huge spoil the READMEs, and nobody sees it before they are published.
func TestPicturesOfThePlayground(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"playground.png", "playground.zh-CN.png"} {
		file, err := os.Open(filepath.Join(pictures, name))
		if err != nil {
			t.Fatalf("%v: go test ./e2e -run TestPlayground -update makes it", err)
		}
		defer file.Close()
		info, err := file.Stat()
		if err != nil {
			t.Fatal(err)
		}
		config, err := png.DecodeConfig(file)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if config.Width != 1280 || config.Height != 860 || info.Size() > 200_000 {
			t.Errorf("%s: got %d by %d pixels and %d bytes, want 1280 by 860 and at most 200,000", name, config.Width, config.Height, info.Size())
		}
	}
}

// A sandbox that others reach logs in anybody as anybody, and its log says so.
func TestSandboxWarns(t *testing.T) {
	t.Parallel()
	const warning = "wechat_sandbox lets anybody log in as anybody"
	for _, c := range []struct {
		name, bind, line, want, level string
	}{
		{"on this machine alone", "127.0.0.1 ::1", "", warning, "info"},
		{"on all addresses", "0.0.0.0", "", warning, "warn"},
		{"on one more address", "127.0.0.1 0.0.0.0", "", warning, "warn"},
		{"any code", "127.0.0.1", "accept_any_code", "accept_any_code: whatever looks like a code logs in", "warn"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			n := w.newNode()
			n.more = "http://:" + testkit.FreePort(t) + " {\nbind " + c.bind + "\nwechat_sandbox {\napp " + appID + " " + secret + "\n" + c.line + "\n}\n}\n"
			out, err := n.command("validate", "--config", n.writeConfig(), "--adapter", "caddyfile").CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			for line := range strings.Lines(string(out)) {
				if strings.Contains(line, c.want) && strings.Contains(line, `"level":"`+c.level+`"`) {
					return
				}
			}
			t.Errorf("got %s, want a line of level %s with %q", out, c.level, c.want)
		})
	}
}
