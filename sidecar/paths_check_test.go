// Tests of which path patterns a configuration may have, and of what the others are told.

package sidecar

import (
	"strings"
	"testing"
)

// Threats: T26.
func TestPatternsThatAreRefused(t *testing.T) {
	t.Parallel()
	const everything = "would open everything"
	for _, tt := range []struct {
		name, what string
		methods    []string
		pattern    string
		want       string // in the error; "" is none
	}{
		{"front page", "public", nil, "/", ""},
		{"front page, GET", "public", []string{"GET", "HEAD"}, "/", ""},
		{"one character", "public", nil, "/?", ""},
		{"everything", "public", nil, "/*", everything},
		{"everything, star", "public", nil, "*", everything},
		{"everything, two stars", "public", nil, "/**", everything},
		{"everything that ends with a slash", "public", nil, "*/", everything},
		{"everything with a slash", "public", nil, "*/*", everything},
		{"everything of two segments", "public", nil, "/*/*", everything},
		{"everything, GET", "public", []string{"GET"}, "/*", everything},
		{"everything, HEAD reads", "public", []string{"HEAD"}, "/*", everything},
		{"everything, PROPFIND reads", "public", []string{"PROPFIND"}, "/*", everything},
		{"preflights and more", "public", []string{"OPTIONS", "GET"}, "/*", everything},
		{"preflights and HEAD", "public", []string{"HEAD", "OPTIONS"}, "*", everything},
		{"preflights", "public", []string{"OPTIONS"}, "/*", ""},
		{"preflights, star", "public", []string{"OPTIONS"}, "*", ""},
		{"optional everything", "optional", nil, "/*", ""},
		{"closed everything", "phone_required", nil, "/*", ""},

		{"parameter", "public", nil, "/users/:id", "write /users/*"},
		{"parameter inside", "public", nil, "/users/:id/photo", "write /users/*/photo"},
		{"parameters", "optional", nil, "/:lang/users/:id", "write /*/users/*"},
		{"parameter that restricts", "phone_required", nil, "/orders/:id", "write /orders/*"},
		{"parameter with a pattern", "optional", nil, `/users/:id(\d+)`, "write /users/*"},
		{"optional parameter", "optional", nil, "/users/:id?", "write /users/*"},
		{"parameter that is all", "public", nil, "/:page", everything},
		{"braces", "public", nil, "/users/{id}", "write /users/*"},
		{"angle brackets", "phone_required", nil, "/users/<int:id>/x", "write /users/*/x"},
		{"placeholder", "public", nil, "/{env.X}", "takes no placeholders"},
		{"colon inside", "public", nil, "/v1/items:batchGet", ""},

		{"query", "public", nil, "/items?page=1", "write /items"},
		{"query without value", "public", nil, "/search?q", "write /search"},
		{"query with a star", "public", nil, "/items?page=*", "write /items"},
		{"query, whatever it is", "optional", nil, "/items?*", "write /items"},
		{"query that restricts", "phone_required", nil, "/items?all=1&x", "write /items"},
		{"query and parameter", "phone_required", nil, "/users/:id?full=1", "write /users/*"},
		{"query of the front page", "public", nil, "/?from=share", "write /"},
		{"one character in a segment", "public", nil, "/v?/items", ""},
		{"one character at the end", "phone_required", nil, "/a?", ""},
		{"characters of a name", "public", nil, "/img-??.png", ""},

		{"two stars", "phone_required", nil, "/vip/**", "write /vip/*"},
		{"two stars inside", "optional", nil, "/a/**/b", "write /a/*/b"},
		{"fragment", "public", nil, "/a#b", "can never match"},
		{"space", "public", nil, "/a b", "can never match"},
		{"relative", "public", nil, "users/:id", "starts with / or *"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := &Paths{Methods: tt.methods, Paths: []string{tt.pattern}}
			err := p.Check(tt.what)
			switch {
			case tt.want == "" && err != nil:
				t.Errorf("got %v, want no error", err)
			case tt.want != "" && (err == nil || !strings.HasSuffix(err.Error(), tt.want) && !strings.Contains(err.Error(), tt.want+" ") && !strings.Contains(err.Error(), tt.want+":")):
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

// What is to be written instead is never refused in turn.
func FuzzPatternsToWriteInstead(f *testing.F) {
	for _, seed := range []string{"/users/:id", "/a?b=c", "/**/:x?y", "/{id}/**", "/<int:id>?*", "/x***", "/?a", "/:a/:b", "/?/:a", "/{id}?x"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, pattern string) {
		if meant, _ := translate(pattern); meant != pattern {
			if again, why := translate(meant); again != meant {
				t.Errorf("%q is to be written %q, and that is refused: %s", pattern, meant, why)
			}
		}
	})
}
