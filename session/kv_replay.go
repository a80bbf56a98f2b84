// Replays and counters of a Store over a DB.

package session

import (
	"bytes"
	"context"
	"encoding/binary"
	"time"
)

// Replay implements Store.
func (k *kvStore) Replay(ctx context.Context, name Digest, now time.Time) (value []byte, err error) {
	err = k.view(ctx, "read a replay", func(tx records) error {
		record, err := tx.Get(recordKey(kindReplay, name[:]))
		if _, kept, ok := splitUntil(record, now); ok {
			value = bytes.Clone(kept)
		}
		return err
	})
	return value, err
}

// PutReplay implements Store.
func (k *kvStore) PutReplay(ctx context.Context, r Replay, _ time.Time) error {
	return k.update(ctx, "write a replay", func(tx records) error { return tx.putReplay(r) })
}

// Count implements Store.
func (k *kvStore) Count(ctx context.Context, name Digest, delta int, until, now time.Time) (n int, err error) {
	key := recordKey(kindCount, name[:])
	err = k.update(ctx, "count", func(tx records) error {
		n = 0
		ends := until
		record, err := tx.Get(key)
		if err != nil {
			return err
		}
		if began, count, ok := splitUntil(record, now); ok && len(count) == 8 {
			n, ends = int(binary.BigEndian.Uint64(count)), began
		}
		if n = max(n+delta, 0); n == 0 {
			return tx.Delete(key)
		}
		return tx.Put(key, joinUntil(ends, binary.BigEndian.AppendUint64(nil, uint64(n))), ends)
	})
	return n, err
}

func (tx records) putReplay(r Replay) error {
	if r.Key == (Digest{}) {
		return nil
	}
	return tx.Put(recordKey(kindReplay, r.Key[:]), joinUntil(r.Until, r.Value), r.Until)
}

// joinUntil returns the record of a value that has a time.
func joinUntil(until time.Time, value []byte) []byte {
	return append(binary.BigEndian.AppendUint64(nil, uint64(until.UnixNano())), value...)
}

// splitUntil returns the time and the value of such a record, and false if there is none or its
// time is over.
func splitUntil(record []byte, now time.Time) (until time.Time, value []byte, ok bool) {
	if len(record) < 8 {
		return time.Time{}, nil, false
	}
	until = time.Unix(0, int64(binary.BigEndian.Uint64(record)))
	return until, record[8:], now.Before(until)
}
