// The log of a store's failures.

package sidecar

import (
	"log/slog"
	"sync"
	"time"

	"github.com/caddy-wechat/wechatauth/session"
)

// outage logs failures of a store: a line when it begins to fail or fails for another reason, one a minute
// while it does, and one when it is back.
type outage struct {
	log *slog.Logger
	now func() time.Time

	mu     sync.Mutex // guards what follows
	op     string     // the operation that failed first; "": none fails
	cause  string
	since  time.Time
	logged time.Time
	count  int
}

// failed notes a failure, and reports whether an outage begins with it.
func (o *outage) failed(op string, err error) (begins bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	now, cause := o.now(), session.Reason(err)
	if begins = o.op == ""; begins {
		o.op, o.since, o.count = op, now, 0
	}
	o.count++
	if cause == o.cause && now.Sub(o.logged) < time.Minute {
		return begins
	}
	o.cause, o.logged = cause, now
	o.log.Error("the session store fails", "error", err, "since", o.since, "failures", o.count)
	return begins
}

// works ends the outage that began with the same operation.
func (o *outage) works(op string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.op != op {
		return
	}
	o.log.Info("the session store works again", "after", o.now().Sub(o.since), "failures", o.count)
	o.op, o.cause = "", ""
}
