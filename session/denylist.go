// The denylist: the revocations that matter, in memory.

package session

import (
	"context"
	"math"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// retryFollow is the pause before a store that failed is followed again, maxRetryFollow the
	// longest after many failures in a row.
	retryFollow    = 250 * time.Millisecond
	maxRetryFollow = 2 * time.Second

	// sweepEvery is the pause between two sweeps.
	sweepEvery = time.Minute
)

// Denylist holds the revocations that matter, so that looking one up costs no network. It follows
// its store from Run on, and keeps its entries while the store is away.
type Denylist struct {
	store   Store
	clock   *Clock
	minLife func() time.Duration

	wake     chan struct{} // ends the pause before the next attempt
	reported atomic.Int64  // elapsed time at the store's last report; math.MinInt64: none so far

	mu       sync.RWMutex // guards what follows
	sessions map[SID]denial
	next     chan struct{} // closed at the store's next report
}

// denial is kept until both clocks say that it is over: that of the wall, which may step, and the
// time since it was added.
type denial struct {
	until time.Time
	added time.Duration
}

// NewDenylist returns an empty list. An entry is kept for minLife at least, which is the longest
// life of an access token: then a revocation outlives its tokens also when the clock steps.
func NewDenylist(store Store, clock *Clock, minLife func() time.Duration) *Denylist {
	d := &Denylist{
		store: store, clock: clock, minLife: minLife, wake: make(chan struct{}, 1),
		sessions: map[SID]denial{}, next: make(chan struct{}),
	}
	d.reported.Store(math.MinInt64)
	return d
}

// Run follows the store until ctx ends. It calls failed for each failure of the store, and works
// when the store has reported again.
func (d *Denylist) Run(ctx context.Context, failed func(error), works func()) {
	for pause := retryFollow; ; pause = min(2*pause, maxRetryFollow) {
		err := d.store.Follow(ctx, func(revoked []Revocation) {
			d.report(revoked)
			works()
			pause = retryFollow
		})
		if ctx.Err() != nil {
			return
		}
		failed(err)
		select {
		case <-ctx.Done():
			return
		case <-d.wake:
		case <-time.After(pause):
		}
	}
}

// Wake has the store followed again at once, if it failed: it was seen to work.
func (d *Denylist) Wake() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// Revoked reports whether a session's access tokens are revoked.
func (d *Denylist) Revoked(sid SID) bool {
	d.mu.RLock()
	defer d.mu.RUnlock()
	_, ok := d.sessions[sid]
	return ok
}

// Age returns how long ago the store last reported that this list is complete.
func (d *Denylist) Age() time.Duration {
	reported := d.reported.Load()
	if reported == math.MinInt64 {
		return math.MaxInt64
	}
	return d.clock.Elapsed() - time.Duration(reported)
}

// Wait returns when the store has reported within an age, or after a timeout.
func (d *Denylist) Wait(age, timeout time.Duration) {
	d.mu.RLock()
	next := d.next
	d.mu.RUnlock()
	if d.Age() <= age {
		return
	}
	select {
	case <-next:
	case <-time.After(timeout):
	}
}

// Add puts revocations into the list. The caller of a store adds those it made before it answers.
func (d *Denylist) Add(revoked []Revocation) {
	now := d.clock.Elapsed()
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, r := range revoked {
		d.sessions[r.SID] = denial{later(d.sessions[r.SID].until, r.Until), now}
	}
}

func (d *Denylist) report(revoked []Revocation) {
	d.Add(revoked)
	d.reported.Store(int64(d.clock.Elapsed()))
	d.mu.Lock()
	defer d.mu.Unlock()
	close(d.next)
	d.next = make(chan struct{})
}

// Sweep drops entries that are over, until ctx ends.
func (d *Denylist) Sweep(ctx context.Context) {
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
	over, elapsed, minLife := d.clock.Over().Add(-ClockMargin), d.clock.Elapsed(), d.minLife()
	d.mu.Lock()
	defer d.mu.Unlock()
	for sid, denied := range d.sessions {
		if over.After(denied.until) && elapsed-denied.added > minLife {
			delete(d.sessions, sid)
		}
	}
}
