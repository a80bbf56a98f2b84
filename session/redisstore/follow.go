// Revocations: a stream, each entry of which has its time, for the script that drops it, and the
// sealed revocation. Their order is the stream's own; nothing else is read from its numbers.

package redisstore

import (
	"context"
	"encoding/binary"
	"errors"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/caddy-wechat/wechatauth/session"
)

const (
	beginning  = "0-0"
	streamPage = 1000

	// revokedLife is the time for which the stream is kept where nobody revokes anything: as long as
	// users are, so that a step of Redis' clock takes no revocation before the sessions.
	revokedLife = session.UserLife + session.RecordMargin

	// streamWait bounds one read of the stream: reports come at least once a second.
	streamWait = 400 * time.Millisecond
)

// revoke writes revocations. It is one round trip.
func (r *store) revoke(ctx context.Context, op string, revoked []session.Revocation) error {
	if len(revoked) == 0 {
		return nil
	}
	args := []any{
		r.clock.Over().UnixMilli(), session.ClockMargin.Milliseconds(), (r.clock.Elapsed() - r.begun).Milliseconds(), revokedLife.Milliseconds(),
	}
	for _, v := range revoked {
		until := millisUp(v.Until)
		record := append(binary.BigEndian.AppendUint64(nil, uint64(until)), v.SID...)
		sealed, err := r.seal.seal(place(r.revokedKey(), ""), record)
		if err != nil {
			return r.failure(ctx, op, err)
		}
		args = append(args, until, sealed)
	}
	_, err := r.run(ctx, op, revokeScript, []string{r.revokedKey()}, args...)
	return err
}

func (r *store) decodeRevocation(entry redis.XMessage) (session.Revocation, error) {
	stored, _ := entry.Values["revoked"].(string)
	raw, err := r.seal.open(place(r.revokedKey(), ""), stored)
	if err == nil && len(raw) < 8 {
		err = &Error{Cause: BadRecord}
	}
	if err != nil {
		return session.Revocation{}, err
	}
	return session.Revocation{SID: session.SID(raw[8:]), Until: timeOf(int64(binary.BigEndian.Uint64(raw)))}, nil
}

func (r *store) decodeRevocations(entries []redis.XMessage) (all []session.Revocation, err error) {
	for _, entry := range entries {
		v, err := r.decodeRevocation(entry)
		if err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	return all, nil
}

// Follow implements session.Store. It holds one connection, with a read that waits for news.
func (r *store) Follow(ctx context.Context, report func([]session.Revocation)) error {
	var upkeep sync.WaitGroup
	defer upkeep.Wait()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	upkeep.Go(func() { r.upkeep(ctx) })
	r.checkEviction(ctx)
	kept, last, err := r.kept(ctx)
	for err == nil {
		report(kept)
		kept, last, err = r.news(ctx, last)
	}
	return r.failure(ctx, "follow", err)
}

// kept reads all revocations that are kept.
func (r *store) kept(ctx context.Context) (kept []session.Revocation, last string, err error) {
	for last = beginning; ; {
		page, err := r.page(ctx, last)
		if err != nil {
			return nil, "", err
		}
		revoked, err := r.decodeRevocations(page)
		if err != nil {
			return nil, "", err
		}
		kept = append(kept, revoked...)
		if len(page) > 0 {
			last = page[len(page)-1].ID
		}
		if len(page) < streamPage {
			return kept, last, nil
		}
	}
}

func (r *store) page(ctx context.Context, last string) ([]redis.XMessage, error) {
	ctx, cancel, err := r.begin(ctx, "follow")
	if err != nil {
		return nil, err
	}
	defer cancel()
	page, err := r.client.XRangeN(ctx, r.revokedKey(), "("+last, "+", streamPage).Result()
	return page, r.failure(ctx, "follow", err)
}

// news waits a little for entries after the last, in one round trip.
func (r *store) news(ctx context.Context, last string) ([]session.Revocation, string, error) {
	// A waiting read is not cancelled, so the wait is short.
	waiting, cancel, err := r.begin(ctx, "follow")
	if err != nil {
		return nil, "", err
	}
	defer cancel()
	pipe := r.client.Pipeline()
	info := pipe.XInfoStream(waiting, r.revokedKey())
	read := pipe.XRead(waiting, &redis.XReadArgs{
		Streams: []string{r.revokedKey(), last}, Count: streamPage, Block: streamWait,
	})
	_, _ = pipe.Exec(waiting) // the commands have their errors
	streams, err := read.Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		return nil, "", r.failure(waiting, "follow", err)
	}
	// A stream that was lost, with all of Redis or in a failover, begins anew, maybe with numbers
	// that this reader has passed already.
	switch stream, err := info.Result(); {
	case redis.HasErrorPrefix(err, "no such key") || redis.HasErrorPrefix(err, "ERR no such key"):
		if last != beginning {
			return nil, beginning, nil
		}
	case err != nil:
		return nil, "", r.failure(waiting, "follow", err)
	case streamLess(stream.LastGeneratedID, last):
		return nil, beginning, nil
	}
	if len(streams) == 0 || len(streams[0].Messages) == 0 {
		return nil, last, nil
	}
	entries := streams[0].Messages
	news, err := r.decodeRevocations(entries)
	return news, entries[len(entries)-1].ID, err
}

// streamLess compares numbers of a stream's entries, which are two numbers each.
func streamLess(a, b string) bool {
	aTime, aCount := streamNumbers(a)
	bTime, bCount := streamNumbers(b)
	return aTime < bTime || aTime == bTime && aCount < bCount
}

func streamNumbers(id string) (millis, count uint64) {
	first, second, _ := strings.Cut(id, "-")
	millis, _ = strconv.ParseUint(first, 10, 64)
	count, _ = strconv.ParseUint(second, 10, 64)
	return millis, count
}
