// Claims to JSON and back. What holds for every token, whoever verifies it, is
// checked on both ways; what depends on configuration is in verifier.go.

package jwt

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"unicode"

	"github.com/go-json-experiment/json"
)

// ErrClaims is why [Issuer.Issue] makes no token of claims: one is missing or
// malformed. The text around it names the claim and never quotes it.
var ErrClaims = errors.New("jwt: unusable claims")

// maxIdentifier bounds openid and kin. WeChat's have 28 characters.
const maxIdentifier = 128

// encodePayload writes the claims as JSON. A sealed phone takes the place of the phone.
func encodePayload(c *Claims, sealed string) ([]byte, error) {
	p := payload{Claims: *c}
	if c.UnionID != "" {
		p.UnionID = &c.UnionID
	}
	if sealed != "" {
		p.Phone, p.PhoneNumber, p.PhoneSealed = "", "", &sealed
	}
	p.Extra = maps.Clone(c.Extra)
	maps.DeleteFunc(p.Extra, func(name string, _ any) bool { return reserved(name) })

	text, err := json.Marshal(&p, strict)
	if err != nil {
		// The encoder's text quotes values.
		return nil, fmt.Errorf("%w: one cannot be written as JSON", ErrClaims)
	}
	return text, nil
}

// decodePayload reads claims, and a phone that is still sealed.
func decodePayload(text []byte) (c *Claims, sealed string, err error) {
	p := new(payload)
	if json.Unmarshal(text, p, strict) != nil { // its text quotes values
		return nil, "", fmt.Errorf("%w: not a JSON object of their types", ErrClaims)
	}
	if wrong := p.wrong(); wrong != "" {
		return nil, "", fmt.Errorf("%w: %s", ErrClaims, wrong)
	}
	c = &p.Claims
	if p.UnionID != nil {
		c.UnionID = *p.UnionID
	}
	if p.NotBefore != nil {
		c.NotBefore = *p.NotBefore
	}
	if p.PhoneSealed != nil {
		sealed = *p.PhoneSealed
	}
	return c, sealed, nil
}

// wrong names a claim that is missing or malformed, "" if there is none.
func (p *payload) wrong() string {
	for _, id := range []struct {
		name string
		text *string
	}{
		{"sub", &p.Subject},
		{"jti", &p.ID},
		{"sid", &p.SID},
		{"appid", &p.AppID},
		{"openid", &p.OpenID},
		{"unionid", p.UnionID},
	} {
		if id.text != nil && (*id.text == "" || !identifier(*id.text)) {
			return id.name
		}
	}
	claims := reflect.ValueOf(&p.Claims).Elem()
	for _, name := range claimNames {
		if field := claims.Field(claimFields[name]); field.Kind() == reflect.String && !plainText(field.String()) {
			return name
		}
	}

	switch {
	case p.Issuer == "":
		return "iss"
	case len(p.Audience) == 0 || slices.Contains(p.Audience, "") || slices.ContainsFunc(p.Audience, func(s string) bool { return !plainText(s) }):
		return "aud"
	case p.IssuedAt == 0:
		return "iat"
	case p.ExpiresAt == 0:
		return "exp"
	case p.Subject != p.OpenID:
		return "sub"
	case p.PhoneSealed != nil && (*p.PhoneSealed == "" || p.Phone != "" || p.PhoneNumber != ""):
		return "phone_sealed"
	}
	// "EXP" is neither exp nor somebody else's claim: a reader that ignores
	// case would take it for the real one.
	for name := range p.Extra {
		if reserved(name) {
			return "a reserved name in another case"
		}
	}
	return ""
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
