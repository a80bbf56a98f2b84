// Server-sent events, uploads and downloads that stream through the guard.

package attack_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"net/textproto"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// The response writer is not wrapped and the body not read: what streams without the guard streams
// with it.

// streamingBackend is the upstream of site "stream".
func streamingBackend(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Seen-Openid", r.Header.Get("X-WX-OPENID"))
	switch r.URL.Path {
	case "/events", "/public/events":
		serveEvents(w, r)
	case "/upload", "/public/upload":
		n, peak, err := swallow(r.Body)
		fmt.Fprintf(w, "%d bytes, peak %d, %v", n, peak, err)
	case "/download":
		n, _ := strconv.ParseInt(r.URL.Query().Get("size"), 10, 64)
		_, _ = io.CopyN(w, zeros{}, n)
	case "/echo":
		_ = http.NewResponseController(w).EnableFullDuplex()
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush()
		flushCopy(w, r.Body)
	}
}

// steps let a test release each event of a stream.
var steps sync.Map // name → chan struct{}

func stepsOf(name string) chan struct{} {
	c, _ := steps.LoadOrStore(name, make(chan struct{}))
	return c.(chan struct{})
}

func serveEvents(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	next := stepsOf(r.URL.Query().Get("steps"))
	for i := 0; ; i++ {
		fmt.Fprintf(w, "data: event %d for %s\n\n", i, r.Header.Get("X-WX-OPENID"))
		if http.NewResponseController(w).Flush() != nil {
			return
		}
		select {
		case <-next:
		case <-r.Context().Done():
			close(next)
			return
		}
	}
}

// swallow reads a body to its end and watches the heap of the process, which is Caddy's as well.
func swallow(body io.Reader) (n int64, peak uint64, err error) {
	buf := make([]byte, 64<<10)
	for i := 0; ; i++ {
		if i%512 == 0 {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			peak = max(peak, m.HeapInuse)
		}
		read, err := body.Read(buf)
		n += int64(read)
		if err == io.EOF {
			return n, peak, nil
		}
		if err != nil {
			return n, peak, err
		}
	}
}

func flushCopy(w http.ResponseWriter, body io.Reader) {
	buf := make([]byte, 4<<10)
	for {
		n, err := body.Read(buf)
		if _, werr := w.Write(buf[:n]); werr != nil || err != nil {
			return
		}
		if http.NewResponseController(w).Flush() != nil {
			return
		}
	}
}

// zeros is a file without end that takes no memory.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// streamClients are HTTP/1.1 and HTTP/2 over plain TCP.
func streamClients() map[string]*http.Client {
	h1, h2 := new(http.Protocols), new(http.Protocols)
	h1.SetHTTP1(true)
	h2.SetUnencryptedHTTP2(true)
	return map[string]*http.Client{
		"HTTP/1.1": {Transport: &http.Transport{Protocols: h1, DisableKeepAlives: true, DisableCompression: true}},
		"HTTP/2":   {Transport: &http.Transport{Protocols: h2, DisableCompression: true}},
	}
}

func streamRequest(t *testing.T, method, url, token string, body io.Reader) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	req.Header.Set("X-WX-OPENID", "evil")
	return req
}

func TestServerSentEventsArriveOneByOne(t *testing.T) {
	t.Parallel()
	r := caddyRig(t)
	alice := r.login(t, "stream")
	for protocol, client := range streamClients() {
		for path, openid := range map[string]string{"/events": alice.OpenID, "/public/events": ""} {
			t.Run(protocol+strings.ReplaceAll(path, "/", "∕"), func(t *testing.T) {
				t.Parallel()
				name := protocol + path + alice.OpenID
				next := stepsOf(name)
				resp, err := client.Do(streamRequest(t, "GET", "http://"+r.addr["stream"]+path+"?steps="+name, alice.token, nil))
				if err != nil {
					t.Fatal(err)
				}
				if resp.StatusCode != 200 || resp.Proto[:6] != protocol[:6] {
					t.Fatalf("got %s over %s, want 200 over %s", resp.Status, resp.Proto, protocol)
				}
				lines := bufio.NewScanner(resp.Body)
				for i := range 20 {
					// Event i is read before the next one is released.
					if want := fmt.Sprintf("data: event %d for %s", i, openid); !lines.Scan() || lines.Text() != want {
						t.Fatalf("got %q %v, want %q", lines.Text(), lines.Err(), want)
					}
					lines.Scan()
					next <- struct{}{}
				}
				// The client leaves, and the backend's request is cancelled.
				if err := resp.Body.Close(); err != nil {
					t.Fatal(err)
				}
				for range next {
					t.Error("the backend asked for another step")
				}
			})
		}
	}
}

