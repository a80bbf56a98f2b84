// Attacks with header names that are not ours, and that some server behind Caddy makes ours.

package attack_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/quic-go/quic-go"
)

// speaks sends a request with fields and, if there are any, trailers behind a body.
type speaks func(t *testing.T, request string, fields, trailers []string) (status int, reached []wireRequest)

// protocols are the ways to a site of which "main" is one and "tls" another.
func (r *rig) protocols() map[string]speaks {
	pseudo := func(request string) []string {
		method, path, _ := strings.Cut(request, " ")
		return []string{":method: " + method, ":path: " + path}
	}
	var conn *quic.Conn // the handshake takes most of the time
	return map[string]speaks{
		"HTTP/1.1": func(t *testing.T, request string, fields, trailers []string) (int, []wireRequest) {
			t.Helper()
			text := raw(request, fields...)
			if trailers != nil {
				text = chunked(request, fields, trailers)
			}
			got := r.exchange(t, "main", text)
			return got.status, got.reached
		},
		"HTTP/2": func(t *testing.T, request string, fields, trailers []string) (int, []wireRequest) {
			t.Helper()
			fields = append(pseudo(request), fields...)
			if trailers == nil {
				a, reached := r.h2(t, "main", fields...)
				return a.status, reached
			}
			id := fmt.Sprintf("f%d", r.cases.Add(1))
			c := dialH2(t, r.addr["main"])
			c.headers(t, 0, withPseudo(id, fields)...)
			c.write(t, h2Data, 0, 1, []byte("hello"))
			c.headers(t, h2EndStream, trailers...)
			return c.answer(t).status, r.upstream.requests(id)
		},
		"HTTP/3": func(t *testing.T, request string, fields, trailers []string) (int, []wireRequest) {
			t.Helper()
			if conn == nil || conn.Context().Err() != nil {
				conn = dialH3(t, r.addr["tls"])
			}
			return r.h3(t, conn, append(pseudo(request), fields...), trailers)
		},
	}
}

// nameBytes are the bytes that a server lets stand in a header's name.
func nameBytes(t *testing.T, send speaks) (all []byte) {
	t.Helper()
	for c := range 256 {
		name := string([]byte{'a', byte(c), 'b'})
		status, reached := send(t, "GET /public/x", []string{name + ": 1"}, nil)
		if status != 200 {
			continue
		}
		if len(reached) != 1 {
			t.Fatalf("%q: got 200 with %d requests upstream", name, len(reached))
		}
		if c != ':' { // ends the name
			all = append(all, byte(c))
		}
	}
	for _, known := range "!#$%&'*+-.^_`|~09az" {
		if !slices.Contains(all, byte(known)) {
			t.Errorf("%q does not pass, so that nothing is tried with it", known)
		}
	}
	return all
}

// oddNames writes a name in all ways that differ in one byte, and in all that differ in what stands
// between its words.
func oddNames(name string, bytes []byte) (batches [][]string) {
	for i := range len(name) {
		var batch []string
		for _, c := range bytes {
			batch = append(batch, name[:i]+string([]byte{c})+name[i+1:])
		}
		batches = append(batches, batch)
	}
	var batch []string
	for _, c := range bytes {
		for _, d := range bytes {
			if isAlphanumeric(c) || isAlphanumeric(d) {
				continue
			}
			if len(batch) == 60 { // of a name that is not reserved whole, more would be too many lines
				batches, batch = append(batches, batch), nil
			}
			words := strings.SplitN(name, "-", 3)
			batch = append(batch, strings.Join(words[:2], string([]byte{c}))+string([]byte{d})+strings.Join(words[2:], ""))
		}
	}
	return append(batches, batch)
}

func isAlphanumeric(c byte) bool { return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z' }

// lines gives each name a value.
func lines(names []string, value string) (fields []string) {
	for _, name := range names {
		fields = append(fields, strings.ToLower(name)+": "+value)
	}
	return fields
}

// Mallory sends her own token and `X~WX~OPENID: o-victim`. Caddy lets the name pass, lighttpd makes
// HTTP_X_WX_OPENID of it, and the backend serves the victim; without any token on public paths. A
// list of spellings did not have the tilde: so all that the servers let through is tried.
// Threats: T06, F01.
func TestIdentityInNamesThatLighttpdFolds(t *testing.T) {
	t.Parallel()
	r := caddyRig(t)
	alice := r.login(t, "main")
	for protocol, send := range r.protocols() {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			bytes := nameBytes(t, send)
			for _, ours := range []string{
				"x-wx-openid", "x-wx-phone", "x-wx-unionid", "x-wx-source", "x-wx-appid", "x-user", "x-phone-number", "x-nick",
			} {
				for _, names := range oddNames(ours, bytes) {
					wantNobody(t, send, "GET /public/x", lines(names, "evil"), nil)
					wantNobody(t, send, "GET /optional/x", lines(names, "evil"), nil)
					wantUser(t, send, alice, "GET /api", lines(names, "evil"), nil)
				}
			}
		})
	}
}

