// Verification: from a token to claims.

package jwt

import (
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
)

var (
	// ErrInvalid is the one error for every wrong token: more detail would help a forger.
	ErrInvalid = errors.New("jwt: invalid token")

	// ErrExpired is the error for a token that is right in everything but its age.
	ErrExpired = errors.New("jwt: expired token")
)

// MaxToken bounds a token's length before anything is done with it. Caddy lets
// through headers of 1 MiB.
const MaxToken = 8 << 10

// strictBase64 refuses unused trailing bits that are not zero. Otherwise most
// tokens have twins: other strings that mean the same.
var strictBase64 = base64.RawURLEncoding.Strict()

// Verifier checks tokens. Its fields must not change while it is in use; the keys in its Ring may.
type Verifier struct {
	// Ring has the keys to verify with.
	Ring *Ring

	// Issuer is the only iss claim accepted.
	Issuer string

	// Audience lists the aud claims accepted, one of which suffices; empty means the token's own
	// appid.
	Audience []string

	// AppIDs lists the appid claims accepted.
	AppIDs []string

	// TTL is the longest lifetime a token may have, from iat to exp.
	TTL time.Duration

	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Verify returns the claims of a token, or [ErrInvalid] or [ErrExpired]; the
// latter only if the signature verifies and nothing else is wrong.
//
// ECDSA has for each signature (r, s) a second one, (r, n-s), and RFC 7518
// allows both. A token's text is therefore no identity: revoke by ID or SID.
func (v *Verifier) Verify(token string) (*Claims, error) {
	header, payload, signature, ok := split(token)
	if !ok {
		return nil, ErrInvalid
	}
	key := v.Ring.keyFor(header)
	if key == nil {
		return nil, ErrInvalid
	}

	// What is signed is the text as it came. Nothing of it is parsed before it is known to be ours.
	sig, err := strictBase64.DecodeString(signature)
	if err != nil {
		return nil, ErrInvalid
	}
	signed := token[:len(header)+1+len(payload)]
	if key.alg.method.Verify(signed, sig, key.material().public) != nil {
		return nil, ErrInvalid
	}

	text, err := strictBase64.DecodeString(payload)
	if err != nil {
		return nil, ErrInvalid
	}
	claims, sealed, err := decodePayload(text)
	if err != nil {
		return nil, ErrInvalid
	}
	now := clock(v.Now)
	if !v.accepts(claims, now) || sealed != "" && !key.openPhone(sealed, claims) {
		return nil, ErrInvalid
	}
	if claims.ExpiresAt <= now.Unix() {
		return nil, ErrExpired
	}
	claims.KeyID = key.id
	return claims, nil
}

// maxAhead bounds how far the clock of the machine that issued a token may run ahead of the one
// that verifies it. There is no such leeway for the end of a token.
const maxAhead = 30 * time.Second

// Begun reports whether the token's time has come, as far as clocks agree.
func (c *Claims) Begun(now time.Time) bool {
	latest := now.Add(maxAhead).Unix()
	return c.IssuedAt <= latest && c.NotBefore <= latest
}

// accepts checks everything that configuration and clock have a say in, but
// not expiry, which has an error of its own.
func (v *Verifier) accepts(c *Claims, now time.Time) bool {
	if c.Issuer != v.Issuer || !slices.Contains(v.AppIDs, c.AppID) || !v.addressed(c) {
		return false
	}
	// A longer life than ours, or a start in the far future, is a token of
	// another configuration or another maker, whatever key it was signed with.
	lifetime := c.ExpiresAt - c.IssuedAt
	if lifetime <= 0 || lifetime > int64(v.TTL/time.Second) {
		return false
	}
	return c.Begun(now)
}

func (v *Verifier) addressed(c *Claims) bool {
	if len(v.Audience) == 0 {
		return slices.Contains(c.Audience, c.AppID)
	}
	for _, audience := range v.Audience {
		if slices.Contains(c.Audience, audience) {
			return true
		}
	}
	return false
}

// split takes a token apart. It refuses what is not in the alphabet of compact
// serialization before anything is decoded: JSON serialization, padding, the
// line breaks that Go's base64 passes over, and 500,000 dots.
func split(token string) (header, payload, signature string, ok bool) {
	if len(token) > MaxToken {
		return "", "", "", false
	}
	for i := range len(token) {
		if c := token[i]; c != '.' && !base64urlByte(c) {
			return "", "", "", false
		}
	}

	header, rest, _ := strings.Cut(token, ".")
	payload, signature, _ = strings.Cut(rest, ".")
	ok = header != "" && payload != "" && signature != "" && !strings.Contains(signature, ".")
	return header, payload, signature, ok
}

// keyFor returns the key that a token's header names, or nil. A header has alg, typ and kid and
// nothing else: no crit, b64, zip or cty that would change the meaning of the rest, no jwk, jku,
// x5u or x5c that would bring a key along. The algorithm is the key's; the header can only agree.
func (r *Ring) keyFor(header string) *Key {
	text, err := strictBase64.DecodeString(header)
	if err != nil {
		return nil
	}
	var h struct {
		Algorithm string `json:"alg"`
		KeyID     string `json:"kid"`
		Type      string `json:"typ"`
	}
	if json.Unmarshal(text, &h, strict, json.RejectUnknownMembers(true)) != nil || h.Type != "JWT" {
		return nil
	}
	key := r.load().byID[h.KeyID]
	if key == nil || h.Algorithm != key.alg.name {
		return nil
	}
	return key
}
