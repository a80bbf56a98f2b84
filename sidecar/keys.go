// The keys that sign a site's tokens, where they stand in the configuration.

package sidecar

import (
	"fmt"
	"strings"
	"time"

	"github.com/caddy-wechat/wechatauth/jwt"
)

// Keys gives the keys of a site. It may not have them yet.
type Keys interface {
	get() (*jwt.Ring, error)

	// maxAge returns the time for which others may keep the published keys.
	maxAge() time.Duration

	// source returns the origin of the keys. The same source never has two keys of one id that
	// verify differently: one secret or one RSA key can be meant for several algorithms.
	source() any
}

// ConfiguredKeys are the keys that stand in the configuration.
type ConfiguredKeys struct {
	ring *jwt.Ring
	from []any // their algorithm and text
}

// NewKeys returns configured keys: the first signs, and previous ones still verify.
func NewKeys(alg string, signing []byte, previous ...[]byte) (*ConfiguredKeys, error) {
	key, err := jwt.ParseKey(alg, signing)
	if err != nil {
		return nil, fmt.Errorf("key: %w", err)
	}
	keys := &ConfiguredKeys{from: []any{alg, signing}}
	var others []*jwt.Key
	for _, text := range previous {
		old, err := jwt.ParsePreviousKey(alg, text)
		if err != nil {
			return nil, fmt.Errorf("previous_key: %w", err)
		}
		others, keys.from = append(others, old), append(keys.from, text)
	}
	keys.ring, err = jwt.NewRing(key, others...)
	return keys, err
}

func (k *ConfiguredKeys) get() (*jwt.Ring, error) { return k.ring, nil }
func (*ConfiguredKeys) maxAge() time.Duration     { return 5 * time.Minute }
func (k *ConfiguredKeys) source() any             { return k.from }

func checkAlgorithm(alg string) error {
	for _, known := range jwt.Algorithms() {
		switch {
		case alg == known:
			return nil
		case strings.EqualFold(alg, known):
			return fmt.Errorf("algorithm %s: write it as %s", alg, known)
		}
	}
	// The value may be a secret in the wrong place, so it is not repeated.
	return fmt.Errorf("algorithm is unknown: write one of %s; a secret belongs in key", strings.Join(jwt.Algorithms(), " "))
}
