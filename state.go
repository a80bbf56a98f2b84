package wechatauth

import (
	"context"
	"errors"
	"fmt"
	"sync"
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
	logger *zap.Logger

	once  sync.Once // guards the opening of what follows
	err   error
	store session.Store
	deny  *session.Denylist
	stop  context.CancelFunc
	done  sync.WaitGroup

	mu     sync.Mutex // guards what follows
	users  int        // requests and exchanges under way
	closed bool       // no handler has it any more
}

// enter keeps the store open until leave is called. Caddy does not wait for requests when it puts a new
// configuration in place, and a login that waits for WeChat meanwhile must be written down.
func (s *state) enter() (leave func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, session.ErrClosed
	}
	s.users++
	return s.leave, nil
}

func (s *state) leave() {
	s.mu.Lock()
	s.users--
	last := s.closed && s.users == 0
	s.mu.Unlock()
	if last {
		s.close()
	}
}

// opened opens the store, once, and returns an error if that failed.
func (s *state) opened() (session.Store, error) {
	s.once.Do(func() {
		if s.store, s.err = s.open(); s.err != nil {
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
	s.logger.Error("the session store is out of reach", zap.Error(err))
}

// Destruct implements caddy.Destructor. The last request under way closes the store; it is bounded in time.
func (s *state) Destruct() error {
	s.mu.Lock()
	s.closed = true
	idle := s.users == 0
	s.mu.Unlock()
	if idle {
		s.close()
	}
	return nil
}

func (s *state) close() {
	s.once.Do(func() { s.err = session.ErrClosed })
	if s.store == nil {
		return
	}
	s.stop()
	if err := s.store.Close(); err != nil {
		s.logger.Error("closing the session store", zap.Error(err))
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
		return &state{open: func() (session.Store, error) { return store.Open(ctx) }, logger: h.logger}, nil
	})
	if err != nil {
		return err
	}
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
