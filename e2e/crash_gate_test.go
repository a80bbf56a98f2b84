//go:build unix

// A gate between a node and all that it talks to, where processes are killed at a chosen exchange.

package e2e_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// gate counts the exchanges of a node with WeChat, the hook, the backend and Redis, and strikes at
// one of them: before the other side has it, or once the other side has done its work and the node
// has no answer yet. Where it shuts then, nothing goes through it until it is opened.
type gate struct {
	mu     sync.Mutex // guards what follows
	at     int        // the exchange of the strike; 0: none
	late   bool
	shuts  bool // it is shut when it has struck
	strike func()
	seen   int
	round  int
	shut   bool
}

func (g *gate) arm(at int, late, shuts bool, strike func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.at, g.late, g.shuts, g.strike, g.seen, g.shut = at, late, shuts, strike, 0, false
}

// open lets everything through.
func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut, g.at = false, 0
	g.round++ // what is under way strikes no more
}

// pass counts an exchange. It returns false if the exchange must not go on, and otherwise what to
// ask before its answer is passed on.
func (g *gate) pass() (answered func() bool, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.seen++
	mine, round := g.seen == g.at, g.round
	if mine && !g.late {
		g.shut = g.shuts
		g.strike()
	}
	return func() bool {
		g.mu.Lock()
		defer g.mu.Unlock()
		if mine && g.late && round == g.round && !g.shut {
			g.shut = g.shuts
			g.strike()
		}
		return !g.shut
	}, !g.shut
}

// before is a handler behind the gate.
func (g *gate) before(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answered, ok := g.pass()
		if !ok {
			panic(http.ErrAbortHandler)
		}
		answer := httptest.NewRecorder()
		next.ServeHTTP(answer, r)
		if !answered() {
			panic(http.ErrAbortHandler)
		}
		maps.Copy(w.Header(), answer.Header())
		w.WriteHeader(answer.Code)
		_, _ = w.Write(answer.Body.Bytes())
	})
}

// proxy is a Redis behind the gate. Commands that only look are not counted: followers and others
// send them all the time.
func (g *gate) redis(t *testing.T, addr string) (url string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go g.serveRedis(conn, addr)
		}
	}()
	return "redis://" + listener.Addr().String()
}

func (g *gate) serveRedis(client net.Conn, addr string) {
	defer client.Close()
	server, err := net.Dial("tcp", addr)
	if err != nil {
		return
	}
	defer server.Close()
	// The commands under way on this connection: one is sent when the one before is answered, but
	// for pipelines, which are not counted.
	waiting := make(chan func() bool, 64)
	go func() {
		defer client.Close()
		defer server.Close()
		buffer := make([]byte, 64<<10)
		for {
			n, err := server.Read(buffer)
			if n > 0 {
				select {
				case answered := <-waiting:
					if !answered() {
						return
					}
				default:
				}
				if _, err := client.Write(buffer[:n]); err != nil {
					return
				}
			}
			if err != nil {
				return
			}
		}
	}()
	in := bufio.NewReader(client)
	for {
		command, raw, err := readCommand(in)
		if err != nil {
			return
		}
		if isStep(command) {
			answered, ok := g.pass()
			if !ok {
				return
			}
			waiting <- answered
		}
		if _, err := server.Write(raw); err != nil {
			return
		}
	}
}

// isStep reports whether a command is a step of a request: it reads or writes an account, a replay or
// a push.
func isStep(command []string) bool {
	switch strings.ToUpper(command[0]) {
	case "EVALSHA", "EVAL":
		// Eleven parts has the look for a push that is due, once a second.
		return len(command) != 11 || !strings.HasSuffix(command[3], ":due")
	case "HGETALL", "MGET":
		return !strings.HasSuffix(command[len(command)-1], ":keys")
	}
	return false
}

// readCommand reads a command as clients of Redis send it, and returns its bytes, too.
func readCommand(in *bufio.Reader) (command []string, raw []byte, err error) {
	var all bytes.Buffer
	number := func(kind byte) (int, error) {
		line, err := in.ReadString('\n')
		if err != nil {
			return 0, err
		}
		all.WriteString(line)
		if line[0] != kind {
			return 0, fmt.Errorf("got %q, want a %c", line, kind)
		}
		return strconv.Atoi(strings.TrimRight(line[1:], "\r\n"))
	}
	n, err := number('*')
	for i := 0; i < n && err == nil; i++ {
		var size int
		if size, err = number('$'); err != nil {
			break
		}
		text := make([]byte, size+2)
		if _, err = io.ReadFull(in, text); err == nil {
			all.Write(text)
			command = append(command, string(text[:size]))
		}
	}
	if err == nil && len(command) == 0 {
		err = io.ErrUnexpectedEOF
	}
	return command, all.Bytes(), err
}
