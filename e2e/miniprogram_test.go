//go:build unix

// The mini program's half, client/wechatauth.js, against started sites.

package e2e_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The tests of the client are in JavaScript. They start the Caddy under test by themselves.
func TestMiniProgramClient(t *testing.T) {
	t.Parallel()
	dir := installedClient(t)
	runIn(t, dir, nil, "node", "node_modules/typescript/bin/tsc", "-p", ".")
	files, err := filepath.Glob(filepath.Join(dir, "*.test.mjs"))
	if err != nil || len(files) < 5 {
		t.Fatalf("got %d files of tests (%v), want all of them", len(files), err)
	}
	runIn(t, dir, []string{"WECHATAUTH_CADDY=" + program}, "node", append([]string{"--test", "--test-reporter=spec", "--test-concurrency=3"}, files...)...)
}

// installedClient copies the client and installs what its tests need, so that the checkout stays as it is.
func installedClient(t *testing.T) (tests string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("../client")); err != nil {
		t.Fatal(err)
	}
	tests = filepath.Join(dir, "test")
	if err := os.RemoveAll(filepath.Join(tests, "node_modules")); err != nil {
		t.Fatal(err)
	}
	runIn(t, tests, nil, "npm", "ci", "--prefer-offline", "--ignore-scripts", "--no-audit", "--no-fund")
	return tests
}

// runIn runs a program, which must end well, and returns what it printed.
func runIn(t *testing.T, dir string, env []string, name string, args ...string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("this test runs %s, which is not installed: bash scripts/needs.sh installs it", name)
	}
	cmd := exec.CommandContext(t.Context(), path, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, tail(string(out), 8000))
	}
	return string(out)
}
