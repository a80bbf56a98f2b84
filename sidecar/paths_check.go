// Checks of the path patterns in a configuration: one that is read in another way than it was meant
// opens or leaves open what it was to guard.

package sidecar

import (
	"errors"
	"fmt"
	"net/http"
	"path"
	"regexp"
	"slices"
	"strings"
)

// Paths names requests by path and, if given, by method.
type Paths struct {
	// The methods, in capitals. Default: all.
	Methods []string `json:"methods,omitempty"`

	// Path patterns, written as in Caddy's `path` matcher, without placeholders.
	Paths []string `json:"paths,omitempty"`
}

// Check returns an error for paths that an option can't mean.
func (p *Paths) Check(what string) error {
	if p == nil || len(p.Paths) == 0 {
		return fmt.Errorf("%s needs a path", what)
	}
	for _, m := range p.Methods {
		if !slices.Contains(knownMethods, m) {
			return fmt.Errorf("%s: %q is no method, they are %s", what, m, strings.Join(knownMethods, " "))
		}
	}
	for _, pattern := range p.Paths {
		if err := p.checkPattern(what, pattern); err != nil {
			return fmt.Errorf("%s %s: %w", what, pattern, err)
		}
	}
	return nil
}

var errOpensEverything = errors.New("this would open everything: name the paths that need no token, " +
	"or write optional (only OPTIONS may be opened everywhere)")

func (p *Paths) checkPattern(what, pattern string) error {
	if !strings.HasPrefix(pattern, "/") && !strings.HasPrefix(pattern, "*") {
		return errors.New("a path pattern starts with / or *")
	}
	meant, why := translate(pattern)
	if what == "public" && matchesEverything(meant) && !p.onlyPreflights() {
		return errOpensEverything
	}
	if meant != pattern {
		return fmt.Errorf("%s: write %s", why, meant)
	}
	if strings.ContainsAny(pattern, "{}") {
		return errors.New("a path pattern takes no placeholders")
	}
	if _, err := path.Match(pattern, "/"); err != nil {
		return fmt.Errorf("%w: see Go's path.Match", err)
	}
	if what == "phone_required" {
		return nil
	}
	if strings.HasPrefix(pattern, "/") && !isCanonical(pattern) {
		return errors.New(`this can never match: only canonical paths are opened (no .., //, \, ; nor escapes of . / \ ; % # ?)`)
	}
	if strings.ContainsAny(pattern, "\"#<>`| ") {
		return errors.New("this can never match: write the path as it stands in a request line, such as %20 for a space")
	}
	return nil
}

// matchesEverything finds the patterns that would make the guard pointless.
func matchesEverything(pattern string) bool {
	return strings.Contains(pattern, "*") && strings.Trim(pattern, "*/?") == ""
}

// onlyPreflights reports whether a rule is for OPTIONS alone, by which a request neither changes
// anything nor reads any of it. HEAD does read: servers run what GET runs and answer with its
// header.
func (p *Paths) onlyPreflights() bool {
	return slices.Equal(p.Methods, []string{http.MethodOptions})
}

var (
	parameter = regexp.MustCompile(`^(:[A-Za-z_].*|\{\w+\}|<[\w:]+>)$`)
	queryName = regexp.MustCompile(`\?[A-Za-z_][\w.%\[\]-]*([=&].*)?$`)
)

// translate turns a pattern in the language of another router, which would match nothing that was
// meant, into one of ours, and gives the reason.
func translate(pattern string) (meant, why string) {
	meant = pattern
	for {
		step, reason := translateOnce(meant)
		if step == meant {
			return meant, why
		}
		meant, why = step, reason
	}
}

func translateOnce(pattern string) (meant, why string) {
	if i := strings.IndexByte(pattern, '?'); i >= 0 && (queryName.MatchString(pattern) || isPrefix(pattern)) {
		return pattern[:i], "the query is no part of a path, and ? stands for one character"
	}
	if strings.Contains(pattern, "**") {
		return strings.ReplaceAll(pattern, "**", "*"), "** stands for one segment, and * at the end for whatever follows"
	}
	segments := strings.Split(pattern, "/")
	for i, segment := range segments {
		if parameter.MatchString(segment) {
			segments[i], why = "*", segment+" is compared as it stands, and * stands for anything"
		}
	}
	return strings.Join(segments, "/"), why
}

// isPrefix reports whether a pattern is compared byte for byte but for the * at its end, so that ?
// is no wildcard.
func isPrefix(pattern string) bool {
	return strings.IndexByte(pattern, '*') == len(pattern)-1
}

// IsMethod reports whether a word can be a method.
func IsMethod(s string) bool {
	return s != "" && strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ-") == ""
}

// knownMethods are those of HTTP and WebDAV. A misspelt one would leave open what it was to
// restrict.
var knownMethods = []string{
	"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS",
	"PROPFIND", "PROPPATCH", "MKCOL", "COPY", "MOVE", "LOCK", "UNLOCK", "REPORT", "SEARCH",
}
