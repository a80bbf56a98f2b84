//go:build linux

package bench

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// The one command that measures works, whatever its numbers are here, and leaves nothing behind.
func TestMeasuring(t *testing.T) {
	t.Parallel()
	requirePrograms(t, "wrk", "nginx", "redis-server")
	tmp := t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "measure.sh", "-short")
	cmd.Env = append(os.Environ(), "TMPDIR="+tmp)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 30 * time.Second
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("measure.sh: %v\n%s%s", err, out, &stderr)
	}
	for _, row := range []string{
		`Caddy, .reverse_proxy. alone \| 1 `, `Caddy, .wechat_auth., ES256 \| 100 `, `Caddy, .forward_auth., ES256 \| 1 `,
		`nginx, .auth_request., HS256 \| 100 `, `login \| bolt \| 0 ms `, `phone \| redis \| 50 ms `, `refresh \| memory `,
		`one proxied request `, `bolt \| 1,000 `, `redis \| 1,000 `,
	} {
		if !regexp.MustCompile(`(?m)^\| ` + row).Match(out) {
			t.Errorf("got no row of %s in\n%s", row, out)
		}
	}
	nothingLeft(t, tmp)
}

// Ctrl-C ends a measurement with all its processes.
func TestMeasuringCanBeInterrupted(t *testing.T) {
	t.Parallel()
	requirePrograms(t, "redis-server")
	tmp := t.TempDir()
	program := filepath.Join(t.TempDir(), "scale")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-o", program, "./scale").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	cmd := exec.CommandContext(t.Context(), program, "-stores", "redis", "-sessions", "100000000", "-caddy", "none")
	cmd.Env = append(os.Environ(), "TMPDIR="+tmp)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); len(processesIn(t, tmp)) == 0; <-time.After(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("no process was started")
		}
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil || cmd.ProcessState.ExitCode() != 1 {
		t.Errorf("got %v, want exit code 1", err)
	}
	if !strings.Contains(stderr.String(), "interrupt") {
		t.Errorf("got %s, want to be told of the interrupt", &stderr)
	}
	nothingLeft(t, tmp)
}

func requirePrograms(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		if _, err := exec.LookPath(name); err != nil {
			if _, err := os.Stat("/usr/sbin/" + name); err != nil {
				t.Fatalf("there is no %s here: bash scripts/needs.sh", name)
			}
		}
	}
}

// nothingLeft wants a measurement to have ended its processes and removed its files.
func nothingLeft(t *testing.T, tmp string) {
	t.Helper()
	if left := processesIn(t, tmp); len(left) > 0 {
		t.Errorf("still running: %v", left)
	}
	files, err := filepath.Glob(filepath.Join(tmp, "wechatauth-bench*"))
	if err != nil || len(files) > 0 {
		t.Errorf("got files %v, %v, want none", files, err)
	}
}

// processesIn finds the processes at work in the lab of a measurement.
func processesIn(t *testing.T, tmp string) (found []string) {
	t.Helper()
	links, err := filepath.Glob("/proc/[0-9]*/cwd")
	if err != nil {
		t.Fatal(err)
	}
	for _, link := range links {
		if dir, err := os.Readlink(link); err == nil && strings.HasPrefix(dir, filepath.Join(tmp, "wechatauth-bench")) {
			found = append(found, link)
		}
	}
	return found
}

// Whoever follows the documentation runs what the test above runs.
func TestDocumentedMeasuring(t *testing.T) {
	t.Parallel()
	script := read(t, "measure.sh")
	for _, doc := range []string{"README.md", "../docs/performance.md", "../docs/performance.zh-CN.md"} {
		for _, block := range regexp.MustCompile("(?ms)^```bash\n(.*?)^```$").FindAllStringSubmatch(read(t, doc), -1) {
			for line := range strings.Lines(block[1]) {
				line = strings.TrimSpace(line)
				command := regexp.MustCompile(`^go run \./bench/\w+`).FindString(line)
				switch {
				case line == "bash bench/measure.sh", line == "bash bench/measure.sh -short":
				case line == command && command != "" && strings.Contains(script, "\n"+command+" "):
				case strings.HasPrefix(line, "go test ") && strings.Contains(script, strings.TrimSuffix(line, " >new.txt")):
				case line == "go tool -modfile=tools/go.mod benchstat bench/baseline.txt new.txt":
				default:
					t.Errorf("%s: %q is not tested", doc, line)
				}
			}
		}
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
