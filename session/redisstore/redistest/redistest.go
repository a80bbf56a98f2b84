// Package redistest runs real Redis servers for tests: alone, as a cluster, or with a sentinel.
// They listen on free ports of the loopback address, keep their files in the test's folder, and end
// with it.
package redistest

import (
	"bytes"
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/caddy-wechat/wechatauth/internal/testkit"
)

// patience bounds the time a server may take for a request.
const patience = 15 * time.Second

// Server is a running Redis.
type Server struct {
	Addr string // host:port
	URL  string // for redisstore.Config

	dir    string
	mode   string // --sentinel, if not empty
	bus    string // the port of a cluster's node for the others
	config []string
	cmd    *exec.Cmd
	ended  <-chan struct{}
}

// Start runs a server that keeps its data over Restart. Each line of config is added to its
// configuration.
func Start(t testing.TB, config ...string) *Server {
	t.Helper()
	return start(t, "", append([]string{
		`save ""`, "appendonly yes", "appendfsync no", "repl-diskless-sync-delay 0", "repl-ping-replica-period 1",
	}, config...))
}

func start(t testing.TB, mode string, config []string) *Server {
	t.Helper()
	s := &Server{dir: t.TempDir(), mode: mode, config: config}
	t.Cleanup(s.Stop)
	s.begin(t)
	return s
}

// begin runs the server on a free port. Somebody else may take it first, then it takes another.
func (s *Server) begin(t testing.TB) {
	t.Helper()
	for range 5 {
		port := testkit.FreePort(t)
		s.Addr = net.JoinHostPort("127.0.0.1", port)
		s.URL = "redis://" + s.Addr
		s.bus = testkit.FreePort(t)
		lines := append([]string{"bind 127.0.0.1", "port " + port, "dir " + s.dir}, s.config...)
		text := strings.ReplaceAll(strings.Join(lines, "\n")+"\n", busPort, s.bus)
		if err := os.WriteFile(s.path("redis.conf"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if s.run(t) {
			return
		}
	}
	t.Fatalf("redistest: no server came up; its last words:\n%s", s.log())
}

// run starts the process and reports whether it answers.
func (s *Server) run(t testing.TB) bool {
	t.Helper()
	program, err := exec.LookPath("redis-server")
	if err != nil {
		t.Fatal("redistest: install redis-server: apt-get install redis-server, or brew install redis")
	}
	log, err := os.Create(s.path("log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	args := []string{s.path("redis.conf")}
	if s.mode != "" {
		args = append(args, s.mode)
	}
	s.cmd = exec.Command(program, args...) //nolint:noctx,gosec // it is redis-server, and lives until the test's cleanup, which ends it
	s.cmd.Stdout, s.cmd.Stderr = log, log
	if s.ended, err = testkit.Start(s.cmd); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); pause() {
		select {
		case <-s.ended:
			return false
		default:
		}
		if s.answers() {
			return true
		}
	}
	s.Stop()
	return false
}

// answers reports whether the server is this very process, and up. It may want a password first.
func (s *Server) answers() bool {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", s.Addr)
	if err != nil {
		return false
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Second))
	_, _ = conn.Write([]byte("PING\r\n"))
	answer := make([]byte, 64)
	n, _ := conn.Read(answer)
	return bytes.HasPrefix(answer[:n], []byte("+PONG")) || bytes.HasPrefix(answer[:n], []byte("-NOAUTH"))
}

// Kill sends the signal that ends the server, as a crash does, and does not wait for it.
func (s *Server) Kill() error { return s.cmd.Process.Kill() }

// Stop kills the server, as a crash does.
func (s *Server) Stop() {
	if s.cmd == nil || s.cmd.Process == nil {
		return
	}
	_ = s.cmd.Process.Kill()
	<-s.ended
}

// Restart runs the server again, at the same address and with its data.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	s.Stop()
	if !s.run(t) {
		t.Fatalf("redistest: the server did not come back; its last words:\n%s", s.log())
	}
}

// Do runs a command, such as Do(t, "FLUSHALL"), and returns its reply.
func (s *Server) Do(t testing.TB, command ...any) any {
	t.Helper()
	reply, err := s.try(command...)
	if err != nil {
		t.Fatalf("redistest: %v: %v", command[0], err)
	}
	return reply
}

func (s *Server) try(command ...any) (any, error) {
	client := s.Client()
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return client.Do(ctx, command...).Result()
}

// Client returns a client of the server, which the caller closes.
func (s *Server) Client() *redis.Client {
	return redis.NewClient(&redis.Options{Addr: s.Addr, Protocol: 2, DisableIdentity: true})
}

// Dir returns the folder of the server's files.
func (s *Server) Dir() string { return s.dir }

func (s *Server) path(name string) string { return filepath.Join(s.dir, name) }

func (s *Server) log() string {
	text, _ := os.ReadFile(s.path("log"))
	return string(text)
}

// eventually polls until a condition holds.
func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); pause() {
		if condition() {
			return
		}
	}
	t.Fatalf("redistest: not in time: %s", what)
}

func pause() { <-time.After(20 * time.Millisecond) }
