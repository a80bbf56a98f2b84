package jwt

// What a token says.

import (
	"slices"
	"strings"
)

// Claims is what a token says about its user. Times are Unix seconds. An empty
// string is a claim that is not there.
type Claims struct {
	Issuer    string
	Subject   string // always the openid
	Audience  []string
	IssuedAt  int64
	NotBefore int64 // 0 in tokens made here: it only breaks verifiers whose clock is behind
	ExpiresAt int64
	ID        string // jti

	SID     string
	AppID   string
	OpenID  string
	UnionID string

	Phone               string // as WeChat gives it, without a country code where it is Chinese
	PhoneNumber         string // E.164
	PhoneNumberVerified bool
	Nickname            string
	Picture             string

	// Extra holds claims under names that are not [Reserved]. Out of a token,
	// numbers are json.Number: exactly what was written.
	Extra map[string]any

	// KeyID is the id of the key that signed. It is no claim: it stands in the
	// token's header.
	KeyID string
}

const (
	claimIssuer              = "iss"
	claimSubject             = "sub"
	claimAudience            = "aud"
	claimIssuedAt            = "iat"
	claimNotBefore           = "nbf"
	claimExpiresAt           = "exp"
	claimID                  = "jti"
	claimSID                 = "sid"
	claimAppID               = "appid"
	claimOpenID              = "openid"
	claimUnionID             = "unionid"
	claimPhone               = "phone"
	claimPhoneNumber         = "phone_number"
	claimPhoneNumberVerified = "phone_number_verified"
	claimPhoneSealed         = "phone_sealed"
	claimNickname            = "nickname"
	claimPicture             = "picture"
)

var reservedClaims = []string{
	claimIssuer, claimSubject, claimAudience, claimIssuedAt, claimNotBefore, claimExpiresAt, claimID,
	claimSID, claimAppID, claimOpenID, claimUnionID,
	claimPhone, claimPhoneNumber, claimPhoneNumberVerified, claimPhoneSealed,
	claimNickname, claimPicture,
}

// Reserved tells whether a claim name belongs to this package, so that nobody
// else may set it. Case does not matter: a backend in Go that reads the token
// with encoding/json takes "OpenID" for "openid".
func Reserved(name string) bool {
	for _, reserved := range reservedClaims {
		if strings.EqualFold(name, reserved) {
			return true
		}
	}
	return false
}

// Value returns a claim by its JSON name, Extra included, and whether it is
// there. It is a string, a bool, an int64 for times, or what Extra holds; the
// audience is a string when there is one, else a []string.
func (c *Claims) Value(name string) (any, bool) {
	switch name {
	case claimIssuer:
		return c.Issuer, c.Issuer != ""
	case claimSubject:
		return c.Subject, c.Subject != ""
	case claimAudience:
		if len(c.Audience) == 1 {
			return c.Audience[0], true
		}
		return slices.Clone(c.Audience), len(c.Audience) > 0
	case claimIssuedAt:
		return c.IssuedAt, c.IssuedAt != 0
	case claimNotBefore:
		return c.NotBefore, c.NotBefore != 0
	case claimExpiresAt:
		return c.ExpiresAt, c.ExpiresAt != 0
	case claimID:
		return c.ID, c.ID != ""
	case claimSID:
		return c.SID, c.SID != ""
	case claimAppID:
		return c.AppID, c.AppID != ""
	case claimOpenID:
		return c.OpenID, c.OpenID != ""
	case claimUnionID:
		return c.UnionID, c.UnionID != ""
	case claimPhone:
		return c.Phone, c.Phone != ""
	case claimPhoneNumber:
		return c.PhoneNumber, c.PhoneNumber != ""
	case claimPhoneNumberVerified:
		return c.PhoneNumberVerified, c.PhoneNumberVerified
	case claimNickname:
		return c.Nickname, c.Nickname != ""
	case claimPicture:
		return c.Picture, c.Picture != ""
	}

	if Reserved(name) {
		return nil, false
	}
	value, ok := c.Extra[name]
	return value, ok
}
