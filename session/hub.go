package session

import (
	"context"
	"slices"
	"sync"
	"time"
)

// heartbeat is how often a follower hears that all is well.
const heartbeat = 500 * time.Millisecond

// hub tells the followers in this process what this process revokes, before the revoking call returns.
// Its zero value is ready.
type hub struct {
	mu        sync.Mutex // guards what follows
	listeners []*listener
	closed    chan struct{} // made by whoever needs it first
}

type listener struct{ report func([]Revocation) }

// listen calls report with what is told from now on, until leave is called.
func (h *hub) listen(report func([]Revocation)) (leave func()) {
	l := &listener{report}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.listeners = append(h.listeners, l)
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.listeners = slices.DeleteFunc(h.listeners, func(other *listener) bool { return other == l })
	}
}

func (h *hub) tell(revoked []Revocation) {
	h.mu.Lock()
	listeners := slices.Clone(h.listeners)
	h.mu.Unlock()
	for _, l := range listeners {
		l.report(revoked)
	}
}

// done is closed when the hub is.
func (h *hub) done() chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed == nil {
		h.closed = make(chan struct{})
	}
	return h.closed
}

func (h *hub) close() {
	done := h.done()
	h.mu.Lock()
	defer h.mu.Unlock()
	select {
	case <-done:
	default:
		close(done)
	}
}

// beat reports that all is well until ctx ends or the hub is closed.
func (h *hub) beat(ctx context.Context, report func([]Revocation)) error {
	ticker := time.NewTicker(heartbeat)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-h.done():
			return ErrClosed
		case <-ticker.C:
			report(nil)
		}
	}
}