// Without a token no stream begins.
func TestStreamsNeedAToken(t *testing.T) {
	t.Parallel()
	r := caddyRig(t)
	for protocol, client := range streamClients() {
		for _, path := range []string{"/events", "/upload", "/download?size=1", "/echo"} {
			a := send(t, client, streamRequest(t, "GET", "http://"+r.addr["stream"]+path, "", nil))
			if a.status != 401 || a.header.Get("X-Seen-Openid") != "" {
				t.Errorf("%s %s: got %d, want 401", protocol, path, a.status)
			}
		}
	}
}

// A gigabyte passes through, and the process does not grow. It runs alone: others would use the
// heap.
func TestUploadsStreamThrough(t *testing.T) {
	r := caddyRig(t)
	alice := r.login(t, "stream")
	size := int64(1 << 30)
	if testing.Short() {
		size = 64 << 20
	}
	for protocol, client := range streamClients() {
		for _, chunked := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s chunked %t", protocol, chunked), func(t *testing.T) {
				runtime.GC()
				var before runtime.MemStats
				runtime.ReadMemStats(&before)
				req := streamRequest(t, "PUT", "http://"+r.addr["stream"]+"/upload", alice.token, io.LimitReader(zeros{}, size))
				if req.ContentLength = size; chunked {
					req.ContentLength = -1
				}
				a := send(t, client, req)
				var n int64
				var peak uint64
				if _, err := fmt.Sscanf(string(a.body), "%d bytes, peak %d,", &n, &peak); err != nil || n != size {
					t.Fatalf("got %d %s, want %d bytes", a.status, a.body, size)
				}
				if grown := int64(peak) - int64(before.HeapInuse); grown > 64<<20 {
					t.Errorf("the heap grew by %d MiB, want it flat", grown>>20)
				}
				if got := a.header.Get("X-Seen-Openid"); got != alice.OpenID {
					t.Errorf("openid upstream: got %q, want %q", got, alice.OpenID)
				}
			})
			size = 64 << 20 // once is enough
		}
	}
}

func TestDownloadsStreamThrough(t *testing.T) {
	t.Parallel()
	r := caddyRig(t)
	alice := r.login(t, "stream")
	const size = 32 << 20
	for protocol, client := range streamClients() {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			resp, err := client.Do(streamRequest(t, "GET", fmt.Sprintf("http://%s/download?size=%d", r.addr["stream"], size), alice.token, nil))
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if n, err := io.Copy(io.Discard, resp.Body); n != size || err != nil {
				t.Errorf("got %d bytes, %v, want %d", n, err, size)
			}
		})
	}
}

// Both directions at once, as gRPC does it.
func TestFullDuplexOverHTTP2(t *testing.T) {
	t.Parallel()
	r := caddyRig(t)
	alice := r.login(t, "stream")
	body, feed := io.Pipe()
	t.Cleanup(func() { feed.Close() })
	req := streamRequest(t, "POST", "http://"+r.addr["stream"]+"/echo", alice.token, body)
	resp, err := streamClients()["HTTP/2"].Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	br := bufio.NewReader(resp.Body)
	for i := range 20 {
		line := fmt.Sprintf("line %d\n", i)
		if _, err := io.WriteString(feed, line); err != nil {
			t.Fatal(err)
		}
		if echo, err := br.ReadString('\n'); err != nil || echo != line {
			t.Fatalf("got %q %v, want %q", echo, err, line)
		}
	}
	if err := feed.Close(); err != nil {
		t.Fatal(err)
	}
	if rest, err := io.ReadAll(br); err != nil || len(rest) > 0 {
		t.Errorf("after the end: got %q %v, want the end", rest, err)
	}
}

