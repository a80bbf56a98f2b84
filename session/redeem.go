// The use of a refresh token.

package session

import (
	"crypto/rand"
	"encoding/json"
	"time"
)

// Redemption is the use of a refresh token. A store carries it out in one step.
type Redemption struct {
	SID    SID
	Family Digest    // of the token that is spent
	Token  Digest    // likewise
	Next   Digest    // of its successor, if this use is its first
	Salt   []byte    // that the successor was derived with
	Now    time.Time // of the request
	Policy Policy

	TokensUntil time.Time       // when the access token of the answer expires
	Claims      json.RawMessage // the session's from now on, none if they are null; nil keeps those it has
}

// NewRedemption prepares the use of a token.
func NewRedemption(t RefreshToken, now time.Time, p Policy) Redemption {
	salt := make([]byte, saltSize)
	_, _ = rand.Read(salt) // never fails
	return Redemption{
		SID: t.SID, Family: t.Family(), Token: t.Digest(), Next: t.Successor(salt).Digest(), Salt: salt,
		Now: now, Policy: p,
	}
}

// Outcome is the result of the use of a refresh token.
type Outcome int

const (
	// Unknown: there is no such session, it is too old, or the token was never one of its.
	Unknown Outcome = iota

	// Rotated: the token was the current one and is spent now.
	Rotated

	// Repeated: the token was spent a moment ago; its holder gets the same successor again.
	Repeated

	// Reused: the token was one of this session's and was spent long ago. Somebody has a copy: the
	// session ends.
	Reused

	// Evicted is no outcome, but a reason why a session has ended: its user had too many, or a store
	// that ends it in several steps is not through.
	Evicted
)

// Redeem applies the use of a token to the session and returns the outcome. After Rotated the
// session has changed; after Rotated and Repeated its Salt leads from the token to its successor.
func (s *Session) Redeem(r Redemption) Outcome {
	switch {
	case s.SID != r.SID || s.Family != r.Family:
		return Unknown
	case s.Ended == Reused:
		return Reused
	case s.Ended != Unknown || !r.Now.Before(s.Ends(r.Policy)):
		return Unknown
	case r.Token == s.Current:
		s.Previous, s.Current, s.Salt = s.Current, r.Next, r.Salt
		s.Spent, s.LastUse = r.Now, later(s.LastUse, r.Now) // a clock that is behind for a while makes it no older
		return Rotated
	case r.Token == s.Previous && r.Now.Before(s.Spent.Add(r.Policy.Grace)):
		return Repeated
	}
	return Reused
}
