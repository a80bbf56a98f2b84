package session

import (
	"context"
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// retryFollow is how long a denylist waits before it follows a failed store again.
const retryFollow = 500 * time.Millisecond

// sweepEvery is how often a denylist drops revocations whose time is over.
const sweepEvery = time.Minute

// Denylist holds the revocations that matter, in memory, so that looking one up costs no network. It
// follows its store from Run on, and keeps what it knows while the store is away.
type Denylist struct {
	store Store
	now   func() time.Time

	complete chan struct{} // closed at the store's first word

	heard atomic.Pointer[time.Time] // when the store last said that this list is complete; nil: never

	mu       sync.RWMutex // guards what follows
	sessions map[SID]time.Time
	users    map[Tag]userRevocation
}

type userRevocation struct{ before, until time.Time }

// NewDenylist returns a list that knows nothing yet. The clock may be nil: time.Now.
func NewDenylist(store Store, now func() time.Time) *Denylist {
	if now == nil {
		now = time.Now
	}
	return &Denylist{
		store: store, now: now, complete: make(chan struct{}),
		sessions: map[SID]time.Time{}, users: map[Tag]userRevocation{},
	}
}

// Run follows the store until ctx ends. It tells failed about each failure of the store.
func (d *Denylist) Run(ctx context.Context, failed func(error)) {
	go d.sweep(ctx)
	for ctx.Err() == nil {
		err := d.store.Follow(ctx, d.now(), d.add)
		if ctx.Err() != nil {
			return
		}
		failed(err)
		select {
		case <-ctx.Done():
		case <-time.After(retryFollow):
		}
	}
}

// Revoked tells whether a session's access tokens are revoked.
func (d *Denylist) Revoked(sid SID) bool {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if _, ok := d.sessions[sid]; ok {
		return true
	}
	if len(d.users) == 0 {
		return false
	}
	tag, made, _ := sid.Parse()
	r, ok := d.users[tag]
	return ok && !made.After(r.before)
}

// Age returns how long ago the store last said that this list is complete.
func (d *Denylist) Age() time.Duration {
	heard := d.heard.Load()
	if heard == nil {
		return math.MaxInt64
	}
	return d.now().Sub(*heard)
}

// Wait returns when the store has said for the first time that the list is complete, or after a timeout.
func (d *Denylist) Wait(timeout time.Duration) {
	select {
	case <-d.complete:
	case <-time.After(timeout):
	}
}

func (d *Denylist) add(revoked []Revocation) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, r := range revoked {
		if r.SID != "" {
			d.sessions[r.SID] = later(d.sessions[r.SID], r.Until)
			continue
		}
		u := d.users[r.Tag]
		d.users[r.Tag] = userRevocation{later(u.before, r.Before), later(u.until, r.Until)}
	}
	now := d.now() // told last: the list now has what it stands for
	if d.heard.Swap(&now) == nil {
		close(d.complete)
	}
}

func (d *Denylist) sweep(ctx context.Context) {
	ticker := time.NewTicker(sweepEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			d.dropExpired()
		}
	}
}

func (d *Denylist) dropExpired() {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.now()
	for sid, until := range d.sessions {
		if !now.Before(until) {
			delete(d.sessions, sid)
		}
	}
	for tag, r := range d.users {
		if !now.Before(r.until) {
			delete(d.users, tag)
		}
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
