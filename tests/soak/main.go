// Soak runs Caddy under mixed traffic for a while, with reloads, revocations and faults, watches what the process
// takes, and draws it.
//
//	go run . -d 30m -o ../../docs/pictures/soak.svg
//
// Everything is on 127.0.0.1, and ends after the time given. It fails when an answer was not of the contract, when
// something grew, or when Caddy logged a panic.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"sync"
	"time"
)

type options struct {
	duration time.Duration
	seed     uint64
	users    int
	rate     int
	redis    string
	picture  string
}

func main() {
	var o options
	flag.DurationVar(&o.duration, "d", 30*time.Minute, "how long")
	flag.Uint64Var(&o.seed, "seed", rand.Uint64(), "seed of the traffic")
	flag.IntVar(&o.users, "users", 2000, "how many users there are")
	flag.IntVar(&o.rate, "rate", 100, "steps of users a second")
	flag.StringVar(&o.redis, "redis", "", "address of an empty Redis, instead of SQLite")
	flag.StringVar(&o.picture, "o", "", "the picture, an SVG file")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := soak(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
}

func soak(ctx context.Context, o options) (err error) {
	s, err := startSite(ctx, o.redis)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	fmt.Printf("%v, seed %d, %d users, %d steps a second, process %d\n", o.duration, o.seed, o.users, o.rate, s.caddy.Process.Pid)

	traffic := newTraffic(s, o)
	began := time.Now()
	running, end := context.WithTimeout(ctx, o.duration)
	defer end()
	var all sync.WaitGroup
	all.Go(func() { traffic.run(running) })
	all.Go(func() { s.disturb(running) })
	samples := s.watch(running, began, o.duration/360)
	all.Wait()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	s.heal()
	time.Sleep(settle) // connections, and calls that hang
	last, err := s.sample(ctx, began)
	if err != nil {
		return err
	}
	samples = append(samples, last)
	if o.picture != "" {
		if err := picture(o.picture, samples); err != nil {
			return err
		}
	}
	return errors.Join(traffic.report(), verdict(samples), s.logged())
}
