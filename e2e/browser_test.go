//go:build unix

// A site as a page of another origin sees it in Chromium.

package e2e_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// What pages of other origins can do, and cannot, is up to browsers: this is one, with the page of
// docs/web.md.
// Threats: F07.
func TestWebPagesInABrowser(t *testing.T) {
	t.Parallel()
	const html = "<!doctype html><title>page</title><body></body>"
	answer := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, html)
	}
	listed, evil := httptest.NewServer(http.HandlerFunc(answer)), httptest.NewServer(http.HandlerFunc(answer))
	t.Cleanup(listed.Close)
	t.Cleanup(evil.Close)

	// The backend answers CORS by itself, which makes two answers to one question.
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Access-Control-Allow-Origin", "*")
		_, _ = fmt.Fprintf(w, "%s %s", r.Method, r.Header.Get("X-Wx-Openid"))
	}))
	t.Cleanup(backend.Close)

	w := newWorld(t)
	alice := w.fake.NewUser(appID)
	n := w.newNode("token_from cookie token", "cors "+listed.URL)
	n.backend = "handle /api/* {\nreverse_proxy " + strings.TrimPrefix(backend.URL, "http://") + " {\nheader_down -Access-Control-Allow-*\n}\n}"
	n.start()

	_, port, _ := net.SplitHostPort(strings.TrimPrefix(evil.URL, "http://"))
	var got map[string]string
	runBrowser(t, "browser.mjs", map[string]string{
		"api": n.url, "listed": listed.URL, "evil": evil.URL, "elsewhere": "http://localhost:" + port,
		"code": w.fake.LoginCode(alice), "recipe": recipe(t),
	}, &got)
	for name, want := range map[string]string{
		"login":                             "200 " + alice.OpenID,
		"get":                               "GET " + alice.OpenID,
		"post":                              "POST " + alice.OpenID,
		"upload":                            "Alice",
		"refusal":                           "401 token_missing Bearer realm=\"wechat_auth\"",
		"recipe error":                      "token_invalid",
		"unlisted page":                     "TypeError",
		"cookie, listed page":               "200 POST " + alice.OpenID,
		"cookie, own page":                  "200 POST " + alice.OpenID,
		"cookie, sibling's form, own route": "403 cross_site",
		"cookie, sibling's form, backend":   "403 cross_site",
		"cookie, foreign form":              "403 cross_site",
		"cookie, link from elsewhere":       "200 GET " + alice.OpenID,
		"nickname after it":                 "Alice",
	} {
		if got[name] != want {
			t.Errorf("%s: got %q, want %q", name, got[name], want)
		}
		delete(got, name)
	}
	if len(got) > 0 {
		t.Errorf("got more than was asked: %v", got)
	}
}

// recipe is the script of the page in docs/web.md.
func recipe(t *testing.T) string {
	t.Helper()
	var scripts []string
	for _, doc := range []string{"../docs/web.md", "../docs/web.zh-CN.md"} {
		text, err := os.ReadFile(doc)
		if err != nil {
			t.Fatal(err)
		}
		found := regexp.MustCompile("(?s)```js\n([^`]*jweixin.*?)```").FindSubmatch(text)
		if found == nil {
			t.Fatalf("%s has no script for the page", doc)
		}
		scripts = append(scripts, string(found[1]))
	}
	comments := regexp.MustCompile(`(?m) *//( |$).*$`)
	if en, zh := comments.ReplaceAllString(scripts[0], ""), comments.ReplaceAllString(scripts[1], ""); en != zh {
		t.Errorf("the scripts of the two languages differ:\n%s\n%s", en, zh)
	}
	return scripts[0]
}

// runBrowser gives a script of tests/browser its questions and decodes what it found. Its package is
// installed into a copy, so that the checkout stays as it is; the browser is the machine's own.
func runBrowser(t *testing.T, script string, questions map[string]string, found any) {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("../tests/browser")); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(dir, "node_modules")); err != nil {
		t.Fatal(err)
	}
	browser, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatal("this test runs chromium, which is not installed: bash scripts/needs.sh installs it")
	}
	run := func(input, name string, args ...string) []byte {
		t.Helper()
		path, err := exec.LookPath(name)
		if err != nil {
			t.Fatalf("this test runs %s, which is not installed: bash scripts/needs.sh installs it", name)
		}
		cmd := exec.CommandContext(t.Context(), path, args...)
		cmd.WaitDelay = 5 * time.Second
		cmd.Dir, cmd.Stdin = dir, strings.NewReader(input)
		var stderr strings.Builder
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%s %s: %v\n%s%s", name, strings.Join(args, " "), err, out, stderr.String())
		}
		return out
	}
	run("", "npm", "ci", "--prefer-offline", "--ignore-scripts")
	questions["browser"] = browser
	input, err := json.Marshal(questions)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(run(string(input), "node", script), found); err != nil {
		t.Fatal(err)
	}
}
