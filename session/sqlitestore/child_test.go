// Other processes: this test binary, started again.

package sqlitestore

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/internal/testkit"
	"github.com/caddy-wechat/wechatauth/session"
)

// roleVariable has a process do what roles says, in place of the tests.
const roleVariable = "SQLITESTORE_TEST_ROLE"

var roles = map[string]func(file string) error{
	"hold":  holdFile,
	"write": writeFile,
}

func TestMain(m *testing.M) {
	if role, ok := roles[os.Getenv(roleVariable)]; ok {
		if err := role(os.Args[1]); err != nil {
			fmt.Println("failed:", err)
			os.Exit(1)
		}
		return
	}
	testkit.RunTests(m.Run)
}

// start runs a process with a role, and returns what it prints.
func start(t *testing.T, role, file string) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], file)
	cmd.Env = append(os.Environ(), roleVariable+"="+role)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	return cmd, bufio.NewScanner(out)
}

// runRole runs a process that must succeed.
func runRole(t *testing.T, role, file string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], file)
	cmd.Env = append(os.Environ(), roleVariable+"="+role)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

func openRole(file string) (*db, error) {
	d, err := openDB(file, Options{Wait: 10 * time.Second}, session.NewClock())
	if err != nil {
		return nil, err
	}
	d.running.Go(d.upkeep)
	return d, nil
}

// holdFile uses the file until it is killed.
func holdFile(file string) error {
	if _, err := openRole(file); err != nil {
		return err
	}
	fmt.Println("open")
	time.Sleep(time.Minute)
	return errors.New("nobody killed it")
}

// writeFile writes until it is killed, and prints the keys that were acknowledged.
func writeFile(file string) error {
	d, err := openRole(file)
	if err != nil {
		return err
	}
	var next atomic.Int64
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			for {
				key := fmt.Sprintf("%d-%d", os.Getpid(), next.Add(1))
				if err := put(d, key, strings.Repeat(key, 50)); err != nil {
					fmt.Println("failed:", err)
					return
				}
				_, _ = os.Stdout.WriteString(key + "\n")
			}
		})
	}
	all.Wait()
	return nil
}
