// Replayed answers.

package wechat

import (
	"crypto/sha256"
	"sync"
	"time"
)

// replays remembers the answers that verified, each for as long as it would still count as fresh:
// that is twice the greatest difference of the clocks. Only WeChat can fill it.
type replays struct {
	mu     sync.Mutex
	recent map[[sha256.Size]byte]struct{}
	before map[[sha256.Size]byte]struct{}
	turned time.Time // when recent began
}

func newReplays() *replays {
	return &replays{recent: map[[sha256.Size]byte]struct{}{}}
}

// first reports whether the answer was not there before.
func (r *replays) first(digest [sha256.Size]byte, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now.Sub(r.turned) > 2*maxAnswerAge {
		r.before, r.recent, r.turned = r.recent, map[[sha256.Size]byte]struct{}{}, now
	}
	_, recent := r.recent[digest]
	_, before := r.before[digest]
	r.recent[digest] = struct{}{}
	return !recent && !before
}
