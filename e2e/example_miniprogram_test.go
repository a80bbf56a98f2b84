//go:build unix

// The mini program of the examples.

package e2e_test

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The mini program passes WeChat's compilers, and every page of it does with a started site what its
// users and WeChat's reviewers expect, also when something is refused or away.
func TestExampleMiniProgram(t *testing.T) {
	t.Parallel()
	root := t.TempDir() // the checkout stays as it is
	for _, part := range []string{"client", "examples/miniprogram", "tests/miniprogram"} {
		if err := os.CopyFS(filepath.Join(root, part), os.DirFS("../"+part)); err != nil {
			t.Fatal(err)
		}
		if err := os.RemoveAll(filepath.Join(root, part, "node_modules")); err != nil {
			t.Fatal(err)
		}
	}
	quickStart, err := os.ReadFile("../Caddyfile.example")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "Caddyfile.example"), quickStart, 0o600); err != nil {
		t.Fatal(err)
	}

	dir := filepath.Join(root, "tests/miniprogram")
	runIn(t, dir, nil, "npm", "ci", "--prefer-offline", "--ignore-scripts", "--no-audit", "--no-fund")
	files, err := filepath.Glob(filepath.Join(dir, "*.test.mjs"))
	if err != nil || len(files) < 4 {
		t.Fatalf("got %d files of tests (%v), want all of them", len(files), err)
	}
	runIn(t, dir, []string{"WECHATAUTH_CADDY=" + program}, "node", append([]string{"--test", "--test-reporter=spec", "--test-concurrency=2"}, files...)...)

	for _, doc := range []string{"README.md", "README.en.md"} {
		copied := filepath.Join(root, "examples/miniprogram/lib/wechatauth.js")
		if err := os.Remove(copied); err != nil {
			t.Fatal(err)
		}
		runIn(t, root, nil, "bash", "-euc", copyCommand(t, filepath.Join(root, "examples/miniprogram", doc)))
		if _, err := os.Stat(copied); err != nil {
			t.Errorf("%s: its command does not copy the client: %v", doc, err)
		}
	}
}

// The example has a copy of the client, because WeChat DevTools reads nothing outside the project's
// folder.
func TestMiniProgramClientInTheExample(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"wechatauth.js", "wechatauth.d.ts"} {
		original, err := os.ReadFile("../client/" + name)
		if err != nil {
			t.Fatal(err)
		}
		if copied, err := os.ReadFile("../examples/miniprogram/lib/" + name); err != nil || !bytes.Equal(copied, original) {
			t.Errorf("examples/miniprogram/lib/%s is not client/%[1]s (%v), so run: %s", name, err, copyCommand(t, "../examples/miniprogram/README.md"))
		}
	}
}

// copyCommand returns the one command of a document that no other test runs.
func copyCommand(t *testing.T, doc string) string {
	t.Helper()
	text, err := os.ReadFile(doc)
	if err != nil {
		t.Fatal(err)
	}
	known := []string{
		"go run -v ./cmd/caddy run --config Caddyfile.example", // the quick start, which runs above and in the READMEs' test
		"go test ./e2e -run TestExampleMiniProgram",
	}
	var commands []string
	for _, block := range regexp.MustCompile("(?s)```bash\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
		if command := strings.TrimSpace(block[1]); !slices.Contains(known, command) {
			commands = append(commands, command)
		}
	}
	if len(commands) != 1 {
		t.Fatalf("%s has the commands %q, want one that copies the client", doc, commands)
	}
	return commands[0]
}
