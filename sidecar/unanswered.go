// Refreshes of which nobody knows whether they happened.

package sidecar

import (
	"sync"
	"time"

	"github.com/caddy-wechat/wechatauth/session"
)

const (
	// repeatTime is the time after a refresh without an answer in which it may be tried again.
	repeatTime = 5 * time.Minute

	maxUnanswered = 100_000
)

// unanswered are the refresh tokens that were used while the store gave no answer. Whether they are
// spent is not known, and their clients are told to try again. An outage may last longer than the
// grace of a spent token, and must not make a thief of whoever waited for its end: for these tokens
// the grace is longer by the time since their first use.
type unanswered struct {
	mu  sync.Mutex // guards what follows
	all map[session.Digest]attempts
}

type attempts struct{ first, last time.Time }

// grace returns the grace of a token.
func (u *unanswered) grace(use session.Redemption) time.Duration {
	u.mu.Lock()
	defer u.mu.Unlock()
	tried, ok := u.all[use.Token]
	if !ok || tried.over(use.Now) {
		return use.Policy.Grace
	}
	return use.Policy.Grace + max(use.Now.Sub(tried.first), 0)
}

// note keeps a use that got no answer.
func (u *unanswered) note(use session.Redemption, took time.Duration) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.all == nil {
		u.all = map[session.Digest]attempts{}
	}
	tried, ok := u.all[use.Token]
	if !ok || tried.over(use.Now) {
		tried.first = use.Now
	}
	tried.last = use.Now.Add(took)
	if len(u.all) >= maxUnanswered {
		for token, tried := range u.all {
			if tried.over(use.Now) {
				delete(u.all, token)
			}
		}
	}
	if ok || len(u.all) < maxUnanswered {
		u.all[use.Token] = tried
	}
}

func (a attempts) over(now time.Time) bool { return now.Sub(a.last) > repeatTime }
