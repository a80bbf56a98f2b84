// The claims of a token.

package jwt

import (
	"reflect"
	"slices"
	"strings"
)

// Claims describes a token and its user. Times are Unix seconds. An empty
// string is a claim that is not there.
type Claims struct {
	Issuer    string   `json:"iss"`
	Subject   string   `json:"sub"` // always the openid
	Audience  Audience `json:"aud"`
	IssuedAt  int64    `json:"iat"` // Unix seconds
	ExpiresAt int64    `json:"exp"` // Unix seconds; the token is good before
	ID        string   `json:"jti"`

	SID     string `json:"sid"`
	AppID   string `json:"appid"`
	OpenID  string `json:"openid"`
	UnionID string `json:"unionid,omitempty"`

	Phone               string `json:"phone,omitempty"`                // as WeChat gives it, without a country code where it is Chinese
	PhoneNumber         string `json:"phone_number,omitempty"`         // E.164
	PhoneNumberVerified bool   `json:"phone_number_verified,omitzero"` // WeChat gave it here, at any time
	Nickname            string `json:"nickname,omitempty"`
	Picture             string `json:"picture,omitempty"`

	// Extra holds claims under names that this package does not use itself. Out of a token,
	// numbers are json.Number: exactly what was written.
	Extra map[string]any `json:",embed"`

	// NotBefore is the nbf claim of tokens that others made; 0 is none. Tokens
	// made here have none: it only breaks verifiers whose clock is behind.
	NotBefore int64 `json:"-"`

	// KeyID is the id of the key that signed. It is no claim: it stands in the token's header.
	KeyID string `json:"-"`
}

// Texts returns the claims that are texts, and the key's id. The issuer and the subject are left
// out: they are the same for all tokens of a site, and the openid.
func (c *Claims) Texts() [10]*string {
	return [...]*string{
		&c.OpenID, &c.ID, &c.SID, &c.AppID, &c.UnionID, &c.Phone, &c.PhoneNumber, &c.Nickname, &c.Picture, &c.KeyID,
	}
}

// payload is the JSON of claims, with the fields that only the text of a token has. Its
// own fields come before those of Claims that have the same name.
type payload struct {
	Claims
	NotBefore   *int64  `json:"nbf,omitempty"`
	UnionID     *string `json:"unionid,omitempty"` // if it is there, it is not empty
	PhoneSealed *string `json:"phone_sealed,omitempty"`
}

var (
	claimNames, claimFields = namedFields[Claims]()
	reservedNames, _        = namedFields[payload]()
)

// namedFields returns the JSON names of a struct's fields in order, and their places.
func namedFields[T any]() (names []string, places map[string]int) {
	places = make(map[string]int)
	t := reflect.TypeFor[T]()
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		if name != "" && name != "-" {
			names = append(names, name)
			places[name] = i
		}
	}
	return names, places
}

// Names returns the names of the claims that tokens made here may have, Extra apart.
func Names() []string { return slices.Clone(claimNames) }

// reserved reports whether a claim name belongs to this package and must not be set by others. Case
// does not matter: a backend in Go that reads the token with encoding/json takes "OpenID" for
// "openid".
func reserved(name string) bool {
	same := func(other string) bool { return strings.EqualFold(name, other) }
	return slices.ContainsFunc(claimNames, same) || slices.ContainsFunc(reservedNames, same)
}

// Value returns a claim by its JSON name, Extra included, and whether it is
// there. It is a string, a bool, an int64 for times, or what Extra holds; the
// audience is a string when there is one, else a []string.
func (c *Claims) Value(name string) (any, bool) {
	i, ok := claimFields[name]
	if !ok {
		value, ok := c.Extra[name]
		return value, ok && !reserved(name)
	}
	field := reflect.ValueOf(c).Elem().Field(i)
	if field.IsZero() {
		return nil, false
	}
	audience, ok := reflect.TypeAssert[Audience](field)
	switch {
	case !ok:
		return field.Interface(), true
	case len(audience) == 1:
		return audience[0], true
	}
	return slices.Clone([]string(audience)), true
}
