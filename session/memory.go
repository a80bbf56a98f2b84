// Package session remembers users and the answers that a flaky network may ask for twice.
package session

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"strings"
	"sync"
	"time"

	"github.com/allegro/bigcache/v3"
)

// User is what is remembered of one user of one mini program.
type User struct {
	AppID     string    `json:"appid"`
	OpenID    string    `json:"openid"`
	UnionID   string    `json:"unionid,omitempty"`
	FirstSeen time.Time `json:"first_seen"`

	// Phone is the number as WeChat gives it, PhoneNumber the same in E.164, if it has that form.
	Phone         string    `json:"phone,omitempty"`
	PhoneNumber   string    `json:"phone_number,omitempty"`
	PhoneVerified time.Time `json:"phone_verified,omitzero"`
}

const (
	// userLife is how long a user who never comes back is remembered.
	userLife = 180 * 24 * time.Hour

	// maxNoteLife is the longest a note lasts, whatever is asked for.
	maxNoteLife = 10 * time.Minute

	// Bounds in MiB. Beyond them the oldest records go: a user who is forgotten is asked for the phone
	// again, a note that is forgotten leaves WeChat to say that the code was used.
	maxUsersMiB = 128
	maxNotesMiB = 64

	shards = 64
)

// Memory keeps its records in the process: nothing survives a restart. It is safe for concurrent use.
type Memory struct {
	users *bigcache.BigCache
	notes *bigcache.BigCache
	close func() error

	mu sync.Mutex // makes reading a user, changing and writing it one step
}

// NewMemory returns an empty memory. Close it after use.
func NewMemory() (*Memory, error) {
	users, err := newCache(userLife, maxUsersMiB)
	if err != nil {
		return nil, err
	}
	notes, err := newCache(maxNoteLife, maxNotesMiB)
	if err != nil {
		return nil, errors.Join(err, users.Close())
	}
	m := &Memory{users: users, notes: notes}
	m.close = sync.OnceValue(func() error { return errors.Join(users.Close(), notes.Close()) })
	return m, nil
}

// Close ends the memory and forgets everything. It may be called more than once.
func (m *Memory) Close() error { return m.close() }

// User returns the user, and false if none is remembered.
func (m *Memory) User(appID, openID string) (User, bool, error) {
	data, err := m.users.Get(userKey(appID, openID))
	if errors.Is(err, bigcache.ErrEntryNotFound) {
		return User{}, false, nil
	}
	if err != nil {
		return User{}, false, fmt.Errorf("session: read user: %w", err)
	}
	var u User
	if err := json.Unmarshal(data, &u); err != nil {
		return User{}, false, fmt.Errorf("session: decode user: %w", err)
	}
	if u.AppID != appID || u.OpenID != openID {
		return User{}, false, errors.New("session: the user read is another one than asked for")
	}
	return u, true, nil
}

// UpdateUser lets change edit the user, a new one if none is remembered, and stores the result.
func (m *Memory) UpdateUser(appID, openID string, change func(u *User, isNew bool)) (User, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	u, known, err := m.User(appID, openID)
	if err != nil {
		return User{}, err
	}
	u.AppID, u.OpenID = appID, openID
	change(&u, !known)
	data, err := json.Marshal(u)
	if err != nil {
		return User{}, fmt.Errorf("session: encode user: %w", err)
	}
	if err := m.users.Set(userKey(appID, openID), data); err != nil {
		return User{}, fmt.Errorf("session: store user: %w", err)
	}
	return u, nil
}

// Note stores a value under a key until the given time, at most ten minutes from now. It replaces an
// earlier one.
func (m *Memory) Note(key string, value []byte, until time.Time) error {
	record := binary.BigEndian.AppendUint64(nil, uint64(until.UnixNano()))
	if err := m.notes.Set(digest("note", key), append(record, value...)); err != nil {
		return fmt.Errorf("session: store note: %w", err)
	}
	return nil
}

// Recall returns a note, and false if there is none or its time is over.
func (m *Memory) Recall(key string, now time.Time) ([]byte, bool) {
	record, err := m.notes.Get(digest("note", key))
	// The expiry stands in the record because bigcache hands out entries past their life until its
	// sweeper comes round.
	if err != nil || len(record) < 8 || now.UnixNano() >= int64(binary.BigEndian.Uint64(record)) {
		return nil, false
	}
	return record[8:], true
}

// newCache makes a cache that starts small: bigcache's defaults take 300 MB at once.
func newCache(life time.Duration, maxMiB int) (*bigcache.BigCache, error) {
	cache, err := bigcache.New(context.Background(), bigcache.Config{
		Shards:             shards,
		LifeWindow:         life,
		CleanWindow:        time.Minute,
		MaxEntriesInWindow: shards,
		MaxEntrySize:       512,
		HardMaxCacheSize:   maxMiB,
		Hasher:             seededHasher{maphash.MakeSeed()},
	})
	if err != nil {
		return nil, fmt.Errorf("session: %w", err)
	}
	return cache, nil
}

// seededHasher keeps clients from computing keys that share a slot: bigcache lets a colliding key
// overwrite another's entry.
type seededHasher struct{ seed maphash.Seed }

// Sum64 implements bigcache.Hasher.
func (h seededHasher) Sum64(key string) uint64 { return maphash.String(h.seed, key) }

func userKey(appID, openID string) string { return digest("user", appID, openID) }

// digest has a fixed length, whatever clients choose; bigcache keeps key lengths in 16 bits.
func digest(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return string(sum[:])
}
