// The account: a user with all sessions, and the rules by which they change. Stores carry these out as one
// step each.

package session

import (
	"encoding/json"
	"slices"
	"time"
)

const (
	// UserLife is how long a user who never comes back is kept.
	UserLife = 2 * 365 * 24 * time.Hour

	// TombstoneLife is how long the generation of an erased account is kept: longer than any login is
	// under way.
	TombstoneLife = time.Hour

	// RecordMargin is how much longer than needed a store keeps accounts, and ClockMargin revocations:
	// clocks of several machines differ, and each may step.
	RecordMargin = 24 * time.Hour
	ClockMargin  = time.Hour
)

// Account is a user with all sessions.
type Account struct {
	User User `json:"user"`

	// Generation is raised when all sessions end at once. A login that began in an earlier one is refused.
	Generation int64 `json:"generation,omitempty"`

	// Sessions are in the order of their logins. Those that are over stay until they are pruned.
	Sessions []Session `json:"sessions,omitempty"`
}

// Session returns the session of a name, nil if the account has none.
func (a *Account) Session(sid SID) *Session {
	for i := range a.Sessions {
		if a.Sessions[i].SID == sid {
			return &a.Sessions[i]
		}
	}
	return nil
}

// Expires returns when the account may be dropped.
func (a *Account) Expires(now time.Time, p Policy) time.Time {
	if a.User.UserID == (UserID{}) {
		return now.Add(TombstoneLife)
	}
	return now.Add(max(UserLife, p.Lifetime) + RecordMargin)
}

// Login adds a session and what came with it. When the user has more than Policy.MaxPerUser sessions, the
// oldest are ended: they are returned, and stay, with Ended set, until Drop. It returns ErrEnded, with the
// account unchanged, if the login began in an earlier generation.
func (a *Account) Login(l Login) (evicted []Revocation, err error) {
	if a.Generation != l.Generation {
		return nil, ErrEnded
	}
	now := l.Session.LastUse
	a.User.Merge(l.User)
	a.prune(now, l.Policy)
	l.Session.Claims = knownClaims(l.Session.Claims)
	a.Sessions = append(a.Sessions, l.Session)
	a.evict(l.Policy.MaxPerUser, func(s *Session) bool { return now.Before(s.Ends(l.Policy)) })
	a.evict(l.Policy.MaxPerUser, func(*Session) bool { return true }) // those that are over go first
	for i := range a.Sessions {
		if s := &a.Sessions[i]; s.Ended != Unknown {
			evicted = append(evicted, s.Revocation(Ending{Now: now, Policy: l.Policy}))
		}
	}
	return evicted, nil
}

// evict ends the oldest of the counted sessions beyond a number.
func (a *Account) evict(most int, counts func(*Session) bool) {
	n := 0
	for i := range slices.Backward(a.Sessions) {
		s := &a.Sessions[i]
		if s.Ended != Unknown || !counts(s) {
			continue
		}
		if n++; n > most {
			s.Ended = Evicted
		}
	}
}

// prune drops the sessions that have been over for longer than RecordMargin, and whose tokens have.
func (a *Account) prune(now time.Time, p Policy) {
	a.Sessions = slices.DeleteFunc(a.Sessions, func(s Session) bool {
		return now.After(later(s.Ends(p), s.TokensUntil).Add(RecordMargin))
	})
}

// Drop removes sessions whose revocations are written.
func (a *Account) Drop(revoked []Revocation) {
	a.Sessions = slices.DeleteFunc(a.Sessions, func(s Session) bool {
		return slices.ContainsFunc(revoked, func(r Revocation) bool { return r.SID == s.SID })
	})
}

// Refresh applies the use of a refresh token to its session. After Rotated and Repeated the session has
// changed. After Reused it has Ended set, and its revocation is returned.
func (a *Account) Refresh(r Redemption) Refreshed {
	s := a.Session(r.SID)
	if s == nil {
		return Refreshed{}
	}
	result := Refreshed{Outcome: s.Redeem(r)}
	switch result.Outcome {
	case Rotated, Repeated:
		s.TokensUntil = later(s.TokensUntil, r.TokensUntil)
		if r.Claims != nil {
			s.Claims = knownClaims(r.Claims)
		}
		result.Session, result.User = *s, a.User
		result.Session.User = a.User.UserID
	case Reused:
		s.Ended = Reused
		result.Revoked = []Revocation{s.Revocation(Ending{Now: r.Now, Policy: r.Policy})}
	}
	return result
}

// Update adds news of the user that came in a session. It returns ErrEnded, with the account unchanged, if
// the account lacks that session: an update that comes too late must not bring back a user who was erased. A
// session past its time still counts.
func (a *Account) Update(u Update) (Updated, error) {
	s := a.Session(u.SID)
	if s == nil || s.Ended != Unknown || a.User.UserID != u.User.UserID {
		return Updated{}, ErrEnded
	}
	s.TokensUntil = later(s.TokensUntil, u.TokensUntil)
	if u.Claims != nil {
		s.Claims = knownClaims(u.Claims)
	}
	a.User.Merge(u.User)
	a.User.DropKey(u.DropKey)
	return Updated{User: a.User, Claims: s.Claims}, nil
}

// End removes a session and returns its revocation, also for one that the account lacks.
func (a *Account) End(sid SID, e Ending) []Revocation {
	revoked := []Revocation{{SID: sid, Until: e.Now.Add(e.Policy.TokenTTL)}}
	if s := a.Session(sid); s != nil {
		revoked[0] = s.Revocation(e)
	}
	a.Drop(revoked)
	return revoked
}

// EndAll removes all sessions and returns their revocations, that of e.SID among them.
func (a *Account) EndAll(e Ending) (revoked []Revocation) {
	if e.SID != "" {
		revoked = a.End(e.SID, e)
	}
	for i := range a.Sessions {
		revoked = append(revoked, a.Sessions[i].Revocation(e))
	}
	a.Sessions = nil
	a.Generation++
	return revoked
}

// Erase does what EndAll does, and removes the user.
func (a *Account) Erase(e Ending) []Revocation {
	revoked := a.EndAll(e)
	a.User = User{}
	return revoked
}

// Check completes an account that was read from a store. It returns an error if it can't be that of the tag.
func (a *Account) Check(user Tag) error {
	if id := a.User.UserID; id != (UserID{}) && id.Tag() != user {
		return errForeign
	}
	for i := range a.Sessions {
		if !a.Sessions[i].owns(user) {
			return errForeign
		}
		a.Sessions[i].User = a.User.UserID
		a.Sessions[i].Claims = knownClaims(a.Sessions[i].Claims)
	}
	return nil
}

// knownClaims returns claims, nil for those that say nothing.
func knownClaims(claims json.RawMessage) json.RawMessage {
	if string(claims) == "null" {
		return nil
	}
	return claims
}
