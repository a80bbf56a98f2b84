// WebSocket through the guard.

package attack_test

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
)

// wsLines are a WebSocket handshake.
var wsLines = []string{
	"Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", "Sec-WebSocket-Version: 13",
}

// A WebSocket stands behind the guard as everything else does.
// Threats: T90, C40.
func TestWebSocket(t *testing.T) {
	t.Parallel()
	r := caddyRig(t)
	alice := r.login(t, "main")
	for _, tt := range []struct {
		name, line string
		fields     []string
		status     int
		code       string
	}{
		{"no token", "GET /ws", nil, 401, "token_missing"},
		{"bad token", "GET /ws", []string{bearer("a.b.c")}, 401, "token_invalid"},
		{"spoofed", "GET /ws", []string{"X-WX-OPENID: evil", "Origin: https://servicewechat.com"}, 401, "token_missing"},
		{"token as a subprotocol", "GET /ws", []string{"Sec-WebSocket-Protocol: bearer, " + alice.token}, 401, "token_missing"},
		{"without phone", "GET /vip/ws", []string{bearer(alice.token)}, 403, "phone_required"},
		{"traversal", "GET /public/../ws", nil, 401, "token_missing"},
		{"own route", "GET /auth/login", []string{bearer(alice.token)}, 405, "method_not_allowed"},
		{"below the base path", "GET /auth/ws", []string{bearer(alice.token)}, 404, "not_found"},
		{"CONNECT", "CONNECT /ws", []string{bearer(alice.token)}, 405, "method_not_allowed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			wantRefused(t, r.exchange(t, "main", raw(tt.line, append(slices.Clone(wsLines), tt.fields...)...)), tt.status, tt.code)
		})
	}
	plain := rigIdentity(alice)
	delete(plain, "x-user") // which "main" adds
	for _, tt := range []struct {
		site, path string
		identity   map[string][]string
	}{
		{"main", "/ws", rigIdentity(alice)},
		{"main", "/optional/ws", rigIdentity(alice)},
		{"main", "/public/ws", map[string][]string{}},
		{"strip", "/public/ws", map[string][]string{}},
		{"strip", "/ws", plain}, // with cors
	} {
		t.Run("echo "+tt.site+strings.ReplaceAll(tt.path, "/", "∕"), func(t *testing.T) {
			t.Parallel()
			id := fmt.Sprintf("w%d", r.cases.Add(1))
			conn := dial(t, r.addr[tt.site])
			lines := append(slices.Clone(wsLines), bearer(alice.token), "X-WX-OPENID: evil", "Origin: "+page, "Host: site.test", caseHeader+": "+id)
			if _, err := io.WriteString(conn, raw("GET "+tt.path, lines...)); err != nil {
				t.Fatal(err)
			}
			br := bufio.NewReader(conn)
			if line, err := readLine(br); err != nil || !strings.HasPrefix(line, "HTTP/1.1 101") {
				t.Fatalf("got %q %v, want 101", line, err)
			}
			if _, err := readFieldLines(br); err != nil {
				t.Fatal(err)
			}
			// Each message goes there and back before the next is sent: nothing waits in a buffer.
			for i := range 100 {
				message := fmt.Sprintf("message %d %s\n", i, strings.Repeat("x", i*i))
				if _, err := io.WriteString(conn, message); err != nil {
					t.Fatal(err)
				}
				if echo, err := br.ReadString('\n'); err != nil || echo != message {
					t.Fatalf("message %d: got %.40q %v, want %.40q", i, echo, err, message)
				}
			}
			reached := r.upstream.requests(id)
			if len(reached) != 1 {
				t.Fatalf("got %d requests upstream, want one", len(reached))
			}
			wantIdentity(t, reached[0], tt.identity)
			if a := reached[0].get("Authorization"); (tt.site == "strip") != (len(a) == 0) {
				t.Errorf("Authorization upstream: got %q", a)
			}
		})
	}
}

