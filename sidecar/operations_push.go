// What the operator sees and does of the pushes that wait for the backend.

package sidecar

import (
	"context"
	"encoding/hex"
	"net/http"
	"time"

	"github.com/caddy-wechat/wechatauth/session"
)

// lateQueue is the age of the oldest push from which a backend is in trouble.
const lateQueue = 5 * time.Minute

type pushesAnswer struct {
	Pushes []waitingPush `json:"pushes"`
}

// waitingPush names nobody: what is in a push is the backend's.
type waitingPush struct {
	ID       string    `json:"id"`
	AppID    string    `json:"appid"`
	BasePath string    `json:"base_path"`
	Kind     string    `json:"kind"` // of event or message
	Since    time.Time `json:"since"`
	Tries    int       `json:"tries"`
	Next     time.Time `json:"next"` // of the next try; that of one behind another of its user comes later
	Sending  bool      `json:"sending,omitempty"`
}

// waiting is a queue of a site.
type waiting struct {
	site *Site
	app  string
	all  []session.Push
}

// pushID is long enough for one queue.
func pushID(p session.Push) string { return hex.EncodeToString(p.ID[:8]) }

// queues returns what waits at all sites, each queue once: sites may share one.
func (o *operations) queues(ctx context.Context) (all []waiting, err error) {
	store, err := o.store.get()
	if err != nil {
		return nil, err
	}
	seen := map[session.Digest]bool{}
	for _, s := range o.sites {
		if s.pushes == nil || s.pushes.forward == nil {
			continue
		}
		for _, id := range s.profiles.apps.IDs() {
			target := s.pushes.forward.targets[id]
			if target == nil || seen[target.queue] {
				continue
			}
			seen[target.queue] = true
			pushes, err := store.Pushes(ctx, target.queue)
			if err != nil {
				return nil, err
			}
			all = append(all, waiting{s, id, pushes})
		}
	}
	return all, nil
}

// pushes answers GET pushes with what waits for the backend, and POST pushes, which has one tried
// now.
func (o *operations) pushes(w http.ResponseWriter, r *http.Request) error {
	queues, err := o.queues(r.Context())
	if err != nil {
		return err
	}
	if r.Method == http.MethodPost {
		return o.repeatPush(w, r, queues)
	}
	answer := pushesAnswer{[]waitingPush{}}
	for _, q := range queues {
		for _, p := range q.all {
			answer.Pushes = append(answer.Pushes, waitingPush{
				ID: pushID(p), AppID: q.app, BasePath: q.site.base, Kind: p.Label, Since: p.Since, Tries: p.Tries, Next: p.Due, Sending: p.Taken,
			})
		}
	}
	writeJSON(w, http.StatusOK, answer)
	return nil
}

func (o *operations) repeatPush(w http.ResponseWriter, r *http.Request, queues []waiting) error {
	f, err := readFields(w, r)
	if err != nil {
		return err
	}
	id, err := f.text("id")
	if err != nil {
		return err
	}
	store, err := o.store.get()
	if err != nil {
		return err
	}
	for _, q := range queues {
		for _, p := range q.all {
			if pushID(p) != id {
				continue
			}
			hurried, err := store.HurryPush(r.Context(), p.Queue, p.Line, o.now())
			if err != nil {
				return err
			}
			if !hurried {
				return invalidRequest("it is on its way to the backend at this moment, or was taken")
			}
			q.site.pushes.forward.hurry()
			w.WriteHeader(http.StatusNoContent)
			return nil
		}
	}
	return withDescription(errNotFound, "no such push waits")
}

// waitingOf returns how many pushes of an app wait, and since when the oldest does.
func waitingOf(queues []waiting, app string) (n int, oldest time.Time) {
	for _, q := range queues {
		if q.app != app {
			continue
		}
		n += len(q.all)
		for _, p := range q.all {
			if oldest.IsZero() || p.Since.Before(oldest) {
				oldest = p.Since
			}
		}
	}
	return n, oldest
}
