// The store as the sites use it: this process refuses what it revoked before the answer is written.

package sidecar

import (
	"context"
	"errors"
	"time"

	"github.com/caddy-wechat/wechatauth/session"
)

// revokingStore adds the revocations that its store returns to the list of this process. The list's
// follower may be away at that moment, waiting to reach the store again.
type revokingStore struct {
	session.Store

	handle *StoreHandle
}

// Account implements session.Store.
func (r revokingStore) Account(ctx context.Context, user session.Tag) (session.Account, error) {
	call := r.begin(ctx, "account")
	a, err := r.Store.Account(ctx, user)
	call.done(nil, err)
	return a, err
}

// Login implements session.Store.
func (r revokingStore) Login(ctx context.Context, l session.Login) ([]session.Revocation, error) {
	call := r.begin(ctx, "login")
	revoked, err := r.Store.Login(ctx, l)
	call.done(revoked, err)
	return revoked, err
}

// Refresh implements session.Store.
func (r revokingStore) Refresh(ctx context.Context, use session.Redemption) (session.Refreshed, error) {
	call := r.begin(ctx, "refresh")
	use.Policy.Grace = r.handle.unanswered.grace(use)
	result, err := r.Store.Refresh(ctx, use)
	if errors.Is(err, session.ErrUnavailable) {
		r.handle.unanswered.note(use, time.Since(call.began))
	}
	call.done(result.Revoked, err)
	return result, err
}

// Update implements session.Store.
func (r revokingStore) Update(ctx context.Context, u session.Update) (session.Updated, error) {
	call := r.begin(ctx, "update")
	updated, err := r.Store.Update(ctx, u)
	call.done(nil, err)
	return updated, err
}

// End implements session.Store.
func (r revokingStore) End(ctx context.Context, sid session.SID, e session.Ending) ([]session.Revocation, error) {
	call := r.begin(ctx, "end")
	revoked, err := r.Store.End(ctx, sid, e)
	call.done(revoked, err)
	return revoked, err
}

// EndAll implements session.Store.
func (r revokingStore) EndAll(ctx context.Context, user session.Tag, e session.Ending) ([]session.Revocation, error) {
	call := r.begin(ctx, "end_all")
	revoked, err := r.Store.EndAll(ctx, user, e)
	call.done(revoked, err)
	return revoked, err
}

// Erase implements session.Store.
func (r revokingStore) Erase(ctx context.Context, user session.Tag, e session.Ending) ([]session.Revocation, error) {
	call := r.begin(ctx, "erase")
	revoked, err := r.Store.Erase(ctx, user, e)
	call.done(revoked, err)
	return revoked, err
}

// Ban implements session.Store.
func (r revokingStore) Ban(ctx context.Context, user session.Tag, b session.Ban, e session.Ending) ([]session.Revocation, error) {
	call := r.begin(ctx, "ban")
	revoked, err := r.Store.Ban(ctx, user, b, e)
	call.done(revoked, err)
	return revoked, err
}

// done follows an operation on accounts. The first success after a failure has the revocations
// read again before the client gets its answer, or its new token would be refused for want of them.
func (c storeCall) done(revoked []session.Revocation, err error) {
	_ = c.counted(err)
	h := c.handle
	h.deny.Add(revoked)
	if errors.Is(err, session.ErrUnavailable) {
		h.outage.failed(c.way(), err)
		h.away.Store(true)
		return
	}
	h.outage.works(c.way())
	if h.away.Swap(false) && h.deny.Age() > freshList {
		h.deny.Wake()
		h.deny.Wait(freshList, initialSync)
	}
}

// way returns the part of the store that an operation needs: one whose disk is full still reads.
func (c storeCall) way() string {
	if c.op == "account" {
		return "read"
	}
	return "write"
}
