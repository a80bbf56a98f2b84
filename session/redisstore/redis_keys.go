package session

import (
	"context"
	"strconv"
)

// Keys implements Store. It is one round trip.
func (r *redisStore) Keys(ctx context.Context) ([]byte, int64, error) {
	ctx, cancel, err := r.begin(ctx)
	if err != nil {
		return nil, 0, err
	}
	defer cancel()
	fields, err := r.client.HGetAll(ctx, r.keysKey()).Result()
	if err != nil {
		return nil, 0, redisError("keys", err)
	}
	if len(fields) == 0 {
		return nil, 0, nil
	}
	version, err := strconv.ParseInt(fields["version"], 10, 64)
	if err != nil {
		return nil, 0, errDamaged
	}
	// The version is part of the place, so that old keys can't be passed off as new ones.
	keys, err := r.seal.open(place(r.keysKey(), fields["version"]), fields["keys"])
	return keys, version, err
}

// SwapKeys implements Store. It is one round trip.
func (r *redisStore) SwapKeys(ctx context.Context, version int64, keys []byte) (bool, error) {
	next := strconv.FormatInt(version+1, 10)
	sealed, err := r.seal.seal(place(r.keysKey(), next), keys)
	if err != nil {
		return false, err
	}
	reply, err := r.run(ctx, "swap keys", swapScript, []string{r.keysKey()}, version, next, sealed)
	return reply == int64(1), err
}
