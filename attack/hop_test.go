// Hop-by-hop headers and trailers.

package attack_test

import (
	"slices"
	"strings"
	"testing"
)

// GHSA-w9mr-28mw-j8hg, CVE-2024-45410, CVE-2026-29054: a client names the identity header in
// Connection, and the reverse proxy drops what the handler has just set. Without an openid the
// backend would serve the request as that of a trusted service, or of nobody.
// Threats: T08.
func TestConnectionCannotDropIdentity(t *testing.T) {
	t.Parallel()
	r := caddyRig(t)
	alice := r.login(t, "main")
	for _, tt := range []struct {
		name  string
		lines []string
	}{
		{"close first", []string{"Connection: close, X-WX-OPENID"}},
		{"name first", []string{"Connection: X-WX-OPENID, close"}},
		{"alone", []string{"Connection: X-WX-OPENID"}},
		{"lower case (CVE-2026-29054)", []string{"Connection: close, x-wx-openid"}},
		{"upper case field", []string{"CONNECTION: CLOSE, X-WX-OPENID"}},
		{"lower case field", []string{"connection: x-wx-openid"}},
		{"canonical", []string{"Connection: X-Wx-Openid"}},
		{"all of them", []string{"Connection: X-WX-OPENID,X-WX-APPID,X-WX-UNIONID,X-WX-SOURCE,X-WX-PHONE,X-User,X-Nick"}},
		{"configured name", []string{"Connection: x-user"}},
		{"two lines", []string{"Connection: keep-alive", "Connection: X-WX-OPENID"}},
		{"two lines, other order", []string{"Connection: X-WX-OPENID", "Connection: keep-alive"}},
		{"many lines", slices.Repeat([]string{"Connection: X-WX-OPENID"}, 100)},
		{"many names", []string{"Connection: " + strings.Repeat("a, ", 2000) + "X-WX-OPENID"}},
		{"empty elements", []string{"Connection: ,, ,X-WX-OPENID,,"}},
		{"tabs", []string{"Connection: close,\tX-WX-OPENID\t"}},
		{"no spaces", []string{"Connection:close,X-WX-OPENID"}},
		{"no-break space", []string{"Connection: close,\u00a0X-WX-OPENID"}},
		{"next line character", []string{"Connection: close,\u0085X-WX-OPENID"}},
		{"quoted", []string{`Connection: close, "X-WX-OPENID"`}},
		{"parameter", []string{"Connection: X-WX-OPENID;q=1"}},
		{"folded", []string{"Connection: close,", " X-WX-OPENID"}},
		{"underscores", []string{"Connection: X_WX_OPENID"}},
		{"Proxy-Connection", []string{"Proxy-Connection: X-WX-OPENID"}},
		{"Keep-Alive", []string{"Keep-Alive: X-WX-OPENID", "Connection: keep-alive"}},
		{"TE", []string{"TE: trailers, X-WX-OPENID", "Connection: TE"}},
		{"Upgrade named as identity", []string{"Upgrade: X-WX-OPENID"}},
		{"Connection of Connection", []string{"Connection: Connection, X-WX-OPENID"}},
		{"spoof and drop", []string{"X-WX-OPENID: evil", "Connection: X-WX-OPENID"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := wantForwarded(t, r.exchange(t, "main", raw("GET /api", append(tt.lines, bearer(alice.token))...)))
			wantIdentity(t, got, rigIdentity(alice))
			got = wantForwarded(t, r.exchange(t, "main", raw("GET /optional/x", append(tt.lines, bearer(alice.token))...)))
			wantIdentity(t, got, rigIdentity(alice))
			wantRefused(t, r.exchange(t, "main", raw("GET /api", tt.lines...)), 401, "token_missing")
		})
	}
}

