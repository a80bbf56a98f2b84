// The log of outages: of a store, the hook, and WeChat.

package sidecar

import (
	"log/slog"
	"sync"
	"time"

	"github.com/caddy-wechat/wechatauth/session"
)

// maxReasons bounds those that are told apart in one outage.
const maxReasons = 16

// settled is the time without a failure after which a service works again that may fail for some
// and work for others: it would have a line for each otherwise.
const settled = 10 * time.Second

// outage logs failures of a service: a line when it begins to fail or fails for another reason, one
// a minute while it does, and one when it is back.
type outage struct {
	what   string // in the log
	log    *slog.Logger
	now    func() time.Time
	settle time.Duration // how long it has to work to be back

	mu     sync.Mutex // guards what follows
	op     string     // the operation that failed first; "": none fails
	since  time.Time
	last   time.Time
	logged map[string]time.Time // by reason, when it was last
	count  int
}

// failed notes a failure, and reports whether an outage begins with it.
func (o *outage) failed(op string, err error) (begins bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	now, cause := o.now(), session.Reason(err)
	if begins = o.op == ""; begins {
		o.op, o.since, o.count, o.logged = op, now, 0, map[string]time.Time{}
	}
	o.count++
	o.last = now
	if _, ok := o.logged[cause]; !ok && len(o.logged) >= maxReasons {
		cause = "" // a store whose errors have no reason of their own
	}
	if last, ok := o.logged[cause]; ok && now.Sub(last) < time.Minute {
		return begins
	}
	o.logged[cause] = now
	o.log.Error(o.what+" fails", "error", err, "since", o.since, "failures", o.count)
	return begins
}

// lasts reports whether the store fails.
func (o *outage) lasts() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.op != ""
}

// recent reports whether the service fails, and did so not long ago: one that nobody asks any more
// may be back.
func (o *outage) recent(within time.Duration) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.op != "" && o.now().Sub(o.last) <= within
}

// works ends the outage that began with the same operation.
func (o *outage) works(op string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.op != op || o.now().Sub(o.last) < o.settle {
		return
	}
	o.log.Info(o.what+" works again", "after", o.now().Sub(o.since), "failures", o.count)
	o.op, o.logged = "", nil
}
