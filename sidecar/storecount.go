// The operations of a store that change no account's sessions: they are only counted.

package sidecar

import (
	"context"
	"time"

	"github.com/caddy-wechat/wechatauth/session"
)

// Count implements session.Store.
func (r revokingStore) Count(ctx context.Context, key session.Digest, delta int, until, now time.Time) (int, error) {
	n, err := r.Store.Count(ctx, key, delta, until, now)
	return n, r.counted("count", err)
}

// PutReplay implements session.Store.
func (r revokingStore) PutReplay(ctx context.Context, replay session.Replay, now time.Time) error {
	return r.counted("put_replay", r.Store.PutReplay(ctx, replay, now))
}

// Replay implements session.Store.
func (r revokingStore) Replay(ctx context.Context, key session.Digest, now time.Time) ([]byte, error) {
	value, err := r.Store.Replay(ctx, key, now)
	return value, r.counted("replay", err)
}

// Keys implements session.Store.
func (r revokingStore) Keys(ctx context.Context) ([]byte, int64, error) {
	keys, version, err := r.Store.Keys(ctx)
	return keys, version, r.counted("keys", err)
}

// SwapKeys implements session.Store.
func (r revokingStore) SwapKeys(ctx context.Context, version int64, keys []byte) (bool, error) {
	swapped, err := r.Store.SwapKeys(ctx, version, keys)
	return swapped, r.counted("swap_keys", err)
}

// Unban implements session.Store.
func (r revokingStore) Unban(ctx context.Context, user session.Tag, now time.Time) error {
	return r.counted("unban", r.Store.Unban(ctx, user, now))
}

// Users implements session.Store.
func (r revokingStore) Users(ctx context.Context, q session.UserQuery) (session.UserPage, error) {
	page, err := r.Store.Users(ctx, q)
	return page, r.counted("users", err)
}

// Stats implements session.Store.
func (r revokingStore) Stats(ctx context.Context) (session.Stats, error) {
	stats, err := r.Store.Stats(ctx)
	return stats, r.counted("stats", err)
}

// Import implements session.Store.
func (r revokingStore) Import(ctx context.Context, users []session.User, now time.Time) error {
	return r.counted("import", r.Store.Import(ctx, users, now))
}

// Dump implements session.Store.
func (r revokingStore) Dump(ctx context.Context, each func(session.Dump) error) error {
	return r.counted("dump", r.Store.Dump(ctx, each))
}

// Restore implements session.Store.
func (r revokingStore) Restore(ctx context.Context, part session.Dump, now time.Time) error {
	return r.counted("restore", r.Store.Restore(ctx, part, now))
}

// counted counts an operation and returns its error.
func (r revokingStore) counted(op string, err error) error {
	r.handle.count(StoreOperations, r.handle.kind, op, storeResult(err))
	return err
}
