// The store at work, with the list of its revocations, and the app that opens it.

package wechatauth

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-wechat/wechatauth/session"
)

func init() {
	caddy.RegisterModule(Opener{})
}

// initialSync bounds how long a start, or a request after an outage, waits for the list of revocations: a
// store of this machine answers at once, a remote one may be away.
const initialSync = 2 * time.Second

// freshList is the age up to which the list of revocations is that of a store at work.
const freshList = time.Second

// revocationSlack is how much longer than a token a revocation is kept at least: an exchange that began
// before the session ended may make one more token.
const revocationSlack = time.Minute

// state is a store at work: all handlers with the same store share it.
type state struct {
	open   func() (session.Store, error)
	outage outage

	once  sync.Once // guards the opening of what follows
	err   error
	store session.Store
	deny  *session.Denylist
	stop  context.CancelFunc
	done  sync.WaitGroup

	lease

	// instance differs for each process of a store that keeps nothing over a restart: a session from before
	// is none of its.
	instance string

	clock  *session.Clock
	parted time.Duration // how far the clock had parted when that was logged; of the follower alone

	ttl atomic.Int64 // the longest life of an access token on this store, in nanoseconds
}

func newState(open func() (session.Store, error)) *state {
	s := &state{open: open, clock: session.NewClock()}
	s.lease.close = s.shut
	return s
}

func (s *state) longestTTL() time.Duration { return time.Duration(s.ttl.Load()) }

// revocationLife is how long a revocation is kept at least.
func (s *state) revocationLife() time.Duration { return s.longestTTL() + revocationSlack }

func (s *state) raiseTTL(ttl time.Duration) {
	for {
		known := s.ttl.Load()
		if known >= int64(ttl) || s.ttl.CompareAndSwap(known, int64(ttl)) {
			return
		}
	}
}

// opened opens the store, once, and returns an error if that failed.
func (s *state) opened() (session.Store, error) {
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
		s.done.Go(func() {
			s.deny.Run(ctx, func(err error) { s.outage.failed("follow", err) }, func() {
				s.outage.works("follow")
				s.watchClock()
			})
		})
		s.deny.Wait(freshList, initialSync)
	})
	return s.store, s.err
}

// clockStep is the least step of the machine's clock that is logged.
const clockStep = 30 * time.Second

// watchClock logs a step of the machine's clock: it decides which tokens have expired.
func (s *state) watchClock() {
	parted := s.clock.Parted()
	if step := parted - s.parted; step.Abs() > clockStep {
		s.parted = parted
		s.outage.logger.Load().Error("the machine's clock was set: until it is right, tokens expire too early or too late",
			zap.Duration("by", step))
	}
}

// shut closes the store, when nobody uses it any more.
func (s *state) shut() {
	s.once.Do(func() { s.err = session.ErrClosed })
	if s.store == nil {
		return
	}
	s.stop()
	if err := s.store.Close(); err != nil {
		s.outage.logger.Load().Error("closing the session store", zap.Error(err))
	}
	s.done.Wait()
}

// revoked tells whether a session has ended. It looks only in memory. When the store has been silent for
// longer than stale, nobody knows, and that is an error.
func (s *state) revoked(sid session.SID, stale time.Duration) (bool, error) {
	if _, err := s.opened(); err != nil {
		return false, err
	}
	if age := s.deny.Age(); age > stale {
		return false, fmt.Errorf("%w: its revocations were read %s ago", session.ErrUnavailable, age.Round(time.Second))
	}
	return s.deny.Revoked(sid), nil
}

func (h *Handler) provisionStore(ctx caddy.Context) error {
	if h.StoreRaw == nil {
		h.StoreRaw = []byte(`{"type":"sqlite"}`)
	}
	module, err := ctx.LoadModule(h, "StoreRaw")
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	store, ok := module.(Store)
	if !ok {
		return errors.New("store: the module is no wechatauth.Store")
	}
	h.storeID = store.Identity()
	h.state, err = take(h, "store", h.storeID, func() (*state, error) {
		made := newState(func() (session.Store, error) { return store.Open(ctx) })
		if _, volatile := module.(volatileStore); volatile {
			made.instance = rand.Text()
		}
		return made, nil
	})
	if err != nil {
		return err
	}
	h.state.outage.logger.Store(h.logger)
	app, err := ctx.App(openerID)
	if err != nil {
		return err
	}
	h.opener = app.(*Opener)
	return h.opener.add(func() error {
		_, err := h.state.opened()
		return err
	})
}

const openerID = "wechat_auth"

// Opener opens the stores and reads the automatic keys when a configuration starts, so that a store that
// can't be opened keeps Caddy from starting, while validating a configuration touches none. It also compares
// the sites of a configuration. It has no options.
type Opener struct {
	open  []func() error
	sites map[string]string // for each way of accepting tokens, what else its first site asks of users
}

// CaddyModule returns the Caddy module information.
func (Opener) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: openerID, New: func() caddy.Module { return &Opener{sites: map[string]string{}} }}
}

// add has something opened when the configuration starts. Where another configuration is at work it is
// opened at once: Caddy starts apps in no order, and the new one would serve before it failed.
func (o *Opener) add(open func() error) error {
	if caddy.ActiveContext().Context != nil {
		return open()
	}
	o.open = append(o.open, open)
	return nil
}

// Start implements caddy.App.
func (o *Opener) Start() error {
	for _, open := range o.open {
		if err := open(); err != nil {
			return err
		}
	}
	return nil
}

// Stop implements caddy.App. The stores are closed by the last handler that uses them.
func (*Opener) Stop() error { return nil }

// Interface guard
var _ caddy.App = (*Opener)(nil)
