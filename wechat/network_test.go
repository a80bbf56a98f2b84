// Failures of the network, over real connections.

package wechat_test

import (
	"compress/gzip"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/wechat"
)

// overNetwork returns a client with its own transport.
func overNetwork(t *testing.T, bases ...string) *wechat.Client {
	t.Helper()
	return newClient(t, nil, func(cfg *wechat.Config) { cfg.BaseURLs = bases })
}

func serve(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return server.URL
}

// serveRaw answers each connection with the given bytes, whatever is asked, and counts the
// connections.
func serveRaw(t *testing.T, answer string) (url string, asked *atomic.Int32) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	asked = new(atomic.Int32)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			asked.Add(1)
			_, _ = conn.Read(make([]byte, 4096))
			_, _ = io.WriteString(conn, answer)
			conn.Close()
		}
	}()
	return "http://" + l.Addr().String(), asked
}

// closedPort returns the URL of a port without a listener.
func closedPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	return "http://" + l.Addr().String()
}

// A redirect would carry AppSecret and code to whoever wrote the Location, in the query string of a
// GET.
// Threats: C42.
func TestAttackRedirectIsNeverFollowed(t *testing.T) {
	t.Parallel()
	var reached atomic.Int32
	evil := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		reached.Add(1)
		_, _ = io.WriteString(w, goodSession)
	})
	for _, status := range []int{300, 301, 302, 303, 304, 307, 308} {
		for _, location := range []string{evil, "/", "", "://%zz"} {
			base := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header()["Location"] = []string{location}
				w.WriteHeader(status)
			})
			_, err := overNetwork(t, base, evil).Code2Session(t.Context(), testCode)
			if got := asError(t, err).Class; got != wechat.ClassBadAnswer {
				t.Errorf("%d %q: got %v, want bad_answer", status, location, got)
			}
		}
	}
	if got := reached.Load(); got != 0 {
		t.Errorf("target: got %d requests, want 0", got)
	}
}

// An answer without end must fill neither memory nor time, be it long on the wire or only after
// decompression.
// Threats: T80.
func TestAttackHugeAnswerIsNotReadToTheEnd(t *testing.T) {
	t.Parallel()
	const size = 50 << 20
	chunk := []byte(strings.Repeat("x", 64<<10))
	tests := []struct {
		name string
		wrap func(http.ResponseWriter) io.WriteCloser
	}{
		{"plain", func(w http.ResponseWriter) io.WriteCloser { return plainWriter{w} }},
		{"gzip bomb", func(w http.ResponseWriter) io.WriteCloser {
			w.Header().Set("Content-Encoding", "gzip")
			return gzip.NewWriter(w)
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			base := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				body := tt.wrap(w)
				_, _ = io.WriteString(body, `{"openid":"o1","pad":"`)
				for sent := 0; sent < size; sent += len(chunk) {
					if _, err := body.Write(chunk); err != nil {
						return // as it should be: the client hung up
					}
				}
				body.Close()
				if tt.name == "plain" {
					t.Error("the whole answer was taken, want the client to hang up")
				}
			})
			_, err := overNetwork(t, base).Code2Session(t.Context(), testCode)
			if e := asError(t, err); e.Class != wechat.ClassBadAnswer || !strings.Contains(e.Reason, "1 MiB") {
				t.Errorf("got %v %q, want bad_answer, larger than 1 MiB", e.Class, e.Reason)
			}
		})
	}
}

type plainWriter struct{ io.Writer }

func (plainWriter) Close() error { return nil }

func TestGzipAnswersAreRead(t *testing.T) {
	t.Parallel()
	base := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		_, _ = io.WriteString(z, goodSession)
		z.Close()
	})
	session, err := overNetwork(t, base).Code2Session(t.Context(), testCode)
	if err != nil || session.OpenID != testOpenID {
		t.Errorf("got error %v, want the session", err)
	}
}

