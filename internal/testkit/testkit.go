// Package testkit starts other programs for tests and measurements.
package testkit

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"sync/atomic"
	"testing"
)

// Start starts a process that ends with this one, even if this one is killed, where the system can
// do that. The channel is closed when the process has ended.
func Start(cmd *exec.Cmd) (ended <-chan struct{}, err error) {
	cmd.SysProcAttr = endWithParent()
	started, done := make(chan error), make(chan struct{})
	go func() {
		// Linux takes the thread that starts a process for its parent: it has to live as long.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		started <- cmd.Start()
		_ = cmd.Wait()
		close(done)
	}()
	return done, <-started
}

var lastPort atomic.Int64

// FreePort returns a port without a listener, below those that the system gives to clients.
func FreePort(t testing.TB) string {
	t.Helper()
	lastPort.CompareAndSwap(0, 14000+int64(os.Getpid()%16000))
	for range 1000 {
		port := fmt.Sprint(lastPort.Add(1))
		listener, err := net.Listen("tcp", "127.0.0.1:"+port) //nolint:noctx // it is closed at once
		if err == nil {
			_ = listener.Close()
			return port
		}
	}
	t.Fatal("no free port")
	return ""
}
