// The keys of a site: one signs, all verify.

package jwt

import (
	"bytes"
	"encoding/json"
	"fmt"
	"sync/atomic"
)

// Ring holds the keys of a site. It is safe for concurrent use; [Ring.Replace] changes all keys in
// one step, and calls under way finish with the old ones. The zero Ring has no key.
type Ring struct {
	current atomic.Pointer[keySet]
}

// keySet is never changed once it is in a Ring.
type keySet struct {
	signing *Key
	byID    map[string]*Key // kid → key
	jwks    []byte
}

var noKeys = &keySet{jwks: []byte(`{"keys":[]}`)}

// NewRing returns a ring in which signing signs and verifies and the others only verify: keys that
// signed before, and keys published ahead of their turn. Of keys with the same id one stays.
func NewRing(signing *Key, others ...*Key) (*Ring, error) {
	r := new(Ring)
	if err := r.Replace(signing, others...); err != nil {
		return nil, err
	}
	return r, nil
}

// Replace puts new keys in place of all the ring had, as [NewRing] takes them.
// After an error the ring is as it was.
func (r *Ring) Replace(signing *Key, others ...*Key) error {
	if signing == nil || !signing.CanSign() {
		return fmt.Errorf("%w: the signing key needs its private half", ErrKey)
	}

	set := &keySet{signing: signing, byID: map[string]*Key{signing.id: signing}}
	order := []string{signing.id}
	for _, k := range others {
		if k == nil {
			return fmt.Errorf("%w: a previous key is nil", ErrKey)
		}
		known, ok := set.byID[k.id]
		if !ok {
			order = append(order, k.id)
		}
		// A private half opens sealed phones, so it wins over the same key
		// without one. The signing key has one and is never replaced.
		if !ok || (!known.CanSign() && k.CanSign()) {
			set.byID[k.id] = k
		}
	}

	var err error
	if set.jwks, err = set.publish(order); err != nil {
		return err
	}
	r.current.Store(set)
	return nil
}

// JWKS returns the public keys as a JWK set, the signing key first. Secrets
// are left out: a ring of secrets has an empty set.
func (r *Ring) JWKS() []byte { return bytes.Clone(r.load().jwks) }

// Has reports whether the ring still has the key with this id. A cache of verified tokens checks it
// with [Claims.KeyID].
func (r *Ring) Has(kid string) bool {
	_, ok := r.load().byID[kid]
	return ok
}

func (r *Ring) load() *keySet {
	if r == nil {
		return noKeys
	}
	if set := r.current.Load(); set != nil {
		return set
	}
	return noKeys
}

func (s *keySet) publish(order []string) ([]byte, error) {
	published := struct {
		Keys []jwk `json:"keys"`
	}{Keys: []jwk{}}

	for _, id := range order {
		k := s.byID[id]
		if k.alg.family == familyHMAC {
			continue
		}
		j, err := newJWK(k.material().public)
		if err != nil {
			return nil, err
		}
		j.Use, j.Algorithm, j.ID = "sig", k.alg.name, k.id
		published.Keys = append(published.Keys, j)
	}
	return json.Marshal(published)
}
