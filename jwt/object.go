package jwt

// A strict reader of JSON objects. encoding/json lets the last of two equal
// names win, matches names without regard to case, and turns broken UTF-8 and
// lone surrogates into U+FFFD: three ways for two readers of one token to see
// two different users. Here each of them is an error.

import (
	"encoding/json"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// maxDepth bounds nesting, the object itself included. Hooks add flat claims;
// the bound is there for `[[[[…`.
const maxDepth = 16

// parseObject reads a text that is one JSON object and nothing else. Values
// are string, bool, nil, json.Number, []any and map[string]any.
func parseObject(text string) (map[string]any, bool) {
	if !utf8.ValidString(text) {
		return nil, false
	}

	s := &scanner{text: text}
	s.space()
	if !s.skip('{') {
		return nil, false
	}
	object, ok := s.object(1)
	if !ok {
		return nil, false
	}
	s.space()
	return object, s.at == len(s.text)
}

type scanner struct {
	text string
	at   int
}

// peek returns 0 at the end, which starts no JSON value.
func (s *scanner) peek() byte {
	if s.at < len(s.text) {
		return s.text[s.at]
	}
	return 0
}

func (s *scanner) skip(c byte) bool {
	if s.peek() != c {
		return false
	}
	s.at++
	return true
}

func (s *scanner) space() {
	for s.at < len(s.text) {
		switch s.text[s.at] {
		case ' ', '\t', '\n', '\r':
			s.at++
		default:
			return
		}
	}
}

func (s *scanner) value(depth int) (any, bool) {
	switch s.peek() {
	case '{':
		s.at++
		return s.object(depth + 1)
	case '[':
		s.at++
		return s.array(depth + 1)
	case '"':
		s.at++
		return s.str()
	case 't':
		return true, s.literal("true")
	case 'f':
		return false, s.literal("false")
	case 'n':
		return nil, s.literal("null")
	default:
		return s.number()
	}
}

// object reads on after the opening brace.
func (s *scanner) object(depth int) (map[string]any, bool) {
	if depth > maxDepth {
		return nil, false
	}

	members := make(map[string]any)
	s.space()
	if s.skip('}') {
		return members, true
	}
	for {
		s.space()
		if !s.skip('"') {
			return nil, false
		}
		name, ok := s.str()
		if !ok {
			return nil, false
		}
		if _, twice := members[name]; twice {
			return nil, false
		}
		s.space()
		if !s.skip(':') {
			return nil, false
		}
		s.space()
		if members[name], ok = s.value(depth); !ok {
			return nil, false
		}

		s.space()
		if s.skip('}') {
			return members, true
		}
		if !s.skip(',') {
			return nil, false
		}
	}
}

// array reads on after the opening bracket.
func (s *scanner) array(depth int) ([]any, bool) {
	if depth > maxDepth {
		return nil, false
	}

	items := []any{}
	s.space()
	if s.skip(']') {
		return items, true
	}
	for {
		s.space()
		item, ok := s.value(depth)
		if !ok {
			return nil, false
		}
		items = append(items, item)

		s.space()
		if s.skip(']') {
			return items, true
		}
		if !s.skip(',') {
			return nil, false
		}
	}
}

func (s *scanner) literal(word string) bool {
	if !strings.HasPrefix(s.text[s.at:], word) {
		return false
	}
	s.at += len(word)
	return true
}

// number keeps the digits as they stand: who wants an integer must be able to
// see that 1e3 was not written as one.
func (s *scanner) number() (json.Number, bool) {
	start := s.at
	s.skip('-')
	if !s.skip('0') && s.digits() == 0 {
		return "", false
	}
	if s.skip('.') && s.digits() == 0 {
		return "", false
	}
	if s.skip('e') || s.skip('E') {
		_ = s.skip('+') || s.skip('-')
		if s.digits() == 0 {
			return "", false
		}
	}
	return json.Number(s.text[start:s.at]), true
}

func (s *scanner) digits() int {
	start := s.at
	for c := s.peek(); c >= '0' && c <= '9'; c = s.peek() {
		s.at++
	}
	return s.at - start
}

// str reads on after the opening quote. Nearly all strings of a token have no
// escapes and are returned as a piece of the text.
func (s *scanner) str() (string, bool) {
	start := s.at
	for ; s.at < len(s.text); s.at++ {
		switch c := s.text[s.at]; {
		case c == '"':
			s.at++
			return s.text[start : s.at-1], true
		case c == '\\':
			return s.escapedStr(start)
		case c < ' ':
			return "", false
		}
	}
	return "", false
}

// escapedStr reads on at the first backslash of the string that began at start.
func (s *scanner) escapedStr(start int) (string, bool) {
	var b strings.Builder
	b.WriteString(s.text[start:s.at])

	for s.at < len(s.text) {
		c := s.text[s.at]
		s.at++
		switch {
		case c == '"':
			return b.String(), true
		case c < ' ':
			return "", false
		case c != '\\':
			b.WriteByte(c)
		default:
			r, ok := s.escape()
			if !ok {
				return "", false
			}
			b.WriteRune(r)
		}
	}
	return "", false
}

// escape reads on after a backslash.
func (s *scanner) escape() (rune, bool) {
	c := s.peek()
	s.at++
	switch c {
	case '"', '\\', '/':
		return rune(c), true
	case 'b':
		return '\b', true
	case 'f':
		return '\f', true
	case 'n':
		return '\n', true
	case 'r':
		return '\r', true
	case 't':
		return '\t', true
	case 'u':
	default:
		return 0, false
	}

	r, ok := s.hex4()
	if !ok || !utf16.IsSurrogate(r) {
		return r, ok
	}
	if !s.literal(`\u`) {
		return 0, false
	}
	low, ok := s.hex4()
	if !ok {
		return 0, false
	}
	r = utf16.DecodeRune(r, low)
	return r, r != utf8.RuneError
}

func (s *scanner) hex4() (rune, bool) {
	if len(s.text)-s.at < 4 {
		return 0, false
	}
	digits := s.text[s.at : s.at+4]
	s.at += 4

	// ParseUint takes no sign and, with a base given, no underscore.
	n, err := strconv.ParseUint(digits, 16, 16)
	return rune(n), err == nil
}
