// Limits.

package sidecar

import (
	"errors"
	"fmt"
	"testing"
	"time"
)

func TestLimiter(t *testing.T) {
	t.Parallel()
	l := NewLimiter(3, time.Minute, func() {})
	now := time.Unix(1700000000, 0)
	for range 3 {
		if err := l.allow("a", now); err != nil {
			t.Fatalf("within the limit: %v", err)
		}
	}
	var refused *Error
	if err := l.allow("a", now); !errors.As(err, &refused) || refused.retryAfter != 20*time.Second {
		t.Errorf("over the limit: got %v, retry after %v, want 20s", err, refused.retryAfter)
	}
	if err := l.allow("b", now); err != nil {
		t.Errorf("another key: %v", err)
	}
	if err := l.allow("a", now.Add(21*time.Second)); err != nil {
		t.Errorf("after a third of the window: %v", err)
	}
	var off *Limiter
	if err := off.allow("a", now); err != nil {
		t.Errorf("off: %v", err)
	}
}

// A new generation must not give a key its allowance back before the window is over.
func TestLimiterKeepsItsCountAcrossGenerations(t *testing.T) {
	t.Parallel()
	l := NewLimiter(60, time.Minute, func() {})
	now := time.Unix(1700000000, 0)
	passed := 0
	for range 6000 { // 10 a second for ten minutes
		if l.allow("a", now) == nil {
			passed++
		}
		now = now.Add(100 * time.Millisecond)
	}
	if passed > 60*11 {
		t.Errorf("got %d events in ten minutes, want at most %d", passed, 60*11)
	}
}

// A flood of addresses must not fill the memory.
func TestLimiterIsBounded(t *testing.T) {
	t.Parallel()
	l := NewLimiter(1, time.Hour, func() {})
	now := time.Unix(1700000000, 0)
	for i := range 3 * maxLimited {
		_ = l.allow(fmt.Sprint(i), now)
	}
	if got := len(l.current) + len(l.older); got > 2*maxLimited {
		t.Errorf("got %d keys, want at most %d", got, 2*maxLimited)
	}
}

func TestAddressBlock(t *testing.T) {
	t.Parallel()
	for ip, want := range map[string]string{
		"192.0.2.7":            "192.0.2.7",
		"::ffff:192.0.2.7":     "192.0.2.7",
		"2001:db8:1:2:3:4:5:6": "2001:db8:1:2::/64",
		"2001:db8:1:2::9":      "2001:db8:1:2::/64",
		"fe80::1%eth0":         "fe80::/64",
		"":                     "",
	} {
		if got := addressBlock(ip); got != want {
			t.Errorf("%q: got %q, want %q", ip, got, want)
		}
	}
}
