// Replays and counters.

package redisstore

import (
	"context"
	"encoding/binary"
	"time"

	"github.com/caddy-wechat/wechatauth/session"
)

// PutReplay implements session.Store. It is one round trip.
func (r *store) PutReplay(ctx context.Context, p session.Replay, now time.Time) error {
	return r.putReplay(ctx, p, now)
}

// putReplay writes a replay. It has a node of its own in a cluster, since whoever reads it does not
// know the user, so it can't be part of the step that it follows.
func (r *store) putReplay(ctx context.Context, p session.Replay, now time.Time) error {
	if p.Key == (session.Digest{}) {
		return nil
	}
	key := r.replayKey(p.Key)
	value := binary.BigEndian.AppendUint64(nil, uint64(p.Until.UnixNano()))
	sealed, err := r.seal.seal(place(key, ""), append(value, p.Value...))
	if err != nil {
		return r.failure(ctx, "write a replay", err)
	}
	life := max(p.Until.Sub(now), 0) + slack
	_, err = r.run(ctx, "write a replay", replayScript, []string{key}, sealed, life.Milliseconds())
	return err
}

// Replay implements session.Store. It is one round trip.
func (r *store) Replay(ctx context.Context, d session.Digest, now time.Time) ([]byte, error) {
	const op = "read a replay"
	ctx, cancel, err := r.begin(ctx, op)
	if err != nil {
		return nil, err
	}
	defer cancel()
	key := r.replayKey(d)
	// A list, for a missing value is no error in it.
	reply, err := r.client.MGet(ctx, key).Result()
	if err != nil {
		return nil, r.failure(ctx, op, err)
	}
	if len(reply) != 1 || reply[0] == nil {
		return nil, nil
	}
	stored, _ := reply[0].(string)
	value, err := r.seal.open(place(key, ""), stored)
	if err == nil && len(value) < 8 {
		err = &Error{Cause: BadRecord}
	}
	if err != nil {
		return nil, r.failure(ctx, op, err)
	}
	if until := int64(binary.BigEndian.Uint64(value)); now.UnixNano() >= until {
		return nil, nil
	}
	return value[8:], nil
}

// Count implements session.Store. It is one round trip.
func (r *store) Count(ctx context.Context, d session.Digest, delta int, until, now time.Time) (int, error) {
	reply, err := r.run(ctx, "count", countScript, []string{r.countKey(d)},
		delta, now.UnixMilli(), millisUp(until), slack.Milliseconds())
	if err != nil {
		return 0, err
	}
	count, ok := reply.(int64)
	if !ok {
		return 0, r.failure(ctx, "count", &Error{Cause: BadRecord})
	}
	return int(count), nil
}
