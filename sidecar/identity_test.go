// Headers that carry the identity, and those that clients may not send.

package sidecar

import (
	"strings"
	"testing"
)

func TestHeaderValue(t *testing.T) {
	t.Parallel()
	for value, want := range map[any]string{
		"plain":     "plain",
		"张三":        "%E5%BC%A0%E4%B8%89",
		"a\r\nX: y": "a%0D%0AX:%20y",
		"100%":      "100%25",
		"":          "",
		int64(12):   "12",
		true:        "true",
	} {
		if got := headerValue(value); got != want {
			t.Errorf("%v: got %q, want %q", value, got, want)
		}
	}
	if got := headerValue([]any{"a", 1}); got != `["a",1]` {
		t.Errorf("list: got %q", got)
	}
}

// Threats: T07.
func TestHeaderNamesThatServersReadTwoWaysAreRefused(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"", "X_User", "X.User", "X User", "X-Üser", "X:User", "Connection", "content-length", "AUTHORIZATION"} {
		if _, err := newIdentity("cloudrun", []*Header{{Name: name, Claim: "openid"}}); err == nil {
			t.Errorf("%q: got no error", name)
		}
	}
	id, err := newIdentity("cloudrun", []*Header{{Name: "x-user-id", Claim: "openid"}})
	if err != nil || id.extra[0].Name != "X-User-Id" {
		t.Errorf("got %v, %v, want the canonical name", id.extra, err)
	}
}

// cgiName is the variable that lighttpd makes of a header's name: of all servers it lets most bytes
// pass for one.
func cgiName(name string) string {
	variable := []byte("HTTP_" + name)
	for i, c := range variable {
		switch {
		case 'a' <= c && c <= 'z':
			variable[i] = c - 'a' + 'A'
		case (c < 'A' || c > 'Z') && (c < '0' || c > '9'):
			variable[i] = '_'
		}
	}
	return string(variable)
}

// A list of spellings was never complete: each byte at each position of a name counts.
// Threats: T06, F01.
func TestNamesThatAnyServerReadsAsOursAreRemoved(t *testing.T) {
	t.Parallel()
	id, err := newIdentity("cloudrun", []*Header{{Name: "X-User-Id", Claim: "openid"}, {Name: "Role", Claim: "role"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, ours := range []string{"X-WX-OPENID", "X-Wx-Phone", "x-wx-", "X-User-Id", "role"} {
		for i := range len(ours) {
			for c := range 256 {
				name := ours[:i] + string([]byte{byte(c)}) + ours[i+1:]
				got := id.reserved(name)
				asOurs := cgiName(name)
				want := strings.HasPrefix(asOurs, "HTTP_X_WX_") || asOurs == "HTTP_X_USER_ID" || asOurs == "HTTP_ROLE"
				if got != want {
					t.Errorf("%q: got removed %t, want %t", name, got, want)
				}
			}
		}
	}
}
