// Attacks with so many header lines that a server behind leaves some out, and with headers that name
// another path.

package attack_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// Mallory sends her own token and a thousand empty lines. Node reads the first thousand, Lua in nginx
// the first hundred, and neither says that there are more: X-WX-OPENID comes last. A backend that
// looks for the orders of `undefined` may well find everybody's; one that wants a phone in the header
// where phone_required promises it finds none.
func TestIdentityIsNotCrowdedOut(t *testing.T) {
	t.Parallel()
	r := caddyRig(t)
	alice := r.login(t, "main")
	for protocol, send := range r.protocols() {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			for _, path := range []string{"/api", "/optional/x"} {
				for what, line := range map[string]string{"one name": "a: 1", "many names": "a%d: 1", "names after ours": "z%d: 1"} {
					wantUser(t, send, alice, "GET "+path, many(60, line), nil)
					for _, n := range []int{100, 400} {
						status, reached := send(t, "GET "+path, append(many(n, line), h2Bearer(alice.token)), nil)
						if status != 431 || len(reached) != 0 {
							t.Errorf("%s, %d lines of %s: got %d with %d requests upstream, want 431 and none", path, n, what, status, len(reached))
						}
					}
				}
			}
			wantNobody(t, send, "GET /public/x", many(400, "a%d: 1"), nil)
			wantNobody(t, send, "GET /optional/x", many(400, "a%d: 1"), nil)
		})
	}
}

func many(n int, line string) (lines []string) {
	for i := range n {
		if strings.Contains(line, "%") {
			lines = append(lines, fmt.Sprintf(line, i))
		} else {
			lines = append(lines, line)
		}
	}
	return lines
}

// `GET /public/api/me` is public, and with `SCRIPT_NAME: /public` gunicorn serves /api/me. IIS, older
// versions of Symfony and a snippet that half of Flask's users have copied take other headers so.
// Threats: T11.
func TestNoHeaderNamesAnotherPathToTheBackend(t *testing.T) {
	t.Parallel()
	r := caddyRig(t)
	alice := r.login(t, "main")
	overrides := []string{"script-name", "path-info", "x-script-name", "x-original-url", "x-rewrite-url"}
	for protocol, send := range r.protocols() {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			for _, name := range overrides {
				for _, names := range oddNames(name, []byte("!#$%&'*+-.^_`|~ao")) {
					for _, request := range []string{"GET /public/api/me", "GET /optional/x", "GET /api/me"} {
						status, reached := send(t, request, append(lines(names, "/api/me"), h2Bearer(alice.token)), nil)
						if status != 200 || len(reached) != 1 {
							t.Fatalf("%s with %.200q: got %d with %d requests upstream, want 200 with one", request, names, status, len(reached))
						}
						for _, f := range reached[0].fields {
							if slices.Contains(overrides, folded(f.name)) {
								t.Errorf("%s: %s reached the upstream", request, f.name)
							}
						}
					}
				}
			}
		})
	}
	t.Run("control: passes where no rule names paths", func(t *testing.T) {
		t.Parallel()
		got := wantForwarded(t, r.exchange(t, "both", raw("GET /api", "X-Original-URL: /x", bearer(r.login(t, "both").token))))
		if v := got.get("X-Original-URL"); !slices.Equal(v, []string{"/x"}) {
			t.Errorf("got %q, want /x", v)
		}
	})
}
