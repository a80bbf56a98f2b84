// A started Caddy before a WeChat that misbehaves, for calls that a backend makes through the door.

package attack_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
)

// hostileAPI hands out access tokens and answers every other call with what a test wrote for its
// path, byte for byte.
type hostileAPI struct {
	listener net.Listener

	mu      sync.Mutex
	answers map[string]func(net.Conn, *http.Request)
	lines   []string // of requests
}

const hostileToken = "/cgi-bin/stable_token"

func newHostileAPI(t *testing.T) *hostileAPI {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := &hostileAPI{listener: listener, answers: map[string]func(net.Conn, *http.Request){}}
	tokens := 0
	h.on(hostileToken, func(conn net.Conn, _ *http.Request) {
		h.mu.Lock()
		tokens++
		body := fmt.Sprintf(`{"access_token":"token-%d","expires_in":7200}`, tokens)
		h.mu.Unlock()
		_, _ = fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	})
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go h.serve(conn)
		}
	}()
	t.Cleanup(func() { _ = listener.Close() })
	return h
}

// serve answers one request a connection.
func (h *hostileAPI) serve(conn net.Conn) {
	defer conn.Close()
	r, err := http.ReadRequest(bufio.NewReader(conn))
	if err != nil {
		return
	}
	h.mu.Lock()
	h.lines = append(h.lines, r.Method+" "+r.RequestURI)
	answer := h.answers[r.URL.Path]
	h.mu.Unlock()
	if answer == nil {
		answer = func(conn net.Conn, _ *http.Request) {
			_, _ = fmt.Fprint(conn, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 13\r\n\r\n{\"errcode\":0}")
		}
	}
	if r.URL.Path == hostileToken {
		_, _ = io.Copy(io.Discard, r.Body)
	}
	answer(conn, r)
}

func (h *hostileAPI) on(path string, answer func(net.Conn, *http.Request)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.answers[path] = answer
}

// raw answers a path with bytes, after the request's body was read.
func (h *hostileAPI) raw(path, text string) {
	h.on(path, func(conn net.Conn, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(conn, text)
	})
}

// called returns the request lines for a path.
func (h *hostileAPI) called(path string) (lines []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, line := range h.lines {
		if strings.Contains(line, " "+path) {
			lines = append(lines, line)
		}
	}
	return lines
}

// relayDoor is a site with an API door before a hostileAPI.
type relayDoor struct {
	t       *testing.T
	api     *hostileAPI
	address string
	log     string
	config  string
}

// startRelayDoor returns nil in the process that only waits for the one with the Caddy.
func startRelayDoor(t *testing.T, lines string) *relayDoor {
	t.Helper()
	home := t.TempDir()
	if !inChild(t, "HOME="+home, "XDG_CONFIG_HOME="+home, "XDG_DATA_HOME="+home) {
		return nil
	}
	d := &relayDoor{t: t, api: newHostileAPI(t), log: filepath.Join(t.TempDir(), "log")}
	ports, err := rigPorts(2)
	if err != nil {
		t.Fatal(err)
	}
	d.address = fmt.Sprintf("127.0.0.1:%d", ports[1])
	d.config = fmt.Sprintf("{\nadmin 127.0.0.1:%d\nauto_https off\ndefault_bind 127.0.0.1\nlog {\noutput file %s\nlevel DEBUG\n}\n}\n"+
		"http://:%d {\nlog\nwechat_auth {\napp %s %s\nstore memory\napi http://%s\nservice {\nsecret %s\napi /wxa/* /cgi-bin/*\n}\n%s\n}\nrespond ok\n}\n",
		ports[0], d.log, ports[1], rigAppA, rigSecret, d.api.listener.Addr(), rigServiceSecret, lines)
	if err := loadCaddyfile(d.config); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := caddy.Stop(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// dial opens a connection and sends the head of a call; the body, if any, is the caller's.
func (d *relayDoor) dial(method, target string, fields ...string) net.Conn {
	d.t.Helper()
	conn, err := net.DialTimeout("tcp", d.address, patience)
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(patience))
	head := method + " " + target + " HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + rigServiceSecret + "\r\n"
	for _, f := range fields {
		head += f + "\r\n"
	}
	if _, err := io.WriteString(conn, head+"\r\n"); err != nil {
		d.t.Fatal(err)
	}
	return conn
}

// relayed is an answer, and whether it ended as its framing says.
type relayed struct {
	status int
	header http.Header
	body   string
	whole  bool
}

// call makes a call and reads its answer.
func (d *relayDoor) call(method, target, body string, fields ...string) (got relayed) {
	d.t.Helper()
	if body != "" || method == http.MethodPost {
		fields = append(fields, fmt.Sprintf("Content-Length: %d", len(body)))
	}
	conn := d.dial(method, target, append(fields, "Connection: close")...)
	_, _ = io.WriteString(conn, body)
	resp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		return got
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return relayed{resp.StatusCode, resp.Header, string(text), err == nil}
}

// api makes a call of WeChat's API.
func (d *relayDoor) wechat(method, path, body string, fields ...string) relayed {
	d.t.Helper()
	return d.call(method, "/auth/service/api"+path, body, fields...)
}
