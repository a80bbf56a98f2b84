package session

import (
	"encoding/json"
	"errors"
	"slices"
	"time"
)

func key(kind byte, name []byte) []byte { return append([]byte{kind}, name...) }

// records reads and writes records in one step of a DB.
type records struct{ Tx }

var (
	errForeign = errors.New("session: the store returned a record of another key")
	errDamaged = errors.New("session: the store returned a damaged record") // the cause may quote it
	errUnfit   = errors.New("session: a record can't be encoded")           // likewise
)

func (tx records) get(key []byte, record any) (found bool, err error) {
	value, err := tx.Get(key)
	if err != nil || value == nil {
		return false, err
	}
	if err := json.Unmarshal(value, record); err != nil {
		return false, errDamaged
	}
	return true, nil
}

func (tx records) put(key []byte, record any, expires time.Time) error {
	value, err := json.Marshal(record)
	if err != nil {
		return errUnfit
	}
	return tx.Put(key, value, expires)
}

// sessionRecord is a Session and when it may be dropped, for a lesson does not tell that.
type sessionRecord struct {
	Session

	Until int64 `json:"until,omitempty"` // in seconds, rounded up
}

// until is late for what was written when records did not have it, until their next refresh.
func (r sessionRecord) until() time.Time {
	if r.Until == 0 {
		return r.LastUse.Add(userLife)
	}
	return time.Unix(r.Until, 0)
}

func (tx records) session(sid SID) (r sessionRecord, found bool, err error) {
	found, err = tx.get(key(kindSession, []byte(sid)), &r)
	r.Claims = knownClaims(r.Claims)
	return r, found, err
}

// knownClaims returns stored claims, nil for those that say nothing.
func knownClaims(stored json.RawMessage) json.RawMessage {
	if string(stored) == "null" {
		return nil
	}
	return stored
}

// mayBegin returns ErrEnded for a session that ended before it was stored.
func (tx records) mayBegin(sid SID) error {
	user, made, _ := sid.Parse()
	var all, one Revocation
	foundAll, err := tx.get(key(kindRevocation, user[:]), &all)
	if err != nil {
		return err
	}
	foundOne, err := tx.get(key(kindRevocation, []byte(sid)), &one)
	if err != nil {
		return err
	}
	if foundOne || foundAll && !made.After(all.Before) {
		return ErrEnded
	}
	return nil
}

func (tx records) putSession(s Session, until time.Time) error {
	record := sessionRecord{s, until.Add(time.Second - 1).Unix()}
	return tx.put(key(kindSession, []byte(s.SID)), record, until)
}

// index returns the names of the user's sessions, dead ones among them, the one made first first.
func (tx records) index(user Tag) (sids []SID, err error) {
	_, err = tx.get(key(kindIndex, user[:]), &sids)
	return sids, err
}

// live returns the same without the dead, and forgets those.
func (tx records) live(user Tag, now time.Time, p Policy) ([]SID, error) {
	sids, err := tx.index(user)
	if err != nil {
		return nil, err
	}
	live := sids[:0]
	for _, sid := range sids {
		var s Session
		found, err := tx.get(key(kindSession, []byte(sid)), &s)
		switch {
		case err != nil:
			return nil, err
		case found && s.SID == sid && now.Before(s.Ends(p)):
			live = append(live, sid)
		case found:
			if err := tx.Delete(key(kindSession, []byte(sid))); err != nil {
				return nil, err
			}
		}
	}
	return live, nil
}

// list adds a session to an index. Logins are not stored in the order in which they are made.
func list(sids []SID, sid SID) []SID {
	if slices.Contains(sids, sid) {
		return sids
	}
	_, made, _ := sid.Parse()
	i := len(sids)
	for ; i > 0; i-- {
		if _, earlier, _ := sids[i-1].Parse(); !earlier.After(made) {
			break
		}
	}
	return slices.Insert(sids, i, sid)
}

// putIndex writes the list of a user's sessions. It lives as long as the user, not as the sessions, for
// the next policy may let those live longer.
func (tx records) putIndex(user Tag, sids []SID, p Policy) error {
	if len(sids) == 0 {
		return tx.Delete(key(kindIndex, user[:]))
	}
	_, made, _ := sids[len(sids)-1].Parse()
	return tx.put(key(kindIndex, user[:]), sids, made.Add(max(userLife, p.Lifetime)))
}

func (tx records) end(sid SID, now time.Time, p Policy) (Revocation, error) {
	if err := tx.Delete(key(kindSession, []byte(sid))); err != nil {
		return Revocation{}, err
	}
	if err := tx.unlist(sid, p); err != nil {
		return Revocation{}, err
	}
	return tx.revoke([]byte(sid), Revocation{SID: sid, Until: now.Add(p.TokenTTL)})
}

// unlist takes a session out of its user's list.
func (tx records) unlist(sid SID, p Policy) error {
	tag, _, ok := sid.Parse()
	if !ok {
		return nil
	}
	sids, err := tx.index(tag)
	if err != nil || !slices.Contains(sids, sid) {
		return err
	}
	return tx.putIndex(tag, slices.DeleteFunc(sids, func(s SID) bool { return s == sid }), p)
}

// revokeAll revokes the sessions of a user made at or before a time.
func (tx records) revokeAll(user Tag, before time.Time, p Policy) (Revocation, error) {
	// A session made long before may have got an access token just now.
	until := later(before, time.Now()).Add(p.TokenTTL)
	return tx.revoke(user[:], Revocation{Tag: user, Before: before, Until: until})
}

// revoke writes a revocation, which never shortens one that is there.
func (tx records) revoke(name []byte, r Revocation) (Revocation, error) {
	var old Revocation
	if _, err := tx.get(key(kindRevocation, name), &old); err != nil {
		return Revocation{}, err
	}
	r.Before, r.Until = later(old.Before, r.Before), later(old.Until, r.Until)
	return r, tx.put(key(kindRevocation, name), r, r.Until)
}