// The WebSocket of HTTP/2 is an extended CONNECT (RFC 8441), which goes on as GET. Go's server
// speaks it only when told at start.
// Threats: T90.
func TestHTTP2WebSocket(t *testing.T) {
	t.Parallel()
	if !inChild(t, "GODEBUG=http2xconnect=1") {
		return
	}
	r := caddyRig(t)
	alice := r.login(t, "main")
	connect := []string{":method: CONNECT", ":protocol: websocket", "sec-websocket-version: 13"}
	for _, tt := range []struct {
		name   string
		fields []string
		status int
	}{
		{"no token", []string{":path: /ws"}, 401},
		{"spoofed", []string{":path: /ws", "x-wx-openid: evil"}, 401},
		{"bad token", []string{":path: /ws", h2Bearer("a.b.c")}, 401},
		{"without phone", []string{":path: /vip/ws", h2Bearer(alice.token)}, 403},
		{"traversal to what needs a phone", []string{":path: /public/../vip/ws", h2Bearer(alice.token)}, 403},
		{"public for other methods", []string{":path: /hooks/x"}, 401},
		{"traversal", []string{":path: /public/../ws"}, 401},
		{"another protocol", []string{":path: /public/x", ":protocol: connect-udp"}, 405},
		{"no protocol", []string{":path: /public/x", ":protocol: "}, 405},
		{"protocol in capitals", []string{":path: /public/x", ":protocol: WebSocket"}, 405},
		{"own route", []string{":path: /auth/login"}, 405},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a, reached := r.h2(t, "main", overridden(connect, tt.fields)...)
			if a.status != tt.status && a.status != 0 || len(reached) > 0 {
				t.Errorf("got %d %s with %v upstream, want %d", a.status, a.body, reached, tt.status)
			}
		})
	}
	t.Run("hijacked by a foreign page", func(t *testing.T) {
		t.Parallel()
		fields := []string{":path: /ws", "cookie: wxtoken=" + r.login(t, "cookie").token, "origin: https://evil.example"}
		a, reached := r.h2(t, "cookie", overridden(connect, fields)...)
		if a.status != 403 || !strings.Contains(string(a.body), `"cross_site"`) || len(reached) > 0 {
			t.Errorf("got %d %s with %v upstream, want 403 cross_site", a.status, a.body, reached)
		}
	})
	for path, identity := range map[string]map[string][]string{"/ws": rigIdentity(alice), "/public/ws": {}, "/get-only": {}} {
		t.Run("echo "+path, func(t *testing.T) {
			t.Parallel()
			id := fmt.Sprintf("x%d", r.cases.Add(1))
			c := dialH2(t, r.addr["main"])
			c.headers(t, 0, withPseudo(id, append(connect, ":path: "+path, "x-wx-openid: evil", h2Bearer(alice.token)))...)
			if status := h2Status(c.until(t, h2Headers)); status != 200 {
				t.Fatalf("got %d, want 200", status)
			}
			for i := range 10 {
				c.write(t, h2Data, 0, 1, fmt.Appendf(nil, "message %d", i))
				if echo, want := string(c.until(t, h2Data)), fmt.Sprintf("message %d", i); echo != want {
					t.Fatalf("got %q, want %q", echo, want)
				}
			}
			// The end goes there and back, too.
			c.write(t, h2Data, h2EndStream, 1, nil)
			if rest := c.answer(t); len(rest.body) > 0 {
				t.Errorf("after the end: got %q, want the end", rest.body)
			}
			reached := r.upstream.requests(id)
			if len(reached) != 1 || reached[0].method() != "GET" {
				t.Fatalf("got %v upstream, want one GET", reached)
			}
			wantIdentity(t, reached[0], identity)
		})
	}
}

// overridden is the fields without those that the others bring anew.
func overridden(fields, others []string) []string {
	return append(slices.DeleteFunc(slices.Clone(fields), func(f string) bool {
		return slices.ContainsFunc(others, func(o string) bool { return strings.HasPrefix(o, f[:strings.Index(f[1:], ":")+2]) })
	}), others...)
}

// until reads up to the next frame of a kind and returns its payload.
func (c *h2Conn) until(t *testing.T, want byte) []byte {
	t.Helper()
	for {
		kind, flags, payload, err := c.next(t)
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case kind == h2Settings && flags&h2Ack == 0:
			c.write(t, h2Settings, h2Ack, 0, nil)
		case kind == want && len(payload) > 0:
			return payload
		case kind == h2Reset, kind == h2GoAway:
			t.Fatalf("the server gave up: frame %d % x", kind, payload)
		}
	}
}
