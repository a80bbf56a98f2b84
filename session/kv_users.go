// Users of a Store over a DB: by page, counted, imported, dumped and restored.

package session

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"time"
)

const (
	// writeStep bounds the accounts of one update: logins wait for it.
	writeStep = 100

	// readStep is the same for a part of a dump.
	readStep = 500

	// maxPassed bounds the users of other apps that one page passes.
	maxPassed = 5000

	labelSize = 16
)

// errEnough ends a scan that has found what it looks for.
var errEnough = errors.New("session: enough")

// marksOf returns the marks of an account: it is listed by the time of its login, in milliseconds,
// and found by the digests of its labels.
func marksOf(a *Account) (m Marks) {
	if a.User.UserID == (UserID{}) {
		return Marks{}
	}
	m.Order, m.Weight = 1, int64(a.Live())
	if !a.LastLogin.IsZero() {
		m.Order = max(a.LastLogin.UnixMilli(), 1)
	}
	for i, label := range a.User.Labels() {
		if label != "" {
			m.Labels[i] = labelDigest(label)
		}
	}
	return m
}

func labelDigest(label string) string {
	sum := sha256.Sum256([]byte(label))
	return string(sum[:labelSize])
}

// Ban implements Store.
func (k *kvStore) Ban(ctx context.Context, user Tag, b Ban, e Ending) ([]Revocation, error) {
	return k.end(ctx, "ban", user, e, func(a *Account) []Revocation { return a.SetBan(b, e) })
}

// Withdraw implements Store.
func (k *kvStore) Withdraw(ctx context.Context, user Tag, w Withdrawal, now time.Time) (had Withdrawal, err error) {
	err = k.change(ctx, "withdraw", user, now, Policy{}, func(_ records, a *Account) error {
		had = a.Withdraw(w, now)
		return nil
	})
	return had, err
}

// Unban implements Store.
func (k *kvStore) Unban(ctx context.Context, user Tag, now time.Time) error {
	return k.change(ctx, "unban", user, now, Policy{}, func(_ records, a *Account) error {
		if a.Ban == nil {
			return errUnchanged
		}
		a.Ban = nil
		return nil
	})
}

// Users implements Store.
func (k *kvStore) Users(ctx context.Context, q UserQuery) (page UserPage, err error) {
	err = k.view(ctx, "list users", func(tx records) error {
		page, err = tx.users(q)
		return err
	})
	return page, err
}

// Stats implements Store.
func (k *kvStore) Stats(ctx context.Context) (s Stats, err error) {
	err = k.view(ctx, "count users", func(tx records) error {
		s.Users, s.Sessions, err = tx.Totals()
		return err
	})
	return s, err
}

// Import implements Store.
func (k *kvStore) Import(ctx context.Context, users []User, now time.Time) error {
	return k.inSteps(ctx, "import", len(users), func(tx records, i int) error {
		return tx.change(users[i].Tag(), now, Policy{}, func(a *Account) error {
			a.Import(users[i], now)
			return nil
		})
	})
}

// Dump implements Store.
func (k *kvStore) Dump(ctx context.Context, each func(Dump) error) error {
	var first, last Dump
	err := k.view(ctx, "dump", func(tx records) (err error) {
		if first.Revoked, err = tx.revocations(); err == nil {
			_, last.Keys, err = tx.keys()
		}
		return err
	})
	if err == nil {
		err = each(first)
	}
	for from := []byte{kindAccount}; err == nil && from != nil; {
		var part Dump
		err = k.view(ctx, "dump", func(tx records) (err error) {
			part.Accounts, from, err = tx.accounts(from)
			return err
		})
		if err == nil {
			err = each(part)
		}
	}
	if err != nil {
		return err
	}
	return each(last)
}

// Restore implements Store.
func (k *kvStore) Restore(ctx context.Context, part Dump, now time.Time) error {
	err := k.inSteps(ctx, "restore", len(part.Accounts), func(tx records, i int) error {
		d := &part.Accounts[i]
		if d.Check(d.Tag) != nil {
			return errUnfit
		}
		return tx.change(d.Tag, now, Policy{}, func(a *Account) error {
			*a = d.Account
			return nil
		})
	})
	if err != nil {
		return err
	}
	err = k.inSteps(ctx, "restore", len(part.Revoked), func(tx records, i int) error {
		return tx.revoke([]Revocation{part.Revoked[i]})
	})
	if err != nil || part.Keys == nil {
		return err
	}
	return k.update(ctx, "restore", func(tx records) error {
		version, _, err := tx.keys()
		if err != nil {
			return err
		}
		return tx.putKeys(version+1, part.Keys)
	})
}

