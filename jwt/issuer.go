// Issuing: from claims to a token.

package jwt

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"time"
)

// ErrTooLarge is why [Issuer.Issue] makes no token: it would exceed 8 KiB.
// Claims of a hook are the usual cause.
var ErrTooLarge = errors.New("jwt: the token would exceed 8 KiB; add fewer or shorter claims")

// Issuer makes tokens. Its fields must not change while it is in use.
type Issuer struct {
	// Ring has the key that signs.
	Ring *Ring

	// Name is the iss claim.
	Name string

	// Audience is the aud claim; empty means the appid of each token.
	Audience []string

	// TTL is the lifetime of a token, in whole seconds; a fraction is dropped.
	TTL time.Duration

	// SealPhone encrypts the phone number inside the token, so that only a
	// Verifier with the private key can read it.
	SealPhone bool

	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Issue signs a token. It needs AppID, OpenID and SID, sets the registered claims itself, leaves
// out what in Extra has a name of its own, and returns the claims as [Verifier.Verify] will.
//
// Whatever Verify would refuse for its form, Issue refuses too, with [ErrClaims] or [ErrTooLarge].
func (i *Issuer) Issue(c Claims) (string, Claims, error) {
	key := i.Ring.load().signing
	if key == nil {
		return "", Claims{}, fmt.Errorf("%w: the ring is empty", ErrKey)
	}
	ttl := int64(i.TTL / time.Second)
	if ttl < 1 {
		return "", Claims{}, fmt.Errorf("%w: the lifetime is under a second", ErrClaims)
	}

	now := clock(i.Now).Unix()
	c.Issuer, c.Subject, c.ID = i.Name, c.OpenID, rand.Text()
	c.IssuedAt, c.NotBefore, c.ExpiresAt = now, 0, now+ttl
	c.Audience = i.Audience
	if len(c.Audience) == 0 {
		c.Audience = []string{c.AppID}
	}

	var sealed string
	if i.SealPhone && (c.Phone != "" || c.PhoneNumber != "") {
		var err error
		if sealed, err = key.sealPhone(&c); err != nil {
			return "", Claims{}, err
		}
	}
	payload, err := encodePayload(&c, sealed)
	if err != nil {
		return "", Claims{}, err
	}

	// Reading back what was written is what makes good the promise that no
	// token leaves here that Verify would not take.
	issued, _, err := decodePayload(payload)
	if err != nil {
		return "", Claims{}, err
	}
	if sealed != "" && !key.openPhone(sealed, issued) {
		return "", Claims{}, fmt.Errorf("%w: phone", ErrClaims)
	}
	issued.KeyID = key.id

	token, err := key.sign(payload)
	if err != nil {
		return "", Claims{}, err
	}
	if len(token) > MaxToken {
		return "", Claims{}, ErrTooLarge
	}
	return token, *issued, nil
}

func (k *Key) sign(payload []byte) (string, error) {
	signed := k.header + "." + base64.RawURLEncoding.EncodeToString(payload)
	signature, err := k.alg.method.Sign(signed, k.material().private)
	if err != nil {
		return "", fmt.Errorf("jwt: signing with %s failed: %w", k.alg.name, err)
	}
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature), nil
}

func clock(now func() time.Time) time.Time {
	if now == nil {
		return time.Now()
	}
	return now()
}

// ClaimNames returns the names of the claims that the issuer's tokens may have, Extra apart.
func (i *Issuer) ClaimNames() []string {
	if !i.SealPhone {
		return Names()
	}
	sealed := func(name string) bool { return name == "phone" || name == "phone_number" }
	return append(slices.DeleteFunc(Names(), sealed), "phone_sealed")
}
