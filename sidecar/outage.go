// The log of a store's failures.

package sidecar

import (
	"log/slog"
	"sync"
	"time"

	"github.com/caddy-wechat/wechatauth/session"
)

// maxReasons bounds those that are told apart in one outage.
const maxReasons = 16

// outage logs failures of a store: a line when it begins to fail or fails for another reason, one a
// minute while it does, and one when it is back.
type outage struct {
	log *slog.Logger
	now func() time.Time

	mu     sync.Mutex // guards what follows
	op     string     // the operation that failed first; "": none fails
	since  time.Time
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
	if _, ok := o.logged[cause]; !ok && len(o.logged) >= maxReasons {
		cause = "" // a store whose errors have no reason of their own
	}
	if last, ok := o.logged[cause]; ok && now.Sub(last) < time.Minute {
		return begins
	}
	o.logged[cause] = now
	o.log.Error("the session store fails", "error", err, "since", o.since, "failures", o.count)
	return begins
}

// lasts reports whether the store fails.
func (o *outage) lasts() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.op != ""
}

// works ends the outage that began with the same operation.
func (o *outage) works(op string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.op != op {
		return
	}
	o.log.Info("the session store works again", "after", o.now().Sub(o.since), "failures", o.count)
	o.op, o.logged = "", nil
}