// inSteps runs n changes, some of them in one update.
func (k *kvStore) inSteps(ctx context.Context, op string, n int, do func(tx records, i int) error) error {
	for begin := 0; begin < n; begin += writeStep {
		err := k.update(ctx, op, func(tx records) error {
			for i := begin; i < min(begin+writeStep, n); i++ {
				if err := do(tx, i); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// accounts returns some accounts from a key on, and the key that follows, nil if none does.
func (tx records) accounts(from []byte) (all []DumpedAccount, next []byte, err error) {
	var keys [][]byte
	err = tx.Scan([]byte{kindAccount}, from, func(key, _ []byte) error {
		if len(keys) == readStep {
			next = bytes.Clone(key)
			return errEnough
		}
		keys = append(keys, bytes.Clone(key))
		return nil
	})
	if err != nil && !errors.Is(err, errEnough) {
		return nil, nil, err
	}
	for _, key := range keys {
		user := tagOf(key)
		a, err := tx.account(user)
		if err != nil {
			return nil, nil, err
		}
		all = append(all, DumpedAccount{user, a})
	}
	return all, next, nil
}

// tagOf returns the tag in the key of an account.
func tagOf(key []byte) (user Tag) {
	copy(user[:], key[1:])
	return user
}

// users returns a page.
func (tx records) users(q UserQuery) (page UserPage, err error) {
	order, after, err := parseCursor(q.After)
	if err != nil {
		return UserPage{}, err
	}
	var keys [][]byte
	if labels := q.Labels(); len(labels) > 0 {
		keys, page.Next, err = tx.labeled(labels, after, q.Bounded())
	} else {
		keys, page.Next, err = tx.newest(q, order, after)
	}
	if err != nil {
		return UserPage{}, err
	}
	for _, key := range keys {
		a, err := tx.account(tagOf(key))
		if err != nil {
			return UserPage{}, err
		}
		if q.Matches(&a) {
			page.Accounts = append(page.Accounts, a)
		}
	}
	return page, nil
}

// newest returns the keys of a page of all users of an app, or of all apps.
func (tx records) newest(q UserQuery, order int64, key []byte) (keys [][]byte, next string, err error) {
	passed := 0
	err = tx.Newest(order, key, func(o int64, k []byte) error {
		if len(keys) == q.Bounded() || passed == maxPassed {
			next = cursorText(order, key)
			return errEnough
		}
		passed++
		order, key = o, bytes.Clone(k)
		if q.AppID == "" || tagOf(k).IsOf(q.AppID) {
			keys = append(keys, key)
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return keys, next, err
}

// labeled returns the keys of a page of users that have one of the labels.
func (tx records) labeled(labels []string, after []byte, limit int) (keys [][]byte, next string, err error) {
	for _, label := range labels {
		found := 0
		err := tx.Labeled(labelDigest(label), after, func(key []byte) error {
			if found++; found > limit+1 {
				return errEnough
			}
			keys = append(keys, bytes.Clone(key))
			return nil
		})
		if err != nil && !errors.Is(err, errEnough) {
			return nil, "", err
		}
	}
	slices.SortFunc(keys, bytes.Compare)
	keys = slices.CompactFunc(keys, bytes.Equal)
	if len(keys) > limit {
		keys = keys[:limit]
		next = cursorText(0, keys[limit-1])
	}
	return keys, next, nil
}

// A cursor is the Order and the key of the last record of a page.
func cursorText(order int64, key []byte) string {
	return base64.RawURLEncoding.EncodeToString(append(binary.BigEndian.AppendUint64(nil, uint64(order)), key...))
}

func parseCursor(text string) (order int64, key []byte, err error) {
	if text == "" {
		return math.MaxInt64, nil, nil
	}
	raw, ok := decodeExactly(text, 8+1+tagSize)
	if !ok {
		return 0, nil, ErrCursor
	}
	return int64(binary.BigEndian.Uint64(raw)), raw[8:], nil
}
