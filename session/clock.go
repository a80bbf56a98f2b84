// A clock for dropping records, which a step of the machine's clock does not mislead.

package session

import "time"

// Clock decides which records are over for good. The wall clock of a machine may be wrong for a
// while; the time since the process started is not. A record is dropped when both agree.
type Clock struct {
	wall    func() time.Time
	elapsed func() time.Duration
	start   time.Time
}

// NewClock returns the clock of this machine.
func NewClock() *Clock {
	start := time.Now()
	return NewClockOf(time.Now, func() time.Duration { return time.Since(start) })
}

// NewClockOf returns a clock of the wall's time, and of the time elapsed since some moment, by a
// clock that never steps.
func NewClockOf(wall func() time.Time, elapsed func() time.Duration) *Clock {
	c := &Clock{wall: wall, elapsed: elapsed}
	c.start = c.Now().Add(-elapsed())
	return c
}

// Now returns the time of the wall, without Go's monotonic reading.
func (c *Clock) Now() time.Time { return c.wall().Round(0) }

// Elapsed returns the time since some moment; it never steps.
func (c *Clock) Elapsed() time.Duration { return c.elapsed() }

// Over returns the time up to which records are over by both clocks.
func (c *Clock) Over() time.Time { return c.Now().Add(min(0, -c.Parted())) }

// Parted returns how far the wall clock is ahead of the time since the start; below zero it is
// behind.
func (c *Clock) Parted() time.Duration { return c.Now().Sub(c.start.Add(c.elapsed())) }
