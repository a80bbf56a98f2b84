// Command scale measures a store that is full of sessions: how large it is, how fast it starts, what memory
// it takes, and how long a refresh lasts with one client and with many that never rest. It needs Linux.
//
//	go run ./bench/scale
//
// fills a SQLite file with 1,000,000 users who are logged in once; with -redis it fills an empty Redis.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
)

type options struct {
	sessions, clients int
	alone, together   time.Duration
	redis, dir        string
}

// file is the SQLite file, and tokens the one with all refresh tokens.
func (o options) file() string   { return filepath.Join(o.dir, "sessions.db") }
func (o options) tokens() string { return filepath.Join(o.dir, "tokens") }

func main() {
	if err := run(os.Args[1:]); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "scale:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	var o options
	flags := flag.NewFlagSet("scale", flag.ContinueOnError)
	limit := flags.Duration("limit", time.Hour, "time after which everything is ended")
	part := flags.String("part", "", "a part of the work in a process of its own: fill or refresh")
	flags.StringVar(&o.redis, "redis", "", "URL of an empty Redis to measure, instead of SQLite")
	flags.StringVar(&o.dir, "dir", "", "of a part: the folder of the files")
	flags.IntVar(&o.sessions, "sessions", 1_000_000, "how many sessions")
	flags.IntVar(&o.clients, "clients", 64, "clients that refresh at once")
	flags.DurationVar(&o.alone, "alone", 10*time.Second, "time of one client")
	flags.DurationVar(&o.together, "d", time.Minute, "time of many clients")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if o.clients < 1 || o.sessions < o.clients || flags.NArg() > 0 {
		return errors.New("want one client or more, as many sessions or more, and no arguments")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeoutCause(ctx, *limit, fmt.Errorf("not done after %v", *limit))
	defer cancel()
	switch *part {
	case "fill":
		return fill(ctx, o)
	case "refresh":
		return refresh(ctx, o)
	}
	return measure(ctx, o, args)
}

// measure fills a store and refreshes, each in a process of its own, so that one does not need the memory of
// the other.
func measure(ctx context.Context, o options, args []string) (err error) {
	if o.dir, err = os.MkdirTemp("", "wechatauth-scale"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(o.dir)) }()
	fmt.Printf("%d users with a session each\n", o.sessions)
	for _, part := range []string{"fill", "refresh"} {
		self := exec.CommandContext(ctx, os.Args[0], append(args, "-part", part, "-dir", o.dir)...)
		self.Stdout, self.Stderr = os.Stdout, os.Stderr
		if err := self.Run(); err != nil {
			return fmt.Errorf("%s: %w", part, errors.Join(err, context.Cause(ctx)))
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

// megabytes is the size of the file with those that belong to it, or the memory of Redis.
func megabytes(ctx context.Context, o options) (sum float64, err error) {
	if o.redis != "" {
		return usedMemory(ctx, o.redis)
	}
	files, err := filepath.Glob(o.file() + "*")
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
