// Command scale measures a store that is full of sessions: how large it is, how fast it starts,
// what memory it takes, and how long a refresh lasts with one client and with many that never rest.
//
//	go run ./bench/scale
//
// fills a SQLite file and a Redis server with 1,000,000 users who are logged in once. It needs
// redis-server, and Linux.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/caddy-wechat/wechatauth/bench/internal/lab"
)

type options struct {
	sessions, clients int
	alone, together   time.Duration
	kind, address     string // of the store, in a part
	tokens            string // the file with the refresh tokens, in a part
}

func main() {
	if err := run(os.Args[1:]); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "scale:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	var o options
	flags := flag.NewFlagSet("scale", flag.ContinueOnError)
	stores := flags.String("stores", "sqlite,redis", "which stores")
	limit := flags.Duration("limit", time.Hour, "time after which everything is ended")
	part := flags.String("part", "", "a part of the work in a process of its own: fill or refresh")
	flags.IntVar(&o.sessions, "sessions", 1_000_000, "how many sessions")
	flags.IntVar(&o.clients, "clients", 64, "clients that refresh at once")
	flags.DurationVar(&o.alone, "alone", 10*time.Second, "time of one client")
	flags.DurationVar(&o.together, "d", time.Minute, "time of many clients")
	flags.StringVar(&o.kind, "kind", "", "of a part: the store")
	flags.StringVar(&o.address, "address", "", "of a part: the store's")
	flags.StringVar(&o.tokens, "tokens", "", "of a part: the file with the refresh tokens")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if o.clients < 1 || o.sessions < o.clients || flags.NArg() > 0 {
		return errors.New("want one client or more, as many sessions or more, and no arguments")
	}
	return lab.Run(*limit, func(ctx context.Context, l *lab.Lab) error {
		switch *part {
		case "fill":
			return fill(ctx, o)
		case "refresh":
			return refresh(ctx, o)
		}
		for kind := range strings.SplitSeq(*stores, ",") {
			o.kind = kind
			if err := measure(ctx, l, o); err != nil {
				return fmt.Errorf("%s: %w", kind, err)
			}
		}
		return nil
	})
}

// measure fills a store and refreshes, each in a process of its own, so that one does not need the
// memory of the other.
func measure(ctx context.Context, l *lab.Lab, o options) error {
	o.tokens = l.Path(o.kind + ".tokens")
	switch o.kind {
	case "sqlite":
		o.address = l.Path("sessions.db")
	case "redis":
		server, err := l.StartRedis(ctx)
		if err != nil {
			return err
		}
		defer server.Stop()
		o.address = "redis://" + server.Addr
	default:
		return errors.New("no such store: sqlite or redis")
	}
	fmt.Printf("%s, %d users with a session each\n", o.kind, o.sessions)
	for _, part := range []string{"fill", "refresh"} {
		self := exec.CommandContext(ctx, os.Args[0], "-part", part, "-kind", o.kind, "-address", o.address, "-tokens", o.tokens,
			"-sessions", fmt.Sprint(o.sessions), "-clients", fmt.Sprint(o.clients), "-alone", o.alone.String(), "-d", o.together.String())
		self.Stdout, self.Stderr = os.Stdout, os.Stderr
		if err := self.Run(); err != nil {
			return fmt.Errorf("%s: %w", part, err)
		}
		size, err := megabytes(ctx, o)
		if err != nil {
			return err
		}
		fmt.Printf("  size after %-24s %8.1f MB\n", part, size)
		if err := exec.CommandContext(ctx, "sync").Run(); err != nil { // so that it is not in the way of the next part
			return fmt.Errorf("sync: %w", err)
		}
	}
	return nil
}

// megabytes is the size of a file with those that belong to it, or the memory of Redis.
func megabytes(ctx context.Context, o options) (sum float64, err error) {
	if o.kind == "redis" {
		return usedMemory(ctx, o.address)
	}
	files, err := filepath.Glob(o.address + "*")
	for _, file := range files {
		info, err := os.Stat(file)
		if err != nil {
			return 0, err
		}
		sum += float64(info.Size()) / 1e6
	}
	return sum, err
}

func usedMemory(ctx context.Context, address string) (float64, error) {
	settings, err := redis.ParseURL(address)
	if err != nil {
		return 0, err
	}
	client := redis.NewClient(settings)
	defer client.Close()
	text, err := client.Info(ctx, "memory").Result()
	if err != nil {
		return 0, err
	}
	var bytes float64
	_, rest, _ := strings.Cut(text, "used_memory:")
	_, err = fmt.Sscanf(rest, "%g", &bytes)
	return bytes / 1e6, err
}
