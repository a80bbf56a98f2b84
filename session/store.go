// The Store contract.

package session

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

var (
	// ErrUnavailable is wrapped by every error of a store that could not read or write.
	ErrUnavailable = errors.New("session: the store can't be used")

	// ErrFull is wrapped by a store that has no room left.
	ErrFull = fmt.Errorf("%w: it is full", ErrUnavailable)

	// ErrClosed is wrapped by every operation of a store that was closed.
	ErrClosed = fmt.Errorf("%w: it is closed", ErrUnavailable)

	// ErrEnded is returned for a change of a session that has ended, or of a login that began
	// before all sessions of its user were ended.
	ErrEnded = errors.New("session: the session has ended")
)

// reasoned is an error that says why a store can't be used, whatever was asked of it.
type reasoned interface {
	error
	Reason() string
}

// Reason returns what the errors of one outage have in common, so that it is logged once: their
// texts name the operation, and many kinds of operations fail at the same time.
func Reason(err error) string {
	if e, ok := errors.AsType[reasoned](err); ok {
		return e.Reason()
	}
	return err.Error()
}

// Store keeps accounts (users with their sessions), replays, counters, revocations and signing
// keys.
//
// All methods may be called by many goroutines at once, and by many processes where the store is
// shared. Each is one step: it happens as a whole or not at all, and when it returns nil, what it
// wrote survives whatever the store survives. What is missing or past its time is no error. Errors
// other than ErrEnded, ErrCursor and those of the context wrap ErrUnavailable, and hold no value. A
// store never returns a record of another key than the one asked for. All texts are valid UTF-8.
// Records are dropped some time after they are over, by a
// [Clock]: one process whose clock is ahead for a while must not drop what the others need.
//
// A method that ends sessions returns their revocations, so that its caller refuses their tokens at
// once. Other processes get them through Follow.
type Store interface {
	// Account returns a user and the user's sessions; the zero Account for one never seen.
	Account(ctx context.Context, user Tag) (Account, error)

	// Login applies Account.Login and writes the replay, which must not be readable before its
	// session. It returns the error of Account.Login, ErrEnded or a BannedError that wraps it, and
	// writes nothing then.
	Login(ctx context.Context, l Login) ([]Revocation, error)

	// Refresh applies Account.Refresh.
	Refresh(ctx context.Context, r Redemption) (Refreshed, error)

	// Update applies Account.Update and writes the replay. It returns ErrEnded and
	// writes nothing if Account.Update says so.
	Update(ctx context.Context, u Update) (Updated, error)

	// End ends one session. Ending one that does not exist, or no longer, revokes its name all the
	// same.
	End(ctx context.Context, sid SID, e Ending) ([]Revocation, error)

	// EndAll ends all sessions of a user and raises the account's generation.
	EndAll(ctx context.Context, user Tag, e Ending) ([]Revocation, error)

	// Erase is EndAll, and removes the user. The generation is kept for TombstoneLife, so that no
	// login under way brings the user back. A ban stays as long as it holds, without the user:
	// erasing must not undo it. Replays and counters, which say nothing of the user, stay until
	// their time.
	Erase(ctx context.Context, user Tag, e Ending) ([]Revocation, error)

	// Withdraw applies Account.Withdraw. The user may be one never seen.
	Withdraw(ctx context.Context, user Tag, w Withdrawal, now time.Time) (had Withdrawal, err error)

	// Ban applies Account.SetBan. The user may be one never seen.
	Ban(ctx context.Context, user Tag, b Ban, e Ending) ([]Revocation, error)

	// Unban lifts the ban of a user, if there is one.
	Unban(ctx context.Context, user Tag, now time.Time) error

	// Users returns a page of the users that a query matches. A user who does not change while
	// pages are read is on one of them. In a store of one process the newest login comes first,
	// nobody is on two pages, and whoever logs in meanwhile may be on none. A store of several may
	// pass users in any order, some twice, and exceed a limit a little. For a cursor that it did
	// not make it returns ErrCursor.
	Users(ctx context.Context, q UserQuery) (UserPage, error)

	// Stats counts users and sessions.
	Stats(ctx context.Context) (Stats, error)

	// Import applies Account.Import to the account of each user. Each is one step of its own: when
	// it returns an error, some may be done.
	Import(ctx context.Context, users []User, now time.Time) error

	// Dump calls each with all revocations, accounts and signing keys, in parts and in this order: a
	// copy that breaks off lacks no revocation. They are those of one moment only if nobody writes.
	// Counters, replays and pushes stay behind. An account may come twice.
	Dump(ctx context.Context, each func(Dump) error) error

	// Restore writes a part of a Dump: its accounts and its keys replace those that are there. The
	// time for which they are kept begins anew. When it returns an error, some may be done.
	Restore(ctx context.Context, part Dump, now time.Time) error

	// Count adds to a counter and returns its value after the step, which is never below zero. A
	// counter begins when it is raised above zero, and is gone when it is back at zero, or at the
	// until of its beginning, whatever until comes later. Its key reveals nothing to the store.
	Count(ctx context.Context, key Digest, delta int, until, now time.Time) (int, error)

	// PutReplay writes a replay that comes with no change of an account.
	PutReplay(ctx context.Context, r Replay, now time.Time) error

	// Replay returns a replay's value, nil if there is none.
	Replay(ctx context.Context, key Digest, now time.Time) ([]byte, error)

	// AddPush adds a push to its queue, and takes it until the end of a lease if it is the first of
	// its line, and sets its Seq and Tries then.
	AddPush(ctx context.Context, p *Push, room PushRoom, lease, now time.Time) (PushPlace, error)

	// TakePush takes the push of a queue that is due the longest, until the end of a lease: nobody
	// else gets it before. Only the first of a line is ever due. One that is due after MaxPushDelay
	// is taken if there is no other. It returns nil if none is.
	TakePush(ctx context.Context, queue Digest, lease, now time.Time) (*Push, error)

	// EndPush removes a push, and the next of its line is due. DelayPush makes it due later. Both do
	// nothing if somebody else has taken it meanwhile.
	EndPush(ctx context.Context, p Push, now time.Time) error
	DelayPush(ctx context.Context, p Push, due time.Time) error

	// HurryPush makes the first push of a line due now, and reports false if it is taken or there is
	// none.
	HurryPush(ctx context.Context, queue, line Digest, now time.Time) (bool, error)

	// Pushes returns the pushes of a queue, the oldest first.
	Pushes(ctx context.Context, queue Digest) ([]Push, error)

	// Keys returns the signing keys, in a form that the store does not look into, and their
	// version: nil and 0 before the first.
	Keys(ctx context.Context) (keys []byte, version int64, err error)

	// SwapKeys replaces the signing keys of one version by those of the next, and reports false
	// when another caller was faster.
	SwapKeys(ctx context.Context, version int64, keys []byte) (bool, error)

	// Follow reports revocations until ctx ends or the store fails. First it reports all that are
	// kept, be there any or not; from then on those made by other processes, within a second. While
	// all is well it calls report at least once a second, with none if there is none. A revocation
	// may be reported more than once; this process's own may be left out.
	Follow(ctx context.Context, report func([]Revocation)) error

	// Close ends the store; Follow returns. A second Close does no harm.
	Close() error
}

