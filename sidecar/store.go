// The store at work, with the list of its revocations.

package sidecar

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddy-wechat/wechatauth/session"
)

const (
	// initialSync bounds how long a start, or a request after an outage, waits for the list of
	// revocations: a store of this machine answers at once, a remote one may be away.
	initialSync = 2 * time.Second

	// freshList is the age up to which the list of revocations is that of a store at work.
	freshList = time.Second

	// revocationSlack is the least time by which a revocation outlives a token: an exchange
	// that began before the session ended may make one more token.
	revocationSlack = time.Minute

	// clockStep is the least step of the machine's clock that is logged.
	clockStep = 30 * time.Second
)

// StoreConfig describes a session store and what is told of its failures.
type StoreConfig struct {
	ID       string                        // equal for configurations of one store
	Kind     string                        // such as sqlite
	Volatile bool                          // the store keeps nothing over a restart
	Open     func() (session.Store, error) // called once, by the first who needs it
	Logger   *slog.Logger
	Trace    Trace // nil: none
	Count    Count
}

// StoreHandle is a store that all sites with the same one share. It is opened once, by Open or the
// first request.
type StoreHandle struct {
	refCount

	id     string
	kind   string
	log    *slog.Logger
	count  Count
	trace  Trace
	open   func() (session.Store, error)
	outage outage
	away   atomic.Bool // the store has failed, and no operation has succeeded since

	unanswered unanswered

	once  sync.Once // guards the opening of what follows
	err   error
	store session.Store
	deny  *session.Denylist
	stop  context.CancelFunc
	done  sync.WaitGroup

	// instance differs for each process of a store that keeps nothing over a restart: a session
	// from before is none of its.
	instance string

	clock  *session.Clock
	parted time.Duration // how far the clock had parted when that was logged; of the follower alone

	ttl atomic.Int64 // the longest life of an access token on this store, in nanoseconds
}

// NewStoreHandle returns the handle of a store that is not open yet.
func NewStoreHandle(cfg StoreConfig) *StoreHandle {
	s := &StoreHandle{
		id: cfg.ID, kind: cfg.Kind, log: cfg.Logger, count: cfg.Count, trace: cfg.Trace, open: cfg.Open, clock: session.NewClock(),
		outage: outage{what: "the session store", log: cfg.Logger, now: time.Now},
	}
	if cfg.Volatile {
		s.instance = rand.Text()
	}
	s.onLast = s.shutDown
	return s
}

// ID is equal for handles of one store.
func (s *StoreHandle) ID() string { return s.id }

// Open opens the store, once, and returns an error if that failed.
func (s *StoreHandle) Open() error {
	_, err := s.get()
	return err
}

// get returns the open store.
func (s *StoreHandle) get() (session.Store, error) {
	s.once.Do(func() {
		store, err := s.open()
		s.open = nil // it holds on to the configuration that it came with
		if s.err = err; err != nil {
			return
		}
		ctx, cancel := context.WithCancel(context.Background())
		s.stop = cancel
		s.deny = session.NewDenylist(store, s.clock, s.revocationLife)
		s.store = revokingStore{store, s}
		for _, loop := range []func(context.Context){s.follow, s.deny.Sweep} {
			s.done.Go(func() { s.keep(ctx, loop) })
		}
		s.deny.Wait(freshList, initialSync)
	})
	return s.store, s.err
}

// follow keeps the list of revocations up to date until ctx ends.
func (s *StoreHandle) follow(ctx context.Context) {
	failed := func(err error) {
		if s.outage.failed("follow", err) {
			s.away.Store(true)
		}
	}
	s.deny.Run(ctx, failed, func() {
		s.outage.works("follow")
		s.watchClock()
	})
}

// restartPause keeps a loop that panics at once from keeping the processor busy.
const restartPause = time.Second

// keep runs a loop until ctx ends. A panic in it would end the process with all its sites: it is
// logged, and the loop begins again.
func (s *StoreHandle) keep(ctx context.Context, loop func(context.Context)) {
	for ctx.Err() == nil {
		if err := recovered(func() { loop(ctx) }); err != nil {
			s.count(InternalErrors)
			s.log.Error("unexpected error", "error", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(restartPause):
		}
	}
}

// watchClock logs a step of the machine's clock: it decides which tokens have expired.
func (s *StoreHandle) watchClock() {
	parted := s.clock.Parted()
	if step := parted - s.parted; step.Abs() > clockStep {
		s.parted = parted
		s.log.Error("the machine's clock was set: until it is right, tokens expire too early or too late", "by", step)
	}
}

// shutDown closes the store when it is unused.
func (s *StoreHandle) shutDown() {
	s.once.Do(func() { s.err = session.ErrClosed })
	if s.store == nil {
		return
	}
	s.stop()
	if err := s.store.Close(); err != nil {
		s.log.Error("closing the session store", "error", err)
	}
	s.done.Wait()
}

// raiseTTL makes revocations outlive the tokens of one more site.
func (s *StoreHandle) raiseTTL(ttl time.Duration) {
	for {
		known := s.ttl.Load()
		if known >= int64(ttl) || s.ttl.CompareAndSwap(known, int64(ttl)) {
			return
		}
	}
}

// revocationLife returns the least time for which a revocation is kept.
func (s *StoreHandle) revocationLife() time.Duration {
	return time.Duration(s.ttl.Load()) + revocationSlack
}

// policy is a site's policy as the store gets it. Its TokenTTL is that of all sites on the store:
// what one of them ends, all refuse.
func (s *StoreHandle) policy(p session.Policy) session.Policy {
	p.TokenTTL = s.revocationLife()
	return p
}

// ending is the end of sessions at a time, on behalf of one of them.
func (s *StoreHandle) ending(now time.Time, p session.Policy, sid session.SID) session.Ending {
	return session.Ending{Now: now, Policy: s.policy(p), SID: sid}
}

// revoked reports whether a session has ended. It looks only in memory. When the store has been
// silent for longer than stale, that is unknown, and an error.
func (s *StoreHandle) revoked(sid session.SID, stale time.Duration) (bool, error) {
	if err := s.fresh(stale); err != nil {
		return false, err
	}
	return s.deny.Revoked(sid), nil
}

// fresh returns an error when the store has been silent for longer than stale.
func (s *StoreHandle) fresh(stale time.Duration) error {
	if _, err := s.get(); err != nil {
		return err
	}
	if age := s.deny.Age(); age > stale {
		return fmt.Errorf("%w: its revocations were read %s ago", session.ErrUnavailable, age.Round(time.Second))
	}
	return nil
}

// StoreHealth is the state of a store at a moment.
type StoreHealth struct {
	Kind string
	Up   bool          // no operation fails
	Lag  time.Duration // since the revocations were read; math.MaxInt64: never
}

// Health returns the state of the store, without asking it.
func (s *StoreHandle) Health() StoreHealth {
	h := StoreHealth{Kind: s.kind, Lag: math.MaxInt64}
	if _, err := s.get(); err == nil {
		h.Up, h.Lag = !s.outage.lasts(), s.deny.Age()
	}
	return h
}
