// Path patterns.

package sidecar

import "testing"

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
