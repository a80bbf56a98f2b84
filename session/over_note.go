package session

import (
	"bytes"
	"context"
	"encoding/binary"
	"time"
)

// Recall implements Store.
func (o *over) Recall(ctx context.Context, k Digest, now time.Time) (value []byte, err error) {
	err = o.db.View(ctx, func(tx Tx) error {
		record, err := tx.Get(key(kindNote, k[:]))
		if _, left, ok := untilOver(record, now); ok {
			value = bytes.Clone(left)
		}
		return err
	})
	return value, err
}

// Count implements Store.
func (o *over) Count(ctx context.Context, k Digest, delta int, until, now time.Time) (n int, err error) {
	err = o.db.Update(ctx, func(tx Tx) error {
		n = 0
		record, err := tx.Get(key(kindCount, k[:]))
		if err != nil {
			return err
		}
		began, count, there := untilOver(record, now)
		if there && len(count) == 8 {
			n, until = int(binary.BigEndian.Uint64(count)), began
		}
		if n = max(n+delta, 0); n == 0 {
			return tx.Delete(key(kindCount, k[:]))
		}
		record = withUntil(until, binary.BigEndian.AppendUint64(nil, uint64(n)))
		return tx.Put(key(kindCount, k[:]), record, until)
	})
	return n, err
}

func (tx records) note(n Note) error {
	if n.Key == (Digest{}) {
		return nil
	}
	return tx.Put(key(kindNote, n.Key[:]), withUntil(n.Until, n.Value), n.Until)
}

// withUntil returns the record of a value that has a time.
func withUntil(until time.Time, value []byte) []byte {
	return append(binary.BigEndian.AppendUint64(nil, uint64(until.UnixNano())), value...)
}

// untilOver returns the time and the value of such a record, unless there is none or its time is over.
func untilOver(record []byte, now time.Time) (until time.Time, value []byte, ok bool) {
	if len(record) < 8 {
		return time.Time{}, nil, false
	}
	until = time.Unix(0, int64(binary.BigEndian.Uint64(record)))
	return until, record[8:], now.Before(until)
}