// Backuper is a Store that can copy itself to a new file while it is used.
type Backuper interface {
	Backup(ctx context.Context, file string) error
}

// Login is a new session and what came with it.
type Login struct {
	Session     Session // with its User, LastUse (now) and TokensUntil
	User        User    // news of the user, for User.Merge
	Generation  int64   // of the account as it was read when the login began
	Withdrawals int64   // likewise
	Replay      Replay
	Policy      Policy
}

// Update is news of a user that came in a session.
type Update struct {
	SID         SID
	User        User            // for User.Merge
	Withdrawals int64           // of the account as it was read when a phone was asked for
	Claims      json.RawMessage // the session's from now on, none if they are null; nil keeps those it has
	TokensUntil time.Time       // for Session.TokensUntil
	DropKey     []byte          // a session_key to be removed, for User.DropKey
	Replay      Replay
	Now         time.Time // of the request
	Policy      Policy
}

// Updated is the account after an update.
type Updated struct {
	User   User
	Claims json.RawMessage // the session's; nil if it has none
}

// Ending is the time and the policy of an end of sessions. TokenTTL is for those whose record is
// gone.
type Ending struct {
	Now    time.Time // of the request, for what has expired by then
	Policy Policy

	// SID is the session of the request: EndAll and Erase revoke it even when the account lacks it.
	SID SID
}

// Refreshed is the result of the use of a refresh token.
type Refreshed struct {
	Outcome Outcome
	Session Session // after the step, if the outcome is Rotated or Repeated
	User    User    // likewise
	Revoked []Revocation
}

// Replay is a value kept for a while, so that a repeated request gets its answer again. The zero
// Replay is none. Key and value reveal nothing to the store.
type Replay struct {
	Key   Digest
	Value []byte    // the answer, sealed by the caller
	Until time.Time // it is not found from then on
}

// Revocation ends a session before its access tokens expire.
type Revocation struct {
	SID SID `json:"sid"`

	// Until is the expiry of the session's last access token, by the clock that issued it. A store
	// keeps a revocation for ClockMargin longer.
	Until time.Time `json:"until"`
}
