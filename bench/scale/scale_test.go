package main

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/bench/internal/report"
)

var grown = []point{
	{Store: "bolt", Sessions: 1_000, Size: 1e6, Start: 90 * time.Millisecond, Memory: 60e6, Alone: latency{1e6, 3e6}},
	{Store: "bolt", Sessions: 1_000_000, Size: 1000e6, Start: 99 * time.Millisecond, Memory: 90e6, Alone: latency{1e6, 4e6}},
	{Store: "redis", Sessions: 1_000_000, Size: 2000e6, Start: 95 * time.Millisecond, Memory: 70e6, Alone: latency{1e6, 2e6}},
}

func TestPictureIsWellFormed(t *testing.T) {
	t.Parallel()
	for _, points := range [][]point{grown, grown[:1]} {
		svg := picture(points)
		for d := xml.NewDecoder(strings.NewReader(svg)); ; {
			if _, err := d.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%v in %s", err, svg)
			}
		}
		for _, bad := range []string{"NaN", "Inf", "%!"} {
			if strings.Contains(svg, bad) {
				t.Errorf("got %s in %s", bad, svg)
			}
		}
	}
}

func TestSizingShowsItsArithmetic(t *testing.T) {
	t.Parallel()
	cost := report.Load{
		Proxied: []report.Proxied{
			{Name: report.Same("Caddy, `wechat_auth`, ES256"), Users: 1, CPU: 50 * time.Microsecond},
			{Name: report.Same("Caddy, `wechat_auth`, ES256"), Users: 100_000, CPU: 60 * time.Microsecond},
		},
		Operations: []report.Operation{
			{Name: "login", Store: "redis", CPU: 200 * time.Microsecond, RedisCPU: 90 * time.Microsecond},
			{Name: "login", Store: "redis", Delay: slow, CPU: time.Second, RedisCPU: time.Second},
			{Name: "refresh", Store: "redis", CPU: 100 * time.Microsecond, RedisCPU: 40 * time.Microsecond},
		},
	}
	table, err := sizing(results{Points: grown, Further: map[string]float64{"bolt": 500, "redis": 600}}, cost)
	if err != nil {
		t.Fatal(err)
	}
	got := table.Markdown(0)
	for _, row := range []string{
		"| requests a second, busiest hour | users × 0.2 × 50 ÷ 86,400 × 4 | 463 | 46,296 |",
		"| logins a second, busiest hour | users × 0.2 × 2 ÷ 86,400 × 4 | 18.5 | 1,852 |",
		"| processors for Caddy | (requests × 60.0 µs + logins × 200 µs + refreshes × 100 µs) ÷ 0.5 | 0.07 | 6.67 |",
		"| processors for Redis | (logins × 90.0 µs + refreshes × 40.0 µs) ÷ 0.5 | 0.00 | 0.48 |",
		"| bolt file, 3 sessions a user | users × (1000 + 2 × 500) bytes | 2.00 GB | 200 GB |",
		"| memory of Redis, 20 sessions a user | users × (2000 + 19 × 600) bytes | 13.4 GB | 1,340 GB |",
	} {
		if !strings.Contains(got, row+"\n") {
			t.Errorf("got\n%s, want the row\n%s", got, row)
		}
	}
	if _, err := sizing(results{Points: grown[:2]}, cost); err == nil {
		t.Error("without Redis: got no error")
	}
	if _, err := sizing(results{Points: grown}, report.Load{}); err == nil {
		t.Error("without costs: got no error")
	}
}

// slow is a WeChat whose answers make logins last, and is not what the sizing reckons with.
const slow = 50 * time.Millisecond
