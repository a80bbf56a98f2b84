// Request smuggling, pipelining and old versions of HTTP.

package attack_test

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
)

// Request smuggling: two readers of one byte stream must not see different requests. Whatever a
// client writes, each request that reaches the upstream went through the guard.

// lastRequest has the server close the connection if it is still in step with the client.
const lastRequest = "GET /public/last HTTP/1.1\r\nHost: site.test\r\nConnection: close\r\n\r\n"

// pipeline writes bytes over one connection, then lastRequest, and returns the answers until the
// server closes. Where the server waits for more of a broken body, it does not for long.
func (r *rig) pipeline(t *testing.T, site string, requests ...string) (answers []answer) {
	t.Helper()
	conn := dial(t, r.addr[site])
	if _, err := io.WriteString(conn, strings.Join(requests, "")+lastRequest); err != nil && !isClosed(err) {
		t.Fatal(err)
	}
	if err := conn.SetReadDeadline(time.Now().Add(2 * time.Second)); err != nil {
		t.Fatal(err)
	}
	br := bufio.NewReader(conn)
	for {
		a, err := readAnswer(br, "GET")
		if err != nil {
			return answers
		}
		answers = append(answers, a)
	}
}

func TestPipelinedRequestsAreGuardedOneByOne(t *testing.T) {
	t.Parallel()
	r := caddyRig(t)
	alice := r.login(t, "main")
	id := func(n int) string { return fmt.Sprintf("%s: p%d-%s", caseHeader, n, alice.OpenID) }
	get := func(n int, path string, fields ...string) string {
		return raw("GET "+path, append(fields, "Host: site.test", id(n))...)
	}
	answers := r.pipeline(t, "main",
		get(1, "/api", bearer(alice.token)),
		get(2, "/api"),
		get(3, "/public/x", bearer(alice.token)),
		get(4, "/api", "X-WX-OPENID: "+alice.OpenID),
		get(5, "/optional/x"),
		get(6, "/api", bearer(alice.token)),
	)
	if len(answers) != 7 {
		t.Fatalf("got %d answers, want 7", len(answers))
	}
	for i, tt := range []struct {
		status   int
		identity map[string][]string
	}{
		{200, rigIdentity(alice)}, {401, nil}, {200, map[string][]string{}}, {401, nil}, {200, map[string][]string{}}, {200, rigIdentity(alice)},
	} {
		reached := r.upstream.requests(strings.TrimPrefix(id(i+1), caseHeader+": "))
		if answers[i].status != tt.status || len(reached) > 0 != (tt.status == 200) {
			t.Errorf("request %d: got %d with %d upstream, want %d", i+1, answers[i].status, len(reached), tt.status)
			continue
		}
		if len(reached) == 1 {
			wantIdentity(t, reached[0], tt.identity)
		}
	}
}

// Threats: C39.
func TestSmuggledRequestsMeetTheGuard(t *testing.T) {
	t.Parallel()
	r := caddyRig(t)
	for i, tt := range []struct {
		name   string
		fields []string
		body   func(inner string) string
	}{
		{"body of GET", []string{"Content-Length: $"}, func(inner string) string { return inner }},
		{"CL.TE", []string{"Content-Length: $", "Transfer-Encoding: chunked"}, func(inner string) string { return "0\r\n\r\n" + inner }},
		{"TE.CL", []string{"Transfer-Encoding: chunked", "Content-Length: 4"}, func(inner string) string {
			return fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(inner), inner)
		}},
		{"TE.TE", []string{"Transfer-Encoding: chunked", "Transfer-Encoding: cow", "Content-Length: $"}, func(inner string) string { return "0\r\n\r\n" + inner }},
		{"tab before chunked", []string{"Transfer-Encoding:\tchunked", "Content-Length: $"}, func(inner string) string { return "0\r\n\r\n" + inner }},
		{"vertical tab", []string{"Transfer-Encoding: \vchunked", "Content-Length: $"}, func(inner string) string { return "0\r\n\r\n" + inner }},
		{"folded", []string{"Transfer-Encoding:", " chunked", "Content-Length: $"}, func(inner string) string { return "0\r\n\r\n" + inner }},
		{"two lengths", []string{"Content-Length: 0", "Content-Length: $"}, func(inner string) string { return inner }},
		{"length list", []string{"Content-Length: 0, $"}, func(inner string) string { return inner }},
		{"length zero", []string{"Content-Length: 0"}, func(inner string) string { return inner }},
		{"length plus", []string{"Content-Length: +$"}, func(inner string) string { return inner }},
		{"length in octal", []string{"Content-Length: 0000$"}, func(inner string) string { return inner }},
		{"length with underscore", []string{"Content_Length: $"}, func(inner string) string { return inner }},
		{"chunk size overflow", []string{"Transfer-Encoding: chunked"}, func(inner string) string { return "10000000000000000\r\n" + inner }},
		{"chunk size negative", []string{"Transfer-Encoding: chunked"}, func(inner string) string { return "-1\r\n\r\n" + inner }},
		{"chunk extension with bare LF", []string{"Transfer-Encoding: chunked"}, func(inner string) string { return "0;a\n\r\n" + inner }},
		{"chunk without CRLF", []string{"Transfer-Encoding: chunked"}, func(inner string) string { return "1\r\naXX0\r\n\r\n" + inner }},
		{"trailer section", []string{"Transfer-Encoding: chunked", "Trailer: X-Sum"}, func(inner string) string { return "0\r\n" + inner }},
		{"Expect", []string{"Expect: 100-continue", "Content-Length: $"}, func(inner string) string { return inner }},
		{"Expect something else", []string{"Expect: x", "Content-Length: $"}, func(inner string) string { return inner }},
		{"Upgrade", []string{"Connection: Upgrade", "Upgrade: websocket", "Content-Length: $"}, func(inner string) string { return inner }},
		{"line folding into the next", []string{"X: a\r\n Host: evil\r\n\tb", "Content-Length: $"}, func(inner string) string { return inner }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			// The smuggled request claims to be somebody; wherever it ends up, the guard has to
			// have seen it.
			inner := "GET /api/smuggled HTTP/1.1\r\nHost: site.test\r\n" + fmt.Sprintf("%s: smuggled-%d", caseHeader, i) + "\r\nX-WX-OPENID: evil\r\n\r\n"
			outer := raw("POST /hooks/x", append([]string{"Host: site.test", fmt.Sprintf("%s: outer-%d", caseHeader, i)}, tt.fields...)...)
			r.pipeline(t, "main", strings.ReplaceAll(outer, "$", itoa(len(tt.body(inner))))+tt.body(inner))
			if got := r.upstream.requests(fmt.Sprintf("smuggled-%d", i)); len(got) > 0 {
				t.Errorf("the smuggled request reached the upstream: %v", got)
			}
			for _, w := range r.upstream.requests(fmt.Sprintf("outer-%d", i)) {
				wantIdentity(t, w, map[string][]string{})
			}
		})
	}
}

