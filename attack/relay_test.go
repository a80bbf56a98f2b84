// Calls of WeChat's API through a started Caddy, with a WeChat and a backend that misbehave.

package attack_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

func zipped(t *testing.T, text string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// Somebody between Caddy and WeChat answers as no server should. What the backend gets is whole, or
// visibly is not, and has none of the header that a client would act on.
func TestRelayOfHostileAnswers(t *testing.T) {
	t.Parallel()
	d := startRelayDoor(t, "")
	if d == nil {
		return
	}
	long := strings.Repeat("x", 50_000)
	zip := zipped(t, `{"errcode":0,"errmsg":"zipped"}`)
	for name, tt := range map[string]struct {
		raw    string
		status int
		body   string // "": whatever
		broken bool
	}{
		"a redirect":               {"HTTP/1.1 302 Found\r\nLocation: http://evil.example/\r\nContent-Length: 0\r\n\r\n", 502, "", false},
		"not modified":             {"HTTP/1.1 304 Not Modified\r\n\r\n", 502, "", false},
		"another protocol":         {"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\nraw", 502, "", false},
		"status 0":                 {"HTTP/1.1 000 Odd\r\nContent-Length: 2\r\n\r\n{}", 502, "", false},
		"no HTTP":                  {"hello\r\n\r\n", 502, "", false},
		"nothing":                  {"", 503, "", false},
		"hints before":             {"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", 200, "{}", false},
		"a body that can't be":     {"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", 204, "", false},
		"too short":                {"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello", 502, "", false},
		"too short, later":         {"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n" + long, 200, "", true},
		"a chunk missing":          {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", 502, "", false},
		"a chunk missing, later":   {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nc350\r\n" + long + "\r\n", 200, "", true},
		"a chunk of no size":       {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nc350\r\n" + long + "\r\nzz\r\n", 200, "", true},
		"chunks and a length":      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n2\r\n{}\r\n0\r\n\r\n", 200, "{}", false},
		"two lengths":              {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}x", 502, "", false},
		"a length below 0":         {"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\n{}", 502, "", false},
		"as long as it goes":       {"HTTP/1.1 200 OK\r\n\r\n" + long, 200, long, false},
		"NUL in a header":          {"HTTP/1.1 200 OK\r\nContent-Type: a\x00b\r\nContent-Length: 2\r\n\r\n{}", 502, "", false},
		"a header without end":     {"HTTP/1.1 200 OK\r\nX: " + strings.Repeat(long, 4), 502, "", false},
		"compressed":               {fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%s", len(zip), zip), 200, `{"errcode":0,"errmsg":"zipped"}`, false},
		"compressed and cut":       {"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + zip[:20], 502, "", false},
		"compressed in a new way":  {"HTTP/1.1 200 OK\r\nContent-Encoding: br\r\nContent-Length: 2\r\n\r\n{}", 502, "", false},
		"an error of its own":      {"HTTP/1.1 500 Oops\r\nContent-Length: 2\r\n\r\n{}", 500, "{}", false},
		"trailers that set things": {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: Set-Cookie\r\n\r\n2\r\n{}\r\n0\r\nSet-Cookie: a=b\r\n\r\n", 200, "{}", false},
		"headers that do things": {"HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nAccess-Control-Allow-Origin: *\r\nX-Wx-Openid: x\r\nConnection: X-Hop\r\nX-Hop: 1\r\nRefresh: 0\r\n" +
			"Alt-Svc: h3=\":1\"\r\nStrict-Transport-Security: max-age=1\r\nWWW-Authenticate: Basic\r\nLocation: /x\r\nContent-Length: 2\r\n\r\n{}", 200, "{}", false},
	} {
		path := "/wxa/" + strings.Map(func(r rune) rune {
			if r < 'a' || 'z' < r {
				return '_'
			}
			return r
		}, strings.ToLower(name))
		d.api.raw(path, tt.raw)
		for _, method := range []string{"POST", "GET"} {
			// A GET is sent again when it meets the connection that the last answer left behind.
			d.wechat("GET", "/wxa/fine", "")
			got := d.wechat(method, path, "")
			if got.status != tt.status || got.whole == tt.broken || tt.body != "" && got.body != tt.body {
				t.Errorf("%s: %s: got %d, whole %t, %.80q, want %d, broken %t, %.80q", name, method, got.status, got.whole, got.body, tt.status, tt.broken, tt.body)
			}
			for field := range got.header {
				switch field {
				case "Cache-Control", "Content-Length", "Content-Type", "Date", "Server", "X-Content-Type-Options", "Retry-After", "Connection":
				default:
					t.Errorf("%s: %s: got header %s: %q, want none", name, method, field, got.header[field])
				}
			}
			if calls := d.api.called(path + "?"); method == "POST" && len(calls) != 1 {
				t.Errorf("%s: got %d calls, want 1", name, len(calls))
			}
		}
	}
	if log, err := os.ReadFile(d.log); err != nil || bytes.Contains(log, []byte("token-1")) || bytes.Contains(log, []byte(rigServiceSecret)) {
		t.Errorf("the log has the access token or the secret, error %v", err)
	}
}

// A WeChat that sends for ever, and uploads as large as they may be, cost no memory.
func TestRelayStreamsBothWays(t *testing.T) {
	t.Parallel()
	d := startRelayDoor(t, "")
	if d == nil {
		return
	}
	const down, up = 1 << 30, 60 << 20
	d.api.on("/wxa/down", func(conn net.Conn, _ *http.Request) {
		_, _ = fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n", down)
		_, _ = io.CopyN(conn, zeros{}, down)
	})
	d.api.on("/wxa/up", func(conn net.Conn, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		text := fmt.Sprintf(`{"got":%d,"length":%d}`, n, r.ContentLength)
		_, _ = fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", len(text), text)
	})
	client := &http.Client{Timeout: time.Minute}
	request := func(method, path string, body io.Reader, length int64) (int, int64, uint64, string) {
		r, err := http.NewRequestWithContext(t.Context(), method, "http://"+d.address+"/auth/service/api"+path, body)
		if err != nil {
			t.Fatal(err)
		}
		r.ContentLength = length
		r.Header.Set("Authorization", "Bearer "+rigServiceSecret)
		resp, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var start bytes.Buffer
		n, peak, err := swallow(io.TeeReader(resp.Body, &limited{&start}))
		if err != nil {
			t.Errorf("%s: %v", path, err)
		}
		return resp.StatusCode, n, peak, start.String()
	}
	var before runtime.MemStats
	runtime.ReadMemStats(&before)
	if status, n, peak, _ := request("GET", "/wxa/down", nil, 0); status != 200 || n != down || peak > before.HeapAlloc+(32<<20) {
		t.Errorf("down: got %d, %d bytes with a heap of %d, want 200, %d bytes with a heap of about %d", status, n, peak, down, before.HeapAlloc)
	}
	if status, _, _, text := request("POST", "/wxa/up", io.LimitReader(zeros{}, up), up); status != 200 || text != fmt.Sprintf(`{"got":%d,"length":%d}`, up, up) {
		t.Errorf("up: got %d %s, want 200 and %d bytes with their length", status, text, up)
	}
	// Whoever sends more than there may be is stopped.
	if status, _, _, _ := request("POST", "/wxa/up", io.LimitReader(zeros{}, 80<<20), -1); status != 413 {
		t.Errorf("80 MiB in chunks: got %d, want 413", status)
	}
	var after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&after)
	if after.HeapAlloc > before.HeapAlloc+(32<<20) {
		t.Errorf("afterwards: got a heap of %d, want about the %d from before", after.HeapAlloc, before.HeapAlloc)
	}
}

// limited keeps the first bytes of a stream.
type limited struct{ b *bytes.Buffer }

func (l *limited) Write(p []byte) (int, error) {
	if l.b.Len() < 1000 {
		l.b.Write(p)
	}
	return len(p), nil
}

// Backends that send slowly, read nothing and hang up: logins go on meanwhile, the places come back,
// and nothing is left of them. A reload breaks no stream.
func TestRelayOutlivesItsBackends(t *testing.T) {
	t.Parallel()
	d := startRelayDoor(t, "max_in_flight 8")
	if d == nil {
		return
	}
	session := `{"openid":"o-someone","session_key":"AAAAAAAAAAAAAAAAAAAAAA=="}`
	d.api.raw("/sns/jscode2session", fmt.Sprintf("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", len(session), session))
	d.api.on("/wxa/endless", func(conn net.Conn, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\n")
		for {
			if _, err := conn.Write(make([]byte, 32<<10)); err != nil {
				return
			}
		}
	})
	d.api.on("/wxa/silent", func(conn net.Conn, _ *http.Request) {
		_, _ = io.Copy(io.Discard, conn) // until the other side closes
	})
	login := func(what string) {
		t.Helper()
		if got := d.call("POST", "/auth/login", object("code", fmt.Sprintf("code-%d", time.Now().UnixNano()))); got.status != 200 {
			t.Errorf("a login %s: got %d %s, want 200", what, got.status, got.body)
		}
	}
	login("before")
	baseline := runtime.NumGoroutine()

	const api = "/auth/service/api"
	var held []net.Conn
	for range 12 {
		held = append(held,
			d.dial("POST", api+"/wxa/x", "Content-Length: 1000"),             // never sends
			d.dial("POST", api+"/cgi-bin/upload", "Content-Length: 9000000"), // likewise
			d.dial("GET", api+"/wxa/endless"),                                // never reads
			d.dial("GET", api+"/wxa/silent"),
		)
	}
	for range 20 {
		login("while backends hold what they can")
	}
	for _, conn := range held {
		_ = conn.Close()
	}
	eventually(t, "the calls of backends that hung up end", func() bool {
		return d.wechat("GET", "/wxa/fine", "").status == 200 && runtime.NumGoroutine() < baseline+20
	})

	// One reads on through a reload.
	stream := d.dial("GET", api+"/wxa/endless")
	if _, err := io.CopyN(io.Discard, stream, 1<<20); err != nil {
		t.Fatal(err)
	}
	if err := loadCaddyfile(strings.Replace(d.config, "respond ok", "respond ok2", 1)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.CopyN(io.Discard, stream, 8<<20); err != nil {
		t.Errorf("a stream through a reload: got %v, want it to go on", err)
	}
	login("after the reload")
	_ = stream.Close()
	eventually(t, "the stream ends", func() bool { return runtime.NumGoroutine() < baseline+20 })
}

// WeChat does not answer what it is asked about risks, and many users log in at once. Those who wait
// for it take half of the places; the others are not kept waiting, and all get in.
func TestRiskOutageKeepsNobodyOut(t *testing.T) {
	t.Parallel()
	d := startRelayDoor(t, "max_in_flight 4\nrisk deny 1")
	if d == nil {
		return
	}
	session := `{"openid":"o-someone","session_key":"AAAAAAAAAAAAAAAAAAAAAA=="}`
	d.api.raw("/sns/jscode2session", fmt.Sprintf("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", len(session), session))
	d.api.on("/wxa/getuserriskrank", func(conn net.Conn, _ *http.Request) { _, _ = io.Copy(io.Discard, conn) })
	for round := range 2 {
		first := make(chan relayed)
		for i := range 2 { // these wait for a rank, and take half of the places
			go func() { first <- d.call("POST", "/auth/login", object("code", fmt.Sprintf("waits-%d-%d", round, i))) }()
		}
		eventually(t, "both wait for a rank", func() bool { return len(d.api.called("/wxa/getuserriskrank")) == 2*(round+1) })
		for i := range 20 {
			if got := d.call("POST", "/auth/login", object("code", fmt.Sprintf("code-%d-%d", round, i))); got.status != 200 {
				t.Fatalf("a login meanwhile: got %d %s, want 200", got.status, got.body)
			}
		}
		for range 2 {
			if got := <-first; got.status != 200 {
				t.Errorf("a login that waited: got %d %s, want 200", got.status, got.body)
			}
		}
	}
}
