// Limits on how often something may happen.

package sidecar

import (
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// maxLimited bounds the clients a limiter counts at once, in each of its two generations.
const maxLimited = 100_000

// Limiter limits events per key. A key that was quiet for a whole window has its full allowance
// again, so forgetting it changes nothing: buckets live in two generations, and the older one is
// dropped as a whole.
type Limiter struct {
	events int
	window time.Duration
	beyond func() // called for each event that is refused

	mu      sync.Mutex // guards what follows
	current map[string]*rate.Limiter
	older   map[string]*rate.Limiter
	since   time.Time // when current was begun
}

// NewLimiter returns a limiter of events in a window; they come back evenly over the window. It calls
// beyond for each event that it refuses.
func NewLimiter(events int, window time.Duration, beyond func()) *Limiter {
	return &Limiter{events: events, window: window, beyond: beyond}
}

// allow counts one event and refuses it when the key has none left.
func (l *Limiter) allow(key string, now time.Time) error {
	if l == nil {
		return nil
	}
	bucket := l.bucket(key, now)
	if bucket.AllowN(now, 1) {
		return nil
	}
	l.beyond()
	missing := 1 - bucket.TokensAt(now)
	e := *errRateLimited
	e.retryAfter = time.Duration(missing / float64(bucket.Limit()) * float64(time.Second))
	return &e
}

func (l *Limiter) bucket(key string, now time.Time) *rate.Limiter {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.current == nil || len(l.current) >= maxLimited || now.Sub(l.since) >= l.window {
		l.older, l.current, l.since = l.current, map[string]*rate.Limiter{}, now
	}
	bucket := l.current[key]
	if bucket == nil {
		if bucket = l.older[key]; bucket == nil {
			bucket = rate.NewLimiter(rate.Limit(float64(l.events)/l.window.Seconds()), l.events)
		}
		l.current[key] = bucket
	}
	return bucket
}

// addressBlock returns the unit that a limit on addresses counts: an IPv4 address, or the /64 that
// an IPv6 subscriber has.
func addressBlock(ip string) string {
	addr, err := netip.ParseAddr(ip)
	if err != nil {
		return ip
	}
	addr = addr.Unmap().WithZone("")
	if addr.Is4() {
		return addr.String()
	}
	block, _ := addr.Prefix(64) // 64 bits always fit
	return block.String()
}
