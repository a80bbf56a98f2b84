package session

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
)

const (
	minSealKey = 32
	boundSize  = 16
	markSize   = 16 // as redis_common.lua has it
)

// The first byte of a stored value: how it is bound to its place.
const (
	sealedValue = 's' // by encryption
	boundValue  = 'b' // by a sum
)

var (
	errNotSealed = errors.New("session: the store holds values that are not sealed: it was used without a seal key")
	errSealed    = errors.New("session: the store holds sealed values: it needs its seal key")
	errUnsealed  = errors.New("session: a stored value does not open: another seal key, or the value of another key")
)

// sealer makes values that can only be read at the place they were made for: by encryption if it has a
// key, otherwise by a sum, which helps against accidents only.
type sealer struct{ key []byte }

func newSealer(secret string) (sealer, error) {
	if secret == "" {
		return sealer{}, nil
	}
	if len(secret) < minSealKey {
		return sealer{}, fmt.Errorf("session: the seal key needs %d characters or more, as from: openssl rand -base64 32", minSealKey)
	}
	key, err := hkdf.Extract(sha256.New, []byte(secret), nil)
	if err != nil {
		return sealer{}, fmt.Errorf("session: seal key: %w", err)
	}
	return sealer{key}, nil
}

// place names a field of a key.
func place(key, field string) string { return key + "\x00" + field }

func (s sealer) seal(place string, value []byte) ([]byte, error) {
	if s.key == nil {
		return append(bind(place, value), value...), nil
	}
	aead, err := s.aead(place)
	if err != nil {
		return nil, err
	}
	out := []byte{sealedValue}
	return aead.Seal(out, nil, value, []byte(place)), nil //nolint:gosec // the constant is no nonce: aead makes a random one
}

func (s sealer) open(place, stored string) ([]byte, error) {
	if stored == "" {
		return nil, errDamaged
	}
	if s.key == nil {
		if stored[0] == sealedValue {
			return nil, errSealed
		}
		if len(stored) < 1+boundSize {
			return nil, errDamaged
		}
		value := []byte(stored[1+boundSize:])
		if subtle.ConstantTimeCompare(bind(place, value), []byte(stored[:1+boundSize])) == 0 {
			return nil, errForeign
		}
		return value, nil
	}
	if stored[0] != sealedValue {
		return nil, errNotSealed
	}
	aead, err := s.aead(place)
	if err != nil {
		return nil, err
	}
	value, err := aead.Open(nil, nil, []byte(stored[1:]), []byte(place))
	if err != nil {
		return nil, errUnsealed
	}
	return value, nil
}

// aead is the cipher of one place. Each has a key of its own, so that no number of users wears out the
// 96 bits of a random nonce.
func (s sealer) aead(place string) (cipher.AEAD, error) {
	key, err := hkdf.Expand(sha256.New, s.key, "wechatauth seal "+place, 32)
	if err != nil {
		return nil, fmt.Errorf("session: seal: %w", err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("session: seal: %w", err)
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// mark returns what is the same for the same value at the same place, for scripts that compare what they
// can't read. Of a value that nobody can guess it tells nothing else.
func (s sealer) mark(place string, value []byte) ([]byte, error) {
	if s.key == nil {
		return bind(place, value)[:markSize], nil
	}
	sum := sha256.Sum256(value)
	mark, err := hkdf.Expand(sha256.New, s.key, "wechatauth mark "+place+"\x00"+string(sum[:]), markSize)
	if err != nil {
		return nil, fmt.Errorf("session: mark: %w", err)
	}
	return mark, nil
}

func bind(place string, value []byte) []byte {
	sum := sha256.New()
	sum.Write([]byte(place))
	sum.Write([]byte{0})
	sum.Write(value)
	return sum.Sum([]byte{boundValue})[:1+boundSize]
}
