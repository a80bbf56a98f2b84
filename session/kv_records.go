// The records of a Store over a DB.

package session

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"time"

	"github.com/go-json-experiment/json"
)

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

// change changes one account.
func (tx records) change(user Tag, now time.Time, p Policy, do func(*Account) error) error {
	a, err := tx.account(user)
	if err != nil {
		return err
	}
	before, none := marksOf(&a), a.isZero()
	if err := do(&a); err != nil || none && a.isZero() {
		return err
	}
	if err := tx.putAccount(user, &a, a.Expires(now, p)); err != nil {
		return err
	}
	if after := marksOf(&a); after != before {
		return tx.Mark(recordKey(kindAccount, user[:]), after)
	}
	return nil
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
	err = tx.Scan([]byte{kindRevocation}, nil, func(key, value []byte) error {
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

func (tx records) putKeys(version int64, keys []byte) error {
	record := binary.BigEndian.AppendUint64(nil, uint64(version))
	return tx.Put([]byte{kindKeys}, append(record, keys...), time.Time{})
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
