// Raw HTTP/1 requests, byte for byte.

package attack_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/textproto"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// caseHeader carries the id by which the upstream's record of a request is found again.
const caseHeader = "X-Case"

// wire is an upstream below net/http: it records requests as the bytes that came, for what Go's
// server would show of them is already folded, joined and decoded.
type wire struct {
	addr  string
	close func()

	mu     sync.Mutex
	byCase map[string][]wireRequest
}

// wireRequest is a request as it came.
type wireRequest struct {
	line     string
	fields   []wireField
	body     string
	trailers []wireField
}

type wireField struct{ name, value string }

func (r wireRequest) method() string { return strings.SplitN(r.line, " ", 2)[0] }
func (r wireRequest) target() string { return strings.Split(r.line+"  ", " ")[1] }

// get returns all values of a field, in the order they came.
func (r wireRequest) get(name string) (values []string) {
	for _, f := range r.fields {
		if strings.EqualFold(f.name, name) {
			values = append(values, f.value)
		}
	}
	return values
}

func (r wireRequest) String() string {
	return fmt.Sprintf("%s %q body %q trailers %q", r.line, r.fields, r.body, r.trailers)
}

func listenWire() (*wire, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	open, stop := context.WithCancel(context.Background())
	context.AfterFunc(open, func() { _ = ln.Close() })
	u := &wire{addr: ln.Addr().String(), close: stop, byCase: map[string][]wireRequest{}}
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			context.AfterFunc(open, func() { _ = conn.Close() })
			go u.serve(conn)
		}
	}()
	return u, nil
}

// requests returns what reached the upstream of one case; "" stands for requests without a case.
func (u *wire) requests(id string) []wireRequest {
	u.mu.Lock()
	defer u.mu.Unlock()
	return append([]wireRequest(nil), u.byCase[id]...)
}

func (u *wire) record(r wireRequest) {
	id := strings.Join(r.get(caseHeader), "+")
	u.mu.Lock()
	defer u.mu.Unlock()
	u.byCase[id] = append(u.byCase[id], r)
}

func (u *wire) serve(conn net.Conn) {
	defer conn.Close()
	br := bufio.NewReader(conn)
	for {
		r, err := u.read(br, conn)
		if err != nil {
			return
		}
		u.record(r)
		if up := r.get("Upgrade"); len(up) > 0 {
			_, _ = fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n", up[0])
			_, _ = io.Copy(conn, br) // an echo, until the client leaves
			return
		}
		body := "upstream"
		if r.method() == http.MethodHead {
			body = ""
		}
		if _, err := io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 8\r\nX-Upstream: yes\r\n\r\n"+body); err != nil {
			return
		}
	}
}

func (u *wire) read(br *bufio.Reader, w io.Writer) (r wireRequest, err error) {
	if r.line, err = readLine(br); err != nil {
		return r, err
	}
	if r.fields, err = readFieldLines(br); err != nil {
		return r, err
	}
	if len(r.get("Expect")) > 0 {
		if _, err := io.WriteString(w, "HTTP/1.1 100 Continue\r\n\r\n"); err != nil {
			return r, err
		}
	}
	switch length := r.get("Content-Length"); {
	case len(r.get("Transfer-Encoding")) > 0:
		r.body, err = readChunks(br)
		if err == nil {
			r.trailers, err = readFieldLines(br)
		}
	case len(length) > 0:
		n, _ := strconv.Atoi(length[0])
		body := make([]byte, n)
		_, err = io.ReadFull(br, body)
		r.body = string(body)
	}
	return r, err
}

func readLine(br *bufio.Reader) (string, error) {
	line, err := br.ReadString('\n')
	return strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r"), err
}

// readFieldLines reads lines up to an empty one.
func readFieldLines(br *bufio.Reader) (fields []wireField, err error) {
	for {
		line, err := readLine(br)
		if err != nil || line == "" {
			return fields, err
		}
		name, value, _ := strings.Cut(line, ":")
		fields = append(fields, wireField{name, textproto.TrimString(value)})
	}
}

func readChunks(br *bufio.Reader) (string, error) {
	var body strings.Builder
	for {
		line, err := readLine(br)
		if err != nil {
			return "", err
		}
		size, err := strconv.ParseInt(line, 16, 32)
		if err != nil {
			return "", err
		}
		if size == 0 {
			return body.String(), nil
		}
		if _, err := io.CopyN(&body, br, size); err != nil {
			return "", err
		}
		if _, err := readLine(br); err != nil {
			return "", err
		}
	}
}

// reply is the answer to a raw request, with the requests that reached the upstream.
type reply struct {
	answer
	reached []wireRequest
}

// raw writes a request out of its lines. What stands after it is the body.
func raw(line string, fields ...string) string {
	if !strings.HasSuffix(line, " HTTP/1.1") && !strings.HasSuffix(line, " HTTP/1.0") {
		line += " HTTP/1.1"
	}
	return strings.Join(append([]string{line}, fields...), "\r\n") + "\r\n\r\n"
}

// bearer is the header line of a token.
func bearer(token string) string { return "Authorization: Bearer " + token }

// exchange sends a raw request over a connection of its own. Host and the case's id are added
// behind the request line unless the request brings its own Host.
func (r *rig) exchange(t *testing.T, site, request string) reply {
	t.Helper()
	id := fmt.Sprintf("c%d", r.cases.Add(1))
	line, rest, _ := strings.Cut(request, "\r\n")
	head := line + "\r\n" + caseHeader + ": " + id + "\r\n"
	if !strings.Contains("\n"+strings.ToLower(rest), "\nhost:") {
		head += "Host: site.test\r\n"
	}
	conn := dial(t, r.addr[site])
	// A server that refuses may close before it has read everything.
	if _, err := io.WriteString(conn, head+rest); err != nil && !isClosed(err) {
		t.Fatalf("writing: %v", err)
	}
	method, _, _ := strings.Cut(line, " ")
	a, err := readAnswer(bufio.NewReader(conn), method)
	if err != nil {
		t.Fatalf("no answer to %.200q: %v", request, err)
	}
	return reply{a, r.upstream.requests(id)}
}

func dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	var d net.Dialer
	conn, err := d.DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return conn
}

func isClosed(err error) bool {
	var op *net.OpError
	return errors.As(err, &op)
}

func readAnswer(br *bufio.Reader, method string) (answer, error) {
	resp, err := http.ReadResponse(br, &http.Request{Method: method})
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, body}, err
}

// wantRefused checks that a request was answered with a status and an error code, and that the
// upstream never heard of it.
func wantRefused(t *testing.T, got reply, status int, code string) {
	t.Helper()
	if got.status != status || code != "" && got.text("error") != code {
		t.Errorf("got %d %s, want %d %q", got.status, got.body, status, code)
	}
	if len(got.reached) > 0 {
		t.Errorf("reached the upstream as %v, want not at all", got.reached)
	}
}

// wantForwarded checks that a request reached the upstream exactly once, and returns it as it came.
func wantForwarded(t *testing.T, got reply) wireRequest {
	t.Helper()
	if got.status != 200 && got.status != 101 || len(got.reached) != 1 {
		t.Fatalf("got %d %.300s with %d requests upstream, want 200 with one", got.status, got.body, len(got.reached))
	}
	return got.reached[0]
}

func itoa(n int) string { return strconv.Itoa(n) }
