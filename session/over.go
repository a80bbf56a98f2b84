package session

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Kinds of records; the first byte of a key.
const (
	kindSession    = 's' // + SID: a Session
	kindUser       = 'u' // + Tag: a User
	kindIndex      = 'i' // + Tag: the user's SIDs, as made
	kindNote       = 'n' // + Digest: when its time is over, and the value
	kindRevocation = 'r' // + SID, or Tag: a Revocation
	kindKeys       = 'k' // the signing keys: version and value
)

// userLife is how long a user who never comes back is remembered.
const userLife = 2 * 365 * 24 * time.Hour

// over is a Store whose records are in a DB. Revocations are told to those who follow in this process,
// for a DB has only one.
type over struct {
	db  DB
	hub hub
}

// Over makes a Store of a DB that only this process uses.
func Over(db DB) Store { return &over{db: db} }

// Close implements Store.
func (o *over) Close() error {
	o.hub.close()
	return o.db.Close()
}

// Login implements Store.
func (o *over) Login(ctx context.Context, l Login) error {
	return o.update(ctx, func(tx records) ([]Revocation, error) {
		tag := l.Session.User.Tag()
		if _, err := tx.learn(l.Learned, l.Session.LastUse); err != nil {
			return nil, err
		}
		sids, err := tx.index(tag, l.Session.LastUse, l.Policy)
		if err != nil {
			return nil, err
		}
		sids = append(sids, l.Session.SID)
		var ended []Revocation
		for len(sids) > l.Policy.MaxPerUser {
			r, err := tx.end(sids[0], l.Session.LastUse, l.Policy)
			if err != nil {
				return nil, err
			}
			ended, sids = append(ended, r), sids[1:]
		}
		if err := tx.put(key(kindIndex, tag[:]), sids, l.Session.Created.Add(l.Policy.Lifetime)); err != nil {
			return nil, err
		}
		if err := tx.put(key(kindSession, []byte(l.Session.SID)), l.Session, l.Session.Ends(l.Policy)); err != nil {
			return nil, err
		}
		return ended, tx.note(l.Note)
	})
}

// Refresh implements Store.
func (o *over) Refresh(ctx context.Context, s Spend) (result Refreshed, err error) {
	err = o.update(ctx, func(tx records) ([]Revocation, error) {
		result = Refreshed{}
		found, err := tx.get(key(kindSession, []byte(s.SID)), &result.Session)
		if err != nil || !found {
			return nil, err
		}
		switch result.Verdict = result.Session.Spend(s); result.Verdict {
		case Rotated:
			if err := tx.put(key(kindSession, []byte(s.SID)), result.Session, result.Session.Ends(s.Policy)); err != nil {
				return nil, err
			}
		case Reused:
			r, err := tx.end(s.SID, s.Now, s.Policy)
			return []Revocation{r}, err
		case Unknown:
			result.Session = Session{}
			return nil, nil
		}
		result.User, err = tx.user(result.Session.User)
		return nil, err
	})
	return result, err
}

// End implements Store.
func (o *over) End(ctx context.Context, sid SID, now time.Time, p Policy) error {
	return o.update(ctx, func(tx records) ([]Revocation, error) {
		r, err := tx.end(sid, now, p)
		return []Revocation{r}, err
	})
}

// EndAll implements Store.
func (o *over) EndAll(ctx context.Context, user UserID, before time.Time, p Policy) error {
	return o.update(ctx, func(tx records) ([]Revocation, error) {
		tag := user.Tag()
		sids, err := tx.index(tag, before, p)
		if err != nil {
			return nil, err
		}
		kept := sids[:0]
		for _, sid := range sids {
			if _, made, _ := sid.Parse(); made.After(before) {
				kept = append(kept, sid)
			} else if err := tx.Delete(key(kindSession, []byte(sid))); err != nil {
				return nil, err
			}
		}
		if err := tx.put(key(kindIndex, tag[:]), kept, before.Add(p.Lifetime)); err != nil {
			return nil, err
		}
		r := Revocation{Tag: tag, Before: before, Until: before.Add(p.TokenTTL)}
		return []Revocation{r}, tx.put(key(kindRevocation, tag[:]), r, r.Until)
	})
}

// User implements Store.
func (o *over) User(ctx context.Context, id UserID) (u User, err error) {
	err = o.db.View(ctx, func(tx Tx) error {
		u, err = records{tx}.user(id)
		return err
	})
	return u, err
}

// Learn implements Store.
func (o *over) Learn(ctx context.Context, learned User, note Note) (u User, err error) {
	err = o.update(ctx, func(tx records) ([]Revocation, error) {
		if u, err = tx.learn(learned, time.Now()); err != nil {
			return nil, err
		}
		return nil, tx.note(note)
	})
	return u, err
}

// Recall implements Store.
func (o *over) Recall(ctx context.Context, k Digest, now time.Time) (value []byte, err error) {
	err = o.db.View(ctx, func(tx Tx) error {
		record, err := tx.Get(key(kindNote, k[:]))
		if err != nil || len(record) < 8 {
			return err
		}
		if now.UnixNano() < int64(binary.BigEndian.Uint64(record)) {
			value = bytes.Clone(record[8:])
		}
		return nil
	})
	return value, err
}

// Keys implements Store.
func (o *over) Keys(ctx context.Context) (keys []byte, version int64, err error) {
	err = o.db.View(ctx, func(tx Tx) error {
		record, err := tx.Get(key(kindKeys, nil))
		if err != nil || len(record) < 8 {
			return err
		}
		version, keys = int64(binary.BigEndian.Uint64(record)), bytes.Clone(record[8:])
		return nil
	})
	return keys, version, err
}

