// Command scale measures how a Caddy with wechat_auth grows with its sessions: how fast it starts on a store
// that is full of them, what memory it takes, how long a refresh lasts, and how large the store is.
//
//	go run ./bench/scale
//
// fills bolt files and Redis servers with 1,000, 100,000 and 1,000,000 sessions, starts Caddy on each, and
// prints tables. It needs redis-server, and Linux.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-wechat/wechatauth/bench/internal/lab"
	"github.com/caddy-wechat/wechatauth/bench/internal/report"
)

const (
	resultsFile = "bench/results/scale.json"
	pictureFile = "docs/growth.svg"
)

type options struct {
	sizes    []int
	stores   []string
	rounds   int
	duration time.Duration
	clients  int
	expiring int
	ahead    time.Duration // what passes at least between the filling of what expires and its end
	docs     bool
	limit    time.Duration
	caddy    string
}

func main() {
	err := run(os.Args[1:])
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "scale:", err)
		os.Exit(1)
	}
}

func parse(args []string) (o options, err error) {
	flags := flag.NewFlagSet("scale", flag.ContinueOnError)
	sizes := flags.String("sessions", "1000,100000,1000000", "how many sessions, one size after the other")
	stores := flags.String("stores", "bolt,redis", "which stores")
	flags.IntVar(&o.rounds, "rounds", 5, "rounds of refreshing, of which the table has the median")
	flags.DurationVar(&o.duration, "d", 5*time.Second, "time of one round")
	flags.IntVar(&o.clients, "clients", 64, "clients that refresh at once")
	flags.IntVar(&o.expiring, "expiring", 100_000, "sessions that expire in the largest store while others are refreshed")
	flags.BoolVar(&o.docs, "docs", false, "write tables and picture into docs, and the results into "+resultsFile)
	flags.StringVar(&o.caddy, "caddy", "", "a built Caddy to measure, instead of one built from this checkout")
	flags.DurationVar(&o.limit, "limit", 2*time.Hour, "time after which everything is ended")
	short := flags.Bool("short", false, "few sessions and one short round: tells whether everything works, and nothing else")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("unknown argument %q", flags.Arg(0))
	}
	o.stores, o.ahead = strings.Split(*stores, ","), 10*time.Second
	if *short {
		*sizes = "100,1000"
		o.rounds, o.duration, o.clients, o.expiring, o.ahead = 1, 100*time.Millisecond, 8, 300, time.Second
	}
	for size := range strings.SplitSeq(*sizes, ",") {
		n, err := strconv.Atoi(size)
		if err != nil || n < 1 {
			return o, fmt.Errorf("%q is no number of sessions", size)
		}
		o.sizes = append(o.sizes, n)
	}
	slices.Sort(o.sizes)
	for _, store := range o.stores {
		if store != "bolt" && store != "redis" {
			return o, fmt.Errorf("there is no store %q to fill: bolt or redis", store)
		}
	}
	if o.rounds < 1 || o.duration <= 0 || o.clients < 1 || o.clients > o.sizes[0] || o.expiring < 1 {
		return o, errors.New("every number must be above zero, and clients not above the sessions")
	}
	return o, nil
}

func run(args []string) error {
	o, err := parse(args)
	if err != nil {
		return err
	}
	return lab.Run(o.limit, func(ctx context.Context, l *lab.Lab) error { return measure(ctx, l, o) })
}

// results is what -docs saves.
type results struct {
	Machine report.Text
	Points  []point
	Expiry  []expiry
	Further map[string]float64 // store → bytes that one more session of a known user takes
}

func measure(ctx context.Context, l *lab.Lab, o options) error {
	b := &bench{options: o, lab: l}
	var err error
	if b.caddy, err = l.Caddy(ctx, o.caddy); err != nil {
		return err
	}
	r := results{Further: map[string]float64{}}
	for _, kind := range o.stores {
		for _, sessions := range o.sizes {
			p, e, err := b.measurePoint(ctx, kind, sessions)
			if err != nil {
				return fmt.Errorf("%s, %d sessions: %w", kind, sessions, err)
			}
			r.Points = append(r.Points, p)
			if e != nil {
				r.Expiry = append(r.Expiry, *e)
			}
		}
		if r.Further[kind], err = b.measureFurther(ctx, kind); err != nil {
			return fmt.Errorf("%s, further sessions: %w", kind, err)
		}
	}
	var programs [][]string
	if path, err := lab.Find("redis-server", "redis-server"); err == nil && slices.Contains(o.stores, "redis") {
		programs = append(programs, []string{path, "--version"})
	}
	r.Machine = report.Machine(programs...)
	return publish(o, r)
}

// publish prints the results, and writes them where -docs wants them.
func publish(o options, r results) error {
	growth, expiry := growthTable(r.Points, o.clients), expiryTable(r.Expiry, o.clients)
	fmt.Print("\n", report.Markdown(0, r.Machine, growth, expiry))
	var cost report.Load
	sizes, err := report.Table{}, report.Read(report.LoadFile, &cost)
	if err == nil {
		sizes, err = sizing(r, cost)
	}
	if err != nil {
		fmt.Printf("\nNo sizing, which also needs what `go run ./bench/load -docs` leaves: %v\n", err)
		if o.docs {
			return err
		}
	} else {
		fmt.Print("\n", report.Markdown(0, sizes))
	}
	if !o.docs {
		return nil
	}
	settings := report.Text{
		fmt.Sprintf(" Median of %d rounds of %v each.", o.rounds, o.duration),
		fmt.Sprintf("共 %d 轮，每轮 %v，取中位数。", o.rounds, o.duration),
	}
	return errors.Join(
		report.Write(".", "growth", growth, report.Text{r.Machine[0] + settings[0], r.Machine[1] + settings[1]}),
		report.Write(".", "expiry", expiry),
		report.Write(".", "sizing", sizes),
		os.WriteFile(pictureFile, []byte(picture(r.Points)), 0o644),
		report.Save(resultsFile, r),
	)
}
