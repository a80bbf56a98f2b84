package session

import (
	"context"
	"encoding/json"
	"time"
)

// User implements Store.
func (o *over) User(ctx context.Context, id UserID) (u User, err error) {
	err = o.db.View(ctx, func(tx Tx) error {
		u, err = records{tx}.user(id)
		return err
	})
	return u, err
}

// Learn implements Store.
func (o *over) Learn(ctx context.Context, l Lesson) (learned Learned, err error) {
	err = o.update(ctx, func(tx records) (_ []Revocation, err error) {
		learned = Learned{}
		if l.SID != "" {
			if learned.Claims, err = tx.learnClaims(l); err != nil {
				return nil, err
			}
		}
		if learned.User, err = tx.learn(l.User, l.DropKey, time.Now()); err != nil {
			return nil, err
		}
		return nil, tx.note(l.Note)
	})
	if err != nil {
		return Learned{}, err
	}
	return learned, nil
}

// Forget implements Store.
func (o *over) Forget(ctx context.Context, user UserID, before time.Time, p Policy) (u User, err error) {
	err = o.update(ctx, func(tx records) (revoked []Revocation, err error) {
		if u, err = tx.user(user); err != nil {
			return nil, err
		}
		tag := user.Tag()
		sids, err := tx.index(tag)
		if err != nil {
			return nil, err
		}
		for _, sid := range sids {
			if err := tx.Delete(key(kindSession, []byte(sid))); err != nil {
				return nil, err
			}
			_, made, _ := sid.Parse()
			if !made.After(before) {
				continue
			}
			r, err := tx.revoke([]byte(sid), Revocation{SID: sid, Until: later(made, time.Now()).Add(p.TokenTTL)})
			if err != nil {
				return nil, err
			}
			revoked = append(revoked, r)
		}
		for _, kind := range []byte{kindIndex, kindUser} {
			if err := tx.Delete(key(kind, tag[:])); err != nil {
				return nil, err
			}
		}
		r, err := tx.revokeAll(tag, before, p)
		return append(revoked, r), err
	})
	if err != nil {
		return User{}, err
	}
	return u, nil
}

func (tx records) user(id UserID) (User, error) {
	u := User{UserID: id}
	tag := id.Tag()
	if _, err := tx.get(key(kindUser, tag[:]), &u); err != nil {
		return User{}, err
	}
	if u.UserID != id {
		return User{}, errForeign
	}
	return u, nil
}

func (tx records) learn(learned User, dropKey []byte, now time.Time) (User, error) {
	u, err := tx.user(learned.UserID)
	if err != nil {
		return User{}, err
	}
	u.Learn(learned)
	u.DropKey(dropKey)
	tag := u.Tag()
	return u, tx.put(key(kindUser, tag[:]), u, now.Add(userLife))
}

// learnClaims gives the session of a lesson its new claims, and returns those it has then. It must be one
// of the user's.
func (tx records) learnClaims(l Lesson) (json.RawMessage, error) {
	record, found, err := tx.session(l.SID)
	switch {
	case err != nil:
		return nil, err
	case !found || record.SID != l.SID || record.User != l.User.UserID:
		return nil, ErrEnded
	case len(l.Claims) == 0:
		return record.Claims, nil
	}
	record.Claims = knownClaims(l.Claims)
	return record.Claims, tx.putSession(record.Session, record.until())
}
