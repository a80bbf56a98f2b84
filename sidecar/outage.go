// The log of a store's failures.

package sidecar

import (
	"log/slog"
	"sync"
	"time"
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

func (o *outage) failed(op string, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	now, cause := o.now(), err.Error()
	if o.op == "" {
		o.op, o.since, o.count = op, now, 0
	}
	o.count++
	if cause == o.cause && now.Sub(o.logged) < time.Minute {
		return
	}
	o.cause, o.logged = cause, now
	o.log.Error("the session store fails", "error", err, "since", o.since, "failures", o.count)
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
