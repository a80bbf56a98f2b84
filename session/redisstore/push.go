// Pushes that wait. All keys of a queue are on one node of a cluster, so that each step is a script.

package redisstore

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-wechat/wechatauth/session"
)

// pushRecord is a push without its body, as the scripts have it. Lua's numbers are too small for
// some times, so all are texts.
type pushRecord struct {
	ID    string `json:"id"`
	Label string `json:"label"`
	Since string `json:"since"`
	Until string `json:"until"`
	Due   string `json:"due"`
	Tries int    `json:"tries"`
	Taken bool   `json:"taken"`
}

func (r *store) pushKeys(queue session.Digest) []string {
	name := r.prefix + "push:{" + text(queue[:]) + "}:"
	return []string{name + "due", name + "places", name + "records", name + "bodies", name + "known"}
}

// AddPush implements session.Store. It is one round trip.
func (r *store) AddPush(ctx context.Context, p *session.Push, room session.PushRoom, lease, now time.Time) (session.PushPlace, error) {
	const op = "add a push"
	keys := r.pushKeys(p.Queue)
	body, err := r.seal.seal(place(keys[3], text(p.ID[:])), p.Body)
	if err != nil {
		return 0, r.failure(ctx, op, err)
	}
	life := max(p.Until.Sub(now), 0) + session.RecordMargin
	reply, err := r.run(ctx, op, pushAddScript, keys,
		text(p.Line[:]), text(p.ID[:]), p.Label, millis(p.Since), millisUp(p.Until), now.UnixMilli(), millisUp(lease), len(p.Body), body,
		room.Pushes, room.Bytes, room.Line, life.Milliseconds())
	if err != nil {
		return 0, err
	}
	parts, _ := reply.([]any)
	if len(parts) != 2 {
		return 0, r.failure(ctx, op, &Error{Cause: BadRecord})
	}
	result, _ := parts[0].(int64)
	if p.Seq, _ = parts[1].(int64); result == int64(session.PushTaken) {
		p.Tries = 1
	}
	return session.PushPlace(result), nil
}

// TakePush implements session.Store. It is one round trip.
func (r *store) TakePush(ctx context.Context, queue session.Digest, lease, now time.Time) (*session.Push, error) {
	const op = "take a push"
	keys := r.pushKeys(queue)
	reply, err := r.run(ctx, op, pushTakeScript, keys, now.UnixMilli(), millisUp(lease), now.Add(session.MaxPushDelay).UnixMilli())
	if err != nil {
		return nil, err
	}
	parts, _ := reply.([]any)
	if len(parts) == 0 {
		return nil, nil
	}
	p, err := r.takenPush(keys, queue, parts)
	return p, r.failure(ctx, op, err)
}

func (r *store) takenPush(keys []string, queue session.Digest, parts []any) (*session.Push, error) {
	var texts [3]string
	if len(parts) != len(texts) {
		return nil, &Error{Cause: BadRecord}
	}
	for i := range texts {
		texts[i], _ = parts[i].(string)
	}
	p, err := decodePush(queue, texts[0], texts[1])
	if err != nil {
		return nil, err
	}
	p.Body, err = r.seal.open(place(keys[3], text(p.ID[:])), texts[2])
	return &p, err
}

// EndPush implements session.Store. It is one round trip.
func (r *store) EndPush(ctx context.Context, p session.Push, now time.Time) error {
	return r.endPush(ctx, "end a push", p, now, "")
}

// DelayPush implements session.Store. It is one round trip.
func (r *store) DelayPush(ctx context.Context, p session.Push, due time.Time) error {
	return r.endPush(ctx, "delay a push", p, due, strconv.FormatInt(millisUp(due), 10))
}

func (r *store) endPush(ctx context.Context, op string, p session.Push, now time.Time, due string) error {
	_, err := r.run(ctx, op, pushEndScript, r.pushKeys(p.Queue),
		pushPlace(p), text(p.Line[:]), text(p.ID[:]), p.Tries, now.UnixMilli(), due)
	return err
}

// HurryPush implements session.Store. It is one round trip.
func (r *store) HurryPush(ctx context.Context, queue, line session.Digest, now time.Time) (bool, error) {
	reply, err := r.run(ctx, "hurry a push", pushHurryScript, r.pushKeys(queue), text(line[:]), now.UnixMilli())
	return reply == int64(1), err
}

// Pushes implements session.Store. It is one round trip.
func (r *store) Pushes(ctx context.Context, queue session.Digest) (all []session.Push, err error) {
	const op = "list pushes"
	ctx, cancel, err := r.begin(ctx, op)
	if err != nil {
		return nil, err
	}
	defer cancel()
	records, err := r.client.HGetAll(ctx, r.pushKeys(queue)[2]).Result()
	if err != nil {
		return nil, r.failure(ctx, op, err)
	}
	for name, record := range records {
		if !strings.Contains(name, ":") {
			continue // a total
		}
		p, err := decodePush(queue, name, record)
		if err != nil {
			return nil, r.failure(ctx, op, err)
		}
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b session.Push) int { return cmp.Compare(a.Seq, b.Seq) })
	return all, nil
}

// pushPlace is the place of a push: its line and its number, with as many digits as any has.
func pushPlace(p session.Push) string { return fmt.Sprintf("%s:%016d", text(p.Line[:]), p.Seq) }

func decodePush(queue session.Digest, name, record string) (p session.Push, err error) {
	var r pushRecord
	bad := &Error{Cause: BadRecord}
	line, number, _ := strings.Cut(name, ":")
	if json.Unmarshal([]byte(record), &r) != nil || !decodeDigest(&p.Line, line) || !decodeDigest(&p.ID, r.ID) {
		return p, bad
	}
	if p.Seq, err = strconv.ParseInt(number, 10, 64); err != nil {
		return p, bad
	}
	for _, at := range []struct {
		text string
		to   *time.Time
	}{{r.Since, &p.Since}, {r.Until, &p.Until}, {r.Due, &p.Due}} {
		n, err := strconv.ParseInt(at.text, 10, 64)
		if err != nil {
			return p, bad
		}
		*at.to = timeOf(n)
	}
	p.Queue, p.Label, p.Tries, p.Taken = queue, r.Label, r.Tries, r.Taken
	return p, nil
}

func decodeDigest(into *session.Digest, text string) bool {
	raw, err := base64.RawURLEncoding.DecodeString(text)
	return err == nil && copy(into[:], raw) == len(into) && len(raw) == len(into)
}