// Expect: 100-continue: who passes gets the word to go on.
func TestExpectContinue(t *testing.T) {
	t.Parallel()
	r := caddyRig(t)
	alice := r.login(t, "main")
	for _, line := range []string{"PUT /api", "PUT /optional/x", "PUT /public/x", "POST /auth/login", "POST /auth/phone"} {
		t.Run(strings.ReplaceAll(line, "/", "∕"), func(t *testing.T) {
			t.Parallel()
			conn := dial(t, r.addr["main"])
			if _, err := io.WriteString(conn, raw(line, "Host: site.test", bearer(alice.token), "Expect: 100-continue", "Content-Length: 14")); err != nil {
				t.Fatal(err)
			}
			tp := textproto.NewReader(bufio.NewReader(conn))
			if status, err := tp.ReadLine(); err != nil || !strings.HasPrefix(status, "HTTP/1.1 100 ") {
				t.Fatalf("got %q %v, want 100", status, err)
			}
			if _, err := io.WriteString(conn, `{"code":"....}`); err != nil {
				t.Fatal(err)
			}
			for {
				status, err := tp.ReadLine()
				if err != nil {
					t.Fatalf("no answer: %v", err)
				}
				if strings.HasPrefix(status, "HTTP/1.1 200") || strings.HasPrefix(status, "HTTP/1.1 400") {
					return
				}
			}
		})
	}
}

// A refused upload is not read to its end. Of HTTP/1.1 Go's server reads up to 256 KiB, in the hope
// that the connection can stay; in HTTP/2 the answer comes at once.
func TestRefusedUploadsAreNotRead(t *testing.T) {
	t.Parallel()
	r := caddyRig(t)
	for _, line := range []string{"PUT /api", "POST /auth/nope", "POST /auth/phone", "GET /auth/verify", "PUT /auth/login"} {
		for _, field := range []string{"X-Without: token", bearer("a.b.c")} {
			conn := dial(t, r.addr["main"])
			head := raw(line, "Host: site.test", "Content-Length: 1073741824", field)
			if _, err := io.WriteString(conn, head+strings.Repeat("x", 300<<10)); err != nil && !isClosed(err) {
				t.Fatal(err)
			}
			a, err := readAnswer(bufio.NewReader(conn), "GET")
			if err != nil || a.status < 400 {
				t.Errorf("%s: got %d %v, want a refusal", line, a.status, err)
			}
		}
		method, path, _ := strings.Cut(line, " ")
		c := dialH2(t, r.addr["main"])
		c.headers(t, 0, withPseudo("", []string{":method: " + method, ":path: " + path, "content-length: 1073741824"})...)
		if a := c.answer(t); a.status < 400 {
			t.Errorf("%s over HTTP/2: got %d, want a refusal", line, a.status)
		}
	}
}

// The sidecar's own routes stop at their limit, announced or not.
// Threats: T83.
func TestOwnRoutesLimitTheirBodies(t *testing.T) {
	t.Parallel()
	r := caddyRig(t)
	alice := r.login(t, "main")
	body := strings.Repeat("x", 65537)
	for _, line := range []string{"POST /auth/login", "POST /auth/phone"} {
		for _, request := range []string{
			raw(line, bearer(alice.token), "Content-Length: 65537") + body,
			raw(line, bearer(alice.token), "Content-Length: 1073741824") + body + body + body + body + body,
			raw(line, bearer(alice.token), "Transfer-Encoding: chunked") + "10001\r\n" + body + "\r\n0\r\n\r\n",
		} {
			wantRefused(t, r.exchange(t, "main", request), 413, "payload_too_large")
		}
	}
}
