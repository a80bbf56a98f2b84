// Accounts: read, changed by the rules of package session, and written if nobody else was faster.

package redisstore

import (
	"bytes"
	"context"
	crand "crypto/rand"
	"math/rand/v2"
	"reflect"
	"slices"
	"time"

	"github.com/caddy-wechat/wechatauth/session"
)

// account is a stored account.
type account struct {
	session.Account
	version string // "" if there is none
	numbers map[session.SID]uint32
}

// Account implements session.Store. It is one round trip.
func (r *store) Account(ctx context.Context, user session.Tag) (session.Account, error) {
	a, err := r.load(ctx, "account", user)
	return a.Account, err
}

// load reads an account.
func (r *store) load(ctx context.Context, op string, user session.Tag) (account, error) {
	ctx, cancel, err := r.begin(ctx, op)
	if err != nil {
		return account{}, err
	}
	defer cancel()
	fields, err := r.client.HGetAll(ctx, r.accountKey(user)).Result()
	if err == nil {
		var a account
		if a, err = r.decode(user, fields); err == nil {
			return a, nil
		}
	}
	return account{}, r.failure(ctx, op, err)
}

// decode reads the fields of an account, none if it was never seen.
func (r *store) decode(user session.Tag, fields map[string]string) (a account, err error) {
	if len(fields) == 0 {
		return a, nil
	}
	a.version, a.numbers = fields[versionField], map[session.SID]uint32{}
	for field, stored := range fields {
		switch field {
		case versionField:
		case userField:
			sessions := a.Sessions
			a.Account, err = r.decodeUser(r.accountKey(user), stored)
			a.Sessions = sessions
		default:
			var s session.Session
			var number uint32
			s, number, err = r.decodeSession(user, field, stored)
			a.Sessions, a.numbers[s.SID] = append(a.Sessions, s), number
		}
		if err != nil {
			return account{}, err
		}
	}
	slices.SortFunc(a.Sessions, func(b, c session.Session) int { return int(a.numbers[b.SID]) - int(a.numbers[c.SID]) })
	if fields[userField] == "" || a.Check(user) != nil {
		return account{}, &Error{Cause: BadRecord}
	}
	return a, nil
}

// change reads an account, changes it, and writes what is different now. When another caller was
// faster it begins again: do may be called more than once.
func (r *store) change(ctx context.Context, op string, user session.Tag, now time.Time, p session.Policy,
	do func(context.Context, *session.Account) error,
) error {
	_, err := r.changed(ctx, op, user, now, p, do)
	return err
}

// changed is change, and returns the account as it is then.
func (r *store) changed(ctx context.Context, op string, user session.Tag, now time.Time, p session.Policy,
	do func(context.Context, *session.Account) error,
) (account, error) {
	ctx, cancel, err := r.begin(ctx, op)
	if err != nil {
		return account{}, err
	}
	defer cancel()
	// With one version for all attempts a step that is sent again, because its answer was lost, is
	// known to be done.
	next := newVersion()
	var stale []entry // of the index
	for began := time.Now(); ; pause(ctx) {
		before, err := r.load(ctx, op, user)
		if err != nil {
			return account{}, err
		}
		after := before.Account
		after.Sessions = slices.Clone(after.Sessions)
		if err := do(ctx, &after); err != nil {
			_ = r.removeEntries(context.WithoutCancel(ctx), op, user, stale, now) // it is err that the caller must know
			return account{}, err
		}
		added, gone := r.moved(user, &before.User, &after.User)
		if err := r.addEntries(ctx, op, added, now); err != nil {
			return account{}, err
		}
		version, done, err := r.swap(ctx, op, user, &before, &after, next, life(&after, now, p))
		if err != nil {
			return account{}, err
		}
		if done {
			err := r.removeEntries(context.WithoutCancel(ctx), op, user, append(stale, gone...), now)
			return account{after, version, before.numbers}, err
		}
		stale = append(stale, added...)
		if time.Since(began) > timeout*3/4 {
			_ = r.removeEntries(context.WithoutCancel(ctx), op, user, stale, now) // it is busy that the caller must know
			return account{}, r.failure(ctx, op, &Error{Cause: Busy})
		}
	}
}

// life returns how long an account is kept, 0 for ever.
func life(a *session.Account, now time.Time, p session.Policy) time.Duration {
	expires := a.Expires(now, p)
	if expires.IsZero() {
		return 0
	}
	return expires.Sub(now)
}

func newVersion() string {
	raw := make([]byte, 8)
	_, _ = crand.Read(raw) // never fails
	return string(raw)
}

// pause waits for a moment that differs among callers.
func pause(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(rand.N(5 * time.Millisecond)): //nolint:gosec // it is no secret
	}
}

// swap writes what differs between two states, and returns the version then. It reports false if the
// account is not in the first state any more.
func (r *store) swap(ctx context.Context, op string, user session.Tag, before *account, after *session.Account,
	next string, life time.Duration,
) (version string, done bool, err error) {
	gone, written, err := r.difference(user, before, after)
	if err != nil {
		return "", false, r.failure(ctx, op, err)
	}
	if len(gone)+len(written) == 0 {
		return before.version, true, nil
	}
	// The life of a known user is only ever extended: the policy of a caller may be a shorter one.
	exactly := 0
	if after.User.UserID == (session.UserID{}) {
		exactly = 1
	}
	args := append([]any{before.version, next, life.Milliseconds(), exactly, len(gone)}, gone...)
	reply, err := r.run(ctx, op, changeScript, []string{r.accountKey(user)}, append(args, written...)...)
	return next, reply == int64(1), err
}

// difference returns the fields that are gone, and the fields and values that are new.
func (r *store) difference(user session.Tag, before *account, after *session.Account) (gone, written []any, err error) {
	if err := after.Check(user); err != nil {
		return nil, nil, &Error{Cause: Unfit}
	}
	key := r.accountKey(user)
	if before.version == "" || !bytes.Equal(packUser(&before.Account), packUser(after)) {
		value, err := r.encodeUser(key, after)
		if err != nil {
			return nil, nil, err
		}
		written = append(written, userField, value)
	}
	last := uint32(0)
	for _, number := range before.numbers {
		last = max(last, number)
	}
	for i := range after.Sessions {
		s := &after.Sessions[i]
		if old := before.Session(s.SID); old != nil && reflect.DeepEqual(old, s) {
			continue
		}
		number, ok := before.numbers[s.SID]
		if !ok {
			last++
			number = last
		}
		field, ok := fieldOf(user, s.SID)
		if !ok {
			return nil, nil, &Error{Cause: Unfit}
		}
		value, err := r.encodeSession(key, field, number, s)
		if err != nil {
			return nil, nil, err
		}
		written = append(written, field, value)
	}
	for i := range before.Sessions {
		if sid := before.Sessions[i].SID; after.Session(sid) == nil {
			field, _ := fieldOf(user, sid)
			gone = append(gone, field)
		}
	}
	return gone, written, nil
}
