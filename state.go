package wechatauth

import (
	"context"
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

// firstWord is how long a start waits for the store's first word on revocations: a store of this machine
// answers at once, a remote one may be away.
const firstWord = 2 * time.Second

// state is a store at work: what every handler with the same store shares.
type state struct {
	open   func() (session.Store, error)
	logger atomic.Pointer[zap.Logger] // of the newest configuration

	once  sync.Once // guards the opening of what follows
	err   error
	store session.Store
	deny  *session.Denylist
	stop  context.CancelFunc
	done  sync.WaitGroup

	lease

	ttl atomic.Int64 // the longest life of an access token on this store, in nanoseconds
}

func newState(open func() (session.Store, error)) *state {
	s := &state{open: open}
	s.lease.close = s.shut
	return s
}

func (s *state) longestTTL() time.Duration { return time.Duration(s.ttl.Load()) }

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
		s.store, s.err = s.open()
		s.open = nil // it holds on to the configuration that it came with
		if s.err != nil {
			return
		}
		ctx, cancel := context.WithCancel(context.Background())
		s.stop = cancel
		s.deny = session.NewDenylist(s.store, nil)
		s.done.Go(func() { s.deny.Run(ctx, s.lost) })
		s.deny.Wait(firstWord)
	})
	return s.store, s.err
}

// lost says that the store is away; it is called at each attempt to reach it.
func (s *state) lost(err error) {
	s.logger.Load().Error("the session store is out of reach", zap.Error(err))
}

// shut closes the store, when nobody uses it any more.
func (s *state) shut() {
	s.once.Do(func() { s.err = session.ErrClosed })
	if s.store == nil {
		return
	}
	s.stop()
	if err := s.store.Close(); err != nil {
		s.logger.Load().Error("closing the session store", zap.Error(err))
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
		return false, fmt.Errorf("the store was last heard of %s ago", age.Round(time.Second))
	}
	return s.deny.Revoked(sid), nil
}

func (h *Handler) provisionStore(ctx caddy.Context) error {
	if h.StoreRaw == nil {
		h.StoreRaw = []byte(`{"type":"bolt"}`)
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
		return newState(func() (session.Store, error) { return store.Open(ctx) }), nil
	})
	if err != nil {
		return err
	}
	h.state.logger.Store(h.logger)
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
// can't be opened keeps Caddy from starting, while validating a configuration touches none. It has no
// options.
type Opener struct{ open []func() error }

// CaddyModule returns the Caddy module information.
func (Opener) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: openerID, New: func() caddy.Module { return new(Opener) }}
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
