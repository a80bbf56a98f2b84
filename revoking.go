// The store as the handlers use it: this process refuses what it revoked before the answer is written.

package wechatauth

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-wechat/wechatauth/session"
)

// revokingStore adds the revocations that its store returns to the list of this process. The list's follower
// may be away at that moment, waiting to reach the store again.
type revokingStore struct {
	session.Store

	state *state
}

// Account implements session.Store.
func (r revokingStore) Account(ctx context.Context, user session.Tag) (session.Account, error) {
	a, err := r.Store.Account(ctx, user)
	r.done(nil, err)
	return a, err
}

// Login implements session.Store.
func (r revokingStore) Login(ctx context.Context, l session.Login) ([]session.Revocation, error) {
	revoked, err := r.Store.Login(ctx, l)
	r.done(revoked, err)
	return revoked, err
}

// Refresh implements session.Store.
func (r revokingStore) Refresh(ctx context.Context, use session.Redemption) (session.Refreshed, error) {
	result, err := r.Store.Refresh(ctx, use)
	r.done(result.Revoked, err)
	return result, err
}

// Update implements session.Store.
func (r revokingStore) Update(ctx context.Context, u session.Update) (session.Updated, error) {
	updated, err := r.Store.Update(ctx, u)
	r.done(nil, err)
	return updated, err
}

// End implements session.Store.
func (r revokingStore) End(ctx context.Context, sid session.SID, e session.Ending) ([]session.Revocation, error) {
	revoked, err := r.Store.End(ctx, sid, e)
	r.done(revoked, err)
	return revoked, err
}

// EndAll implements session.Store.
func (r revokingStore) EndAll(ctx context.Context, user session.Tag, e session.Ending) ([]session.Revocation, error) {
	revoked, err := r.Store.EndAll(ctx, user, e)
	r.done(revoked, err)
	return revoked, err
}

// Erase implements session.Store.
func (r revokingStore) Erase(ctx context.Context, user session.Tag, e session.Ending) ([]session.Revocation, error) {
	revoked, err := r.Store.Erase(ctx, user, e)
	r.done(revoked, err)
	return revoked, err
}

// done follows an operation. The first success after an outage has the revocations read again before the
// client gets its answer, or its new token would be refused for want of them.
func (r revokingStore) done(revoked []session.Revocation, err error) {
	r.state.deny.Add(revoked)
	if errors.Is(err, session.ErrUnavailable) {
		r.state.outage.failed("use", err)
		return
	}
	r.state.outage.works("use")
	if r.state.deny.Age() > freshList {
		r.state.deny.Wake()
		r.state.deny.Wait(freshList, initialSync)
	}
}

// outage logs failures of a store: a line when it begins to fail or fails for another reason, one a minute
// while it does, and one when it is back.
type outage struct {
	logger atomic.Pointer[zap.Logger] // of the newest configuration

	mu     sync.Mutex // guards what follows
	op     string     // the operation that failed first; "": none fails
	cause  string
	since  time.Time
	logged time.Time
	count  int
}

func (o *outage) failed(op string, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	now, cause := time.Now(), err.Error()
	if o.op == "" {
		o.op, o.since, o.count = op, now, 0
	}
	o.count++
	if cause == o.cause && now.Sub(o.logged) < time.Minute {
		return
	}
	o.cause, o.logged = cause, now
	o.logger.Load().Error("the session store fails", zap.Error(err), zap.Time("since", o.since), zap.Int("failures", o.count))
}

// works ends the outage that began with the same operation.
func (o *outage) works(op string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.op != op {
		return
	}
	o.logger.Load().Info("the session store works again", zap.Duration("after", time.Since(o.since)), zap.Int("failures", o.count))
	o.op, o.cause = "", ""
}
