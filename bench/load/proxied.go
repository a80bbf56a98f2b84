package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"github.com/caddy-wechat/wechatauth/bench/internal/lab"
	"github.com/caddy-wechat/wechatauth/bench/internal/report"
)

// proxiedRow is a variant that runs, and what was measured of it, by round.
type proxiedRow struct {
	variant
	users      int
	tokensFile string
	front      *lab.Process
	all        []*lab.Process

	perSecond, ratio []float64
	p50, p99, cpu    []time.Duration
}

// measureProxied sends requests to all variants in turn, round after round.
func (b *bench) measureProxied(ctx context.Context) ([]report.Proxied, error) {
	rows, err := b.startVariants(ctx)
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	wrk, err := b.find("wrk", "wrk", "-v")
	if err != nil {
		return nil, err
	}
	for _, r := range rows {
		if _, err := b.runWrk(ctx, wrk, r.front.Addr, r.tokensFile, min(b.duration, time.Second)); err != nil {
			return nil, fmt.Errorf("%s: %w", r.name[0], err)
		}
	}
	for round := range b.rounds {
		fmt.Fprintf(os.Stderr, "proxied requests, round %d of %d\n", round+1, b.rounds)
		bare := map[int]time.Duration{} // by users
		for _, r := range rows {
			if err := b.measureRow(ctx, wrk, r, bare); err != nil {
				return nil, fmt.Errorf("%s: %w", r.name[0], err)
			}
		}
	}
	var done []report.Proxied
	for _, r := range rows {
		p := report.Proxied{
			Name: r.name, Users: r.users, PerSecond: report.Median(r.perSecond),
			P50: report.Median(r.p50), P99: report.Median(r.p99), CPU: report.Median(r.cpu),
		}
		if len(r.ratio) > 0 {
			p.Ratio = report.Median(r.ratio)
		}
		done = append(done, p)
		for _, process := range r.all {
			process.Stop()
		}
	}
	return done, nil
}

func (b *bench) measureRow(ctx context.Context, wrk string, r *proxiedRow, bare map[int]time.Duration) error {
	before, err := lab.CPU(r.all...)
	if err != nil {
		return err
	}
	got, err := b.runWrk(ctx, wrk, r.front.Addr, r.tokensFile, b.duration)
	if err != nil {
		return err
	}
	after, err := lab.CPU(r.all...)
	if err != nil {
		return err
	}
	cpu := (after - before) / time.Duration(got.Requests)
	if !r.guards && bare[r.users] == 0 {
		bare[r.users] = cpu
	}
	r.perSecond = append(r.perSecond, float64(got.Requests)/float64(got.Micros)*1e6)
	r.p50 = append(r.p50, time.Duration(got.P50)*time.Microsecond)
	r.p99 = append(r.p99, time.Duration(got.P99)*time.Microsecond)
	r.cpu = append(r.cpu, cpu)
	if base := bare[r.users]; base > 0 {
		r.ratio = append(r.ratio, float64(cpu)/float64(base))
	}
	return nil
}

// startVariants runs everything that is measured, at once, so that rounds can go from one to the other. Who
// is not asked has nothing to do.
func (b *bench) startVariants(ctx context.Context) (rows []*proxiedRow, err error) {
	for _, users := range []int{1, b.users} {
		for _, v := range variants() {
			if !b.only.MatchString(v.name[0]) {
				continue
			}
			r := &proxiedRow{variant: v, users: users}
			fmt.Fprintf(os.Stderr, "starting: %s, %d users\n", v.name[0], users)
			if err := b.startRow(ctx, r); err != nil {
				return nil, fmt.Errorf("%s: %w", v.name[0], err)
			}
			rows = append(rows, r)
		}
	}
	for _, r := range rows {
		if r.front.Name == "nginx" {
			_, err = b.find("nginx", "nginx-light", "-v")
			break
		}
	}
	return rows, err
}

func (b *bench) startRow(ctx context.Context, r *proxiedRow) error {
	var tokens []string
	var err error
	if r.tokensFile, tokens, err = b.writeTokens(r.algorithm, r.users); err != nil {
		return err
	}
	if r.front, r.all, err = r.start(ctx, b); err != nil {
		return err
	}
	identity := ""
	if r.guards {
		identity = openID(0)
		if err := b.check(ctx, r.front.Addr, "", http.StatusUnauthorized, ""); err != nil {
			return err
		}
		if err := b.check(ctx, r.front.Addr, tokens[0]+"A", http.StatusUnauthorized, ""); err != nil {
			return err
		}
	}
	if err := b.check(ctx, r.front.Addr, tokens[0], http.StatusOK, fmt.Sprintf(`{"openid":%q,`, identity)); err != nil {
		return err
	}
	if !r.remembers {
		return nil
	}
	// The first request with a token is another matter (BenchmarkGuardFirst): nearly every one is a later one.
	client := lab.NewClient(b.connections)
	defer client.CloseIdleConnections()
	next := new(atomic.Int64)
	_, err = lab.ClosedLoop(ctx, b.connections, time.Hour, len(tokens), func(int) error {
		return lab.Get(ctx, client, r.front.Addr, requestPath, tokens[next.Add(1)-1])
	})
	return err
}

// proxiedTable is the table for the documentation.
func proxiedTable(rows []report.Proxied) report.Table {
	t := report.Table{Head: []report.Text{
		{"Between clients and backend", "客户端与后端之间"},
		{"Users", "用户数"},
		{"Requests/s", "每秒请求数"},
		report.Same("p50"), report.Same("p99"),
		{"CPU per request", "每个请求的 CPU"},
		{"CPU, compared", "CPU 之比"},
	}}
	for _, r := range rows {
		ratio := "–"
		if r.Ratio > 0 {
			ratio = report.Digits(r.Ratio) + " ×"
		}
		t.Rows = append(t.Rows, []report.Text{
			r.Name, report.Same("%s", report.Thousands(int64(r.Users))), report.Same("%s", report.Thousands(int64(r.PerSecond))),
			report.Same("%s", report.Millis(r.P50)), report.Same("%s", report.Millis(r.P99)),
			report.Same("%s", report.Micros(r.CPU)), report.Same("%s", ratio),
		})
	}
	return t
}
