// Package session keeps a mini program's users logged in: sessions with refresh tokens that rotate,
// users with their phone numbers, revocations, and replays that make a repeated request safe.
//
// [Store] is the contract of what keeps them. A new store for one machine is best written as a
// [DB], the operations of a transactional map, and made a Store by [NewKVStore]; package
// sessiontest checks both contracts.
package session

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"time"
)

// Digest is a SHA-256 sum: stored in place of a value that must not be read back from a store.
type Digest [sha256.Size]byte

// UserID names one user of one mini program.
type UserID struct {
	AppID  string `json:"appid"`
	OpenID string `json:"openid"`
}

const (
	tagSize    = 16
	appTagSize = 4 // of a tag: the mini program; the rest is the user
	siteSize   = 8
	randomSize = 16
	sidSize    = tagSize + siteSize + randomSize
)

// Tag is a user's place in a store: all records of a user have the same tag, so that a cluster can
// keep them on one node.
type Tag [tagSize]byte

// Tag returns the user's tag.
func (u UserID) Tag() (t Tag) {
	app := sha256.Sum256([]byte(u.AppID))
	// The length stands before the rest so that no two users' bytes are the same.
	sum := sha256.Sum256(append(binary.AppendUvarint(nil, uint64(len(u.AppID))), u.AppID+u.OpenID...))
	copy(t[:], app[:appTagSize])
	copy(t[appTagSize:], sum[:])
	return t
}

// IsOf reports whether the tag can be that of a user of the mini program.
func (t Tag) IsOf(appID string) bool {
	app := sha256.Sum256([]byte(appID))
	return bytes.Equal(t[:appTagSize], app[:appTagSize])
}

// Site is the mark of the site that made a session. A session belongs to its site, also where
// others share the mini program and the store.
type Site [siteSize]byte

// NewSite returns the mark of the site that differs from others in any of the parts.
func NewSite(parts ...string) (s Site) {
	sum := sha256.New()
	for _, part := range parts {
		sum.Write(binary.AppendUvarint(nil, uint64(len(part))))
		sum.Write([]byte(part))
	}
	copy(s[:], sum.Sum(nil))
	return s
}

// SID names a session: the user's tag, the site's mark and 128 random bits, in base64url. It is no
// secret: it stands in every access token.
type SID string

func newSID(user Tag, site Site) SID {
	var raw [sidSize]byte
	copy(raw[:], user[:])
	copy(raw[tagSize:], site[:])
	_, _ = rand.Read(raw[tagSize+siteSize:]) // never fails
	return SID(base64.RawURLEncoding.EncodeToString(raw[:]))
}

// Parse returns the parts of a session's name, and reports false when it is none.
func (s SID) Parse() (user Tag, site Site, ok bool) {
	raw, ok := decodeExactly(string(s), sidSize)
	if !ok {
		return Tag{}, Site{}, false
	}
	copy(user[:], raw)
	copy(site[:], raw[tagSize:])
	return user, site, true
}

// Session is one login. Its refresh token is not in it, only digests.
type Session struct {
	SID     SID       `json:"sid"`
	User    UserID    `json:"-"`        // that of the account
	Created time.Time `json:"created"`  // at the login
	LastUse time.Time `json:"last_use"` // of a refresh token

	// TokensUntil is the latest time at which an access token of this session expires.
	TokensUntil time.Time `json:"tokens_until"`

	// Family is the digest of the part that all refresh tokens of this session have in common: only
	// the holder of one of them can know it.
	Family Digest `json:"family"`

	// Current is the digest of the refresh token to come, Previous that of the one spent last, at
	// Spent, and Salt led from Previous's token to Current's.
	Current  Digest    `json:"current"`
	Previous Digest    `json:"previous,omitzero"`
	Salt     []byte    `json:"salt,omitempty"`
	Spent    time.Time `json:"spent,omitzero"`

	// Claims are further claims of its access tokens: a JSON object that a store does not look
	// into. null is none, and comes back as nil.
	Claims json.RawMessage `json:"claims,omitempty"`

	// Ended is set while a session has ended and its revocation may not be written yet.
	Ended Outcome `json:"ended,omitzero"`
}

// Policy bounds the life of sessions.
type Policy struct {
	Idle       time.Duration // without a refresh
	Lifetime   time.Duration // at all
	Grace      time.Duration // the spent refresh token still gets its successor
	MaxPerUser int           // sessions; the oldest go
	TokenTTL   time.Duration // the longest life of an access token, for sessions whose record is gone
}

// Ends returns when the session dies unless it is used.
func (s *Session) Ends(p Policy) time.Time {
	idle, lifetime := s.LastUse.Add(p.Idle), s.Created.Add(p.Lifetime)
	if idle.Before(lifetime) {
		return idle
	}
	return lifetime
}

// Revocation returns the revocation of the session: it holds until its last access token has
// expired, and where an answer is under way for as long as that token may live.
func (s *Session) Revocation(e Ending) Revocation {
	return Revocation{SID: s.SID, Until: later(s.TokensUntil, e.Now.Add(e.Policy.TokenTTL))}
}

func (s *Session) site() Site {
	_, site, _ := s.SID.Parse()
	return site
}

// owns reports whether a session can be that of the account.
func (s *Session) owns(user Tag) bool {
	tag, _, ok := s.SID.Parse()
	return ok && tag == user
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
