// The operations of a store that change no account's sessions: they are only counted.

package sidecar

import (
	"context"
	"time"

	"github.com/caddy-wechat/wechatauth/session"
)

// Count implements session.Store.
func (r revokingStore) Count(ctx context.Context, key session.Digest, delta int, until, now time.Time) (int, error) {
	call := r.begin(ctx, "count")
	n, err := r.Store.Count(ctx, key, delta, until, now)
	return n, call.counted(err)
}

// PutReplay implements session.Store.
func (r revokingStore) PutReplay(ctx context.Context, replay session.Replay, now time.Time) error {
	call := r.begin(ctx, "put_replay")
	return call.counted(r.Store.PutReplay(ctx, replay, now))
}

// Replay implements session.Store.
func (r revokingStore) Replay(ctx context.Context, key session.Digest, now time.Time) ([]byte, error) {
	call := r.begin(ctx, "replay")
	value, err := r.Store.Replay(ctx, key, now)
	return value, call.counted(err)
}

// AddPush implements session.Store.
func (r revokingStore) AddPush(ctx context.Context, p *session.Push, room session.PushRoom, lease, now time.Time) (session.PushPlace, error) {
	call := r.begin(ctx, "add_push")
	place, err := r.Store.AddPush(ctx, p, room, lease, now)
	return place, call.counted(err)
}

// EndPush implements session.Store.
func (r revokingStore) EndPush(ctx context.Context, p session.Push, now time.Time) error {
	call := r.begin(ctx, "end_push")
	return call.counted(r.Store.EndPush(ctx, p, now))
}

// DelayPush implements session.Store.
func (r revokingStore) DelayPush(ctx context.Context, p session.Push, due time.Time) error {
	call := r.begin(ctx, "delay_push")
	return call.counted(r.Store.DelayPush(ctx, p, due))
}

// HurryPush implements session.Store.
func (r revokingStore) HurryPush(ctx context.Context, queue, line session.Digest, now time.Time) (bool, error) {
	call := r.begin(ctx, "hurry_push")
	hurried, err := r.Store.HurryPush(ctx, queue, line, now)
	return hurried, call.counted(err)
}

// Pushes implements session.Store.
func (r revokingStore) Pushes(ctx context.Context, queue session.Digest) ([]session.Push, error) {
	call := r.begin(ctx, "pushes")
	all, err := r.Store.Pushes(ctx, queue)
	return all, call.counted(err)
}

// Keys implements session.Store.
func (r revokingStore) Keys(ctx context.Context) ([]byte, int64, error) {
	call := r.begin(ctx, "keys")
	keys, version, err := r.Store.Keys(ctx)
	return keys, version, call.counted(err)
}

// SwapKeys implements session.Store.
func (r revokingStore) SwapKeys(ctx context.Context, version int64, keys []byte) (bool, error) {
	call := r.begin(ctx, "swap_keys")
	swapped, err := r.Store.SwapKeys(ctx, version, keys)
	return swapped, call.counted(err)
}

// Withdraw implements session.Store.
func (r revokingStore) Withdraw(ctx context.Context, user session.Tag, w session.Withdrawal, now time.Time) (session.Withdrawal, error) {
	call := r.begin(ctx, "withdraw")
	had, err := r.Store.Withdraw(ctx, user, w, now)
	return had, call.counted(err)
}

// Unban implements session.Store.
func (r revokingStore) Unban(ctx context.Context, user session.Tag, now time.Time) error {
	call := r.begin(ctx, "unban")
	return call.counted(r.Store.Unban(ctx, user, now))
}

// Users implements session.Store.
func (r revokingStore) Users(ctx context.Context, q session.UserQuery) (session.UserPage, error) {
	call := r.begin(ctx, "users")
	page, err := r.Store.Users(ctx, q)
	return page, call.counted(err)
}

// Stats implements session.Store.
func (r revokingStore) Stats(ctx context.Context) (session.Stats, error) {
	call := r.begin(ctx, "stats")
	stats, err := r.Store.Stats(ctx)
	return stats, call.counted(err)
}

// Import implements session.Store.
func (r revokingStore) Import(ctx context.Context, users []session.User, now time.Time) error {
	call := r.begin(ctx, "import")
	return call.counted(r.Store.Import(ctx, users, now))
}

// Dump implements session.Store.
func (r revokingStore) Dump(ctx context.Context, each func(session.Dump) error) error {
	call := r.begin(ctx, "dump")
	return call.counted(r.Store.Dump(ctx, each))
}

// Restore implements session.Store.
func (r revokingStore) Restore(ctx context.Context, part session.Dump, now time.Time) error {
	call := r.begin(ctx, "restore")
	return call.counted(r.Store.Restore(ctx, part, now))
}

// storeCall is an operation under way.
type storeCall struct {
	ctx    context.Context // lives as long as the operation
	handle *StoreHandle
	op     string
	began  time.Time
}

func (r revokingStore) begin(ctx context.Context, op string) storeCall {
	return storeCall{ctx, r.handle, op, time.Now()}
}

// counted counts and traces an operation and returns its error.
func (c storeCall) counted(err error) error {
	result := storeResult(err)
	c.handle.count(StoreOperations, c.handle.kind, c.op, result)
	if c.handle.trace != nil {
		c.handle.trace(c.ctx, "store", c.op, result, c.began)
	}
	return err
}