// SwapKeys implements Store.
func (o *over) SwapKeys(ctx context.Context, version int64, keys []byte) (swapped bool, err error) {
	err = o.db.Update(ctx, func(tx Tx) error {
		swapped = false
		record, err := tx.Get(key(kindKeys, nil))
		if err != nil {
			return err
		}
		var current int64
		if len(record) >= 8 {
			current = int64(binary.BigEndian.Uint64(record))
		}
		if current != version {
			return nil
		}
		swapped = true
		next := binary.BigEndian.AppendUint64(nil, uint64(version+1))
		return tx.Put(key(kindKeys, nil), append(next, keys...), time.Time{})
	})
	return swapped && err == nil, err
}

// Follow implements Store.
func (o *over) Follow(ctx context.Context, now time.Time, report func([]Revocation)) error {
	// Listening begins before the past is read, so that nothing falls between.
	defer o.hub.listen(report)()
	var past []Revocation
	err := o.db.View(ctx, func(tx Tx) error {
		return tx.Scan([]byte{kindRevocation}, func(_, value []byte) error {
			var r Revocation
			if err := json.Unmarshal(value, &r); err != nil {
				return fmt.Errorf("session: revocation: %w", err)
			}
			if now.Before(r.Until) {
				past = append(past, r)
			}
			return nil
		})
	})
	if err != nil {
		return err
	}
	report(past)
	return o.hub.beat(ctx, report)
}

// update runs a change and tells who follows what it revoked, once it is written.
func (o *over) update(ctx context.Context, change func(records) ([]Revocation, error)) error {
	var revoked []Revocation
	err := o.db.Update(ctx, func(tx Tx) (err error) {
		revoked, err = change(records{tx})
		return err
	})
	if err == nil && len(revoked) > 0 {
		o.hub.tell(revoked)
	}
	return err
}

func key(kind byte, name []byte) []byte { return append([]byte{kind}, name...) }

// records reads and writes records in one step of a DB.
type records struct{ Tx }

var errForeign = errors.New("session: the store returned a record of another key")

func (tx records) get(key []byte, record any) (found bool, err error) {
	value, err := tx.Get(key)
	if err != nil || value == nil {
		return false, err
	}
	if err := json.Unmarshal(value, record); err != nil {
		return false, errors.New("session: the store returned a damaged record") // the cause may quote it
	}
	return true, nil
}

func (tx records) put(key []byte, record any, expires time.Time) error {
	value, err := json.Marshal(record)
	if err != nil {
		return fmt.Errorf("session: encode: %w", err)
	}
	return tx.Put(key, value, expires)
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

func (tx records) learn(learned User, now time.Time) (User, error) {
	u, err := tx.user(learned.UserID)
	if err != nil {
		return User{}, err
	}
	u.Learn(learned)
	tag := u.Tag()
	return u, tx.put(key(kindUser, tag[:]), u, now.Add(userLife))
}

// index returns the user's sessions that may still live, the one made first first.
func (tx records) index(user Tag, now time.Time, p Policy) (sids []SID, err error) {
	if _, err := tx.get(key(kindIndex, user[:]), &sids); err != nil {
		return nil, err
	}
	live := sids[:0]
	for _, sid := range sids {
		var s Session
		found, err := tx.get(key(kindSession, []byte(sid)), &s)
		if err != nil {
			return nil, err
		}
		if found && s.SID == sid && now.Before(s.Ends(p)) {
			live = append(live, sid)
		}
	}
	return live, nil
}

// end removes a session and writes down that it is revoked.
func (tx records) end(sid SID, now time.Time, p Policy) (Revocation, error) {
	r := Revocation{SID: sid, Until: now.Add(p.TokenTTL)}
	if err := tx.Delete(key(kindSession, []byte(sid))); err != nil {
		return r, err
	}
	if err := tx.unlist(sid, now, p); err != nil {
		return r, err
	}
	return r, tx.put(key(kindRevocation, []byte(sid)), r, r.Until)
}

// unlist takes a session out of its user's list.
func (tx records) unlist(sid SID, now time.Time, p Policy) error {
	tag, _, ok := sid.Parse()
	if !ok {
		return nil
	}
	var sids []SID
	if found, err := tx.get(key(kindIndex, tag[:]), &sids); err != nil || !found {
		return err
	}
	sids = slices.DeleteFunc(sids, func(s SID) bool { return s == sid })
	return tx.put(key(kindIndex, tag[:]), sids, now.Add(p.Lifetime))
}

func (tx records) note(n Note) error {
	if n.Key == (Digest{}) {
		return nil
	}
	value := binary.BigEndian.AppendUint64(nil, uint64(n.Until.UnixNano()))
	return tx.Put(key(kindNote, n.Key[:]), append(value, n.Value...), n.Until)
}

// MarshalText writes a digest in base64, for JSON.
func (d Digest) MarshalText() ([]byte, error) { return appendText(d[:]), nil }

// UnmarshalText reads what MarshalText wrote.
func (d *Digest) UnmarshalText(text []byte) error { return readText(d[:], text) }

// MarshalText writes a tag in base64, for JSON.
func (t Tag) MarshalText() ([]byte, error) { return appendText(t[:]), nil }

// UnmarshalText reads what MarshalText wrote.
func (t *Tag) UnmarshalText(text []byte) error { return readText(t[:], text) }

func appendText(raw []byte) []byte { return base64.RawURLEncoding.AppendEncode(nil, raw) }

func readText(raw, text []byte) error {
	decoded, err := base64.RawURLEncoding.AppendDecode(nil, text)
	if err != nil || len(decoded) != len(raw) {
		return errors.New("session: malformed digest")
	}
	copy(raw, decoded)
	return nil
}
