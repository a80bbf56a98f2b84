// Clocks that step, for the stores under test.

package sessiontest

import (
	"sync/atomic"
	"time"

	"github.com/caddy-wechat/wechatauth/session"
)

// clock is a session.Clock that runs as the real one does, and may be moved.
type clock struct {
	*session.Clock
	stepped, passed atomic.Int64 // time.Duration
}

func newClock() *clock {
	c, start := &clock{}, time.Now()
	passed := func() time.Duration { return time.Duration(c.passed.Load()) }
	c.Clock = session.NewClockOf(
		func() time.Time { return time.Now().Add(passed() + time.Duration(c.stepped.Load())) },
		func() time.Duration { return time.Since(start) + passed() },
	)
	return c
}

// step has the wall clock wrong by a time, in place of what it was wrong by before.
func (c *clock) step(by time.Duration) { c.stepped.Store(int64(by)) }

// pass lets time pass, which the clock measures.
func (c *clock) pass(d time.Duration) { c.passed.Add(int64(d)) }
