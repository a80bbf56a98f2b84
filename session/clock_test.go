// The clock by which records are dropped.

package session_test

import (
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/session"
)

// handClock is a clock that a test moves.
type handClock struct {
	*session.Clock
	wall    time.Time
	elapsed time.Duration
}

func newHandClock(uptime time.Duration) *handClock {
	h := &handClock{wall: start, elapsed: uptime}
	h.Clock = session.NewClockOf(func() time.Time { return h.wall }, func() time.Duration { return h.elapsed })
	return h
}

// pass lets time pass, by both clocks.
func (h *handClock) pass(d time.Duration) { h.wall, h.elapsed = h.wall.Add(d), h.elapsed+d }

// step sets the wall clock.
func (h *handClock) step(d time.Duration) { h.wall = h.wall.Add(d) }

func TestRecordsAreOverWhenBothClocksSaySo(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	for _, uptime := range []time.Duration{0, 1000 * time.Hour} {
		h := newHandClock(uptime)
		for i, test := range []struct {
			pass, step   time.Duration
			over, parted time.Duration
		}{
			{0, 0, 0, 0},
			{time.Minute, 0, time.Minute, 0},
			{time.Minute, day, 2 * time.Minute, day}, // ahead
			{time.Minute, 0, 3 * time.Minute, day},
			{0, -day, 3 * time.Minute, 0},                  // right again
			{time.Minute, -day, 4*time.Minute - day, -day}, // behind
			{time.Minute, day, 5 * time.Minute, 0},
		} {
			h.pass(test.pass)
			h.step(test.step)
			if got := h.Over().Sub(start); got != test.over {
				t.Errorf("step %d: got what was over at %v, want %v", i, got, test.over)
			}
			if got := h.Parted(); got != test.parted {
				t.Errorf("step %d: got clocks parted by %v, want %v", i, got, test.parted)
			}
			if !h.Now().Equal(h.wall) || h.Elapsed() != h.elapsed {
				t.Errorf("step %d: got %v, %v, want %v, %v", i, h.Now(), h.Elapsed(), h.wall, h.elapsed)
			}
		}
	}
}

// Go's monotonic reading would hide a step of the clock.
func TestNowIsTheTimeOfTheWall(t *testing.T) {
	t.Parallel()
	c := session.NewClock()
	if now := c.Now(); now != now.Round(0) {
		t.Errorf("got %v, want no monotonic reading", now)
	}
	if parted := c.Parted().Abs(); parted > time.Minute {
		t.Errorf("got clocks parted by %v at the start", parted)
	}
}
