// Command load measures what wechat_auth costs in front of a backend, next to what people use instead, and
// how many logins, phone exchanges and refreshes a second it answers.
//
//	go run ./bench/load
//
// starts an upstream, a fake WeChat, Caddy, nginx, a small verifier and Redis on 127.0.0.1, prints two
// tables, and ends all of them. It needs wrk, nginx and redis-server, and Linux.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"regexp"
	"time"

	"github.com/caddy-wechat/wechatauth/bench/internal/lab"
	"github.com/caddy-wechat/wechatauth/bench/internal/report"
)

// options are what the command line can change.
type options struct {
	rounds      int
	duration    time.Duration
	connections int
	users       int
	logins      int
	only        *regexp.Regexp
	docs        bool
	limit       time.Duration
	caddy       string
}

func main() {
	if len(os.Args) > 3 && os.Args[1] == roleArgument {
		fail(play(os.Args[2], os.Args[3], os.Args[4:]))
		return
	}
	fail(run(os.Args[1:]))
}

func fail(err error) {
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}

func parse(args []string) (o options, err error) {
	flags := flag.NewFlagSet("load", flag.ContinueOnError)
	flags.IntVar(&o.rounds, "rounds", 15, "rounds, of which the table has the median")
	flags.DurationVar(&o.duration, "d", 2*time.Second, "time of one measurement")
	flags.IntVar(&o.connections, "connections", 64, "connections that send requests")
	flags.IntVar(&o.users, "users", 100_000, "users in the rows of many users")
	flags.IntVar(&o.logins, "logins", 25_000, "logins after which a measurement of logins ends at once; the memory store holds some 40,000")
	flags.BoolVar(&o.docs, "docs", false, "write the tables into docs/performance.md and its translation, and the results into "+report.LoadFile)
	flags.StringVar(&o.caddy, "caddy", "", "a built Caddy to measure, instead of one built from this checkout")
	flags.DurationVar(&o.limit, "limit", time.Hour, "time after which everything is ended")
	only := flags.String("only", "", "measure the rows whose name matches this expression, such as 'ES256|login'")
	short := flags.Bool("short", false, "one short round: tells whether everything works, and nothing else")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("unknown argument %q", flags.Arg(0))
	}
	if *short {
		o.rounds, o.duration, o.connections, o.users, o.logins = 1, 100*time.Millisecond, 8, 100, 1000
	}
	if o.rounds < 1 || o.duration <= 0 || o.connections < 1 || o.users < 2 || o.logins < 1 {
		return o, errors.New("every number must be above zero, and users above one")
	}
	if o.docs && *only != "" {
		return o, errors.New("-docs needs all rows, so not -only")
	}
	o.only, err = regexp.Compile(*only)
	return o, err
}

func run(args []string) error {
	o, err := parse(args)
	if err != nil {
		return err
	}
	return lab.Run(o.limit, func(ctx context.Context, l *lab.Lab) error { return measure(ctx, l, o) })
}

func measure(ctx context.Context, l *lab.Lab, o options) error {
	b, err := newBench(ctx, l, o)
	if err != nil {
		return err
	}
	var r report.Load
	if r.Proxied, err = b.measureProxied(ctx); err != nil {
		return err
	}
	if r.Operations, err = b.measureOperations(ctx); err != nil {
		return err
	}
	r.Machine = report.Machine(b.programs...)
	proxied, operations := proxiedTable(r.Proxied), operationsTable(r.Operations)
	fmt.Print("\n", report.Markdown(0, r.Machine, proxied, operations))
	if !o.docs {
		return nil
	}
	settings := b.settings()
	return errors.Join(
		report.Write(".", "load", proxied, report.Text{r.Machine[0] + settings[0], r.Machine[1] + settings[1]}),
		report.Write(".", "operations", operations),
		report.Save(report.LoadFile, r),
	)
}

// settings says how it was measured, after the machine.
func (b *bench) settings() report.Text {
	o := b.options
	return report.Text{
		fmt.Sprintf(" Median of %d interleaved rounds of %v each, %d connections.", o.rounds, o.duration, o.connections),
		fmt.Sprintf("交错进行 %d 轮，每轮 %v，取中位数；%d 个连接。", o.rounds, o.duration, o.connections),
	}
}
