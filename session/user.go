// The user: everything that is known of the holder of an openid.

package session

import (
	"bytes"
	"time"
)

// User is everything known of a user. Zero fields are unknown.
type User struct {
	UserID
	UnionID   string    `json:"unionid,omitempty"`
	FirstSeen time.Time `json:"first_seen,omitzero"` // the first login here, or an earlier time that an import knew

	// Phone is the number as WeChat gives it, PhoneNumber the same in E.164, if it has that form.
	Phone         string    `json:"phone,omitempty"`
	PhoneNumber   string    `json:"phone_number,omitempty"`
	PhoneVerified time.Time `json:"phone_verified,omitzero"`

	Nickname string `json:"nickname,omitempty"`
	Avatar   string `json:"avatar,omitempty"` // the hash that names the picture

	// Key is WeChat's session_key since KeySince, and PreviousKey the one it superseded then. The
	// caller has sealed them, so that equal keys are equal bytes; a store can't read them.
	Key         []byte    `json:"key,omitempty"`
	KeySince    time.Time `json:"key_since,omitzero"`
	PreviousKey []byte    `json:"previous_key,omitempty"`
}

// Merge adds news of the user: known fields replace, FirstSeen is kept if there is one, and a Key
// that is another than the last makes that the PreviousKey.
func (u *User) Merge(news User) {
	u.UserID = news.UserID
	if news.UnionID != "" {
		u.UnionID = news.UnionID
	}
	if u.FirstSeen.IsZero() {
		u.FirstSeen = news.FirstSeen
	}
	if news.Phone != "" {
		u.Phone, u.PhoneNumber, u.PhoneVerified = news.Phone, news.PhoneNumber, news.PhoneVerified
	}
	if news.Nickname != "" {
		u.Nickname = news.Nickname
	}
	if news.Avatar != "" {
		u.Avatar = news.Avatar
	}
	if len(news.Key) > 0 && !bytes.Equal(news.Key, u.Key) {
		u.PreviousKey, u.Key, u.KeySince = u.Key, news.Key, news.KeySince
	}
}

func (u *User) dropPhone() {
	u.Phone, u.PhoneNumber, u.PhoneVerified = "", "", time.Time{}
}

// DropKey removes a session_key, be it the last or the one before it. KeySince stays as long as one
// is left.
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
