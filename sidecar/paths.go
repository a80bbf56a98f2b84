// Paths of requests: whether they have one reading, and the patterns that open or restrict them.

package sidecar

import (
	"fmt"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"unicode/utf8"
)

// rawPath is the path as the upstream will see it, and whether it is canonical. The decision must
// be made on what the upstream sees: `/public/..%2fadmin` is public to a matcher that reads it raw
// and `/admin` to a server that decodes it. A path that two servers can read in two ways is not
// canonical.
func rawPath(u *url.URL) (raw string, canonical bool) {
	raw = u.EscapedPath()
	return raw, u.Opaque == "" && isCanonical(raw)
}

func isCanonical(raw string) bool { return isPlain(raw) || unambiguous(raw) }

// isPlain finds, without a closer look, what most paths are: nothing in them could be read in two
// ways.
func isPlain(raw string) bool {
	previous := byte(0)
	for i := range len(raw) {
		c := raw[i]
		switch {
		case 'a' <= c|0x20 && c|0x20 <= 'z', '0' <= c && c <= '9', c == '-', c == '_':
		case c == '/' && previous != '/':
		case c == '.' && previous != '/' && previous != '.':
		default:
			return false
		}
		previous = c
	}
	return strings.HasPrefix(raw, "/")
}

func unambiguous(raw string) bool {
	if !strings.HasPrefix(raw, "/") || strings.ContainsAny(raw, `\;`) || strings.Contains(raw, "//") {
		return false
	}
	for i := 0; i < len(raw); i++ {
		if raw[i] == '%' && (i+2 >= len(raw) || ambiguousEscape(raw[i+1:i+3])) {
			return false
		}
	}
	decoded, err := url.PathUnescape(raw)
	// Some servers read an overlong form, such as %c0%ae, as the character it would stand for.
	if err != nil || !utf8.ValidString(decoded) {
		return false
	}
	for segment := range strings.SplitSeq(decoded, "/") {
		// Windows drops dots and blanks at the end of a name, and servers join the slashes around none.
		if segment != "" && strings.Trim(segment, " .") == "" {
			return false
		}
	}
	return true
}

// ambiguousEscape tells whether the two digits stand for a byte that changes how a path is read
// once it is decoded: . / \ ; % # ? and control characters.
func ambiguousEscape(digits string) bool {
	b, err := url.PathUnescape("%" + digits)
	return err != nil || b[0] < ' ' || b[0] == 0x7f || strings.Contains(`./\;%#?`, b)
}

// exactPaths opens requests: it compares byte for byte, and only canonical paths.
type exactPaths struct {
	methods  []string
	patterns []pattern
}

func (o exactPaths) match(method, raw string) bool {
	if len(o.methods) > 0 && !slices.Contains(o.methods, method) {
		return false
	}
	return slices.ContainsFunc(o.patterns, func(p pattern) bool { return p.matches(raw, p.text) })
}

// pattern is a path pattern as Caddy's path matcher reads it, without folding case or cleaning.
type pattern struct {
	matches func(raw, text string) bool
	text    string
}

