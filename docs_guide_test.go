// docs/guide*.md and SKILL.md, done as a newcomer does it.

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

// What the guides leave running in terminals of their own, and the port by which one sees that it
// does.
var guideServers = map[string]string{"node server.mjs\n": ":3000", "./caddy run\n": ":8080"}

// What builds a Caddy in the guides, and what stands for it here: the one that is built already.
var guideBuilds = map[string]string{
	"mkdir ../shop\ngo build -v -o ../shop/caddy ./cmd/caddy\ncd ../shop\n": "mkdir ../shop\ncp '%s' ../shop/caddy\ncd ../shop\n",
	"go build -o caddy ./cmd/caddy\n":                                       "cp '%s' caddy\n",
}

const endOfBlock = "=== end of block ==="

// followGuide does what a guide says, step by step in an empty folder: at the end there is a mini
// program that logs in, is asked for a phone, and shows what the backend keeps for that user.
func (w *workplace) followGuide(doc string) {
	w.t.Helper()
	client := filepath.Join(w.root, "wechatauth", "client")
	if err := os.MkdirAll(client, 0o700); err != nil {
		w.t.Fatal(err)
	}
	writeText(w.t, filepath.Join(client, "wechatauth.js"), readText(w.t, "client/wechatauth.js"))
	interop, err := filepath.Abs("tests/interop")
	if err != nil {
		w.t.Fatal(err)
	}
	fences := readFences(w.t, doc)
	i := slices.IndexFunc(fences, func(f *fence) bool { return strings.HasPrefix(f.text, "getCurrentPages()") })
	if i < 0 {
		w.t.Fatalf("%s has no line for the Console", doc)
	}
	got := w.follow(doc, fences, 4, fmt.Sprintf("node '%s/guide.mjs' miniprogram <<'END OF LINE'\n%sEND OF LINE\n", interop, fences[i].text))
	want := `{"products":2,"askedForPhone":true,"afterNo":0,"orders":["13900139000"],"message":""}`
	if got != want {
		w.t.Errorf("%s: the mini program: got %s, want %s", doc, got, want)
	}
}

// follow writes the files of a document and runs its commands and then one more, whose output it
// returns. At least so many blocks must say what they print, which is compared.
func (w *workplace) follow(doc string, fences []*fence, outputs int, last string) string {
	w.t.Helper()
	w.ports = freePorts(w.t, "8080", "8089", "3000")
	if err := os.MkdirAll(filepath.Join(w.root, "wechatauth"), 0o700); err != nil {
		w.t.Fatal(err)
	}
	for _, name := range []string{"node", "curl", "openssl"} {
		command(w.t, "", name) // fails when it is missing
	}
	var script strings.Builder
	fmt.Fprint(&script, "trap 'kill $(jobs -p)' EXIT\n")
	names := fileNames(readText(w.t, doc))
	for _, f := range fences {
		port, runs := guideServers[f.text]
		switch {
		case names[f.line] != "":
			fmt.Fprintf(&script, "cat >'%s' <<'END OF FILE'\n%sEND OF FILE\n", names[f.line], w.onFreePorts(f.text))
		case guideBuilds[f.text] != "":
			fmt.Fprintf(&script, guideBuilds[f.text], w.caddy)
		case runs:
			fmt.Fprintf(&script, "%s >&2 &\nuntil curl -s -o /dev/null localhost%s; do sleep 0.1; done\n",
				strings.TrimSpace(f.text), w.ports.Replace(port))
		case f.lang == "bash":
			fmt.Fprint(&script, w.ports.Replace(f.text))
		}
		if f.output != nil {
			fmt.Fprintf(&script, "echo '%s'\n", endOfBlock)
		}
	}
	fmt.Fprint(&script, last)

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
	printed, seen := strings.Split(string(out), endOfBlock+"\n"), map[string]string{}
	shown := slices.DeleteFunc(fences, func(f *fence) bool { return f.output == nil })
	if len(shown) < outputs {
		w.t.Errorf("%s: got %d blocks with their output, want %d and more", doc, len(shown), outputs)
	}
	for i, f := range shown {
		if err := samePrint(f.output, strings.TrimPrefix(printed[i], "\n"), seen); err != nil {
			w.t.Errorf("%s:%d: %v", doc, f.line, err)
		}
	}
	return strings.TrimSpace(printed[len(printed)-1])
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
