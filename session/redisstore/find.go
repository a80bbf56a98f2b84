// The index of phones and unionids: hashes of a fixed number, the buckets, whose fields are
// entries.
//
// An entry is the keyed digest of a label and the tag of a user who has it. It is written before
// the account and removed after it, on another node of a cluster: an entry may be one too many, so
// what it leads to is compared with what was asked for. Its value is the day of its writing.

package redisstore

import (
	"context"
	"encoding/binary"
	"slices"
	"strings"
	"time"

	"github.com/caddy-wechat/wechatauth/session"
)

const (
	// buckets is a number that lets Redis keep small hashes as lists up to a million users, and
	// that costs little where there are few.
	buckets = 4096

	// bucketLife is the time for which a bucket is kept that neither a change nor the upkeep
	// touches.
	bucketLife = session.UserLife + session.RecordMargin

	labelSize = 8
	entrySize = labelSize + tagSize
)

// entry is a field of a bucket.
type entry struct{ bucket, field string }

func (r *store) bucketKey(n int) string {
	return r.prefix + "find:" + text(binary.BigEndian.AppendUint16(nil, uint16(n)))
}

// label returns the bucket of a label, and what its entries begin with.
func (r *store) label(label string) (bucket, start string, err error) {
	sum, err := r.seal.sum(place(r.prefix+"find", ""), []byte(label))
	if err != nil {
		return "", "", err
	}
	return r.bucketKey(int(binary.BigEndian.Uint16(sum)) % buckets), string(sum[2 : 2+labelSize]), nil
}

// entries returns the entries of a user.
func (r *store) entries(user session.Tag, u *session.User) (all []entry) {
	for _, label := range u.Labels() {
		if label == "" {
			continue
		}
		if bucket, start, err := r.label(label); err == nil { // never fails: the sum has a fixed size
			all = append(all, entry{bucket, start + string(user[:])})
		}
	}
	return all
}

// moved returns the entries that a change adds, and those it makes needless.
func (r *store) moved(user session.Tag, before, after *session.User) (added, gone []entry) {
	if before.Labels() == after.Labels() {
		return nil, nil
	}
	old, next := r.entries(user, before), r.entries(user, after)
	in := func(all []entry) func(entry) bool { return func(e entry) bool { return slices.Contains(all, e) } }
	return slices.DeleteFunc(slices.Clone(next), in(old)), slices.DeleteFunc(slices.Clone(old), in(next))
}

func (r *store) addEntries(ctx context.Context, op string, all []entry, now time.Time) error {
	return r.editEntries(ctx, op, "add", dayOf(now), all)
}

// removeEntries removes entries of a user, and adds those again that the user has by then. The user may
// be erased in between: what was added is looked at once more.
func (r *store) removeEntries(ctx context.Context, op string, user session.Tag, all []entry, now time.Time) error {
	for len(all) > 0 {
		if err := r.editEntries(ctx, op, "remove", dayOf(now), all); err != nil {
			return err
		}
		again, _, err := r.split(ctx, op, user, all)
		if err != nil {
			return err
		}
		if err := r.addEntries(ctx, op, again, now); err != nil {
			return err
		}
		if _, all, err = r.split(ctx, op, user, again); err != nil {
			return err
		}
	}
	return nil
}

// split tells the entries that a user has from those of the past.
func (r *store) split(ctx context.Context, op string, user session.Tag, all []entry) (has, past []entry, err error) {
	if len(all) == 0 {
		return nil, nil, nil
	}
	a, err := r.load(ctx, op, user)
	if err != nil {
		return nil, nil, err
	}
	known := r.entries(user, &a.User)
	for _, e := range all {
		if slices.Contains(known, e) {
			has = append(has, e)
		} else {
			past = append(past, e)
		}
	}
	return has, past, nil
}

func dayOf(t time.Time) int64 { return t.Unix() / 86400 }

// editEntries is one round trip for each entry. It waits for no replicas: an entry may get lost,
// and an account must not depend on it.
func (r *store) editEntries(ctx context.Context, op, edit string, value any, all []entry) error {
	if len(all) == 0 {
		return nil
	}
	ctx, cancel, err := r.begin(ctx, op)
	if err != nil {
		return err
	}
	defer cancel()
	for _, e := range all {
		err := findScript.Run(ctx, r.client, []string{e.bucket}, edit, value, bucketLife.Milliseconds(), e.field).Err()
		if err != nil {
			return r.failure(ctx, op, err)
		}
	}
	return nil
}

// labeled returns the tags of the users that the index has for one of the labels, in their order.
func (r *store) labeled(ctx context.Context, op string, labels []string) (users []session.Tag, err error) {
	ctx, cancel, err := r.begin(ctx, op)
	if err != nil {
		return nil, err
	}
	defer cancel()
	for _, label := range labels {
		bucket, start, err := r.label(label)
		if err != nil {
			return nil, r.failure(ctx, op, err)
		}
		fields, err := r.client.HKeys(ctx, bucket).Result()
		if err != nil {
			return nil, r.failure(ctx, op, err)
		}
		for _, field := range fields {
			if tag, ok := strings.CutPrefix(field, start); ok && len(field) == entrySize {
				users = append(users, session.Tag([]byte(tag)))
			}
		}
	}
	slices.SortFunc(users, func(a, b session.Tag) int { return slices.Compare(a[:], b[:]) })
	return slices.Compact(users), nil
}
