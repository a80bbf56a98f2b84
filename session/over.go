package session

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"time"
)

// Kinds of records; the first byte of a key.
const (
	kindSession    = 's' // + SID: a sessionRecord
	kindUser       = 'u' // + Tag: a User
	kindIndex      = 'i' // + Tag: the user's SIDs, as made
	kindNote       = 'n' // + Digest: when its time is over, and the value
	kindCount      = 'c' // + Digest: likewise
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
		s := l.Session
		if err := tx.mayBegin(s.SID); err != nil {
			return nil, err
		}
		if _, err := tx.learn(l.Learned, nil, s.LastUse); err != nil {
			return nil, err
		}
		sids, err := tx.live(s.User.Tag(), s.LastUse, l.Policy)
		if err != nil {
			return nil, err
		}
		sids = list(sids, s.SID)
		if err := tx.putSession(s, s.Ends(l.Policy)); err != nil {
			return nil, err
		}
		var ended []Revocation
		for len(sids) > l.Policy.MaxPerUser {
			r, err := tx.end(sids[0], s.LastUse, l.Policy)
			if err != nil {
				return nil, err
			}
			ended, sids = append(ended, r), sids[1:]
		}
		if err := tx.putIndex(s.User.Tag(), sids, l.Policy); err != nil {
			return nil, err
		}
		return ended, tx.note(l.Note)
	})
}

// Refresh implements Store.
func (o *over) Refresh(ctx context.Context, s Spend) (Refreshed, error) {
	var result Refreshed
	err := o.update(ctx, func(tx records) ([]Revocation, error) {
		result = Refreshed{}
		record, found, err := tx.session(s.SID)
		if err != nil || !found {
			return nil, err
		}
		result.Session = record.Session
		switch result.Verdict = result.Session.Spend(s); result.Verdict {
		case Rotated:
			if err := tx.putSession(result.Session, result.Session.Ends(s.Policy)); err != nil {
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
	if err != nil {
		return Refreshed{}, err
	}
	return result, nil
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
		sids, err := tx.index(tag)
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
		if err := tx.putIndex(tag, kept, p); err != nil {
			return nil, err
		}
		r, err := tx.revokeAll(tag, before, p)
		return []Revocation{r}, err
	})
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
	// Listening begins before the past is read, so that nothing falls between. What is told meanwhile
	// waits: who follows may take the first report for all there is.
	read, complete := make(chan struct{}), false
	defer o.hub.listen(func(revoked []Revocation) {
		if <-read; complete {
			report(revoked)
		}
	})()
	past, err := o.past(ctx, now)
	if err == nil {
		report(past)
		complete = true
	}
	close(read)
	if err != nil {
		return err
	}
	return o.hub.beat(ctx, report)
}

// past returns the revocations whose time is not over.
func (o *over) past(ctx context.Context, now time.Time) (past []Revocation, err error) {
	err = o.db.View(ctx, func(tx Tx) error {
		past = nil
		return tx.Scan([]byte{kindRevocation}, func(_, value []byte) error {
			var r Revocation
			if err := json.Unmarshal(value, &r); err != nil {
				return errDamaged
			}
			if now.Before(r.Until) {
				past = append(past, r)
			}
			return nil
		})
	})
	return past, err
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
