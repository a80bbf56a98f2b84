// The access token: one for all callers, renewed before it ends.

package wechat

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"runtime/debug"
	"sync"
	"time"
)

const (
	// renewMargin is the rest of a token's life in which WeChat itself hands out the next one; old
	// and new both work for that long. A token that comes with less than twice this is renewed
	// after half its life.
	renewMargin = 5 * time.Minute

	// expiryMargin is subtracted from a token's life, for the time a call is on its way. Of a very
	// short life it takes a tenth.
	expiryMargin = 10 * time.Second

	// renewFloor is the pause after a failed early renewal: there is no hurry while the old token
	// works.
	renewFloor = 10 * time.Second
)

// token is an access token and its place in the order in which they were fetched. WeChat may hand
// out the same value twice, so the value cannot tell a token that was refused from the one fetched
// because of that.
type token struct {
	value   string
	serial  uint64
	expires time.Time // when it is no longer handed out
}

// grant is an access token as WeChat hands it out.
type grant struct {
	value string
	life  time.Duration
}

// tokenCache keeps the current token. A fetch belongs to a goroutine of its own, never to a caller:
// a caller that hangs up must not fail the others that wait for the same fetch.
type tokenCache struct {
	fetch  func(context.Context) (grant, error)
	now    func() time.Time
	logger *slog.Logger

	ctx     context.Context // ends with close
	cancel  context.CancelFunc
	running sync.WaitGroup // fetches

	mu       sync.Mutex // guards all below
	current  token      // the zero token when there is none
	renew    time.Time  // when current is to be replaced while it still works
	began    time.Time  // when current was asked for
	serial   uint64     // of the token fetched last
	inFlight *flight    // nil when no fetch is under way
	closed   bool
}

// flight is one fetch, shared by all who wait for it.
type flight struct {
	done  chan struct{} // closed when token and err are set
	token token
	err   *Error
	crash *crash // nil unless the fetch panicked
}

// crash is a panic of a fetch. It goes on in the goroutines of those who wait, whose callers can
// recover it: in the fetch's own it would end the process. Its text is one of the runtime and names
// code, not data.
type crash struct{ text string }

// Error implements error.
func (c *crash) Error() string { return c.text }

// RuntimeError implements runtime.Error.
func (*crash) RuntimeError() {}

func newCrash(p any) *crash {
	what := fmt.Sprintf("%T", p)
	if text, ok := p.(runtime.Error); ok {
		what = text.Error()
	}
	return &crash{fmt.Sprintf("%s in the fetch of an access token\n%s", what, debug.Stack())}
}

func newTokenCache(fetch func(context.Context) (grant, error), now func() time.Time, logger *slog.Logger) *tokenCache {
	t := &tokenCache{fetch: fetch, now: now, logger: logger}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	return t
}

// get returns a token that works now. It waits only when there is none; op names the caller's call
// in the error of one whose context ended.
func (t *tokenCache) get(ctx context.Context, op string) (token, error) {
	t.mu.Lock()
	now := t.now()
	if t.current.value != "" && now.Before(t.current.expires) {
		tok := t.current
		if !now.Before(t.renew) && t.inFlight == nil && !t.closed {
			// For the case that it fails; a new token brings its own time.
			t.renew = now.Add(renewFloor)
			t.start(now, true)
		}
		t.mu.Unlock()
		return tok, nil
	}

	if t.closed {
		t.mu.Unlock()
		return token{}, unavailable(op, "the client is closed")
	}
	if t.inFlight == nil {
		t.start(now, false)
	}
	f := t.inFlight
	t.mu.Unlock()

	select {
	case <-f.done:
	case <-ctx.Done():
		return token{}, gaveUp(ctx, op)
	}
	if f.crash != nil {
		panic(f.crash)
	}
	if f.err != nil {
		e := *f.err // a copy for each: they are the callers' to keep
		return token{}, &e
	}
	return f.token, nil
}

// left returns the token that works now and the time it is good for.
func (t *tokenCache) left(ctx context.Context, op string) (value string, life time.Duration, err error) {
	tok, err := t.get(ctx, op)
	return tok.value, tok.expires.Sub(t.now()), err
}

// drop discards tok after WeChat refused it, unless it was replaced meanwhile: a hundred calls that
// fail with the old token must not throw away the new one a hundred times.
func (t *tokenCache) drop(tok token) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.current.serial == tok.serial {
		t.current = token{}
	}
}

// age returns how long ago the token that works now was asked for, and false if there is none.
func (t *tokenCache) age() (time.Duration, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	if t.current.value == "" || !now.Before(t.current.expires) {
		return 0, false
	}
	return now.Sub(t.began), true
}

// start begins a fetch. The caller holds t.mu.
func (t *tokenCache) start(now time.Time, early bool) {
	f := &flight{done: make(chan struct{})}
	t.inFlight = f
	t.running.Go(func() {
		defer func() {
			if p := recover(); p != nil {
				f.crash = newCrash(p)
				t.logger.Error("the fetch of an access token panicked", "reason", f.crash)
				t.land(f, now, grant{}, unavailable(OpToken, "no access token"))
			}
		}()
		g, err := t.fetch(t.ctx)
		t.land(f, now, g, err)
		if err != nil && early && t.ctx.Err() == nil {
			t.logger.Warn("access token not renewed early; the old one serves on", "reason", err)
		}
	})
}

// land ends the fetch that began at time began. The life of a token is counted from there: better a
// little too short.
func (t *tokenCache) land(f *flight, began time.Time, g grant, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	defer close(f.done)
	t.inFlight = nil

	switch {
	case err == nil:
		t.serial++
		t.current = token{g.value, t.serial, began.Add(g.life - min(expiryMargin, g.life/10))}
		t.began = began
		t.renew = began.Add(g.life - min(renewMargin, g.life/2))
		f.token = t.current
	case t.ctx.Err() != nil:
		f.err = unavailable(OpToken, "the client is closed")
	case !errors.As(err, &f.err):
		f.err = unavailable(OpToken, "no access token")
	}
}

// close ends a fetch that is under way and waits for it.
func (t *tokenCache) close() {
	t.mu.Lock()
	t.closed = true
	t.mu.Unlock()
	t.cancel()
	t.running.Wait()
}
