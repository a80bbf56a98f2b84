package session_test

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/session"
)

// boltCrashFile tells the test binary to be the process that gets killed, and on which file.
const boltCrashFile = "WECHATAUTH_BOLT_CRASH_FILE"

// TestBoltSurvivesKill kills a process that writes, at any moment, again and again, and looks for all
// that the process had said to be written.
func TestBoltSurvivesKill(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "sessions.db")
	acknowledged := map[string]bool{}
	for round := range 8 {
		kill := rand.N(400 * time.Millisecond)
		keys := writeUntilKilled(t, file, round, kill)
		for _, key := range keys {
			acknowledged[key] = true
		}
		t.Logf("killed %v after the first of %d acknowledgements", kill, len(keys))
		db := openBoltDB(t, file, nil)
		err := db.View(t.Context(), func(tx session.Tx) error {
			for key := range acknowledged {
				if value, err := tx.Get([]byte(key)); err != nil || string(value) != "value of "+key {
					return fmt.Errorf("%s: got %q, %v, want what was acknowledged", key, value, err)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := db.CheckIndex(); err != nil {
			t.Error(err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// writeUntilKilled starts the process, kills it a while after its first acknowledgement, and returns
// what it acknowledged.
func writeUntilKilled(t *testing.T, file string, round int, after time.Duration) (keys []string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestBoltCrashingProcess$", "-test.v")
	cmd.Env = append(os.Environ(), boltCrashFile+"="+file, fmt.Sprintf("%s_ROUND=%d", boltCrashFile, round))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	for {
		line, err := lines.ReadString('\n')
		if err != nil { // a line cut in the middle is none
			break
		}
		key, ok := strings.CutPrefix(strings.TrimSpace(line), "written ")
		if !ok {
			continue
		}
		if keys = append(keys, key); len(keys) == 1 {
			time.AfterFunc(after, func() { _ = cmd.Process.Kill() })
		}
	}
	_ = cmd.Wait() // killed
	if len(keys) == 0 {
		t.Fatal("the process wrote nothing")
	}
	return keys
}

// TestBoltCrashingProcess is the process that gets killed, and no test.
func TestBoltCrashingProcess(t *testing.T) {
	file := os.Getenv(boltCrashFile)
	if file == "" {
		return // it was not started by TestBoltSurvivesKill
	}
	db := openSmall(t, file, nil)                                   // so that it may be killed in a merge
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second) // should nobody kill it
	defer cancel()
	var wg sync.WaitGroup
	for client := range 16 {
		wg.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				key := fmt.Sprintf("%s/%d/%d", os.Getenv(boltCrashFile+"_ROUND"), client, i)
				err := db.Update(ctx, func(tx session.Tx) error {
					return tx.Put([]byte(key), []byte("value of "+key), time.Now().Add(time.Hour))
				})
				if err == nil {
					fmt.Println("written " + key)
				}
			}
		})
	}
	wg.Wait()
}
