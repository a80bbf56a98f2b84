package report

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strings"
	"time"
)

// Machine says where and with what was measured. Programs are asked for their version; the names of
// arguments that ask for it differ.
func Machine(programs ...[]string) Text {
	parts := []string{
		fmt.Sprintf("%s, %d × %s, %s", runtime.GOOS+"/"+runtime.GOARCH, runtime.NumCPU(), processor(), memory()),
		strings.Replace(runtime.Version(), "go", "Go ", 1), "Caddy " + caddyVersion(),
	}
	for _, program := range programs {
		parts = append(parts, version(program))
	}
	all, date := strings.Join(parts, ", "), time.Now().Format(time.DateOnly)
	return Text{
		"Measured on " + date + ": " + all + ".",
		"测于 " + date + "：" + all + "。",
	}
}

func processor() string {
	info, _ := os.ReadFile("/proc/cpuinfo")
	_, rest, ok := strings.Cut(string(info), "model name")
	if !ok {
		return "processors"
	}
	line, _, _ := strings.Cut(rest, "\n")
	return strings.TrimSpace(strings.TrimLeft(line, " \t:"))
}

func memory() string {
	info, _ := os.ReadFile("/proc/meminfo")
	var kb float64
	_, rest, _ := strings.Cut(string(info), "MemTotal:")
	_, _ = fmt.Sscan(rest, &kb)
	return Bytes(kb * 1024)
}

func caddyVersion() string {
	info, ok := debug.ReadBuildInfo()
	if ok {
		for _, m := range info.Deps {
			if m.Path == "github.com/caddyserver/caddy/v2" {
				return strings.TrimPrefix(m.Version, "v")
			}
		}
	}
	// A program without Caddy in it asks the checkout that it runs in.
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Version}}", "github.com/caddyserver/caddy/v2").Output() //nolint:noctx // it is quick
	if err != nil {
		return "of an unknown version"
	}
	return strings.TrimPrefix(strings.TrimSpace(string(out)), "v")
}

// version is what a program says about itself first, without what is not its version.
func version(program []string) string {
	out, _ := exec.Command(program[0], program[1:]...).CombinedOutput() //nolint:noctx // programs of the measurement
	line, _, _ := strings.Cut(string(out), "\n")
	line = strings.NewReplacer("nginx version: nginx/", "nginx ", "Redis server v=", "Redis ", "wrk debian/", "wrk ").Replace(line)
	for _, end := range []string{" [", " sha=", " ("} {
		line, _, _ = strings.Cut(line, end)
	}
	return strings.TrimSpace(line)
}
