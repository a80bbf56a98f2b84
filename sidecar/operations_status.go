// What the operator sees of the stores, keys and mini programs.

package sidecar

import (
	"context"
	"net/http"
	"slices"
	"time"
)

type statusAnswer struct {
	Status    string       `json:"status"` // ok or degraded
	Why       []string     `json:"why,omitempty"`
	Version   string       `json:"version"`
	Store     storeStatus  `json:"store"`
	Apps      []appStatus  `json:"apps"`
	Sites     []siteStatus `json:"sites"`
	Users     *int64       `json:"users,omitempty"` // in the whole store, which a site may share
	Sessions  *int64       `json:"sessions,omitempty"`
	Estimated bool         `json:"estimated,omitempty"` // the two counts are
}

type storeStatus struct {
	Name string `json:"name"`
	Up   bool   `json:"up"`

	// Age is the time since the list of revocations was read, in seconds.
	Age float64 `json:"revocations_age"`
}

type appStatus struct {
	AppID string `json:"appid"`

	// TokenAge is the time since the access token was fetched, in seconds; absent before the first
	// call that needs one.
	TokenAge *int64 `json:"access_token_age,omitempty"`

	// Pushes is the number of those that wait for the backend, OldestPush the time since which the
	// oldest of them does.
	Pushes     int       `json:"pushes_waiting,omitempty"`
	OldestPush time.Time `json:"oldest_push,omitzero"`
}

type siteStatus struct {
	BasePath  string      `json:"base_path"`
	Issuer    string      `json:"issuer"`
	Automatic []keyStatus `json:"automatic_keys,omitempty"`
}

type keyStatus struct {
	KID  string    `json:"kid"`
	From time.Time `json:"from"` // when it begins to sign
}

// statusTime bounds the questions to the store in all.
const statusTime = 5 * time.Second

// status answers GET status. It answers also while the store is away.
func (o *operations) status(w http.ResponseWriter, r *http.Request) error {
	ctx, cancel := context.WithTimeout(r.Context(), statusTime)
	defer cancel()
	answer := statusAnswer{Status: "ok", Version: CurrentBuild().Version, Store: storeStatus{Name: o.name, Up: true}}
	for _, id := range o.apps() {
		answer.Apps = append(answer.Apps, o.appStatus(id))
	}
	degraded := func(why string) {
		if answer.Status = "degraded"; !slices.Contains(answer.Why, why) { // sites share what fails
			answer.Why = append(answer.Why, why)
		}
	}
	if store, err := o.store.get(); err != nil {
		answer.Store.Up = false
		degraded("the store could not be opened")
	} else if stats, err := store.Stats(ctx); err != nil {
		answer.Store.Up = false
		degraded("the store does not answer; the log has the reason")
	} else if !o.confined {
		answer.Users, answer.Sessions, answer.Estimated = &stats.Users, &stats.Sessions, stats.Estimated
	}
	if answer.Store.Up && o.store.outage.lasts() {
		answer.Store.Up = false
		degraded("the store fails when it is written; the log has the reason")
	}
	if queues, err := o.queues(ctx); err == nil {
		for i := range answer.Apps {
			app := &answer.Apps[i]
			if app.Pushes, app.OldestPush = waitingOf(queues, app.AppID); app.Pushes > 0 && o.now().Sub(app.OldestPush) > lateQueue {
				degraded("pushes wait for the backend, which does not take them; the log has the reason")
			}
		}
	}
	if o.store.deny != nil {
		age := o.store.deny.Age()
		if answer.Store.Age = age.Seconds(); answer.Store.Up && age > staleList {
			degraded("the list of revocations is out of date")
		}
	}
	for _, s := range o.sites {
		for _, why := range s.published.unanswered() {
			degraded(why)
		}
		site := siteStatus{BasePath: s.base, Issuer: s.tokens.issuer.Name}
		if k, ok := s.tokens.keys.(*Keyring); ok {
			var err error
			if site.Automatic, err = k.status(ctx); err != nil && answer.Store.Up {
				degraded("the automatic keys can't be read")
			}
		}
		answer.Sites = append(answer.Sites, site)
	}
	writeJSON(w, http.StatusOK, answer)
	return nil
}

// staleList is the age from which the list of revocations is late: a node reads it each second.
const staleList = 5 * time.Second

func (o *operations) appStatus(id string) appStatus {
	status := appStatus{AppID: id}
	for _, s := range o.sites {
		a := s.profiles.apps[id]
		if a == nil {
			continue
		}
		if age, ok := a.client.TokenAge(); ok {
			seconds := int64(age / time.Second)
			status.TokenAge = &seconds
		}
	}
	return status
}