// Threats: T80, C50.
func TestASlowAnswerEndsWithTheTimeout(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	wait := func(r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}
	tests := []struct {
		name   string
		handle http.HandlerFunc
	}{
		{"no header", func(_ http.ResponseWriter, r *http.Request) { wait(r) }},
		{"half a body", func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, goodSession[:10])
			_ = http.NewResponseController(w).Flush()
			wait(r)
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var second atomic.Int32
			client := newClient(t, nil, func(cfg *wechat.Config) {
				cfg.BaseURLs = []string{serve(t, tt.handle), serve(t, func(http.ResponseWriter, *http.Request) { second.Add(1) })}
				cfg.Timeout = 200 * time.Millisecond
			})
			_, err := client.Code2Session(t.Context(), testCode)
			if e := asError(t, err); e.Class != wechat.ClassUnavailable || !strings.Contains(e.Reason, "timeout") {
				t.Errorf("got %v %q, want unavailable, timeout", e.Class, e.Reason)
			}
			if got := second.Load(); got != 0 {
				t.Errorf("second host: got %d requests, want 0: the code may be spent", got)
			}
		})
	}
}

func TestTheOwnTransportFindsTheSecondHost(t *testing.T) {
	t.Parallel()
	good := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, goodSession) })
	plain := strings.Replace(good, "http://", "https://", 1)
	untrusted := serveTLS(t, nil)
	reset, _ := serveRaw(t, "")

	for name, first := range map[string]string{
		"refused":               closedPort(t),
		"not TLS":               plain,
		"unknown authority":     untrusted,
		"closed without answer": reset,
		"handshake swallowed":   swallow(t),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := newClient(t, nil, func(cfg *wechat.Config) {
				cfg.BaseURLs = []string{first, good}
				cfg.Timeout = time.Second
			})
			session, err := client.Code2Session(t.Context(), testCode)
			if err != nil || session.OpenID != testOpenID {
				t.Errorf("got error %v, want the second host's session", err)
			}
		})
	}
}

// swallow returns the URL of a host that takes connections and says nothing: the nearest to a black
// hole that works everywhere.
func swallow(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return "https://" + l.Addr().String()
}

func TestAnAnswerThatIsNotHTTPIsFinal(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, answer string }{
		{"garbage", "SSH-2.0-OpenSSH\r\n\r\n"},
		{"header cut off", "HTTP/1.1 200 OK\r\nContent-Le"},
		{"huge header", "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 128<<10) + "\r\n\r\n"},
		{"body cut off", fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(goodSession), goodSession[:20])},
		{"another protocol", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n" + goodSession},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			first, _ := serveRaw(t, tt.answer)
			second, asked := serveRaw(t, "")
			_, err := overNetwork(t, first, second).Code2Session(t.Context(), testCode)
			if got := asError(t, err).Class; got != wechat.ClassBadAnswer {
				t.Errorf("got %v (%v), want bad_answer", got, err)
			}
			if got := asked.Load(); got != 0 {
				t.Errorf("second host: got %d connections, want 0", got)
			}
		})
	}
}

func TestTLSBelow12IsRefused(t *testing.T) {
	t.Parallel()
	base := serveTLS(t, &tls.Config{MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10})
	_, err := overNetwork(t, base).Code2Session(t.Context(), testCode)
	if e := asError(t, err); e.Class != wechat.ClassUnavailable || !strings.HasPrefix(e.Reason, "TLS: ") {
		t.Errorf("got %v %q, want unavailable, TLS", e.Class, e.Reason)
	}
}

// serveTLS returns the URL of a server whose certificate nobody trusts.
func serveTLS(t *testing.T, cfg *tls.Config) string {
	t.Helper()
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.TLS = cfg
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	return server.URL
}

// server is one that a test closes itself.
type server struct {
	url   string
	close func()
}

func serveUntilClosed(t *testing.T) server {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := map[string]string{loginPath: goodSession, phonePath: goodPhone, tokenPath: goodToken}[r.URL.Path]
		_, _ = io.WriteString(w, body)
	}))
	return server{url: s.URL, close: s.Close}
}
