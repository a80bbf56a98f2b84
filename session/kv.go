// A Store over a transactional map, for stores that one process uses.

package session

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Kinds of records; the first byte of a key.
const (
	kindAccount    = 'a' // + Tag: an Account
	kindReplay     = 'n' // + Digest: when its time is over, and the value
	kindCount      = 'c' // + Digest: likewise
	kindRevocation = 'r' // + the digest of a SID: a Revocation
	kindPush       = 'p' // pushes: see kv_push.go
	kindKeys       = 'k' // the signing keys: version and value
)

// heartbeat is the pause between two reports that all is well.
const heartbeat = 500 * time.Millisecond

// kvStore is a Store whose records are in a DB.
type kvStore struct {
	db     DB
	once   sync.Once
	closed chan struct{}
}

// NewKVStore makes a Store of a DB that only this process uses.
func NewKVStore(db DB) Store { return &kvStore{db: db, closed: make(chan struct{})} }

// Close implements Store.
func (k *kvStore) Close() error {
	k.once.Do(func() { close(k.closed) })
	return failure("close", k.db.Close())
}

// Account implements Store.
func (k *kvStore) Account(ctx context.Context, user Tag) (a Account, err error) {
	err = k.view(ctx, "read an account", func(tx records) error {
		a, err = tx.account(user)
		return err
	})
	return a, err
}

// Login implements Store.
func (k *kvStore) Login(ctx context.Context, l Login) (revoked []Revocation, err error) {
	err = k.change(ctx, "login", l.Session.User.Tag(), l.Session.LastUse, l.Policy, func(tx records, a *Account) error {
		if revoked, err = a.Login(l); err != nil {
			return err
		}
		a.Drop(revoked)
		return errors.Join(tx.revoke(revoked), tx.putReplay(l.Replay))
	})
	return ifDone(revoked, err)
}

// ifDone returns the result of a change that was made, and none of one that failed: nobody may act on
// what is not written.
func ifDone[T any](result T, err error) (T, error) {
	if err != nil {
		var none T
		return none, err
	}
	return result, nil
}

// Refresh implements Store.
func (k *kvStore) Refresh(ctx context.Context, r Redemption) (result Refreshed, err error) {
	user, _, ok := r.SID.Parse()
	if !ok {
		return Refreshed{}, nil
	}
	err = k.change(ctx, "refresh", user, r.Now, r.Policy, func(tx records, a *Account) error {
		if result = a.Refresh(r); result.Outcome == Unknown && len(result.Revoked) == 0 {
			return errUnchanged
		}
		a.Drop(result.Revoked)
		return tx.revoke(result.Revoked)
	})
	return ifDone(result, err)
}

// Update implements Store.
func (k *kvStore) Update(ctx context.Context, u Update) (updated Updated, err error) {
	err = k.change(ctx, "update", u.User.Tag(), u.Now, u.Policy, func(tx records, a *Account) error {
		if updated, err = a.Update(u); err != nil {
			return err
		}
		return tx.putReplay(u.Replay)
	})
	return ifDone(updated, err)
}

// End implements Store.
func (k *kvStore) End(ctx context.Context, sid SID, e Ending) ([]Revocation, error) {
	user, _, _ := sid.Parse() // a name that is none of ours is in nobody's account
	return k.end(ctx, "end a session", user, e, func(a *Account) []Revocation { return a.End(sid, e) })
}

// EndAll implements Store.
func (k *kvStore) EndAll(ctx context.Context, user Tag, e Ending) ([]Revocation, error) {
	return k.end(ctx, "end all sessions", user, e, func(a *Account) []Revocation { return a.EndAll(e) })
}

// Erase implements Store.
func (k *kvStore) Erase(ctx context.Context, user Tag, e Ending) ([]Revocation, error) {
	return k.end(ctx, "erase", user, e, func(a *Account) []Revocation { return a.Erase(e) })
}

func (k *kvStore) end(ctx context.Context, op string, user Tag, e Ending, end func(*Account) []Revocation) (revoked []Revocation, err error) {
	err = k.change(ctx, op, user, e.Now, e.Policy, func(tx records, a *Account) error {
		revoked = end(a)
		return tx.revoke(revoked)
	})
	return ifDone(revoked, err)
}

// Keys implements Store.
func (k *kvStore) Keys(ctx context.Context) (keys []byte, version int64, err error) {
	err = k.view(ctx, "read the keys", func(tx records) error {
		version, keys, err = tx.keys()
		return err
	})
	return keys, version, err
}

// SwapKeys implements Store.
func (k *kvStore) SwapKeys(ctx context.Context, version int64, keys []byte) (swapped bool, err error) {
	err = k.update(ctx, "swap the keys", func(tx records) error {
		current, _, err := tx.keys()
		if swapped = err == nil && current == version; !swapped {
			return err
		}
		return tx.putKeys(version+1, keys)
	})
	return swapped && err == nil, err
}

// Follow implements Store. Nobody else writes to the DB, so after the first report there is no
// news.
func (k *kvStore) Follow(ctx context.Context, report func([]Revocation)) error {
	var kept []Revocation
	err := k.view(ctx, "read the revocations", func(tx records) (err error) {
		kept, err = tx.revocations()
		return err
	})
	if err != nil {
		return err
	}
	report(kept)
	ticker := time.NewTicker(heartbeat)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-k.closed:
			return failure("follow", ErrClosed)
		case <-ticker.C:
			report(nil)
		}
	}
}

// errUnchanged ends a change that leaves everything as it is.
var errUnchanged = errors.New("session: nothing changes")

// change runs a change of one account.
func (k *kvStore) change(ctx context.Context, op string, user Tag, now time.Time, p Policy, do func(records, *Account) error) error {
	return k.update(ctx, op, func(tx records) error {
		return tx.change(user, now, p, func(a *Account) error { return do(tx, a) })
	})
}

func (k *kvStore) update(ctx context.Context, op string, do func(records) error) error {
	err := k.db.Update(ctx, func(tx Tx) error { return do(records{tx}) })
	if errors.Is(err, errUnchanged) {
		return nil
	}
	return failure(op, err)
}

func (k *kvStore) view(ctx context.Context, op string, do func(records) error) error {
	return failure(op, k.db.View(ctx, func(tx Tx) error { return do(records{tx}) }))
}

// failure makes an error of the DB one of the Store.
func failure(op string, err error) error {
	switch {
	case err == nil, errors.Is(err, ErrEnded), errors.Is(err, ErrCursor), errors.Is(err, context.Canceled):
		return err
	}
	return &opError{op, err}
}

// opError is a failure of the DB in an operation of the Store.
type opError struct {
	op    string
	cause error
}

func (e *opError) Error() string   { return fmt.Sprintf("%v: %s: %v", ErrUnavailable, e.op, e.cause) }
func (e *opError) Unwrap() []error { return []error{ErrUnavailable, e.cause} }
func (e *opError) Reason() string  { return e.cause.Error() }
