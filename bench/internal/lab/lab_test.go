package lab_test

import (
	"context"
	"errors"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/bench/internal/lab"
)

func TestRunEndsProcessesAndRemovesFiles(t *testing.T) {
	t.Parallel()
	var dir string
	var p *lab.Process
	wanted := errors.New("wanted")
	err := lab.Run(time.Minute, func(context.Context, *lab.Lab) error { return nil })
	if err != nil {
		t.Errorf("got %v, want no error", err)
	}
	err = lab.Run(time.Minute, func(_ context.Context, l *lab.Lab) (err error) {
		dir = l.Dir
		if p, err = l.Launch("sleep", "127.0.0.1:1", "sleep", "600"); err != nil {
			return err
		}
		if _, err := lab.CPU(p); err != nil && runtime.GOOS == "linux" {
			return err
		}
		return wanted
	})
	if !errors.Is(err, wanted) {
		t.Errorf("got %v, want %v", err, wanted)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v, want the folder to be gone", err)
	}
	if _, err := lab.CPU(p); err == nil {
		t.Error("the process is still there")
	}
}

func TestRunEndsAtItsLimit(t *testing.T) {
	t.Parallel()
	err := lab.Run(10*time.Millisecond, func(ctx context.Context, _ *lab.Lab) error {
		<-ctx.Done()
		return ctx.Err()
	})
	if err == nil || !strings.Contains(err.Error(), "not done after 10ms") {
		t.Errorf("got %v, want to be told of the limit", err)
	}
}

func TestStartTellsWhatAProcessSaidLast(t *testing.T) {
	t.Parallel()
	err := lab.Run(time.Minute, func(ctx context.Context, l *lab.Lab) error {
		_, err := l.Start(ctx, "broken", "127.0.0.1:1", "sh", "-c", "echo out of order")
		return err
	})
	if err == nil || !strings.Contains(err.Error(), "broken") || !strings.Contains(err.Error(), "out of order") {
		t.Errorf("got %v, want the name and the last words", err)
	}
	_, err = lab.Find("no-such-program", "some-package")
	if err == nil || !strings.Contains(err.Error(), "apt-get install some-package") {
		t.Errorf("got %v, want to be told what to install", err)
	}
}

func TestClosedLoopCounts(t *testing.T) {
	t.Parallel()
	calls := new(atomic.Int64)
	load, err := lab.ClosedLoop(t.Context(), 4, time.Minute, 100, func(int) error {
		calls.Add(1)
		return nil
	})
	if err != nil || load.Requests != 100 || calls.Load() != 100 {
		t.Errorf("got %d requests of %d calls, %v, want 100", load.Requests, calls.Load(), err)
	}
	if load.Percentile(50) > load.Percentile(99) || load.PerSecond() <= 0 {
		t.Errorf("got p50 %v, p99 %v, %f a second", load.Percentile(50), load.Percentile(99), load.PerSecond())
	}
	wanted := errors.New("wanted")
	if _, err := lab.ClosedLoop(t.Context(), 4, time.Minute, 100, func(int) error { return wanted }); !errors.Is(err, wanted) {
		t.Errorf("got %v, want %v", err, wanted)
	}
}