// The same while the connection really is upgraded, where Connection must keep a part of its value.
// Threats: T08.
func TestConnectionCannotDropIdentityFromAnUpgrade(t *testing.T) {
	t.Parallel()
	r := caddyRig(t)
	alice := r.login(t, "main")
	for _, lines := range [][]string{
		{"Connection: Upgrade"},
		{"Connection: upgrade, x-wx-openid"},
		{"Connection: X-WX-OPENID, Upgrade"},
		{"Connection: X-WX-OPENID", "Connection: keep-alive, Upgrade"},
		{"Connection: Upgrade", "Connection: X-WX-OPENID, x-user"},
	} {
		t.Run(strings.Join(lines, "|"), func(t *testing.T) {
			t.Parallel()
			lines := append(lines, "Upgrade: websocket", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", "Sec-WebSocket-Version: 13")
			wantRefused(t, r.exchange(t, "main", raw("GET /ws", lines...)), 401, "token_missing")
			got := r.exchange(t, "main", raw("GET /ws", append(lines, bearer(alice.token))...))
			if got.status != 101 || len(got.reached) != 1 {
				t.Fatalf("got %d with %d requests upstream, want 101 with one", got.status, len(got.reached))
			}
			wantIdentity(t, got.reached[0], rigIdentity(alice))
			if c := got.reached[0].get("Connection"); !slices.Equal(c, []string{"Upgrade"}) {
				t.Errorf("Connection upstream: got %q, want Upgrade", c)
			}
		})
	}
}

// A client that gives up its Authorization header on the way to the upstream harms nobody else.
func TestConnectionMayDropTheClientsOwnHeaders(t *testing.T) {
	t.Parallel()
	r := caddyRig(t)
	alice := r.login(t, "main")
	got := wantForwarded(t, r.exchange(t, "main", raw("GET /api", "Connection: Authorization, X-Own", "X-Own: 1", bearer(alice.token))))
	wantIdentity(t, got, rigIdentity(alice))
	if a := got.get("Authorization"); len(a) > 0 {
		t.Errorf("Authorization upstream: got %q, want none", a)
	}
}

// chunked is a request whose body of one chunk ends with the given trailers.
func chunked(line string, fields, trailers []string) string {
	return raw(line, append(slices.Clone(fields), "Transfer-Encoding: chunked")...) +
		"5\r\nhello\r\n0\r\n" + strings.Join(append(slices.Clone(trailers), "", ""), "\r\n")
}

// Trailers are header fields that arrive late: servers that merge them into the header (Node's
// rawTrailers users, gRPC gateways, some CGI bridges) would see an identity that came past the
// strip.
func TestTrailersCannotCarryIdentity(t *testing.T) {
	t.Parallel()
	r := caddyRig(t)
	alice := r.login(t, "main")
	for _, tt := range trailerAttacks {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.run(t, r, alice)
		})
	}
	t.Run("harmless ones arrive", func(t *testing.T) {
		t.Parallel()
		got := wantForwarded(t, r.exchange(t, "main", chunked("POST /api", []string{"Trailer: X-Sum", bearer(alice.token)}, []string{"X-Sum: 1"})))
		if !slices.Equal(got.trailers, []wireField{{"X-Sum", "1"}}) {
			t.Errorf("trailers upstream: got %q, want X-Sum", got.trailers)
		}
	})
}

func (tt trailerAttack) run(t *testing.T, r *rig, alice rigUser) {
	t.Helper()
	got := r.exchange(t, "main", chunked("POST /hooks/x", tt.fields, tt.trailers))
	wantIdentity(t, wantForwarded(t, got), map[string][]string{})
	got = r.exchange(t, "main", chunked("POST /api", append(slices.Clone(tt.fields), bearer(alice.token)), tt.trailers))
	w := wantForwarded(t, got)
	wantIdentity(t, w, rigIdentity(alice))
	if w.body != "hello" {
		t.Errorf("body upstream: got %q, want hello", w.body)
	}
	for _, announced := range w.get("Trailer") {
		if strings.Contains(strings.ToLower(announced), "wx") {
			t.Errorf("Trailer upstream: got %q, want no identity header announced", announced)
		}
	}
	wantRefused(t, r.exchange(t, "main", chunked("POST /api", tt.fields, tt.trailers)), 401, "token_missing")
}

var trailerAttacks = []trailerAttack{
	{"undeclared", nil, []string{"X-WX-OPENID: evil"}},
	{"declared but not sent", []string{"Trailer: X-WX-OPENID"}, nil},
	{"Connection as a trailer", []string{"Trailer: Connection"}, []string{"Connection: X-WX-OPENID"}},
	{"harmless", []string{"Trailer: X-Sum"}, []string{"X-Sum: 1"}},
}

type trailerAttack struct {
	name             string
	fields, trailers []string
}

// Malformed fields are the server's business; here it is only proven that they do not get past it.
// Threats: C39.
func TestMalformedFieldsAreRefused(t *testing.T) {
	t.Parallel()
	r := caddyRig(t)
	alice := r.login(t, "main")
	for _, line := range []string{
		"X-WX-OPENID : evil", "X-WX-OPENID\t: evil", " X-WX-OPENID: evil", "X-WX-OPENID", ": evil", "X-WX-OPENID\x00: evil",
		"X-WX-OPENID: e\x00vil", "X-Other: a\rX-WX-OPENID: evil", "X-WX-\u00d6PENID: evil", "X-WX(OPENID): evil", "X WX OPENID: evil",
		":protocol: websocket", ":path: /public/x", "Content-Length: 0\r\nContent-Length: 1", "Host: a\r\nHost: b", "Transfer-Encoding : chunked",
		"Transfer-Encoding: xchunked", "Transfer-Encoding: chunked, identity", "Content-Length: +5", "Content-Length: 0x5",
	} {
		t.Run(line, func(t *testing.T) {
			t.Parallel()
			for _, target := range []string{"GET /public/x", "GET /api"} {
				got := r.exchange(t, "main", raw(target, line, bearer(alice.token)))
				if got.status != 400 && got.status != 501 {
					t.Errorf("%s: got %d, want 400", target, got.status)
				}
				if len(got.reached) > 0 {
					t.Errorf("%s: reached the upstream as %v", target, got.reached)
				}
			}
		})
	}
}
