// Path patterns, and paths with more than one reading.

package sidecar

import (
	"net/url"
	"path"
	"strings"
	"testing"
)

func TestMatchPattern(t *testing.T) {
	t.Parallel()
	tests := []struct {
		pattern, raw string
		want         bool
	}{
		{"/a", "/a", true},
		{"/a", "/a/", false},
		{"/a", "/A", false},
		{"/a/*", "/a/b/c", true},
		{"/a/*", "/a", false},
		{"/a*", "/ab", true},
		{"*.css", "/x/y.css", true},
		{"*.css", "/x/y.css/z", false},
		{"*/img/*", "/x/img/y", true},
		{"/a/*/c", "/a/b/c", true},
		{"/a/*/c", "/a/b/b/c", false},
		{"/a/*/c/*", "/a/b/c/d", true},
		{"/a/*/c/*", "/a/b/c/d/e", false},
		{"/a/?", "/a/b", true},
		{"/[ab]", "/b", true},
		{`/\a`, "/a", true},
		{"/a?*", "/ab", false},
		{"/a?*", "/a?b", true},
		{"/文件/*", "/%E6%96%87%E4%BB%B6/1", true},
		{"/文件/*", "/%e6%96%87%e4%bb%b6/1", false},
	}
	for _, tt := range tests {
		t.Run(tt.pattern+" "+tt.raw, func(t *testing.T) {
			t.Parallel()
			p := newPattern(escapeNonASCII(tt.pattern))
			if got := p.matches(tt.raw, p.text); got != tt.want {
				t.Errorf("got %t, want %t", got, tt.want)
			}
		})
	}
}

// What opens must stay below the public folder however the upstream decodes and cleans it.
// Threats: T15, T16, T17, T18, T19, T20, T21.
func FuzzPublicPath(f *testing.F) {
	for _, seed := range []string{
		"/public/x", "/public/../admin", "/public/%2e%2e/admin", "/public/..%2fadmin", "/public/%252e%252e/admin",
		"/public/..;/admin", "/public/..\\admin", "/public//../admin", "/public/%5c..%5cadmin", "/public%2f..%2fadmin",
		"/public/\x00/../../admin", "/public/%00", "/public/x%23/../../admin", "/public/%E5%9B%BE", "/public/.", "/public/...",
		"/public/A-z_09.tar.gz", "/public/@", "/public/[", "/public//", "public", "./public", "/./public", "/public/a./.b/..",
	} {
		f.Add(seed)
	}
	open := exactPaths{patterns: []pattern{newPattern("/public/*")}}
	f.Fuzz(func(t *testing.T, target string) {
		if isPlain(target) && !unambiguous(target) {
			t.Errorf("%q passes for plain", target)
		}
		u, err := url.ParseRequestURI(target)
		if err != nil {
			return
		}
		raw, canonical := rawPath(u)
		if !canonical || !open.match("GET", raw) {
			return
		}
		for range 4 {
			read := strings.ReplaceAll(raw, `\`, "/")
			for _, segments := range []string{read, withoutParameters(read)} {
				if cleaned := path.Clean(segments); cleaned != "/public" && !strings.HasPrefix(cleaned, "/public/") {
					t.Fatalf("%q is public and reads as %q", target, cleaned)
				}
			}
			if raw, err = url.PathUnescape(raw); err != nil {
				return
			}
		}
	})
}
