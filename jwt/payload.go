package jwt

// Claims to JSON and back. What holds for every token, whoever verifies it, is
// checked on both ways; what depends on configuration is in verifier.go.

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"unicode"
)

// ErrClaims is why [Issuer.Issue] makes no token of claims: one is missing or
// malformed. The text around it names the claim and never quotes it.
var ErrClaims = errors.New("jwt: unusable claims")

// maxTime is 2^53, the last integer that every JSON reader takes for the same.
const maxTime = 1 << 53

// maxIdentifier bounds openid and kin. WeChat's have 28 characters.
const maxIdentifier = 128

// encodePayload writes the claims as JSON. A sealed phone takes the place of
// the phone.
func encodePayload(c *Claims, sealed string) ([]byte, error) {
	m := make(map[string]any, len(reservedClaims)+len(c.Extra))
	for name, value := range c.Extra {
		if !Reserved(name) {
			m[name] = value
		}
	}

	m[claimIssuer], m[claimSubject], m[claimID] = c.Issuer, c.Subject, c.ID
	m[claimIssuedAt], m[claimExpiresAt] = c.IssuedAt, c.ExpiresAt
	m[claimSID], m[claimAppID], m[claimOpenID] = c.SID, c.AppID, c.OpenID
	// One audience is a plain string, which every library understands.
	m[claimAudience] = c.Audience
	if len(c.Audience) == 1 {
		m[claimAudience] = c.Audience[0]
	}

	optional := map[string]string{
		claimUnionID: c.UnionID, claimNickname: c.Nickname, claimPicture: c.Picture,
		claimPhone: c.Phone, claimPhoneNumber: c.PhoneNumber,
	}
	if sealed != "" {
		delete(optional, claimPhone)
		delete(optional, claimPhoneNumber)
		optional[claimPhoneSealed] = sealed
	}
	for name, value := range optional {
		if value != "" {
			m[name] = value
		}
	}
	if c.PhoneNumberVerified {
		m[claimPhoneNumberVerified] = true
	}

	// Escaping for HTML would make six bytes of each & in a picture's address.
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(m); err != nil {
		// The encoder's text quotes values; only Extra can fail.
		return nil, fmt.Errorf("%w: an extra claim cannot be written as JSON", ErrClaims)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// decodePayload reads claims, and a phone that is still sealed.
func decodePayload(text string) (c *Claims, sealed string, err error) {
	object, ok := parseObject(text)
	if !ok {
		return nil, "", fmt.Errorf("%w: not a plain JSON object", ErrClaims)
	}

	m := members{left: object}
	c = &Claims{
		Issuer:    m.required(claimIssuer, plainText),
		Subject:   m.required(claimSubject, identifier),
		Audience:  m.audience(claimAudience),
		IssuedAt:  m.time(claimIssuedAt),
		NotBefore: m.optionalTime(claimNotBefore),
		ExpiresAt: m.time(claimExpiresAt),
		ID:        m.required(claimID, identifier),
		SID:       m.required(claimSID, identifier),
		AppID:     m.required(claimAppID, identifier),
		OpenID:    m.required(claimOpenID, identifier),

		UnionID:             m.optional(claimUnionID, identifier),
		Phone:               m.text(claimPhone),
		PhoneNumber:         m.text(claimPhoneNumber),
		PhoneNumberVerified: m.flag(claimPhoneNumberVerified),
		Nickname:            m.text(claimNickname),
		Picture:             m.text(claimPicture),
	}
	sealed = m.optional(claimPhoneSealed, plainText)

	switch {
	case m.bad != "":
		return nil, "", fmt.Errorf("%w: %s", ErrClaims, m.bad)
	case c.Subject != c.OpenID:
		return nil, "", fmt.Errorf("%w: %s", ErrClaims, claimSubject)
	case sealed != "" && (c.Phone != "" || c.PhoneNumber != ""):
		return nil, "", fmt.Errorf("%w: %s", ErrClaims, claimPhoneSealed)
	}

	// What is left has names of its own. "EXP" is neither exp nor somebody
	// else's claim: a reader that ignores case would take it for the real one.
	for name := range m.left {
		if Reserved(name) {
			return nil, "", fmt.Errorf("%w: a reserved name in another case", ErrClaims)
		}
	}
	if len(m.left) > 0 {
		c.Extra = m.left
	}
	return c, sealed, nil
}

// members takes values out of an object one by one and remembers the first
// name that was missing or malformed.
type members struct {
	left map[string]any
	bad  string
}

func (m *members) take(name string) (any, bool) {
	value, ok := m.left[name]
	if ok {
		delete(m.left, name)
	}
	return value, ok
}

func (m *members) fail(name string) {
	if m.bad == "" {
		m.bad = name
	}
}

// required takes a string that must be there and not be empty.
func (m *members) required(name string, fits func(string) bool) string {
	value, _ := m.take(name)
	s, ok := value.(string)
	if !ok || s == "" || !fits(s) {
		m.fail(name)
	}
	return s
}

// optional takes a string that may be missing but not empty.
func (m *members) optional(name string, fits func(string) bool) string {
	if _, there := m.left[name]; !there {
		return ""
	}
	return m.required(name, fits)
}

// text takes a string that may be missing or empty.
func (m *members) text(name string) string {
	value, there := m.take(name)
	s, ok := value.(string)
	if there && (!ok || !plainText(s)) {
		m.fail(name)
	}
	return s
}

func (m *members) flag(name string) bool {
	value, there := m.take(name)
	b, ok := value.(bool)
	if there && !ok {
		m.fail(name)
	}
	return b
}

// time takes whole seconds written as such. golang-jwt also takes "exp" as a
// string, a fraction, or 1e18, the year 31 billion.
func (m *members) time(name string) int64 {
	value, _ := m.take(name)
	number, _ := value.(json.Number)
	n, err := strconv.ParseUint(string(number), 10, 64)
	if err != nil || n > maxTime {
		m.fail(name)
		return 0
	}
	return int64(n)
}

func (m *members) optionalTime(name string) int64 {
	if _, there := m.left[name]; !there {
		return 0
	}
	return m.time(name)
}

func (m *members) audience(name string) []string {
	value, _ := m.take(name)
	items, ok := value.([]any)
	if !ok {
		items = []any{value}
	}

	audience := make([]string, len(items))
	for i, item := range items {
		s, ok := item.(string)
		if !ok || s == "" || !plainText(s) {
			m.fail(name)
			return nil
		}
		audience[i] = s
	}
	if len(audience) == 0 {
		m.fail(name)
	}
	return audience
}

// identifier is the alphabet of WeChat's ids and of those made here. They end
// up in headers, cache keys and store keys, where nothing else may appear.
func identifier(s string) bool {
	for i := range len(s) {
		if !base64urlByte(s[i]) {
			return false
		}
	}
	return len(s) <= maxIdentifier
}

// plainText refuses control characters: line breaks in a nickname become
// header and log injections further down.
func plainText(s string) bool {
	for _, r := range s {
		if unicode.IsControl(r) {
			return false
		}
	}
	return true
}

func base64urlByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_'
}
