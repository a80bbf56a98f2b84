// A raw HTTP/2 client and the attacks that need one.

package attack_test

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
)

// The client sends any fields given: pseudo headers of any value, names in any case, trailers.
// It understands of the answer no more than status and body.

const (
	h2Data, h2Headers, h2Reset, h2Settings, h2Ping, h2GoAway = 0, 1, 3, 4, 6, 7

	h2EndStream, h2EndHeaders, h2Ack = 1, 4, 1
)

// h2Conn is a connection whose stream 1 is in use.
type h2Conn struct {
	conn net.Conn
	br   *bufio.Reader
}

func dialH2(t *testing.T, addr string) *h2Conn {
	t.Helper()
	c := &h2Conn{conn: dial(t, addr)}
	c.br = bufio.NewReader(c.conn)
	if _, err := io.WriteString(c.conn, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	c.write(t, h2Settings, 0, 0, nil)
	return c
}

func (c *h2Conn) write(t *testing.T, kind, flags byte, stream uint32, payload []byte) {
	t.Helper()
	frame := binary.BigEndian.AppendUint32(nil, uint32(len(payload))<<8|uint32(kind))
	frame = append(frame, flags)
	frame = binary.BigEndian.AppendUint32(frame, stream)
	if _, err := c.conn.Write(append(frame, payload...)); err != nil && !isClosed(err) {
		t.Fatal(err)
	}
}

// headers sends a field a string, "name: value"; the name may begin with a colon.
func (c *h2Conn) headers(t *testing.T, flags byte, fields ...string) {
	t.Helper()
	var block []byte
	for _, field := range fields {
		i := strings.Index(field[1:], ":") + 1
		block = append(block, 0) // literal, not indexed
		block = appendH2String(block, field[:i])
		block = appendH2String(block, strings.TrimPrefix(field[i+1:], " "))
	}
	c.write(t, h2Headers, flags|h2EndHeaders, 1, block)
}

func appendH2String(b []byte, s string) []byte {
	n := len(s)
	if n < 127 {
		return append(append(b, byte(n)), s...)
	}
	b = append(b, 127)
	for n -= 127; n >= 128; n >>= 7 {
		b = append(b, byte(n)|128)
	}
	return append(append(b, byte(n)), s...)
}

// h2Answer is status 0 when the server reset the stream or gave up the connection.
type h2Answer struct {
	status int
	body   []byte
}

func (c *h2Conn) next(t *testing.T) (kind, flags byte, payload []byte, err error) {
	t.Helper()
	var head [9]byte
	if _, err := io.ReadFull(c.br, head[:]); err != nil {
		return 0, 0, nil, err
	}
	payload = make([]byte, int(head[0])<<16|int(head[1])<<8|int(head[2]))
	_, err = io.ReadFull(c.br, payload)
	return head[3], head[4], payload, err
}

func (c *h2Conn) answer(t *testing.T) (a h2Answer) {
	t.Helper()
	for {
		kind, flags, payload, err := c.next(t)
		if err != nil {
			return a
		}
		switch kind {
		case h2Settings:
			if flags&h2Ack == 0 {
				c.write(t, h2Settings, h2Ack, 0, nil)
			}
		case h2Ping:
			if flags&h2Ack == 0 {
				c.write(t, h2Ping, h2Ack, 0, payload)
			}
		case h2Headers:
			if status := h2Status(payload); status >= 200 || status == 0 {
				a.status = status
			}
		case h2Data:
			a.body = append(a.body, payload...)
		case h2Reset, h2GoAway:
			return a
		}
		if (kind == h2Headers || kind == h2Data) && flags&h2EndStream != 0 {
			return a
		}
	}
}

// h2Status reads the first field of the first header block of a connection, which is :status: an
// entry of the static table, or three digits, in Huffman code where that is shorter.
func h2Status(block []byte) int {
	static := map[byte]int{0x88: 200, 0x89: 204, 0x8a: 206, 0x8b: 304, 0x8c: 400, 0x8d: 404, 0x8e: 500}
	if status, ok := static[block[0]]; ok {
		return status
	}
	text := block[2 : 2+int(block[1]&127)]
	if block[1]&128 == 0 {
		status, _ := strconv.Atoi(string(text))
		return status
	}
	status, bits, n := 0, 0, 0
	for i := 0; i < len(text)*8 && status < 100; i++ {
		bits, n = bits<<1|int(text[i/8]>>(7-i%8)&1), n+1
		switch {
		case n == 5 && bits < 3: // 0, 1, 2
			status, bits, n = status*10+bits, 0, 0
		case n == 6: // 3 to 9
			status, bits, n = status*10+bits-0x19+3, 0, 0
		}
	}
	return status
}

// h2 sends one request on a connection of its own. Method, scheme, authority and path are added
// unless a field overrides them; an override without value leaves the field out.
func (r *rig) h2(t *testing.T, site string, fields ...string) (h2Answer, []wireRequest) {
	t.Helper()
	id := fmt.Sprintf("h%d", r.cases.Add(1))
	c := dialH2(t, r.addr[site])
	c.headers(t, h2EndStream, withPseudo(id, fields)...)
	return c.answer(t), r.upstream.requests(id)
}

func withPseudo(id string, fields []string) []string {
	var head []string
	for _, pseudo := range []string{":method: GET", ":scheme: http", ":authority: site.test", ":path: /api"} {
		name := pseudo[:strings.Index(pseudo[1:], ":")+1]
		for _, f := range fields {
			if strings.HasPrefix(f, name+":") {
				pseudo = ""
			}
		}
		if pseudo != "" {
			head = append(head, pseudo)
		}
	}
	for _, f := range fields {
		if strings.HasPrefix(f, ":") && !strings.HasSuffix(f, ": -") {
			head = append(head, f)
		}
	}
	head = append(head, strings.ToLower(caseHeader)+": "+id)
	for _, f := range fields {
		if !strings.HasPrefix(f, ":") {
			head = append(head, f)
		}
	}
	return head
}

func h2Bearer(token string) string { return "authorization: Bearer " + token }

// The same identity attacks over HTTP/2, where names are lower case on the wire.
// Threats: T01, T02, T03.
func TestHTTP2CannotSpoofIdentity(t *testing.T) {
	t.Parallel()
	r := caddyRig(t)
	alice := r.login(t, "main")
	for _, spoof := range [][]string{
		{"x-wx-openid: evil"},
		{"x-wx-openid: evil", "x-wx-openid: evil2"},
		{"x-wx-openid: ", "x-wx-openid: evil"},
		{"x-wx-phone: 13900139000", "x-wx-unionid: evil", "x-wx-from-openid: evil"},
		{"x_wx_openid: evil", "x.wx.openid: evil", "x-wx_openid: evil"},
		{"x-user: evil", "x_user: evil", "x-nick: evil"},
		{"te: trailers", "x-wx-openid: evil"},
		{"cookie: a=1", "cookie: x-wx-openid=evil", "x-wx-openid: evil"},
	} {
		t.Run(fmt.Sprint(spoof), func(t *testing.T) {
			t.Parallel()
			a, reached := r.h2(t, "main", append(spoof, h2Bearer(alice.token))...)
			if a.status != 200 || len(reached) != 1 {
				t.Fatalf("got %d %s with %d requests upstream, want 200 with one", a.status, a.body, len(reached))
			}
			wantIdentity(t, reached[0], rigIdentity(alice))
			a, reached = r.h2(t, "main", append(spoof, ":path: /public/x")...)
			if a.status != 200 || len(reached) != 1 {
				t.Fatalf("got %d %s with %d requests upstream, want 200 with one", a.status, a.body, len(reached))
			}
			wantIdentity(t, reached[0], map[string][]string{})
			if a, reached = r.h2(t, "main", spoof...); a.status != 401 || len(reached) > 0 {
				t.Errorf("without token: got %d with %d requests upstream, want 401 with none", a.status, len(reached))
			}
		})
	}
}

// What HTTP/2 forbids is reset by Go's server; nothing of it reaches the upstream.
// Threats: C39.
func TestHTTP2Malformed(t *testing.T) {
	t.Parallel()
	r := caddyRig(t)
	alice := r.login(t, "main")
	for _, fields := range [][]string{
		{"connection: x-wx-openid"},
		{"connection: close"},
		{"te: x"},
		{"transfer-encoding: chunked"},
		{"upgrade: websocket"},
		{"keep-alive: x"},
		{"proxy-connection: x"},
		{"X-WX-OPENID: evil"},
		{"x-other: a\r\nx-wx-openid: evil"},
		{"x-other: a\nb"},
		{"x-other: a\x00b"},
		{"x wx openid: evil"},
		{":path: public/x"},
		{":path: "},
		{":path: -"},
		{":path: ?x"},
		{":path: /a", ":path: /public/x"},
		{":method: G T"},
		{":method: "},
		{":method: -"},
		{":scheme: -"},
		{":unknown: x"},
		{":status: 200"},
		{":protocol: websocket"},
		{"host: other.test"},
		{":authority: a b"},
		{":method: CONNECT"},
		{":method: CONNECT", ":path: /public/x"},
		{":method: CONNECT", ":path: -", ":scheme: -"},
		{":method: CONNECT", ":path: /public/x", ":protocol: connect-udp"},
	} {
		t.Run(strings.ReplaceAll(fmt.Sprintf("%q", fields), "/", "∕"), func(t *testing.T) {
			t.Parallel()
			for _, more := range [][]string{{}, {h2Bearer(alice.token)}} {
				a, reached := r.h2(t, "main", append(more, fields...)...)
				if a.status != 0 && a.status < 400 || len(reached) > 0 {
					t.Errorf("got %d %s with %v upstream, want a reset or a refusal with nothing", a.status, a.body, reached)
				}
			}
		})
	}
}

// The path attacks in :path.
// Threats: T15, T16, T18, T20.
func TestHTTP2PathsAreClosed(t *testing.T) {
	t.Parallel()
	r := caddyRig(t)
	alice := r.login(t, "main")
	for _, target := range append(protectedTargets, "*", "x:/public/../x", "x:open", "http://site.test/api", "//site.test/public/x", "http://site.test") {
		t.Run(strings.ReplaceAll(target, "/", "∕"), func(t *testing.T) {
			t.Parallel()
			a, reached := r.h2(t, "main", ":path: "+target)
			if a.status != 401 && a.status != 400 && a.status != 404 && a.status != 0 || len(reached) > 0 {
				t.Errorf("got %d %s with %v upstream, want 401, 400 or a reset", a.status, a.body, reached)
			}
		})
	}
	for _, target := range vipTargets {
		if target[0] != '/' {
			continue // Go's server resets what has a scheme
		}
		t.Run(strings.ReplaceAll(target, "/", "∕"), func(t *testing.T) {
			t.Parallel()
			a, reached := r.h2(t, "main", ":path: "+target, h2Bearer(alice.token))
			if a.status != 403 || !bytes.Contains(a.body, []byte("phone_required")) || len(reached) > 0 {
				t.Errorf("got %d %s with %v upstream, want 403 phone_required", a.status, a.body, reached)
			}
		})
	}
	if a, reached := r.h2(t, "main", ":path: /public/x"); a.status != 200 || len(reached) != 1 {
		t.Errorf("control: got %d with %d requests upstream, want 200 with one", a.status, len(reached))
	}
}

// Two tokens are two in HTTP/2 as well, and crumbs of cookies are joined before they are read.
// Threats: T48, C27.
func TestHTTP2Tokens(t *testing.T) {
	t.Parallel()
	r := caddyRig(t)
	alice := r.login(t, "main")
	for _, tt := range []struct {
		site   string
		fields []string
		status int
	}{
		{"main", []string{h2Bearer(alice.token)}, 200},
		{"main", []string{"authorization: bearer " + alice.token}, 200},
		{"main", []string{h2Bearer(alice.token), h2Bearer(alice.token)}, 400},
		{"main", []string{"authorization: ", h2Bearer(alice.token)}, 400},
		{"main", []string{h2Bearer(alice.token + "x")}, 401},
		{"main", []string{"cookie: wxtoken=" + alice.token}, 401},
		{"cookie", []string{"cookie: a=1", "cookie: wxtoken=" + alice.token, "cookie: b=2"}, 200},
		{"cookie", []string{"cookie: wxtoken=" + alice.token, "cookie: wxtoken=" + alice.token}, 400},
		{"query", []string{":path: /api?access_token=" + alice.token}, 200},
		{"query", []string{":path: /api?access_token=" + alice.token, h2Bearer(alice.token)}, 400},
	} {
		a, reached := r.h2(t, tt.site, tt.fields...)
		if a.status != tt.status || len(reached) > 0 != (tt.status == 200) {
			t.Errorf("%s %.60q: got %d %s with %d requests upstream, want %d", tt.site, tt.fields, a.status, a.body, len(reached), tt.status)
		}
		for _, r := range reached {
			if tt.site != "main" && strings.Contains(fmt.Sprint(r), alice.token) {
				t.Errorf("%s %.60q: the token reached the upstream", tt.site, tt.fields)
			}
		}
	}
}

// Trailers of HTTP/2: Go's server takes only announced ones, and the announcement is stripped.
func TestHTTP2TrailersCannotCarryIdentity(t *testing.T) {
	t.Parallel()
	r := caddyRig(t)
	alice := r.login(t, "main")
	for _, announced := range []string{"x-wx-openid", "x-sum", "x-sum, x-wx-openid", "X-WX-OPENID", "x-user", ""} {
		t.Run(announced, func(t *testing.T) {
			t.Parallel()
			id := fmt.Sprintf("t%d", r.cases.Add(1))
			c := dialH2(t, r.addr["main"])
			fields := []string{":method: POST", h2Bearer(alice.token)}
			if announced != "" {
				fields = append(fields, "trailer: "+announced)
			}
			c.headers(t, 0, withPseudo(id, fields)...)
			c.write(t, h2Data, 0, 1, []byte("hello"))
			c.headers(t, h2EndStream, "x-wx-openid: evil", "x-user: evil", "x-sum: 1")
			a, reached := c.answer(t), r.upstream.requests(id)
			if a.status != 200 || len(reached) != 1 {
				t.Fatalf("got %d %s with %d requests upstream, want 200 with one", a.status, a.body, len(reached))
			}
			wantIdentity(t, reached[0], rigIdentity(alice))
		})
	}
}

// A crowd of header lines makes servers behind drop the last, which are the user's. Browsers send a
// line for each cookie over HTTP/2, and these are no crowd: they go on as one.
func TestHTTP2CookiesAreNoCrowd(t *testing.T) {
	t.Parallel()
	r := caddyRig(t)
	alice := r.login(t, "main")
	for _, tt := range []struct {
		line   string
		status int
	}{{"cookie: c%d=x", 200}, {"x-a: %d", 431}, {"x-a-%d: x", 431}} {
		fields := []string{h2Bearer(alice.token)}
		for i := range 200 {
			fields = append(fields, fmt.Sprintf(tt.line, i))
		}
		got, reached := r.h2(t, "main", fields...)
		if got.status != tt.status || (len(reached) > 0) != (tt.status == 200) {
			t.Errorf("200 lines %s: got %d with %d requests upstream, want %d", tt.line, got.status, len(reached), tt.status)
		}
	}
}
