// A Store over a transactional map, for stores that one process uses.

package session

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
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
	return revoked, err
}

// Refresh implements Store.
func (k *kvStore) Refresh(ctx context.Context, r Redemption) (result Refreshed, err error) {
	user, _, ok := r.SID.Parse()
	if !ok {
		return Refreshed{}, nil
	}
	err = k.change(ctx, "refresh", user, r.Now, r.Policy, func(tx records, a *Account) error {
		if result = a.Refresh(r); result.Outcome == Unknown {
			return errUnchanged
		}
		a.Drop(result.Revoked)
		return tx.revoke(result.Revoked)
	})
	return result, err
}

// Update implements Store.
func (k *kvStore) Update(ctx context.Context, u Update) (updated Updated, err error) {
	err = k.change(ctx, "update", u.User.Tag(), u.Now, Policy{}, func(tx records, a *Account) error {
		if updated, err = a.Update(u); err != nil {
			return err
		}
		return tx.putReplay(u.Replay)
	})
	return updated, err
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
	return revoked, err
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
		next := binary.BigEndian.AppendUint64(nil, uint64(version+1))
		return tx.Put([]byte{kindKeys}, append(next, keys...), time.Time{})
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
		a, err := tx.account(user)
		if err != nil {
			return err
		}
		if err := do(tx, &a); err != nil || a.isZero() {
			return err
		}
		return tx.putAccount(user, &a, a.Expires(now, p))
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
	case err == nil, errors.Is(err, ErrEnded), errors.Is(err, context.Canceled):
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

// records reads and writes records in one step of a DB.
type records struct{ Tx }

var (
	errForeign = errors.New("session: the store returned a record of another key")
	errDamaged = errors.New("session: the store returned a damaged record") // the cause may quote it
	errUnfit   = errors.New("session: a record can't be encoded")           // likewise
)

func recordKey(kind byte, name []byte) []byte { return append([]byte{kind}, name...) }

func (tx records) account(user Tag) (a Account, err error) {
	if err := tx.get(recordKey(kindAccount, user[:]), &a); err != nil {
		return Account{}, err
	}
	if err := a.Check(user); err != nil {
		return Account{}, err
	}
	return a, nil
}

func (tx records) putAccount(user Tag, a *Account, expires time.Time) error {
	return tx.put(recordKey(kindAccount, user[:]), a, expires)
}

// get reads a record; one that is missing stays as it is.
func (tx records) get(key []byte, record any) error {
	value, err := tx.Get(key)
	if err != nil || value == nil {
		return err
	}
	if json.Unmarshal(value, record) != nil {
		return errDamaged
	}
	return nil
}

func (tx records) put(key []byte, record any, expires time.Time) error {
	value, err := json.Marshal(record)
	if err != nil {
		return errUnfit
	}
	return tx.Put(key, value, expires)
}

// revocationKey is a digest: a name that is none of ours may be long.
func revocationKey(sid SID) []byte {
	name := sha256.Sum256([]byte(sid))
	return recordKey(kindRevocation, name[:])
}

// revoke writes revocations, which never shorten those that are there.
func (tx records) revoke(revoked []Revocation) error {
	for i := range revoked {
		var old Revocation
		key := revocationKey(revoked[i].SID)
		if err := tx.get(key, &old); err != nil {
			return err
		}
		revoked[i].Until = later(old.Until, revoked[i].Until)
		if err := tx.put(key, revoked[i], revoked[i].Until.Add(ClockMargin)); err != nil {
			return err
		}
	}
	return nil
}

func (tx records) revocations() (kept []Revocation, err error) {
	err = tx.Scan([]byte{kindRevocation}, func(key, value []byte) error {
		var r Revocation
		switch {
		case json.Unmarshal(value, &r) != nil:
			return errDamaged
		case !bytes.Equal(key, revocationKey(r.SID)):
			return errForeign
		}
		kept = append(kept, r)
		return nil
	})
	return kept, err
}

func (tx records) keys() (version int64, keys []byte, err error) {
	record, err := tx.Get([]byte{kindKeys})
	switch {
	case err != nil || record == nil:
		return 0, nil, err
	case len(record) < 8:
		return 0, nil, errDamaged
	}
	return int64(binary.BigEndian.Uint64(record)), bytes.Clone(record[8:]), nil
}

// MarshalText writes a digest in base64, for JSON.
func (d Digest) MarshalText() ([]byte, error) {
	return base64.RawURLEncoding.AppendEncode(nil, d[:]), nil
}

// UnmarshalText is the inverse of MarshalText.
func (d *Digest) UnmarshalText(text []byte) error {
	decoded, err := base64.RawURLEncoding.AppendDecode(nil, text)
	if err != nil || len(decoded) != len(d) {
		return errors.New("session: malformed digest")
	}
	copy(d[:], decoded)
	return nil
}