// A refusal does not leave the body of the refused request behind as the next request.
func TestRefusedBodiesAreNotReadAsRequests(t *testing.T) {
	t.Parallel()
	r := caddyRig(t)
	alice := r.login(t, "main")
	inner := raw("GET /api", "Host: site.test", bearer(alice.token), caseHeader+": inner-"+alice.OpenID)
	for _, line := range []string{"POST /api", "POST /auth/login", "POST /auth/nope", "GET /auth/verify", "PUT /auth/login", "POST /auth/phone", "TRACE /public/x"} {
		outer := raw(line, "Host: site.test", "Content-Length: "+itoa(len(inner)))
		answers := r.pipeline(t, "main", outer+inner)
		if len(answers) > 2 || len(answers) == 0 || answers[0].status == 200 {
			t.Errorf("%s: got %v, want a refusal and at most the answer to the last request", line, answers)
		}
	}
	if got := r.upstream.requests("inner-" + alice.OpenID); len(got) > 0 {
		t.Errorf("the body reached the upstream as a request: %v", got)
	}
}

// Versions before 1.1 and after it, and lines that are no HTTP.
func TestOldProtocols(t *testing.T) {
	t.Parallel()
	r := caddyRig(t)
	alice := r.login(t, "main")
	for _, request := range []string{
		"GET /api\r\n\r\n", "GET /public/x\r\n\r\n", "GET /public/x HTTP/0.9\r\n\r\n",
		"GET /public/x HTTP/2.0\r\nHost: a\r\n\r\n", "GET /public/x HTTP/1.1\r\n\r\n", "GET /public/x http/1.1\r\nHost: a\r\n\r\n",
		"GET /public/x HTTP/1.10\r\nHost: a\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", "\x16\x03\x01\x00\x05hello\r\n\r\n",
		"GET /public/x HTTP/1.1\r\nHost: a/b\r\n\r\n", "GET /public/x HTTP/1.1\r\nHost: ...\r\n\r\n", "GET /public/x HTTP/1.1\r\nHost:\r\n\r\n",
	} {
		request := strings.Replace(request, "\r\n", "\r\n"+caseHeader+": old-"+alice.OpenID+"\r\n", 1)
		if answers := r.pipeline(t, "main", request); len(answers) > 0 && answers[0].status < 400 {
			t.Errorf("%q: got %d, want a refusal", request, answers[0].status)
		}
	}
	if got := r.upstream.requests("old-" + alice.OpenID); len(got) > 0 {
		t.Errorf("reached the upstream: %v", got)
	}
	// HTTP/1.0 is alive: without Host, with a token.
	for _, tt := range []struct {
		fields []string
		status int
	}{{[]string{bearer(alice.token)}, 200}, {nil, 401}} {
		if a := r.pipeline(t, "main", raw("GET /api HTTP/1.0", tt.fields...)); len(a) != 1 || a[0].status != tt.status {
			t.Errorf("HTTP/1.0 with %d fields: got %v, want %d alone", len(tt.fields), a, tt.status)
		}
	}
}
