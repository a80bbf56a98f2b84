// Parsing of WeChat's answers: strict where a value matters, lenient where WeChat itself varies.

package wechat

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strconv"
	"strings"
)

// answer is a JSON object of WeChat's. Its fields are looked up by their exact name, where
// encoding/json's structs would also take "OpenID" for "openid".
type answer map[string]json.RawMessage

var userIDPattern = regexp.MustCompile(`^[A-Za-z0-9_-]{1,128}$`)

// ValidUserID reports whether a text can be an openid or a unionid. They become header values, file
// names, parts of paths and keys elsewhere.
func ValidUserID(id string) bool { return userIDPattern.MatchString(id) }

// parseAnswer returns the object in body, or the error that body stands for.
func parseAnswer(op string, body []byte) (answer, error) {
	a, err := parseFields(op, body)
	if err != nil {
		return nil, err
	}
	return a.succeeded(op)
}

// parseFields returns the object in body, which may be a refusal. The content type plays no part:
// WeChat sends JSON as text/plain, too, and once sent an empty page as text/html.
func parseFields(op string, body []byte) (answer, error) {
	body = trimmed(body)
	if len(body) == 0 {
		return nil, badAnswer(op, "the answer is empty")
	}
	if body[0] == '<' {
		return nil, badAnswer(op, "the answer is HTML or XML; is there a portal or a firewall in between?")
	}
	a, ok := parseObject(body)
	if !ok {
		return nil, badAnswer(op, "the answer is not a JSON object, or is cut off")
	}
	return a, nil
}

// succeeded returns an answer, or the error that its errcode stands for. Without an errcode the call
// succeeded, as with errcode 0.
func (a answer) succeeded(op string) (answer, error) {
	if !a.has("errcode") {
		return a, nil
	}
	code, ok := a.integer("errcode")
	if !ok || code != int64(int32(code)) {
		return nil, badAnswer(op, "errcode is not a number")
	}
	if code != 0 {
		errmsg, _ := a.text("errmsg")
		return nil, refused(op, int(code), errmsg)
	}
	return a, nil
}

// trimmed returns a body without a byte order mark and blanks around it.
func trimmed(body []byte) []byte {
	return bytes.TrimSpace(bytes.TrimPrefix(body, []byte("\ufeff")))
}

func parseObject(raw []byte) (answer, bool) {
	var a answer
	if err := json.Unmarshal(raw, &a); err != nil || a == nil {
		return nil, false
	}
	return a, true
}

// has reports whether the field is there; null is as good as absent.
func (a answer) has(name string) bool {
	raw, ok := a[name]
	return ok && string(raw) != "null"
}

// text returns a field that is a JSON string.
func (a answer) text(name string) (string, bool) {
	var s string
	if !a.has(name) || json.Unmarshal(a[name], &s) != nil {
		return "", false
	}
	return s, true
}

// textOrNumber returns a field that is a JSON string or a whole number: WeChat's examples show the
// country code as 86, its servers send "86".
func (a answer) textOrNumber(name string) (string, bool) {
	if s, ok := a.text(name); ok {
		return s, true
	}
	n, ok := a.integer(name)
	return strconv.FormatInt(n, 10), ok
}

// integer returns a field that is a whole number, or a string of one.
func (a answer) integer(name string) (int64, bool) {
	digits := string(a[name])
	if s, ok := a.text(name); ok {
		digits = strings.TrimSpace(s)
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	return n, err == nil
}

// object returns a field that is a JSON object.
func (a answer) object(name string) (answer, bool) {
	if !a.has(name) {
		return nil, false
	}
	return parseObject(a[name])
}
