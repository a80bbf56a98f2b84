package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"time"

	"github.com/caddy-wechat/wechatauth/bench/internal/lab"
	"github.com/caddy-wechat/wechatauth/bench/internal/report"
	"github.com/caddy-wechat/wechatauth/session"
)

// point is what was measured with one store and so many sessions.
type point struct {
	Store     string
	Sessions  int
	Size      int64         // of file or Redis, in bytes
	Start     time.Duration // from the start of the process to the answer to a refresh
	Memory    int64         // of Caddy at most, in bytes
	FilePages int64         // of these, what the system can take back
	Alone     latency       // one client
	Together  latency       // many
	PerSecond float64       // with many
	FillRate  float64       // logins a second while the store was filled
}

type latency struct{ P50, P99 time.Duration }

// bench is what all measurements share.
type bench struct {
	options
	lab *lab.Lab
}

// measurePoint fills a store and measures. The largest bolt file also tells of expiry.
func (b *bench) measurePoint(ctx context.Context, kind string, sessions int) (p point, e *expiry, err error) {
	fmt.Fprintf(os.Stderr, "%s, %d sessions\n", kind, sessions)
	p = point{Store: kind, Sessions: sessions}
	s, err := b.newStore(ctx, kind, fmt.Sprintf("%s-%d", kind, sessions))
	if err != nil {
		return p, nil, err
	}
	defer s.remove()
	begin := time.Now()
	tokens, err := s.fill(ctx, sessions, 0, begin.Add(-time.Hour))
	if err != nil {
		return p, nil, err
	}
	p.FillRate = float64(sessions) / time.Since(begin).Seconds()
	if p.Size, err = s.size(ctx); err != nil {
		return p, nil, err
	}
	n, err := b.startNode(ctx, s, tokens)
	if err != nil {
		return p, nil, err
	}
	p.Start = n.started
	if err := b.refreshes(ctx, n, &p); err != nil {
		return p, nil, err
	}
	n.Stop()
	if kind == "bolt" && sessions == b.sizes[len(b.sizes)-1] { // what expires in Redis, Redis removes
		e, err = b.measureExpiry(ctx, s, tokens, p.FillRate)
	}
	return p, e, err
}

// refreshes measures one client and many in turn.
func (b *bench) refreshes(ctx context.Context, n *node, p *point) error {
	var alone, together struct{ p50, p99 []time.Duration }
	var perSecond []float64
	for range b.rounds {
		one, err := n.refresh(ctx, 1, b.duration)
		if err != nil {
			return err
		}
		alone.p50, alone.p99 = append(alone.p50, one.Percentile(50)), append(alone.p99, one.Percentile(99))
		many, err := n.refresh(ctx, b.clients, b.duration)
		if err != nil {
			return err
		}
		together.p50, together.p99 = append(together.p50, many.Percentile(50)), append(together.p99, many.Percentile(99))
		perSecond = append(perSecond, many.PerSecond())
		all, files, err := n.Memory()
		if err != nil {
			return err
		}
		if all > p.Memory {
			p.Memory, p.FilePages = all, files
		}
	}
	p.Alone = latency{report.Median(alone.p50), report.Median(alone.p99)}
	p.Together = latency{report.Median(together.p50), report.Median(together.p99)}
	p.PerSecond = report.Median(perSecond)
	return nil
}

// node is a Caddy on a store, and the sessions there.
type node struct {
	*lab.Process
	started time.Duration
	tokens  []session.RefreshToken
	http    *http.Client
}

// startNode runs Caddy on a store. What is still to be written of that must not be in the way.
func (b *bench) startNode(ctx context.Context, s *store, tokens []session.RefreshToken) (*node, error) {
	if err := exec.CommandContext(ctx, "sync").Run(); err != nil {
		return nil, fmt.Errorf("sync: %w", err)
	}
	addr, err := b.lab.Addr()
	if err != nil {
		return nil, err
	}
	n := &node{tokens: tokens, http: lab.NewClient(b.clients)}
	begin := time.Now()
	n.Process, err = b.lab.StartCaddy(ctx, b.caddy, addr, lab.Site(addr, lab.Guard(s.line), "respond ok"))
	if err != nil {
		return nil, err
	}
	for err = n.spend(ctx, 0); err != nil; err = n.spend(ctx, 0) { // Redis may not be connected yet
		if time.Since(begin) > 30*time.Second {
			return nil, err
		}
	}
	n.started = time.Since(begin)
	return n, nil
}

// spend refreshes a session through Caddy.
func (n *node) spend(ctx context.Context, i int) error {
	got, err := lab.Post(ctx, n.http, n.Addr, "/auth/refresh", "", map[string]string{"refresh_token": n.tokens[i].Text()})
	if err != nil {
		return err
	}
	next, ok := session.ParseRefreshToken(got.Refresh)
	if !ok {
		return fmt.Errorf("refresh: got no refresh token")
	}
	n.tokens[i] = next
	return nil
}

// refresh lets so many clients refresh random sessions, no two of them the same.
func (n *node) refresh(ctx context.Context, clients int, d time.Duration) (lab.Load, error) {
	return lab.ClosedLoop(ctx, clients, d, 1<<30, func(client int) error {
		return n.spend(ctx, rand.IntN(len(n.tokens)/clients)*clients+client)
	})
}