func wantNobody(t *testing.T, send speaks, request string, fields, trailers []string) {
	t.Helper()
	status, reached := send(t, request, fields, trailers)
	if status != 200 || len(reached) != 1 {
		t.Fatalf("%s with %.200q: got %d with %d requests upstream, want 200 with one", request, fields, status, len(reached))
	}
	wantIdentity(t, reached[0], map[string][]string{})
}

func wantUser(t *testing.T, send speaks, u rigUser, request string, fields, trailers []string) {
	t.Helper()
	status, reached := send(t, request, append([]string{h2Bearer(u.token)}, fields...), trailers)
	if status != 200 || len(reached) != 1 {
		t.Fatalf("%s with %.200q: got %d with %d requests upstream, want 200 with one", request, fields, status, len(reached))
	}
	wantIdentity(t, reached[0], rigIdentity(u))
}

// The same behind the body, where servers that merge trailers into headers read them, announced or
// not.
func TestIdentityInTrailersThatLighttpdFolds(t *testing.T) {
	t.Parallel()
	r := caddyRig(t)
	alice := r.login(t, "main")
	for protocol, send := range r.protocols() {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			for _, ours := range []string{"x-wx-openid", "x-wx-phone", "x-phone-number"} {
				for _, names := range oddNames(ours, []byte("!#$%&'*+-.^_`|~a0")) {
					names = names[:min(len(names), 100)] // Go's server takes 4 KiB of trailers
					for _, announced := range [][]string{
						{"trailer: x-sum, " + strings.Join(names, ",")}, {"trailer: x-sum"}, nil,
					} {
						wantNobody(t, send, "POST /hooks/x", announced, lines(names, "evil"))
						wantUser(t, send, alice, "POST /api", announced, lines(names, "evil"))
					}
				}
			}
		})
	}
}

// Connection names the victim of the removal that a proxy behind may do by a folded name. Nothing
// of it arrives, also not beside an upgrade.
// Threats: T08.
func TestConnectionCannotDropIdentityByAFoldedName(t *testing.T) {
	t.Parallel()
	r := caddyRig(t)
	alice := r.login(t, "main")
	for _, ours := range []string{"X-WX-OPENID", "X-User", "X-Phone-Number"} {
		for _, names := range oddNames(ours, []byte("!#$%&'*+-.^_`|~")) {
			fields := []string{bearer(alice.token), "Connection: Upgrade, " + strings.Join(names, ", "), "Upgrade: websocket"}
			got := r.exchange(t, "main", raw("GET /ws", append(fields, lines(names, "evil")...)...))
			if got.status != 101 || len(got.reached) != 1 {
				t.Fatalf("got %d with %d requests upstream, want 101 with one", got.status, len(got.reached))
			}
			wantIdentity(t, got.reached[0], rigIdentity(alice))
			if c := got.reached[0].get("Connection"); !slices.Equal(c, []string{"Upgrade"}) {
				t.Errorf("Connection upstream: got %q, want Upgrade", c)
			}
		}
	}
}

