// The refresh token: its text, its digests and its successor.

package session

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"time"
)

const (
	familySize = 16
	secretSize = 32
	saltSize   = 16
	tokenSize  = sidSize + familySize + secretSize
)

// RefreshToken is the client's half of a session: its name, 128 random bits that all tokens of the
// session share, and 256 random bits of its own. Its text is String; nothing else of it is ever
// stored but digests.
type RefreshToken struct {
	SID    SID
	family [familySize]byte
	secret [secretSize]byte
}

// ParseRefreshToken reads a token's text and reports false when it is none.
func ParseRefreshToken(text string) (t RefreshToken, ok bool) {
	raw, ok := decodeExactly(text, tokenSize)
	if !ok {
		return RefreshToken{}, false
	}
	t.SID = SID(base64.RawURLEncoding.EncodeToString(raw[:sidSize]))
	copy(t.family[:], raw[sidSize:])
	copy(t.secret[:], raw[sidSize+familySize:])
	return t, true
}

// decodeExactly reads base64url of one size: each value has one text. Package base64 alone would
// skip line breaks.
func decodeExactly(text string, size int) ([]byte, bool) {
	if len(text) != base64.RawURLEncoding.EncodedLen(size) {
		return nil, false
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	return raw, err == nil && len(raw) == size
}

// Text returns the token as the client gets it. It is no String method, so that printing a token by
// accident does not show it.
func (t RefreshToken) Text() string {
	raw, _ := base64.RawURLEncoding.DecodeString(string(t.SID)) // made by newSID or ParseRefreshToken
	raw = append(raw, t.family[:]...)
	return base64.RawURLEncoding.EncodeToString(append(raw, t.secret[:]...))
}

// String keeps the token out of logs and errors.
func (t RefreshToken) String() string { return "refresh token of " + string(t.SID) }

// GoString does the same for %#v.
func (t RefreshToken) GoString() string { return t.String() }

// Family is the digest stored as Session.Family.
func (t RefreshToken) Family() Digest { return sha256.Sum256(t.family[:]) }

// Digest is the digest stored as Session.Current.
func (t RefreshToken) Digest() Digest { return sha256.Sum256(t.secret[:]) }

// Successor derives the token that follows. Only the holder of t can compute it: the store keeps
// the salt for the grace time, and never a token.
func (t RefreshToken) Successor(salt []byte) RefreshToken {
	mac := hmac.New(sha256.New, t.secret[:])
	mac.Write([]byte("wechatauth refresh token"))
	mac.Write(salt)
	next := t
	copy(next.secret[:], mac.Sum(nil))
	return next
}

// New makes a session of a user at a site, and its first refresh token.
func New(user UserID, site Site, now time.Time) (Session, RefreshToken) {
	t := RefreshToken{SID: newSID(user.Tag(), site)}
	_, _ = rand.Read(t.family[:]) // never fails
	_, _ = rand.Read(t.secret[:])
	return Session{
		SID: t.SID, User: user, Created: now, LastUse: now, TokensUntil: now,
		Family: t.Family(), Current: t.Digest(),
	}, t
}
