// The account: a user with all sessions, and the rules by which they change. Stores carry these out
// as one step each.

package session

import (
	"encoding/json"
	"slices"
	"time"
)

const (
	// UserLife is the time for which a user who never comes back is kept.
	UserLife = 2 * 365 * 24 * time.Hour

	// TombstoneLife is the time for which the generation of an erased account is kept: longer than
	// any login is under way.
	TombstoneLife = time.Hour

	// RecordMargin is added to the time for which a store keeps accounts: clocks of several
	// machines differ, and each may step.
	RecordMargin = 24 * time.Hour

	// maxSites bounds the sessions of all sites, in numbers that one site may have. A site whose
	// issuer, audience or hook changes is another one from then on, which leaves the former
	// sessions behind uncounted.
	maxSites = 5

	// ClockMargin is the same for revocations.
	ClockMargin = time.Hour
)

// Account is a user with all sessions.
type Account struct {
	User User `json:"user"`

	// Generation is raised when all sessions end at once. A login that began in an earlier one is
	// refused.
	Generation int64 `json:"generation,omitzero"`

	// Withdrawals is raised when the user takes consent to the phone back. The phone of a login or an
	// update that began before is left out.
	Withdrawals int64 `json:"withdrawals,omitzero"`

	// LastLogin is the latest login's time, zero for a user who was imported.
	LastLogin time.Time `json:"last_login,omitzero"`

	// Ban is nil if there is none. It outlives the user: erasing must not undo it.
	Ban *Ban `json:"ban,omitzero"` // omitempty leaves out a ban without reason and end

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

// Live returns the number of sessions that have not ended. Those past their time count until they are
// pruned.
func (a *Account) Live() (n int) {
	for i := range a.Sessions {
		if a.Sessions[i].Ended == Unknown {
			n++
		}
	}
	return n
}

// isZero reports whether there is nothing to keep.
func (a *Account) isZero() bool {
	return a.User.UserID == (UserID{}) && a.Generation == 0 && a.Withdrawals == 0 && a.Ban == nil && len(a.Sessions) == 0
}

// Expires returns when the account may be dropped: not before its ban is over, and the zero time if
// never.
func (a *Account) Expires(now time.Time, p Policy) time.Time {
	expires := now.Add(max(UserLife, p.Lifetime) + RecordMargin)
	if a.User.UserID == (UserID{}) {
		expires = now.Add(TombstoneLife + RecordMargin)
	}
	switch {
	case a.Ban == nil:
		return expires
	case a.Ban.Until.IsZero():
		return time.Time{}
	}
	return later(expires, a.Ban.Until.Add(RecordMargin))
}

// Login adds a session and what came with it. When the user has more than Policy.MaxPerUser
// sessions at the session's site, the oldest are ended, and those that are over before all others:
// they are returned, and stay, with Ended set, until Drop. It returns an error, with the account
// unchanged: a BannedError if the user is banned, ErrEnded if the login began in an earlier
// generation.
func (a *Account) Login(l Login) (evicted []Revocation, err error) {
	if a.Ban.Holds(l.Session.LastUse) {
		return nil, &BannedError{*a.Ban}
	}
	if a.Generation != l.Generation {
		return nil, ErrEnded
	}
	a.User.Merge(a.consented(l.User, l.Withdrawals))
	a.LastLogin = later(a.LastLogin, l.Session.LastUse)
	a.prune(l)
	l.Session.Claims = knownClaims(l.Session.Claims)
	a.Sessions = append(a.Sessions, l.Session)
	a.evict(l)
	for i := range a.Sessions {
		if s := &a.Sessions[i]; s.Ended != Unknown {
			evicted = append(evicted, s.Revocation(Ending{Now: l.Session.LastUse, Policy: l.Policy}))
		}
	}
	return evicted, nil
}

// prune drops the sessions that have been over for longer than RecordMargin, and whose tokens have.
// A session of another site goes after UserLife: the policy there is not known here. The login's
// own is there if a store repeats a step whose answer it did not get.
func (a *Account) prune(l Login) {
	a.Sessions = slices.DeleteFunc(a.Sessions, func(s Session) bool {
		ends := s.LastUse.Add(UserLife)
		if s.site() == l.Session.site() {
			ends = s.Ends(l.Policy)
		}
		return s.SID == l.Session.SID || l.Session.LastUse.After(later(ends, s.TokensUntil).Add(RecordMargin))
	})
}

// evict ends the sessions of the login's site beyond Policy.MaxPerUser. The newest keep their
// places, and one that is over has a place only if no other needs it. Of all sites together the
// oldest are ended beyond maxSites times as many.
func (a *Account) evict(l Login) {
	places := l.Policy.MaxPerUser
	for _, over := range []bool{false, true} {
		for i := range slices.Backward(a.Sessions) {
			s := &a.Sessions[i]
			if s.Ended != Unknown || s.site() != l.Session.site() || l.Session.LastUse.Before(s.Ends(l.Policy)) == over {
				continue
			}
			if places--; places < 0 {
				s.Ended = Evicted
			}
		}
	}
	places = maxSites * l.Policy.MaxPerUser
	for i := range slices.Backward(a.Sessions) {
		s := &a.Sessions[i]
		if s.Ended != Unknown {
			continue
		}
		if places--; places < 0 {
			s.Ended = Evicted
		}
	}
}

// Mark brings back the sessions of before that are gone, with Ended set, until Drop. There may be no
// user any more, so nothing is left in them but what a revocation needs.
func (a *Account) Mark(before []Session) {
	kept := a.Sessions
	a.Sessions = nil
	for _, s := range before {
		if at := slices.IndexFunc(kept, func(k Session) bool { return k.SID == s.SID }); at >= 0 {
			a.Sessions = append(a.Sessions, kept[at])
			continue
		}
		if s.Ended == Unknown {
			s.Ended = Evicted
		}
		s.User, s.Claims = a.User.UserID, nil
		a.Sessions = append(a.Sessions, s)
	}
}

// Drop removes sessions whose revocations are written.
func (a *Account) Drop(revoked []Revocation) {
	a.Sessions = slices.DeleteFunc(a.Sessions, func(s Session) bool {
		return slices.ContainsFunc(revoked, func(r Revocation) bool { return r.SID == s.SID })
	})
}

// Refresh applies the use of a refresh token to its session. After Rotated and Repeated the session
// has changed. After Reused it has Ended set, and its revocation is returned, as is that of a
// session that was evicted.
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
	case Unknown:
		// Who evicted it may have died before the revocation was written.
		if s.Ended == Evicted && s.Family == r.Family {
			result.Revoked = []Revocation{s.Revocation(Ending{Now: r.Now, Policy: r.Policy})}
		}
	case Reused:
		s.Ended = Reused
		result.Revoked = []Revocation{s.Revocation(Ending{Now: r.Now, Policy: r.Policy})}
	}
	return result
}

// Update adds news of the user that came in a session. It returns ErrEnded, with the account
// unchanged, if the account lacks that session: an update that comes too late must not bring back a
// user who was erased. A session past its time still counts.
func (a *Account) Update(u Update) (Updated, error) {
	s := a.Session(u.SID)
	if s == nil || s.Ended != Unknown || a.User.UserID != u.User.UserID {
		return Updated{}, ErrEnded
	}
	s.TokensUntil = later(s.TokensUntil, u.TokensUntil)
	if u.Claims != nil {
		s.Claims = knownClaims(u.Claims)
	}
	a.User.Merge(a.consented(u.User, u.Withdrawals))
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

// Erase is EndAll, and removes the user. A ban stays.
func (a *Account) Erase(e Ending) []Revocation {
	revoked := a.EndAll(e)
	a.User, a.LastLogin = User{}, time.Time{}
	return revoked
}

// Check completes an account that was read from a store. It returns an error if it can't be that of
// the tag.
func (a *Account) Check(user Tag) error {
	live := slices.ContainsFunc(a.Sessions, func(s Session) bool { return s.Ended == Unknown })
	if a.User.UserID.Tag() != user && (a.User.UserID != (UserID{}) || live) {
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
