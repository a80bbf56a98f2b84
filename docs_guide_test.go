// docs/guide*.md, done as a newcomer does it.

package wechatauth_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// What the guide leaves running in terminals of their own, and the port by which one sees that it
// does.
var guideServers = map[string]string{"node server.mjs\n": ":3000", "./caddy run\n": ":8080"}

const guideBuild = "mkdir ../shop\ngo build -v -o ../shop/caddy ./cmd/caddy\ncd ../shop\n"

// follow does what a guide says, step by step in an empty folder: at the end there is a mini program
// that logs in, is asked for a phone, and shows what the backend keeps for that user.
func (w *workplace) follow(doc string) {
	w.t.Helper()
	w.ports = freePorts(w.t, "8080", "8089", "3000")
	client := filepath.Join(w.root, "wechatauth", "client")
	if err := os.MkdirAll(client, 0o700); err != nil {
		w.t.Fatal(err)
	}
	writeText(w.t, filepath.Join(client, "wechatauth.js"), readText(w.t, "client/wechatauth.js"))
	interop, err := filepath.Abs("tests/interop")
	if err != nil {
		w.t.Fatal(err)
	}
	const end = "=== end of block ==="
	var script strings.Builder
	fmt.Fprint(&script, "trap 'kill $(jobs -p)' EXIT\n")
	fences := readFences(w.t, doc)
	names := fileNames(readText(w.t, doc))
	for _, f := range fences {
		port, runs := guideServers[f.text]
		switch {
		case names[f.line] != "":
			fmt.Fprintf(&script, "cat >'%s' <<'END OF FILE'\n%sEND OF FILE\n", names[f.line], w.onFreePorts(f.text))
		case f.text == guideBuild:
			fmt.Fprintf(&script, "mkdir ../shop\ncp '%s' ../shop/caddy\ncd ../shop\n", w.caddy)
		case runs:
			fmt.Fprintf(&script, "%s >&2 &\nuntil curl -s -o /dev/null localhost%s; do sleep 0.1; done\n",
				strings.TrimSpace(f.text), w.ports.Replace(port))
		case f.lang == "bash":
			fmt.Fprint(&script, w.ports.Replace(f.text))
		}
		if f.output != nil {
			fmt.Fprintf(&script, "echo '%s'\n", end)
		}
	}
	i := slices.IndexFunc(fences, func(f *fence) bool { return strings.HasPrefix(f.text, "getCurrentPages()") })
	if i < 0 {
		w.t.Fatalf("%s has no line for the Console", doc)
	}
	fmt.Fprintf(&script, "node '%s/guide.mjs' miniprogram <<'END OF LINE'\n%sEND OF LINE\n", interop, fences[i].text)

	command(w.t, "", "node") // fails when it is missing
	file := filepath.Join(w.root, "script.sh")
	writeText(w.t, file, script.String())
	bash := w.command("wechatauth", "bash", "-euo", "pipefail", file)
	bash.Cancel = func() error { return bash.Process.Signal(syscall.SIGTERM) } // it ends what it started
	bash.WaitDelay = 5 * time.Second
	var stderr strings.Builder
	bash.Stderr = &stderr
	out, err := bash.Output()
	if err != nil {
		w.t.Fatalf("%s: %v\n%s%s", doc, err, out, stderr.String())
	}
	outputs, seen := strings.Split(string(out), end+"\n"), map[string]string{}
	shown := slices.DeleteFunc(fences, func(f *fence) bool { return f.output == nil })
	if len(shown) < 4 {
		w.t.Errorf("%s: got %d blocks with their output, want 4 and more", doc, len(shown))
	}
	for i, f := range shown {
		if err := samePrint(f.output, strings.TrimPrefix(outputs[i], "\n"), seen); err != nil {
			w.t.Errorf("%s:%d: %v", doc, f.line, err)
		}
	}
	want := `{"products":2,"askedForPhone":true,"afterNo":0,"orders":["13900139000"],"message":""}`
	if got := strings.TrimSpace(outputs[len(outputs)-1]); got != want {
		w.t.Errorf("%s: the mini program: got %s, want %s", doc, got, want)
	}
}

func (w *workplace) onFreePorts(text string) string {
	return strings.ReplaceAll(w.ports.Replace(text), "listen(3000", "listen("+w.ports.Replace(":3000")[1:])
}

// fileNames returns the names of the files that a document shows, by the line where each begins:
// the text before ends in the name and a colon.
func fileNames(text string) map[int]string {
	names := map[int]string{}
	for _, m := range regexp.MustCompile("`([^`\n]+)`(?:：|:)\n\n```").FindAllStringSubmatchIndex(text, -1) {
		names[strings.Count(text[:m[1]], "\n")+1] = text[m[2]:m[3]]
	}
	return names
}

// The line that the pages about backends change is there to be changed.
func TestDocumentedBackendLine(t *testing.T) {
	t.Parallel()
	for _, doc := range []string{"docs/backends.md", "docs/backends.zh-CN.md"} {
		lines := matches(t, doc, "`(reverse_proxy [^`]+)`")
		if len(lines) != 2 || !strings.Contains(readText(t, "Caddyfile.example"), "\t"+lines[0]+"\n") {
			t.Errorf("%s: got %q, want a line of Caddyfile.example and another", doc, lines)
		}
	}
}
