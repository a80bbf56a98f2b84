// Values that can only be read at the place they were made for.

package redisstore

import (
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"

	"github.com/caddy-wechat/wechatauth/internal/aead"
)

const (
	minSealKey = 32
	sumSize    = 16
)

// The first byte of a stored value: how it is bound to its place.
const (
	sealedValue = 's' // by the seal key
	boundValue  = 'b' // by a sum, which helps against accidents only
)

// sealer binds values to their place, and encrypts them if it has a key.
type sealer struct{ secret []byte }

func newSealer(secret string) (sealer, error) {
	if secret == "" {
		return sealer{}, nil
	}
	if len(secret) < minSealKey {
		return sealer{}, fmt.Errorf("redis: seal_key needs %d characters or more, as from: openssl rand -base64 32", minSealKey)
	}
	return sealer{[]byte(secret)}, nil
}

// place names a field of a key.
func place(key, field string) string { return key + "\x00" + field }

// mark returns the first byte of what this sealer makes.
func (s sealer) mark() byte {
	if s.secret == nil {
		return boundValue
	}
	return sealedValue
}

// check returns an error if a value can't be opened for want of its key.
func (s sealer) check(stored string) error {
	switch {
	case stored == "":
		return &Error{Cause: BadRecord}
	case stored[0] == s.mark():
		return nil
	case stored[0] == sealedValue:
		return &Error{Cause: NoSealKey}
	case stored[0] == boundValue:
		return &Error{Cause: NotSealed}
	}
	return &Error{Cause: BadRecord}
}

// seal returns a value for a place.
func (s sealer) seal(place string, value []byte) ([]byte, error) {
	out := []byte{s.mark()}
	if s.secret == nil {
		sum, _ := s.sum(place, value)
		return append(append(out, sum...), value...), nil
	}
	box, err := s.box(place)
	if err != nil {
		return nil, err
	}
	return box.Seal(out, nil, value, []byte(place)), nil //nolint:gosec // the constant is no nonce: aead makes a random one
}

// open returns the value that was sealed for a place.
func (s sealer) open(place, stored string) ([]byte, error) {
	if err := s.check(stored); err != nil {
		return nil, err
	}
	if s.secret == nil {
		if len(stored) < 1+sumSize {
			return nil, &Error{Cause: BadRecord}
		}
		value := []byte(stored[1+sumSize:])
		return value, s.verify(place, value, stored[1:1+sumSize])
	}
	box, err := s.box(place)
	if err != nil {
		return nil, err
	}
	value, err := box.Open(nil, nil, []byte(stored[1:]), []byte(place))
	if err != nil {
		return nil, &Error{Cause: WrongSealKey}
	}
	return value, nil
}

// box returns the cipher of one place. Each has a key of its own, so that no number of users wears
// out the 96 bits of a random nonce.
func (s sealer) box(place string) (cipher.AEAD, error) {
	box, err := aead.New(s.secret, "wechatauth seal "+place)
	if err != nil {
		return nil, fmt.Errorf("redis: seal: %w", err)
	}
	return box, nil
}

// sum returns what binds a value to its place without hiding it.
func (s sealer) sum(place string, value []byte) ([]byte, error) {
	sum := sha256.Sum256(append([]byte(place+"\x00"), value...))
	if s.secret == nil {
		return sum[:sumSize], nil
	}
	return hkdf.Key(sha256.New, s.secret, nil, "wechatauth sum "+string(sum[:]), sumSize)
}

// verify returns an error if a sum is not that of the value at its place.
func (s sealer) verify(place string, value []byte, sum string) error {
	want, err := s.sum(place, value)
	switch {
	case err != nil:
		return err
	case subtle.ConstantTimeCompare(want, []byte(sum)) == 1:
		return nil
	case s.secret == nil:
		return &Error{Cause: BadRecord}
	}
	return &Error{Cause: WrongSealKey}
}
