// The upkeep of the index: accounts expire by themselves, and their entries do not.

package redisstore

import (
	"context"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"github.com/caddy-wechat/wechatauth/session"
)

// upkeepEvery is the pause of a follower between two buckets that it tidies: each has its turn once
// a month.
const upkeepEvery = 10 * time.Minute

// upkeep tidies the index until ctx ends. What fails is tried another time.
func (r *store) upkeep(ctx context.Context) {
	ticker := time.NewTicker(upkeepEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			_ = r.tidy(ctx, r.bucketKey(rand.N(buckets)), r.clock.Now()) //nolint:gosec // it is no secret
		}
	}
}

// tidy removes the entries of a bucket whose users do not have them, but none written since
// yesterday, for their accounts may be under way.
func (r *store) tidy(ctx context.Context, bucket string, now time.Time) error {
	const op = "tidy the index"
	reading, cancel, err := r.begin(ctx, op)
	if err != nil {
		return err
	}
	defer cancel()
	days, err := r.client.HGetAll(reading, bucket).Result()
	if err != nil || len(days) == 0 {
		return r.failure(reading, op, err)
	}
	var users []session.Tag
	for field := range days {
		if len(field) == entrySize {
			users = append(users, session.Tag([]byte(field[labelSize:])))
		}
	}
	has := map[string]bool{}
	for some := range slices.Chunk(users, readStep) {
		accounts, err := r.loadAll(ctx, op, some)
		if err != nil {
			return err
		}
		for i := range accounts {
			for _, e := range r.entries(some[i], &accounts[i].User) {
				has[e.field] = has[e.field] || e.bucket == bucket
			}
		}
	}
	for field, day := range days {
		if has[field] || recent(day, now) {
			continue
		}
		if err := r.editEntries(ctx, op, "tidy", day, []entry{{bucket, field}}); err != nil {
			return err
		}
	}
	return r.editEntries(ctx, op, "tidy", "", []entry{{bucket, ""}}) // so that it lives on
}

// recent reports whether a day is that of now, or the one before.
func recent(day string, now time.Time) bool {
	n, err := strconv.ParseInt(day, 10, 64)
	return err == nil && n >= dayOf(now)-1
}
