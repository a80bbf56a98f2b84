// The signing keys.

package redisstore

import (
	"context"
	"strconv"
)

// Keys implements session.Store. It is one round trip.
func (r *store) Keys(ctx context.Context) ([]byte, int64, error) {
	const op = "read the keys"
	ctx, cancel, err := r.begin(ctx, op)
	if err != nil {
		return nil, 0, err
	}
	defer cancel()
	fields, err := r.client.HGetAll(ctx, r.keysKey()).Result()
	if err != nil {
		return nil, 0, r.failure(ctx, op, err)
	}
	if len(fields) == 0 {
		return nil, 0, nil
	}
	version, err := strconv.ParseInt(fields["version"], 10, 64)
	if err != nil {
		return nil, 0, r.failure(ctx, op, &Error{Cause: BadRecord})
	}
	// The version is part of the place, so that old keys can't be passed off as new ones.
	keys, err := r.seal.open(place(r.keysKey(), fields["version"]), fields["keys"])
	return keys, version, r.failure(ctx, op, err)
}

// SwapKeys implements session.Store. It is one round trip.
func (r *store) SwapKeys(ctx context.Context, version int64, keys []byte) (bool, error) {
	const op = "swap the keys"
	next := strconv.FormatInt(version+1, 10)
	sealed, err := r.seal.seal(place(r.keysKey(), next), keys)
	if err != nil {
		return false, r.failure(ctx, op, err)
	}
	reply, err := r.run(ctx, op, keysScript, []string{r.keysKey()}, version, next, sealed)
	return reply == int64(1), err
}
