package session

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// Revocations are in a stream: each entry has when it is over, for the script that drops it, and the
// sealed Revocation. Their order is the stream's own; nothing else is read from its numbers.

const (
	beginning     = "0-0"
	streamPage    = 1000
	streamPatient = heartbeat * 4 / 5 // how long a read waits for news: less than a heartbeat
)

// revoke writes down what is revoked and then tells who follows here. It is one round trip.
func (r *redisStore) revoke(ctx context.Context, now time.Time, revoked ...Revocation) error {
	args := []any{now.UnixMilli(), redisSlack.Milliseconds()}
	for _, revocation := range revoked {
		raw, err := json.Marshal(revocation)
		if err != nil {
			return errDamaged
		}
		sealed, err := r.seal.seal(place(r.revokedKey(), ""), raw)
		if err != nil {
			return err
		}
		args = append(args, millisUp(revocation.Until), sealed)
	}
	if _, err := r.run(ctx, "revoke", revokeScript, []string{r.revokedKey()}, args...); err != nil {
		return err
	}
	r.hub.tell(revoked)
	return nil
}

// Follow implements Store. It holds one connection, with a read that waits for news.
func (r *redisStore) Follow(ctx context.Context, now time.Time, report func([]Revocation)) error {
	// Listening begins before the past is read, so that nothing falls between. What is told meanwhile
	// waits: who follows may take the first report for all there is.
	read, complete := make(chan struct{}), false
	defer r.hub.listen(func(revoked []Revocation) {
		if <-read; complete {
			report(revoked)
		}
	})()
	past, last, err := r.past(ctx, now)
	if err == nil {
		report(past)
		complete = true
	}
	close(read)
	if err != nil {
		return r.stopped(ctx, err)
	}
	for {
		var news []Revocation
		if news, last, err = r.news(ctx, last); err != nil {
			return r.stopped(ctx, err)
		}
		report(news)
	}
}

// stopped returns why following ended.
func (r *redisStore) stopped(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	select {
	case <-r.hub.done():
		return ErrClosed
	default:
		return err
	}
}

// past reads what still matters.
func (r *redisStore) past(ctx context.Context, now time.Time) (past []Revocation, last string, err error) {
	last = beginning
	for {
		page, err := r.page(ctx, last)
		if err != nil {
			return nil, "", err
		}
		for _, entry := range page {
			revocation, err := r.decodeRevocation(entry)
			if err != nil {
				return nil, "", err
			}
			if now.Before(revocation.Until) {
				past = append(past, revocation)
			}
			last = entry.ID
		}
		if len(page) < streamPage {
			return past, last, nil
		}
	}
}

func (r *redisStore) page(ctx context.Context, last string) ([]redis.XMessage, error) {
	ctx, cancel, err := r.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer cancel()
	page, err := r.client.XRangeN(ctx, r.revokedKey(), "("+last, "+", streamPage).Result()
	if err != nil {
		return nil, redisError("follow", err)
	}
	return page, nil
}

// news waits a little for entries after the last, in one round trip.
func (r *redisStore) news(ctx context.Context, last string) ([]Revocation, string, error) {
	// Nobody cancels a read that waits, so the wait is short.
	waiting, cancel, err := r.begin(ctx)
	if err != nil {
		return nil, "", err
	}
	defer cancel()
	pipe := r.client.Pipeline()
	info := pipe.XInfoStream(waiting, r.revokedKey())
	read := pipe.XRead(waiting, &redis.XReadArgs{
		Streams: []string{r.revokedKey(), last}, Count: streamPage, Block: streamPatient,
	})
	_, _ = pipe.Exec(waiting) // the commands have their errors
	entries, err := read.Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		return nil, "", redisError("follow", err)
	}
	// A stream that was lost, with all of Redis or in a failover, begins anew, maybe with numbers that
	// this reader has passed already.
	switch stream, err := info.Result(); {
	case redis.HasErrorPrefix(err, "no such key"):
		if last != beginning {
			return nil, beginning, nil
		}
	case err != nil:
		return nil, "", redisError("follow", err)
	case streamLess(stream.LastGeneratedID, last):
		return nil, beginning, nil
	}
	var news []Revocation
	for _, stream := range entries {
		for _, entry := range stream.Messages {
			revocation, err := r.decodeRevocation(entry)
			if err != nil {
				return nil, "", err
			}
			news, last = append(news, revocation), entry.ID
		}
	}
	return news, last, nil
}

func (r *redisStore) decodeRevocation(entry redis.XMessage) (revocation Revocation, err error) {
	stored, _ := entry.Values["revoked"].(string)
	raw, err := r.seal.open(place(r.revokedKey(), ""), stored)
	if err != nil {
		return Revocation{}, err
	}
	if json.Unmarshal(raw, &revocation) != nil {
		return Revocation{}, errDamaged
	}
	return revocation, nil
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
