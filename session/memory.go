package session

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

const (
	// defaultMemoryMiB is enough for some 40,000 users who are logged in once.
	defaultMemoryMiB = 128

	minMemoryMiB = 16

	// Of each MiB, five eighths go to the ring of records; what is told of them besides, and the pinned
	// records, fit in the rest.
	ringEighths = 5

	// pinnedPerMiB bounds the number of pinned records.
	pinnedPerMiB = 512

	maxKey   = 128
	maxValue = 1 << 20
)

// memory is a DB in the process. Revocations and signing keys are pinned: they have room of their own,
// so that no number of logins takes it. All other records are in a ring.
//
// It forgets nothing before its time. What has no room is refused with ErrFull, as a whole; ending a
// session needs no room but the revocation's, and refreshing one none at all.
type memory struct {
	mu     sync.RWMutex // guards what follows
	closed bool
	ring   *ring
	pinned *pinned
}

// NewMemory returns a Store that holds at most so many MiB, at least 16; 0 is 128, which are enough for
// some 40,000 users who are logged in once. It takes the memory as it needs it, and keeps it. Of
// revocations it remembers 512 to the MiB. What has no room is refused with ErrFull; nothing that was
// stored is lost before its time, but all is at Close.
func NewMemory(maxMiB int) (Store, error) {
	if maxMiB == 0 {
		maxMiB = defaultMemoryMiB
	}
	if maxMiB < minMemoryMiB {
		return nil, fmt.Errorf("session: %d MiB of memory are too few, want %d or more", maxMiB, minMemoryMiB)
	}
	r, err := newRing(maxMiB * ringEighths / 8)
	if err != nil {
		return nil, err
	}
	return Over(&memory{ring: r, pinned: newPinned(maxMiB * pinnedPerMiB)}), nil
}

// View implements DB.
func (m *memory) View(ctx context.Context, read func(Tx) error) error {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if err := m.usable(ctx); err != nil {
		return err
	}
	return read(&memoryTx{m: m, now: time.Now()})
}

// Update implements DB.
func (m *memory) Update(ctx context.Context, change func(Tx) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.usable(ctx); err != nil {
		return err
	}
	tx := &memoryTx{m: m, now: time.Now(), staged: map[string]stagedValue{}}
	if err := change(tx); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return tx.commit()
}

func (m *memory) usable(ctx context.Context) error {
	if m.closed {
		return ErrClosed
	}
	return ctx.Err()
}

// Close implements DB.
func (m *memory) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed, m.ring, m.pinned = true, nil, nil // nothing runs in them that had to be stopped
	return nil
}

// memoryTx collects what an Update writes, so that it happens as a whole or not at all.
type memoryTx struct {
	m      *memory
	now    time.Time
	staged map[string]stagedValue // nil in a View
}

type stagedValue struct {
	value   []byte // nil if deleted
	expires int64
}

var errReadOnly = errors.New("session: write in a view")

// Get implements Tx.
func (tx *memoryTx) Get(key []byte) ([]byte, error) {
	if s, ok := tx.staged[string(key)]; ok {
		return s.value, nil
	}
	if isPinned(key) {
		return tx.m.pinned.get(key, tx.now), nil
	}
	return tx.m.ring.get(key, tx.now), nil
}

// Put implements Tx.
func (tx *memoryTx) Put(key, value []byte, expires time.Time) error {
	if len(key) > maxKey || len(value) > maxValue {
		return fmt.Errorf("session: a record of %d bytes is too large", len(key)+len(value))
	}
	if value == nil {
		value = []byte{}
	}
	return tx.stage(key, stagedValue{value, unixNano(expires)})
}

// Delete implements Tx.
func (tx *memoryTx) Delete(key []byte) error { return tx.stage(key, stagedValue{}) }

func (tx *memoryTx) stage(key []byte, s stagedValue) error {
	if tx.staged == nil {
		return errReadOnly
	}
	tx.staged[string(key)] = s
	return nil
}

// Scan implements Tx.
func (tx *memoryTx) Scan(prefix []byte, each func(key, value []byte) error) error {
	for key, s := range tx.staged {
		if s.value != nil && bytes.HasPrefix([]byte(key), prefix) {
			if err := each([]byte(key), s.value); err != nil {
				return err
			}
		}
	}
	stored := func(key, value []byte) error {
		if _, ok := tx.staged[string(key)]; ok || !bytes.HasPrefix(key, prefix) {
			return nil
		}
		return each(key, value)
	}
	if err := tx.m.pinned.scan(stored); err != nil {
		return err
	}
	if len(prefix) > 0 && isPinned(prefix) {
		return nil
	}
	return tx.m.ring.scan(stored)
}

// commit writes what is staged. It asks for all the room before it writes the first record.
func (tx *memoryTx) commit() error {
	r, p := tx.m.ring, tx.m.pinned
	r.sweep(tx.now)
	p.sweep(tx.now)
	bytes, records := 0, 0
	for key, s := range tx.staged {
		if isPinned([]byte(key)) {
			records += p.grows(key, s.value)
			continue
		}
		n, err := r.grows([]byte(key), s.value)
		if err != nil {
			return err
		}
		bytes += n
	}
	if !r.fits(bytes) || !p.fits(records) {
		return ErrFull
	}
	for key, s := range tx.staged {
		switch {
		case isPinned([]byte(key)):
			p.set(key, s)
		default:
			if err := r.set([]byte(key), s); err != nil {
				return err
			}
		}
	}
	return nil
}

// isPinned tells which records must never be in the way of others, and are found by Scan.
func isPinned(key []byte) bool {
	return len(key) > 0 && (key[0] == kindRevocation || key[0] == kindKeys)
}

// unixNano returns when a record may go; the zero time is never.
func unixNano(t time.Time) int64 {
	if t.IsZero() {
		return never
	}
	return t.UnixNano()
}
