package session

import (
	"crypto/rand"
	"time"
)

// Spend is the use of a refresh token. A store carries it out in one step.
type Spend struct {
	SID    SID
	Family Digest // of the token that is spent
	Token  Digest // likewise
	Next   Digest // of its successor, if this use is its first
	Salt   []byte // that the successor was derived with
	Now    time.Time
	Policy Policy
}

// NewSpend prepares the use of a token.
func NewSpend(t RefreshToken, now time.Time, p Policy) Spend {
	salt := make([]byte, saltSize)
	_, _ = rand.Read(salt) // never fails
	return Spend{
		SID: t.SID, Family: t.Family(), Token: t.Digest(), Next: t.Successor(salt).Digest(), Salt: salt,
		Now: now, Policy: p,
	}
}

// Verdict is what a session says to the use of a refresh token.
type Verdict int

const (
	// Unknown: there is no such session, it is too old, or the token was never one of its.
	Unknown Verdict = iota

	// Rotated: the token was the current one and is spent now.
	Rotated

	// Repeated: the token was spent a moment ago; its holder gets the same successor again.
	Repeated

	// Reused: the token was one of this session's and was spent long ago. Somebody has a copy: the
	// session must end.
	Reused
)

// Spend applies the use of a token to the session, which must be the one that s names, and returns
// the verdict. After Rotated the session has changed; after Rotated and Repeated its Salt leads from
// the token to its successor.
func (s *Session) Spend(use Spend) Verdict {
	if s.SID != use.SID || s.Family != use.Family || !use.Now.Before(s.Ends(use.Policy)) {
		return Unknown
	}
	switch use.Token {
	case s.Current:
		s.Previous, s.Current, s.Salt = s.Current, use.Next, use.Salt
		s.Spent, s.LastUse = use.Now, use.Now
		return Rotated
	case s.Previous:
		if use.Now.Before(s.Spent.Add(use.Policy.Grace)) {
			return Repeated
		}
	}
	return Reused
}