func newPattern(text string) pattern {
	inner, openStart := strings.CutPrefix(text, "*")
	inner, openEnd := strings.CutSuffix(inner, "*")
	switch {
	case strings.Contains(inner, "*"), !openStart && !openEnd && strings.ContainsAny(text, `?[\`):
		return pattern{matchGlob, text}
	case openStart && openEnd:
		return pattern{strings.Contains, inner}
	case openStart:
		return pattern{strings.HasSuffix, inner}
	case openEnd:
		return pattern{strings.HasPrefix, inner}
	}
	return pattern{func(raw, text string) bool { return raw == text }, text}
}

// cleanPath resolves . and .. and repeated slashes, and keeps a slash at the end.
func cleanPath(p string) string {
	cleaned := path.Clean(p)
	if cleaned != "/" && strings.HasSuffix(p, "/") {
		cleaned += "/"
	}
	return cleaned
}

func matchGlob(raw, glob string) bool {
	matched, _ := path.Match(glob, raw) // the pattern was checked in Provision
	return matched
}

// widePaths restricts requests: it matches as widely as the server's own path matcher.
type widePaths struct {
	methods  []string
	patterns []string // folded
	matches  PathMatcher
}

func (c widePaths) match(r *http.Request, method string) (bool, error) {
	if !c.concerns(method) {
		return false, nil
	}
	return c.matches(r)
}

// matchAny tells whether one of several interpretations of a path is restricted.
func (c widePaths) matchAny(method string, interpretations []string) bool {
	return c.concerns(method) && slices.ContainsFunc(c.patterns, func(text string) bool {
		p := newPattern(text)
		return slices.ContainsFunc(interpretations, func(reading string) bool { return p.matches(reading, p.text) })
	})
}

func (c widePaths) concerns(method string) bool {
	return len(c.methods) == 0 || slices.ContainsFunc(c.methods, func(m string) bool { return sameMethod(m, method) })
}

// maxDecodings bounds the decodings of a path by a server and the framework in it.
const maxDecodings = 3

// interpretations are the ways in which servers read a path that is not canonical: decoded or not,
// once or more often, cleaned or not, with \ as a separator, without what follows a ; in a segment or
// what Windows drops at its end, or up to a NUL, # or ?. Case is folded, as in the patterns.
func interpretations(raw string) (all []string) {
	read := strings.ToLower(raw)
	for range maxDecodings {
		slashed := strings.ReplaceAll(read, `\`, "/")
		short, _, _ := strings.Cut(slashed, "\x00")
		short = short[:strings.IndexAny(short+"#", "#?")]
		for _, p := range []string{slashed, short, withoutParameters(slashed), withoutParameters(short)} {
			all = append(all, p, cleanPath(p), cleanPath(withoutLooseEnds(p)))
		}
		decoded, err := url.PathUnescape(read)
		if err != nil || decoded == read {
			break
		}
		read = strings.ToLower(decoded)
	}
	return all
}

// withoutParameters reads a path as Java servers do.
func withoutParameters(p string) string {
	if !strings.Contains(p, ";") {
		return p
	}
	return eachSegment(p, func(s string) string {
		s, _, _ = strings.Cut(s, ";")
		return s
	})
}

// withoutLooseEnds reads a path as Windows does, which drops dots and blanks at the end of a name.
func withoutLooseEnds(p string) string {
	if !strings.ContainsAny(p, " .") {
		return p
	}
	return eachSegment(p, func(s string) string {
		if s == "." || s == ".." {
			return s
		}
		return strings.TrimRight(s, " .")
	})
}

// eachSegment changes the segments of a path. A list of them would need much more memory than a path
// of slashes.
func eachSegment(p string, change func(string) string) string {
	var b strings.Builder
	b.Grow(len(p))
	for {
		segment, rest, more := strings.Cut(p, "/")
		b.WriteString(change(segment))
		if !more {
			return b.String()
		}
		b.WriteByte('/')
		p = rest
	}
}

// sameMethod takes HEAD for GET, for servers do, and ignores case, for some servers do.
func sameMethod(configured, got string) bool {
	return strings.EqualFold(configured, got) ||
		configured == http.MethodGet && strings.EqualFold(got, http.MethodHead)
}

func newExactPaths(what string, all []*Paths) ([]exactPaths, error) {
	var out []exactPaths
	for _, p := range all {
		if err := p.Check(what); err != nil {
			return nil, err
		}
		o := exactPaths{methods: p.Methods}
		for _, pattern := range p.Paths {
			o.patterns = append(o.patterns, newPattern(escapeNonASCII(pattern)))
		}
		out = append(out, o)
	}
	return out, nil
}

func newWidePaths(what string, all []*Paths, matcher func([]string) (PathMatcher, error)) ([]widePaths, error) {
	var out []widePaths
	for _, p := range all {
		if err := p.Check(what); err != nil {
			return nil, err
		}
		matches, err := matcher(p.Paths)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", what, err)
		}
		folded := make([]string, len(p.Paths))
		for i, pattern := range p.Paths {
			folded[i] = strings.ToLower(pattern)
		}
		out = append(out, widePaths{p.Methods, folded, matches})
	}
	return out, nil
}

// escapeNonASCII writes a pattern as it appears in a request line.
func escapeNonASCII(pattern string) string {
	var b strings.Builder
	for i := 0; i < len(pattern); i++ {
		if c := pattern[i]; c < 0x80 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}
