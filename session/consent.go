// Consent that a user took back.

package session

import "time"

// WithdrawalMargin is the largest difference between WeChat's clock and that of a node.
const WithdrawalMargin = 5 * time.Minute

// Withdrawal names what a user no longer lets a mini program have.
type Withdrawal struct {
	Phone, Nickname, Avatar bool // what is to be forgotten

	// At is the time at which the user said so, zero if that is not known. A phone proven later was given anew.
	At time.Time
}

// Empty reports whether nothing is named.
func (w Withdrawal) Empty() bool { return !w.Phone && !w.Nickname && !w.Avatar }

// Withdraw removes data of the user; the sessions go on. It returns what of it there was. A login
// or an update under way must not bring the phone back, so it counts also where there was none, and
// for a user never seen.
func (a *Account) Withdraw(w Withdrawal, now time.Time) (had Withdrawal) {
	u := &a.User
	if w.Phone && !a.gaveLater(w.At, now) {
		a.Withdrawals++
		had.Phone = u.Phone != "" || u.PhoneNumber != ""
		u.dropPhone()
	}
	if w.Nickname {
		had.Nickname, u.Nickname = u.Nickname != "", ""
	}
	if w.Avatar {
		had.Avatar, u.Avatar = u.Avatar != "", ""
	}
	return had
}

// gaveLater reports whether the phone was proven after a time, for certain: not if it was proven by a
// clock that was ahead.
func (a *Account) gaveLater(at, now time.Time) bool {
	proven := a.User.PhoneVerified
	return !at.IsZero() && proven.After(at.Add(WithdrawalMargin)) && !proven.After(now.Add(WithdrawalMargin))
}

// consented returns news of the user without a phone that was proven before consent to it was taken
// back.
func (a *Account) consented(news User, withdrawals int64) User {
	if withdrawals != a.Withdrawals {
		news.dropPhone()
	}
	return news
}
