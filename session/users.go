// The operator's questions: users by page, by phone or unionid, how many there are, and users
// brought along from elsewhere.

package session

import (
	"cmp"
	"errors"
	"strings"
	"time"
)

const (
	// MaxPage is the largest UserQuery.Limit, and defaultPage what 0 stands for.
	MaxPage     = 1000
	defaultPage = 100
)

// ErrCursor is returned for a UserQuery.After that is no cursor of the store.
var ErrCursor = errors.New("session: malformed cursor")

// UserQuery asks for users. Its zero fields ask for nothing.
type UserQuery struct {
	AppID   string
	Phone   string // as WeChat gives it, or in E.164
	UnionID string

	Limit int    // of a page
	After string // the Next of the page before
}

// UserPage is a part of a list of users. It may be short, or empty, without being the last.
type UserPage struct {
	Accounts []Account
	Next     string // "" after the last page
}

// Stats counts the Users and Sessions that a store keeps. Sessions that are over count until they are pruned.
type Stats struct {
	Users, Sessions int64
	Estimated       bool // from a sample
}

// Bounded returns the limit of the page.
func (q UserQuery) Bounded() int {
	return min(max(cmp.Or(q.Limit, defaultPage), 1), MaxPage)
}

// Matches reports whether an account is asked for. A store applies it to whatever its indexes find:
// they are only ever a hint.
func (q UserQuery) Matches(a *Account) bool {
	u := &a.User
	return u.UserID != (UserID{}) &&
		(q.AppID == "" || q.AppID == u.AppID) &&
		(q.Phone == "" || samePhone(q.Phone, u.Phone) || samePhone(q.Phone, u.PhoneNumber)) &&
		(q.UnionID == "" || q.UnionID == u.UnionID)
}

// Labels returns what the users asked for have one of among their own Labels; none if the query is
// for all.
func (q UserQuery) Labels() []string {
	switch {
	case q.UnionID != "":
		return []string{unionLabel(q.UnionID)}
	case q.Phone != "":
		return []string{phoneLabel(q.Phone), phoneLabel("86" + q.Phone)} // WeChat leaves China's code out
	}
	return nil
}

// Labels returns what a user is found by, "" for what is not known.
func (u *User) Labels() (labels [2]string) {
	if phone := cmp.Or(u.PhoneNumber, u.Phone); phone != "" {
		labels[0] = phoneLabel(phone)
	}
	if u.UnionID != "" {
		labels[1] = unionLabel(u.UnionID)
	}
	return labels
}

func phoneLabel(phone string) string { return "phone:" + phoneDigits(phone) }
func unionLabel(union string) string { return "union:" + union }

func samePhone(a, b string) bool { return phoneDigits(a) == phoneDigits(b) }

var phoneMarks = strings.NewReplacer("+", "", " ", "", "-", "")

// phoneDigits returns a phone without what some write between its digits, and others do not.
func phoneDigits(phone string) string { return cmp.Or(phoneMarks.Replace(phone), phone) }

// Import adds what is known of a user from elsewhere. To import again does no harm: a phone that
// was verified later than that of the import stays.
func (a *Account) Import(u User, now time.Time) {
	if a.User.PhoneVerified.After(u.PhoneVerified) {
		u.Phone = ""
	}
	if u.FirstSeen.IsZero() {
		u.FirstSeen = now
	}
	a.User.Merge(u)
}

// Dump is a part of what a store keeps.
type Dump struct {
	Accounts []DumpedAccount
	Revoked  []Revocation
	Keys     []byte // the signing keys, if they are in this part
}

// DumpedAccount is an account and where it belongs: that of an erased or an unknown user does not
// say.
type DumpedAccount struct {
	Tag Tag
	Account
}
