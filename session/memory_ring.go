package session

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"
	"math"
	"time"

	"github.com/allegro/bigcache/v3"
)

const (
	// entryOverhead is what bigcache adds to an entry at most: its header, our digest, and the length.
	entryOverhead = 18 + 32 + 4

	// minCharge is what a record counts at least, for as much is held beside the ring about the
	// smallest.
	minCharge = 256

	// sessionGrowth is by how much a session grows: the digest of a spent token, its salt and time.
	sessionGrowth = 256

	// userGrowth is by how much a user grows: a phone number and its time, a nickname, the hash of a
	// picture, a second session_key.
	userGrowth = 384

	// minSlack is the part of the ring that stays free at least. It lets a record of the largest size
	// be moved.
	minSlack = 4 << 20
)

var (
	// errCollision cannot be brought about from outside, for the hash is seeded.
	errCollision = errors.New("session: two records have one hash")
	errRing      = errors.New("session: a record did not fit the ring")
)

// ring is a bigcache that loses nothing. Bigcache is one ring of bytes in which the newest entry is
// written over the oldest, dead or alive; only the overwritten and deleted are known to be dead. So
// the live bytes are counted and kept below three quarters of the ring, and an entry that is pushed out
// alive is put back in as the newest. Going once around the ring so finds all the room the dead take.
type ring struct {
	cache  *bigcache.BigCache
	hasher seededHasher
	live   int // bytes, as charged
	max    int // of live
	ends   deadlines[uint64]
	pushed []pushed // out of the ring, to be put back
}

type pushed struct {
	key   string
	entry []byte
}

func newRing(maxMiB int) (*ring, error) {
	bytes := maxMiB << 20
	r := &ring{
		hasher: seededHasher{maphash.MakeSeed()},
		max:    bytes - max(bytes/4, minSlack),
		ends:   newDeadlines[uint64](),
	}
	cache, err := bigcache.New(context.Background(), bigcache.Config{
		Shards:             1,             // or one part would be full before the others
		LifeWindow:         math.MaxInt64, // each record has its own end
		CleanWindow:        0,             // no goroutine
		MaxEntriesInWindow: 0,             // it grows as needed
		MaxEntrySize:       512,
		HardMaxCacheSize:   maxMiB,
		Hasher:             r.hasher,
		OnRemoveWithReason: func(key string, entry []byte, reason bigcache.RemoveReason) {
			// What has no deadline is dead, as is what bigcache was told to delete.
			if _, alive := r.ends.of(r.hasher.Sum64(key)); alive && reason != bigcache.Deleted {
				r.pushed = append(r.pushed, pushed{key, entry})
			}
		},
	})
	if err != nil {
		return nil, fmt.Errorf("session: %w", err)
	}
	r.cache = cache
	return r, nil
}

func (r *ring) get(key []byte, now time.Time) []byte {
	entry, err := r.cache.Get(digestOf(key))
	if err != nil {
		return nil
	}
	k, value, expires := splitEntry(entry)
	// Bigcache hands out what is past its time, and compares but a digest of our key.
	if !bytes.Equal(k, key) || expires <= now.UnixNano() {
		return nil
	}
	return value
}

func (r *ring) scan(each func(key, value []byte) error) error {
	for it := r.cache.Iterator(); it.SetNext(); {
		info, err := it.Value()
		if err != nil {
			return errRing
		}
		key, value, _ := splitEntry(info.Value())
		if err := each(key, value); err != nil {
			return err
		}
	}
	return nil
}

// grows returns by how many bytes a write makes it grow.
func (r *ring) grows(key, value []byte) (int, error) {
	digest := digestOf(key)
	old, there := r.ends.of(r.hasher.Sum64(digest))
	if there {
		// Bigcache would write over the other record of a hash, and delete it for this one.
		if _, err := r.cache.Get(digest); err != nil {
			return 0, errCollision
		}
	}
	if value == nil {
		return -old.size, nil
	}
	return charge(key, value, old.size) - old.size, nil
}

func (r *ring) fits(bytes int) bool { return bytes <= 0 || r.live+bytes <= r.max }

// set writes a record for which grows and fits gave way.
func (r *ring) set(key []byte, s stagedValue) error {
	digest := digestOf(key)
	hash := r.hasher.Sum64(digest)
	old, there := r.ends.of(hash)
	r.live -= old.size
	if s.value == nil {
		if there {
			_ = r.cache.Delete(digest) // grows saw it
			r.ends.drop(hash)
		}
		return nil
	}
	item := deadline[uint64]{key: hash, at: s.expires, size: charge(key, s.value, old.size)}
	r.live += item.size
	r.ends.set(item)
	r.pushed = append(r.pushed, pushed{digest, makeEntry(key, s)})
	return r.putBack()
}

// putBack writes entries until none is out of the ring.
func (r *ring) putBack() error {
	for len(r.pushed) > 0 {
		p := r.pushed[len(r.pushed)-1]
		r.pushed = r.pushed[:len(r.pushed)-1]
		if err := r.cache.Set(p.key, p.entry); err != nil {
			return errRing
		}
	}
	r.pushed = nil
	return nil
}

// sweep forgets what is past its time. Its bytes are free when the ring comes round to them.
func (r *ring) sweep(now time.Time) {
	for d, ok := r.ends.passed(now); ok; d, ok = r.ends.passed(now) {
		_ = r.cache.Delete(keyOfHash(d.key)) // which asks for no more than the hash
		r.live -= d.size
		r.ends.drop(d.key)
	}
}

func makeEntry(key []byte, s stagedValue) []byte {
	entry := make([]byte, 0, 8+1+len(key)+len(s.value))
	entry = binary.BigEndian.AppendUint64(entry, uint64(s.expires))
	entry = append(entry, byte(len(key)))
	entry = append(entry, key...)
	return append(entry, s.value...)
}

func splitEntry(entry []byte) (key, value []byte, expires int64) {
	expires = int64(binary.BigEndian.Uint64(entry))
	size := 9 + int(entry[8])
	return entry[9:size], entry[size:], expires
}

// charge is the room that is counted for a record, given what was counted for the one it replaces.
// Sessions and users are charged at once for what they grow by, so that who was let in can refresh and
// give a phone number when the ring is full.
func charge(key, value []byte, old int) int {
	least := max(entryOverhead+8+1+len(key)+len(value), minCharge)
	growth := growthOf(key)
	if old == 0 {
		return least + growth
	}
	return min(max(old, least), least+growth)
}

func growthOf(key []byte) int {
	switch {
	case len(key) == 0:
		return 0
	case key[0] == kindSession:
		return sessionGrowth
	case key[0] == kindUser:
		return userGrowth
	default:
		return 0
	}
}

// seededHasher keeps clients from computing keys of one hash. Keys are digests, or made by keyOfHash.
type seededHasher struct{ seed maphash.Seed }

// Sum64 implements bigcache.Hasher.
func (h seededHasher) Sum64(key string) uint64 {
	if len(key) == 8 {
		return binary.BigEndian.Uint64([]byte(key))
	}
	return max(1, maphash.String(h.seed, key)) // to bigcache, 0 marks the dead
}

func keyOfHash(hash uint64) string { return string(binary.BigEndian.AppendUint64(nil, hash)) }

// digestOf is a key of fixed length, whatever clients choose: bigcache keeps key lengths in 16 bits.
func digestOf(key []byte) string {
	sum := sha256.Sum256(key)
	return string(sum[:])
}
