package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/caddy-wechat/wechatauth/session"
)

// expiry is how refreshes went before many sessions expired, and while they were removed.
type expiry struct {
	Store          string
	Sessions       int // that stay
	Expiring       int
	Removed        int64 // records, until Caddy was ended
	AloneBefore    latency
	AloneDuring    latency
	TogetherBefore latency
	TogetherDuring latency
}

// sweepBegins is the longest that a store rests before it looks for what has expired.
const sweepBegins = 5 * time.Second

// measureExpiry adds sessions to a bolt file that all expire at one moment, and refreshes others before and after.
func (b *bench) measureExpiry(
	ctx context.Context, s *store, tokens []session.RefreshToken, fillRate float64,
) (*expiry, error) {
	fmt.Fprintf(os.Stderr, "%s, %d of %d sessions expire\n", s.kind, b.expiring, len(tokens)+b.expiring)
	filling := time.Duration(2 * float64(b.expiring) / fillRate * float64(time.Second))
	at := time.Now().Add(b.ahead + filling + 2*b.duration)
	if _, err := s.fill(ctx, b.expiring, len(tokens), at.Add(-policy.Idle)); err != nil {
		return nil, err
	}
	records, err := s.records()
	if err != nil {
		return nil, err
	}
	n, err := b.startNode(ctx, s, tokens)
	if err != nil {
		return nil, err
	}
	defer n.Stop()
	e := &expiry{Store: s.kind, Sessions: len(tokens), Expiring: b.expiring}
	if e.AloneBefore, e.TogetherBefore, err = b.both(ctx, n); err != nil {
		return nil, err
	}
	if late := time.Since(at); late > 0 {
		return nil, fmt.Errorf("the sessions expired %v too early: this machine is busy with something else", late)
	}
	select {
	case <-time.After(time.Until(at) + min(sweepBegins, b.ahead)):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if e.AloneDuring, e.TogetherDuring, err = b.both(ctx, n); err != nil {
		return nil, err
	}
	n.Stop()
	left, err := s.records()
	e.Removed = records - left
	return e, err
}

// both measures one client, then many.
func (b *bench) both(ctx context.Context, n *node) (alone, together latency, err error) {
	one, err := n.refresh(ctx, 1, b.duration)
	if err != nil {
		return alone, together, err
	}
	many, err := n.refresh(ctx, b.clients, b.duration)
	if err != nil {
		return alone, together, err
	}
	return latency{one.Percentile(50), one.Percentile(99)}, latency{many.Percentile(50), many.Percentile(99)}, nil
}

// furtherUsers and furtherEach are how many users get how many more sessions.
const furtherUsers, furtherEach = 20_000, 5

// measureFurther tells what a session takes whose user has one already.
func (b *bench) measureFurther(ctx context.Context, kind string) (float64, error) {
	s, err := b.newStore(ctx, kind, kind+"-further")
	if err != nil {
		return 0, err
	}
	defer s.remove()
	users := min(furtherUsers, b.sizes[len(b.sizes)-1])
	var first int64
	for i := range 1 + furtherEach {
		if _, err := s.fill(ctx, users, 0, time.Now()); err != nil {
			return 0, err
		}
		if i > 0 {
			continue
		}
		if first, err = s.size(ctx); err != nil {
			return 0, err
		}
	}
	all, err := s.size(ctx)
	return float64(all-first) / float64(users*furtherEach), err
}
