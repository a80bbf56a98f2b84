// Package lab runs the processes of a measurement on the loopback address, tells what they cost, and ends
// every one of them, whatever happens.
package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	// patience is how long a process may take to start or to end.
	patience = 30 * time.Second

	// lowestPort and the ports after it are not given to outgoing connections.
	lowestPort, ports = 14000, 16000
)

// Lab is a folder and the processes that live in it.
type Lab struct {
	Dir string

	mu        sync.Mutex // guards what follows
	port      int
	processes []*Process
}

// Run gives work a lab, which ends with it: after the time limit, and when somebody presses Ctrl-C, work
// finds its context done.
func Run(limit time.Duration, work func(context.Context, *Lab) error) (err error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("not done after %v", limit))
	defer cancel()
	dir, err := os.MkdirTemp("", "wechatauth-bench")
	if err != nil {
		return err
	}
	l := &Lab{Dir: dir, port: os.Getpid() % ports}
	defer func() {
		l.stopAll()
		err = errors.Join(err, os.RemoveAll(dir))
	}()
	if err := work(ctx, l); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return err
	}
	return nil
}

// Path is a file in the lab's folder.
func (l *Lab) Path(name string) string { return filepath.Join(l.Dir, name) }

// Write makes a file in the lab's folder and returns its path.
func (l *Lab) Write(name, text string) (string, error) {
	file := l.Path(name)
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return "", err
	}
	return file, os.WriteFile(file, []byte(text), 0o600)
}

// Addr returns a free address of this machine.
func (l *Lab) Addr() (string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for range 1000 {
		l.port = (l.port + 1) % ports
		addr := fmt.Sprintf("127.0.0.1:%d", lowestPort+l.port)
		listener, err := net.Listen("tcp", addr) //nolint:noctx // it is closed at once
		if err == nil {
			_ = listener.Close()
			return addr, nil
		}
	}
	return "", errors.New("there is no free port on 127.0.0.1")
}

// Find returns a program's path, or an error that says what to install.
func Find(program, debianPackage string) (string, error) {
	for _, name := range []string{program, filepath.Join("/usr/sbin", program)} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("there is no %s here: apt-get install %s", program, debianPackage)
}

// Caddy returns the absolute path of a built Caddy. Without one it compiles that of this checkout, inside of
// which the measurement then has to run.
func (l *Lab) Caddy(ctx context.Context, built string) (string, error) {
	if built != "" {
		return filepath.Abs(built)
	}
	program := l.Path("caddy")
	cmd := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-o", program, "github.com/caddy-wechat/wechatauth/cmd/caddy")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building Caddy: %w\n%s", err, out)
	}
	return program, nil
}

// Process is a process of the lab.
type Process struct {
	Name string
	Addr string // it listens there

	cmd   *exec.Cmd
	log   string
	ended chan struct{}
}

// Start runs a program in a folder of its own and waits until something answers at its address.
func (l *Lab) Start(ctx context.Context, name, addr, program string, args ...string) (*Process, error) {
	p, err := l.Launch(name, addr, program, args...)
	if err != nil {
		return nil, err
	}
	return p, p.wait(ctx, p.listens)
}

// Launch runs a program in a folder of its own.
func (l *Lab) Launch(name, addr, program string, args ...string) (*Process, error) {
	dir := l.Path("home-" + strings.ReplaceAll(addr, ":", "-"))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	p := &Process{Name: name, Addr: addr, log: filepath.Join(dir, "log"), ended: make(chan struct{})}
	log, err := os.Create(p.log)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	p.cmd = exec.Command(program, args...) //nolint:noctx // a program of the measurement; stopAll ends it
	p.cmd.Dir = dir
	p.cmd.Env = append(os.Environ(), "HOME="+dir, "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir)
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.SysProcAttr = endWithParent()
	started := make(chan error)
	go func() {
		// Linux takes the thread that starts a process for its parent: it has to live as long.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		started <- p.cmd.Start()
		_ = p.cmd.Wait()
		close(p.ended)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.processes = append(l.processes, p)
	return p, nil
}

func (p *Process) listens(ctx context.Context) bool {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", p.Addr)
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}

// wait polls until a condition holds.
func (p *Process) wait(ctx context.Context, holds func(context.Context) bool) error {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, errors.New("not in time"))
	defer cancel()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !holds(ctx) {
		select {
		case <-tick.C:
		case <-p.ended:
			return p.failed(errors.New("it ended"))
		case <-ctx.Done():
			return p.failed(context.Cause(ctx))
		}
	}
	return nil
}

// failed is an error with what the process said last.
func (p *Process) failed(err error) error {
	log, _ := os.ReadFile(p.log)
	return fmt.Errorf("%s: %w; its last words:\n%s", p.Name, err, log[max(0, len(log)-2000):])
}

// Stop ends the process: as an operator does, and if that takes too long, for good.
func (p *Process) Stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(patience):
		_ = p.cmd.Process.Kill()
		<-p.ended
	}
}

func (l *Lab) stopAll() {
	l.mu.Lock()
	defer l.mu.Unlock()
	var wg sync.WaitGroup
	for _, p := range l.processes {
		wg.Go(p.Stop)
	}
	wg.Wait()
}
