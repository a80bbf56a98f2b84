// Pushes of a Store over a DB.

package session

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
)

// Kinds of records of a queue; they follow its digest.
const (
	pushDue   = 'd' // + when it is due + line: one for each line, empty
	pushItem  = 'i' // + line + number: a pushRecord
	pushBody  = 'b' // + line + number: the body
	pushKnown = 'k' // + ID: until when it is remembered
	pushTotal = 'n' // a pushTotals
)

// pushRecord is a push without its body.
type pushRecord struct {
	ID    Digest    `json:"id"`
	Label string    `json:"label,omitempty"`
	Since time.Time `json:"since"`
	Until time.Time `json:"until"`
	Tries int       `json:"tries,omitempty"`
	Due   time.Time `json:"due"`
	Taken bool      `json:"taken,omitempty"`
	Size  int       `json:"size"`
}

// pushTotals are those of a queue. Last is the number of the newest push.
type pushTotals struct {
	Pushes int   `json:"pushes"`
	Bytes  int   `json:"bytes"`
	Last   int64 `json:"last"`
}

// pushQueue is a queue in one step of a DB.
type pushQueue struct {
	records

	queue Digest
}

// AddPush implements Store.
func (k *kvStore) AddPush(ctx context.Context, p *Push, room PushRoom, lease, now time.Time) (place PushPlace, err error) {
	err = k.update(ctx, "add a push", func(tx records) error {
		place, err = pushQueue{tx, p.Queue}.add(p, room, lease, now)
		return err
	})
	return place, err
}

// TakePush implements Store. It looks before it writes: it is called all the time.
func (k *kvStore) TakePush(ctx context.Context, queue Digest, lease, now time.Time) (taken *Push, err error) {
	due := false
	err = k.view(ctx, "take a push", func(tx records) error {
		_, due, err = pushQueue{tx, queue}.firstDue(now)
		return err
	})
	if err != nil || !due {
		return nil, err
	}
	err = k.update(ctx, "take a push", func(tx records) error {
		taken, err = pushQueue{tx, queue}.take(lease, now)
		return err
	})
	return taken, err
}

// EndPush implements Store.
func (k *kvStore) EndPush(ctx context.Context, p Push, now time.Time) error {
	return k.update(ctx, "end a push", func(tx records) error {
		q := pushQueue{tx, p.Queue}
		r, err := q.held(p)
		if err != nil {
			return err
		}
		return q.remove(p.Line, p.Seq, r, now)
	})
}

// DelayPush implements Store.
func (k *kvStore) DelayPush(ctx context.Context, p Push, due time.Time) error {
	return k.update(ctx, "delay a push", func(tx records) error {
		q := pushQueue{tx, p.Queue}
		r, err := q.held(p)
		if err != nil {
			return err
		}
		r.Taken = false
		return q.setDue(p.Line, p.Seq, r, due)
	})
}

// HurryPush implements Store.
func (k *kvStore) HurryPush(ctx context.Context, queue, line Digest, now time.Time) (hurried bool, err error) {
	err = k.update(ctx, "hurry a push", func(tx records) error {
		q := pushQueue{tx, queue}
		seq, r, err := q.first(line)
		if hurried = err == nil && seq != 0 && (!r.Taken || !now.Before(r.Due)); !hurried {
			return orUnchanged(err)
		}
		return q.setDue(line, seq, r, now)
	})
	return hurried && err == nil, err
}

func orUnchanged(err error) error {
	if err == nil {
		return errUnchanged
	}
	return err
}

// Pushes implements Store.
func (k *kvStore) Pushes(ctx context.Context, queue Digest) (all []Push, err error) {
	err = k.view(ctx, "list pushes", func(tx records) error {
		all = nil
		q := pushQueue{tx, queue}
		prefix := q.key(pushItem)
		return tx.Scan(prefix, nil, func(key, value []byte) error {
			line, seq, ok := splitPlace(key[len(prefix):])
			var r pushRecord
			if !ok || json.Unmarshal(value, &r) != nil {
				return errDamaged
			}
			all = append(all, r.push(queue, line, seq))
			return nil
		})
	})
	slices.SortFunc(all, func(a, b Push) int { return cmp.Compare(a.Seq, b.Seq) })
	return all, err
}

func (r *pushRecord) push(queue, line Digest, seq int64) Push {
	return Push{
		Queue: queue, Line: line, ID: r.ID, Label: r.Label, Since: r.Since, Until: r.Until, Seq: seq, Tries: r.Tries, Due: r.Due, Taken: r.Taken,
	}
}

func (q pushQueue) key(kind byte, parts ...[]byte) []byte {
	key := append(recordKey(kindPush, q.queue[:]), kind)
	for _, part := range parts {
		key = append(key, part...)
	}
	return key
}

func (q pushQueue) dueKey(due time.Time, line Digest) []byte {
	return q.key(pushDue, binary.BigEndian.AppendUint64(nil, uint64(due.UnixNano())), line[:])
}

// place returns the key of a push in its line.
func place(line Digest, seq int64) []byte {
	return binary.BigEndian.AppendUint64(line[:], uint64(seq))
}

func splitPlace(text []byte) (line Digest, seq int64, ok bool) {
	if len(text) != len(line)+8 {
		return line, 0, false
	}
	return Digest(text[:len(line)]), int64(binary.BigEndian.Uint64(text[len(line):])), true
}