// A rule for DELETE is a rule for the method in the request line. The backend's framework takes a
// POST with X-HTTP-Method-Override: DELETE for a DELETE, and so a user without a phone deletes what
// needs one, and somebody without a token what only the POST was opened for.
// Threats: T24, F12.
func TestMethodOverrideCannotPassARuleForMethods(t *testing.T) {
	t.Parallel()
	r := caddyRig(t)
	alice := r.login(t, "main")
	overrides := []string{"x-http-method-override", "x-http-method", "x-method-override"}
	check := func(t *testing.T, send speaks, request string, fields, trailers []string) {
		t.Helper()
		status, reached := send(t, request, fields, trailers)
		if status != 200 || len(reached) != 1 {
			t.Fatalf("%s with %.200q: got %d with %d requests upstream, want 200 with one", request, fields, status, len(reached))
		}
		for _, f := range slices.Concat(reached[0].fields, reached[0].trailers) {
			if slices.Contains(overrides, folded(f.name)) {
				t.Errorf("%s: %s reached the upstream", request, f.name)
			}
		}
	}
	for protocol, send := range r.protocols() {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			for _, name := range overrides {
				for _, names := range oddNames(name, []byte("!#$%&'*+-.^_`|~ao")) {
					fields := lines(names, "DELETE")
					check(t, send, "POST /hooks/x", fields, nil)
					check(t, send, "GET /optional/x", fields, nil)
					check(t, send, "POST /articles/1", append(fields, h2Bearer(alice.token)), nil)
				}
				check(t, send, "POST /hooks/x", []string{"trailer: " + name}, []string{name + ": DELETE"})
			}
		})
	}
	t.Run("control: passes where no rule names methods", func(t *testing.T) {
		t.Parallel()
		got := wantForwarded(t, r.exchange(t, "b", raw("GET /public/x", "X-HTTP-Method-Override: DELETE")))
		if v := got.get("X-HTTP-Method-Override"); !slices.Equal(v, []string{"DELETE"}) {
			t.Errorf("got %q, want DELETE", v)
		}
	})
}

// Two readers of one query: the server that asks appends phone=required to what the client sent,
// and a reader of the first value sees the client's. A query of which a part is dropped is no
// query.
// Threats: F16.
func TestPhoneOfVerifyIsRequiredIfAnyValueSaysSo(t *testing.T) {
	t.Parallel()
	r := caddyRig(t)
	alice := r.login(t, "main")
	bob := r.loginWithPhone(t, "main", "13800138000")
	for query, want := range map[string][2]int{ // without and with a phone
		"":                              {204, 204},
		"phone=x":                       {204, 204},
		"phone=required":                {403, 204},
		"phone=x&phone=required":        {403, 204},
		"phone=&phone=required&phone=x": {403, 204},
		"%70hone=requ%69red":            {403, 204},
		"phone&a=b&phone=required":      {403, 204},
		"phone=required;a=1":            {400, 400},
		"a=1;phone=required":            {400, 400},
		"phone=required&a=%zz":          {400, 400},
		"phone=%zz&phone=required":      {400, 400},
	} {
		t.Run(query, func(t *testing.T) {
			t.Parallel()
			for i, u := range []rigUser{alice, bob} {
				got := r.exchange(t, "main", raw("GET /auth/verify?"+query, bearer(u.token)))
				code := map[int]string{400: "invalid_request", 403: "phone_required"}[want[i]]
				if got.status != want[i] || code != "" && got.text("error") != code {
					t.Errorf("user %d: got %d %s, want %d %s", i, got.status, got.body, want[i], code)
				}
				if got.status != 204 && len(got.header["X-Wx-Openid"]) > 0 {
					t.Errorf("user %d: a refusal shows the openid", i)
				}
			}
		})
	}
}

// `public GET HEAD /` opens the front page alone and `public OPTIONS /*` preflights alone.
// Threats: T26.
func TestFrontPageAndPreflightsOpenNothingElse(t *testing.T) {
	t.Parallel()
	r := caddyRig(t)
	for _, open := range []string{"GET /", "HEAD /", "GET /?from=share", "OPTIONS /", "OPTIONS /api", "OPTIONS /articles/1?x"} {
		wantIdentity(t, wantForwarded(t, r.exchange(t, "front", raw(open, "X-WX-OPENID: evil", "X-HTTP-Method-Override: DELETE"))), map[string][]string{})
	}
	for _, closed := range []string{
		"GET /api", "HEAD /api", "POST /", "DELETE /articles/1", "GET //", "GET /.", "GET /%2f", "GET /%2e", "GET /;x", "GET /index.html",
		"options /api", "Options /api", "OPTION /api", "OPTIONS /a/../b", "OPTIONS //api", "OPTIONS /a%2fb", "GET http://site.test//",
	} {
		if got := r.exchange(t, "front", raw(closed)); got.status < 400 || len(got.reached) > 0 {
			t.Errorf("%s: got %d with %d requests upstream, want a refusal", closed, got.status, len(got.reached))
		}
	}
	if got := r.exchange(t, "front", raw("OPTIONS *")); len(got.reached) > 0 {
		t.Errorf("OPTIONS *: got %d with %v upstream, want nothing", got.status, got.reached)
	}
}
