package session

import (
	"context"
	"encoding/json"
	"errors"
	"time"
)

// ErrFull is returned by a store that keeps everything in memory and has no room left.
var ErrFull = errors.New("session: the store is full")

// ErrEnded is returned to who wants to change something for a session that has ended.
var ErrEnded = errors.New("session: the session has ended")

// ErrClosed is returned by every operation of a store that was closed.
var ErrClosed = errors.New("session: the store is closed")

// Store keeps sessions, users, notes, counters, revocations and signing keys.
//
// All methods may be called by many goroutines at once, and by many processes where the store is shared.
// Each is one step: it happens as a whole or not at all, and when it returns nil, what it wrote survives
// whatever the store survives. What is missing or past its time is not an error; an error means that the
// store could not tell. No error holds a value. A store never returns a record of another key than the
// one asked for.
type Store interface {
	// Login writes a new session and what was learned about its user, and then the note, if there is
	// one; a note must not be readable before its session. When the user has more than
	// Policy.MaxPerUser sessions, those made first are ended, as End does. If the session has ended
	// already, itself or with all that its user had made by then, nothing is written and ErrEnded returned,
	// as long as its end is remembered: a login that was under way must not bring back a user who was
	// forgotten or logged out meanwhile. When a session was made is in its SID.
	Login(ctx context.Context, l Login) error

	// Refresh does to a session what Session.Spend does. After Rotated the changed session is stored;
	// after Reused it is ended, as End does. It returns the session after the step and its user, if
	// the verdict is Rotated or Repeated.
	Refresh(ctx context.Context, s Spend) (Refreshed, error)

	// End ends a session: it can't be refreshed, and Follow reports it revoked. Ending a session that
	// does not exist revokes its name all the same.
	End(ctx context.Context, sid SID, now time.Time, p Policy) error

	// EndAll ends every session of a user made at or before a time, and Follow reports that, until all
	// access tokens they have got by now have expired. No call of End or EndAll shortens what another
	// revoked.
	EndAll(ctx context.Context, user UserID, before time.Time, p Policy) error

	// User returns what is known of a user; all but the UserID is zero for one never seen.
	User(ctx context.Context, user UserID) (User, error)

	// Learn adds to what is known of a user, does to its session what the lesson says, writes the note, if
	// there is one, and returns what is known after the step. If the lesson names a session that the user does
	// not have, or no longer, nothing is written and ErrEnded returned: what comes too late must not bring
	// back a user who was forgotten. One past its time may still count.
	Learn(ctx context.Context, l Lesson) (Learned, error)

	// Forget erases all that is known of a user and every session, whenever it was made, and returns what
	// was known to the call that erased it. Revoked are, as by EndAll, the sessions made at or before a
	// time, and as by End those made after it. Forgetting somebody unknown revokes all the same. Notes and
	// counters, which tell nothing, stay until their time.
	Forget(ctx context.Context, user UserID, before time.Time, p Policy) (User, error)

	// Count adds to a counter and returns its value after the step, which is never below zero. A counter
	// begins when it is raised above zero, and is gone when it is back at zero, or at the until of its
	// beginning, whatever until comes later. Its key is made so that the store learns nothing from it.
	Count(ctx context.Context, key Digest, delta int, until, now time.Time) (int, error)

	// Recall returns a note's value, nil if there is none.
	Recall(ctx context.Context, key Digest, now time.Time) ([]byte, error)

	// Keys returns the signing keys, in a form that the store does not look into, and their version:
	// nil and 0 before the first.
	Keys(ctx context.Context) (keys []byte, version int64, err error)

	// SwapKeys replaces the signing keys of one version by those of the next, and reports false when
	// another caller was faster.
	SwapKeys(ctx context.Context, version int64, keys []byte) (bool, error)

	// Follow reports revocations until ctx ends or the store fails. First it reports all whose Until is
	// not over, be there any or not; from then on each new one: one made through this very Store before
	// the method that made it returns, one made elsewhere within a second. While all is well it calls
	// report at least once a second, with none if there is none. Calls of report may overlap, and a
	// revocation may be reported more than once.
	Follow(ctx context.Context, now time.Time, report func([]Revocation)) error

	// Close ends the store; what waits in Follow returns. A second Close does no harm.
	Close() error
}

// Login is a new session and what came with it.
type Login struct {
	Session Session
	Learned User
	Note    Note
	Policy  Policy
}

// Lesson is what was learned about a user after the login.
type Lesson struct {
	// SID is the session that learned it; if it is empty, the lesson is learned in any case.
	SID SID

	User    User            // what was learned, for User.Learn
	Claims  json.RawMessage // the session's from now on, none if they are null; nil leaves it those it has
	DropKey []byte          // a session_key to be forgotten, for User.DropKey
	Note    Note
}

// Learned is what is known after a lesson.
type Learned struct {
	User   User
	Claims json.RawMessage // the session's; nil if it has none, or the lesson names no session
}

// Refreshed is a session's answer to the use of a refresh token.
type Refreshed struct {
	Verdict Verdict
	Session Session
	User    User
}

// Note is a value that is remembered for a while, so that a repeated request gets its answer again.
// The zero Note is none. Key and value are made so that the store learns nothing from them.
type Note struct {
	Key   Digest
	Value []byte
	Until time.Time
}

// Revocation ends sessions before their access tokens expire.
type Revocation struct {
	// SID is the session that ended; if it is empty, all sessions of the user with Tag that were made
	// at or before Before have ended.
	SID    SID
	Tag    Tag
	Before time.Time

	// Until is when the last access token of what ended has expired.
	Until time.Time
}
