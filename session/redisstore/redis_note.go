package session

import (
	"context"
	"encoding/binary"
	"time"
)

// note writes a note. It has a slot of its own, since whoever recalls it does not know the user, so it
// can't be part of the step that it follows.
func (r *redisStore) note(ctx context.Context, n Note, now time.Time) error {
	if n.Key == (Digest{}) {
		return nil
	}
	key := r.noteKey(n.Key)
	value := binary.BigEndian.AppendUint64(nil, uint64(n.Until.UnixNano()))
	sealed, err := r.seal.seal(place(key, ""), append(value, n.Value...))
	if err != nil {
		return err
	}
	life := max(n.Until.Sub(now), 0) + redisSlack
	_, err = r.run(ctx, "note", noteScript, []string{key}, sealed, life.Milliseconds())
	return err
}

// Recall implements Store. It is one round trip.
func (r *redisStore) Recall(ctx context.Context, k Digest, now time.Time) ([]byte, error) {
	ctx, cancel, err := r.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer cancel()
	key := r.noteKey(k)
	// A list, for a missing value is not an error in it.
	reply, err := r.client.MGet(ctx, key).Result()
	if err != nil {
		return nil, redisError("recall", err)
	}
	if len(reply) != 1 || reply[0] == nil {
		return nil, nil
	}
	stored, _ := reply[0].(string)
	value, err := r.seal.open(place(key, ""), stored)
	if err != nil {
		return nil, err
	}
	if len(value) < 8 {
		return nil, errDamaged
	}
	if until := int64(binary.BigEndian.Uint64(value)); now.UnixNano() >= until {
		return nil, nil
	}
	return value[8:], nil
}

// Count implements Store. It is one round trip.
func (r *redisStore) Count(ctx context.Context, k Digest, delta int, until, now time.Time) (int, error) {
	reply, err := r.run(ctx, "count", countScript, []string{r.countKey(k)},
		delta, now.UnixMilli(), millisUp(until), redisSlack.Milliseconds())
	if err != nil {
		return 0, err
	}
	count, ok := reply.(int64)
	if !ok {
		return 0, errDamaged
	}
	return int(count), nil
}