func (q pushQueue) add(p *Push, room PushRoom, lease, now time.Time) (PushPlace, error) {
	known, err := q.Get(q.key(pushKnown, p.ID[:]))
	if err != nil {
		return 0, err
	}
	if _, _, ok := splitUntil(known, now); ok {
		return PushKnown, errUnchanged
	}
	var total pushTotals
	if err := q.get(q.key(pushTotal), &total); err != nil {
		return 0, err
	}
	inLine := 0
	err = q.Scan(q.key(pushItem, p.Line[:]), nil, func(_, _ []byte) error {
		inLine++
		return nil
	})
	if err != nil {
		return 0, err
	}
	if total.Pushes >= room.Pushes || total.Bytes+len(p.Body) > room.Bytes || inLine >= room.Line {
		return PushFull, errUnchanged
	}
	total.Pushes, total.Bytes, total.Last = total.Pushes+1, total.Bytes+len(p.Body), total.Last+1
	r, result := pushRecord{ID: p.ID, Label: p.Label, Since: p.Since, Until: p.Until, Due: now, Size: len(p.Body)}, PushWaits
	if inLine == 0 {
		r.Tries, r.Due, r.Taken, result = 1, lease, true, PushTaken
		p.Seq, p.Tries = total.Last, r.Tries
		err = q.Put(q.dueKey(lease, p.Line), nil, r.dropped())
	}
	at := place(p.Line, total.Last)
	return result, errors.Join(err,
		q.put(q.key(pushItem, at), r, r.dropped()),
		q.Put(q.key(pushBody, at), p.Body, r.dropped()),
		q.Put(q.key(pushKnown, p.ID[:]), joinUntil(p.Until, nil), p.Until),
		q.put(q.key(pushTotal), total, r.dropped()),
	)
}

// dropped returns the time at which a push goes if nobody takes it out.
func (r *pushRecord) dropped() time.Time { return r.Until.Add(RecordMargin) }

// firstDue returns the line that is due the longest.
func (q pushQueue) firstDue(now time.Time) (key []byte, due bool, err error) {
	prefix := q.key(pushDue)
	err = q.Scan(prefix, nil, func(found, _ []byte) error {
		key = bytes.Clone(found)
		return errEnough
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	if err != nil || key == nil {
		return nil, false, err
	}
	if len(key) != len(prefix)+8+len(q.queue) {
		return nil, false, errDamaged
	}
	at := int64(binary.BigEndian.Uint64(key[len(prefix):]))
	return key, at <= now.UnixNano() || at > now.Add(MaxPushDelay).UnixNano(), nil
}

func (q pushQueue) take(lease, now time.Time) (*Push, error) {
	for {
		key, due, err := q.firstDue(now)
		if err != nil {
			return nil, err
		}
		if !due {
			return nil, nil
		}
		line := Digest(key[len(key)-len(q.queue):])
		seq, r, err := q.first(line)
		if err != nil {
			return nil, err
		}
		if seq == 0 { // dropped by its time
			if err := q.Delete(key); err != nil {
				return nil, err
			}
			continue
		}
		body, err := q.Get(q.key(pushBody, place(line, seq)))
		if err != nil {
			return nil, err
		}
		body = bytes.Clone(body)
		r.Tries, r.Taken = r.Tries+1, true
		if err := errors.Join(q.Delete(key), q.setDue(line, seq, r, lease)); err != nil {
			return nil, err
		}
		taken := r.push(q.queue, line, seq)
		taken.Due, taken.Body = lease, body
		return &taken, nil
	}
}

// first returns the first push of a line, number 0 if there is none.
func (q pushQueue) first(line Digest) (seq int64, r pushRecord, err error) {
	prefix := q.key(pushItem)
	err = q.Scan(q.key(pushItem, line[:]), nil, func(key, value []byte) error {
		var ok bool
		if _, seq, ok = splitPlace(key[len(prefix):]); !ok || json.Unmarshal(value, &r) != nil {
			return errDamaged
		}
		return errEnough
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return seq, r, err
}

// held returns the record of a push, errUnchanged if somebody else has taken it since.
func (q pushQueue) held(p Push) (r pushRecord, err error) {
	if err := q.get(q.key(pushItem, place(p.Line, p.Seq)), &r); err != nil {
		return r, err
	}
	if r.ID != p.ID || r.Tries != p.Tries {
		return r, errUnchanged
	}
	return r, nil
}

// setDue changes when the first push of a line is due.
func (q pushQueue) setDue(line Digest, seq int64, r pushRecord, due time.Time) error {
	before := q.dueKey(r.Due, line)
	r.Due = due
	return errors.Join(
		q.Delete(before),
		q.Put(q.dueKey(due, line), nil, r.dropped()),
		q.put(q.key(pushItem, place(line, seq)), r, r.dropped()),
	)
}

// remove removes the first push of a line.
func (q pushQueue) remove(line Digest, seq int64, r pushRecord, now time.Time) error {
	at := place(line, seq)
	var total pushTotals
	err := errors.Join(
		q.Delete(q.dueKey(r.Due, line)), q.Delete(q.key(pushItem, at)), q.Delete(q.key(pushBody, at)),
		q.get(q.key(pushTotal), &total),
	)
	if err != nil {
		return err
	}
	total.Pushes, total.Bytes = max(total.Pushes-1, 0), max(total.Bytes-r.Size, 0)
	next, following, err := q.first(line)
	if err == nil && next != 0 {
		err = q.setDue(line, next, following, now)
	}
	return errors.Join(err, q.put(q.key(pushTotal), total, r.dropped()))
}
