// Bans: users who may not log in.

package session

import "time"

// Ban refuses the logins of a user.
type Ban struct {
	Reason string    `json:"reason,omitempty"` // for the user to read
	Until  time.Time `json:"until,omitzero"`   // zero: for good
}

// Holds reports whether there is a ban that is not over. One that is over stays until it is lifted.
func (b *Ban) Holds(at time.Time) bool {
	return b != nil && (b.Until.IsZero() || at.Before(b.Until))
}

// BannedError is returned for the login of a banned user. It wraps ErrEnded: a ban ends all
// sessions. Its text lacks the reason, which may say something of the user.
type BannedError struct{ Ban Ban }

// Error implements error.
func (*BannedError) Error() string { return "session: the user is banned" }

// Unwrap returns ErrEnded.
func (*BannedError) Unwrap() error { return ErrEnded }

// SetBan does what EndAll does, and bans the user, who need not be known, in place of an earlier
// ban.
func (a *Account) SetBan(b Ban, e Ending) []Revocation {
	a.Ban = &b
	return a.EndAll(e)
}
