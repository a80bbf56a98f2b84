// Package session keeps a mini program's users logged in: sessions with refresh tokens that rotate,
// users with their phone numbers, revocations, and the short notes that make a repeated request safe.
//
// [Store] is the contract of what keeps them. [NewMemory] and [OpenBolt] are for one machine, [NewRedis]
// is for a cluster. A new store is best written as a [DB], the five operations of a transactional map,
// and made a Store by [Over]; sessiontest.Run tells whether it keeps the contract.
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

// Digest is a SHA-256 sum: what is stored of things that must not be read back from a store.
type Digest [sha256.Size]byte

// UserID names one user of one mini program.
type UserID struct {
	AppID  string `json:"appid"`
	OpenID string `json:"openid"`
}

const tagSize = 16

// Tag is a user's place in a store: all that belongs to a user has the same tag, so that a cluster can
// keep it on one node.
type Tag [tagSize]byte

// appTagSize is how much of a tag tells the mini program; the rest tells the user.
const appTagSize = 4

// Tag returns the user's tag.
func (u UserID) Tag() (t Tag) {
	app := sha256.Sum256([]byte(u.AppID))
	// The length stands before the rest so that no two users' bytes are the same.
	sum := sha256.Sum256(append(binary.AppendUvarint(nil, uint64(len(u.AppID))), u.AppID+u.OpenID...))
	copy(t[:], app[:appTagSize])
	copy(t[appTagSize:], sum[:])
	return t
}

// IsOf tells whether the tag can be that of a user of the mini program.
func (t Tag) IsOf(appID string) bool {
	app := sha256.Sum256([]byte(appID))
	return bytes.Equal(t[:appTagSize], app[:appTagSize])
}

// User is what is remembered of a user. Zero fields are unknown.
type User struct {
	UserID
	UnionID   string    `json:"unionid,omitempty"`
	FirstSeen time.Time `json:"first_seen,omitzero"`

	// Phone is the number as WeChat gives it, PhoneNumber the same in E.164, if it has that form.
	Phone         string    `json:"phone,omitempty"`
	PhoneNumber   string    `json:"phone_number,omitempty"`
	PhoneVerified time.Time `json:"phone_verified,omitzero"`

	Nickname string `json:"nickname,omitempty"`
	Avatar   string `json:"avatar,omitempty"` // the hash that names the picture

	// Key is WeChat's session_key since KeySince, and PreviousKey the one it superseded then. Who learned
	// them has sealed them, so that equal keys are equal bytes; a store can't read them.
	Key         []byte    `json:"key,omitempty"`
	KeySince    time.Time `json:"key_since,omitzero"`
	PreviousKey []byte    `json:"previous_key,omitempty"`
}

// Learn adds what was learned about the user: known fields replace, FirstSeen is kept if there is one, and
// a Key that is another than the last makes that the PreviousKey.
func (u *User) Learn(l User) {
	u.UserID = l.UserID
	if l.UnionID != "" {
		u.UnionID = l.UnionID
	}
	if u.FirstSeen.IsZero() {
		u.FirstSeen = l.FirstSeen
	}
	if l.Phone != "" {
		u.Phone, u.PhoneNumber, u.PhoneVerified = l.Phone, l.PhoneNumber, l.PhoneVerified
	}
	if l.Nickname != "" {
		u.Nickname = l.Nickname
	}
	if l.Avatar != "" {
		u.Avatar = l.Avatar
	}
	if len(l.Key) > 0 && !bytes.Equal(l.Key, u.Key) {
		u.PreviousKey, u.Key, u.KeySince = u.Key, l.Key, l.KeySince
	}
}

// DropKey forgets a session_key, be it the last or the one before it. KeySince stays as long as one is left.
func (u *User) DropKey(key []byte) {
	if bytes.Equal(u.Key, key) {
		u.Key = nil
	}
	if bytes.Equal(u.PreviousKey, key) {
		u.PreviousKey = nil
	}
	if u.Key == nil && u.PreviousKey == nil {
		u.KeySince = time.Time{}
	}
}

const (
	millisSize = 6
	randomSize = 16
	sidSize    = tagSize + millisSize + randomSize
)

// SID names a session: the user's tag, the time it was made in milliseconds, and 128 random bits, in
// base64url. It is no secret: it stands in every access token.
type SID string

// newSID returns a session's name.
func newSID(user Tag, made time.Time) SID {
	var raw [sidSize]byte
	copy(raw[:], user[:])
	var millis [8]byte
	binary.BigEndian.PutUint64(millis[:], uint64(made.UnixMilli()))
	copy(raw[tagSize:], millis[2:])
	_, _ = rand.Read(raw[tagSize+millisSize:]) // never fails
	return SID(base64.RawURLEncoding.EncodeToString(raw[:]))
}

// Parse takes a session's name apart, and reports false when it is none.
func (s SID) Parse() (user Tag, made time.Time, ok bool) {
	raw, ok := decodeExactly(string(s), sidSize)
	if !ok {
		return Tag{}, time.Time{}, false
	}
	var millis [8]byte
	copy(millis[2:], raw[tagSize:])
	copy(user[:], raw)
	return user, time.UnixMilli(int64(binary.BigEndian.Uint64(millis[:]))), true
}

// Session is one login. Its refresh token is not in it, only digests.
type Session struct {
	SID     SID       `json:"sid"`
	User    UserID    `json:"user"`
	Created time.Time `json:"created"`
	LastUse time.Time `json:"last_use"` // of a refresh token

	// Family is the digest of what all refresh tokens of this session have in common: only who was
	// once given one of them can know it.
	Family Digest `json:"family"`

	// Current is the digest of the refresh token to come, Previous that of the one spent last, at
	// Spent, and Salt is what Current's token was derived from Previous's with.
	Current  Digest    `json:"current"`
	Previous Digest    `json:"previous,omitzero"`
	Salt     []byte    `json:"salt,omitempty"`
	Spent    time.Time `json:"spent,omitzero"`

	// Claims are what else its access tokens say: a JSON object that a store does not look into. Those
	// that are null are none, and come back as nil.
	Claims json.RawMessage `json:"claims,omitempty"`
}

// Policy is how long sessions live.
type Policy struct {
	Idle       time.Duration // without a refresh
	Lifetime   time.Duration // at all
	Grace      time.Duration // the spent refresh token still gets its successor
	MaxPerUser int           // sessions; the oldest go
	TokenTTL   time.Duration // an access token's life: how long a revocation must be remembered
}

// Ends returns when the session dies unless it is used.
func (s *Session) Ends(p Policy) time.Time {
	idle, lifetime := s.LastUse.Add(p.Idle), s.Created.Add(p.Lifetime)
	if idle.Before(lifetime) {
		return idle
	}
	return lifetime
}
