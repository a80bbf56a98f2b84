// The health of a site, for load balancers.

package sidecar

import (
	"net/http"
	"slices"
)

// health is the answer to GET healthz. It says nothing of users, and names neither hosts nor apps.
type health struct {
	Status string   `json:"status"`
	Why    []string `json:"why,omitempty"`
}

// healthz answers 200 as long as requests with a token are served, and 503 otherwise. It asks
// nobody: it says what is known anyway.
func (k *published) healthz(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Cache-Control", "no-store")
	if why := k.unable(); why != "" {
		writeJSON(w, http.StatusServiceUnavailable, health{"unavailable", []string{why}})
		return nil
	}
	h := health{"ok", k.impaired()}
	if len(h.Why) > 0 {
		h.Status = "degraded"
	}
	writeJSON(w, http.StatusOK, h)
	return nil
}

// unable returns what keeps the site from serving, "" if nothing does.
func (k *published) unable() string {
	switch {
	case k.tokens.store.fresh(k.tokens.stale) != nil:
		return "the session store has been silent for too long, or could not be opened: no token is accepted"
	case k.tokens.ready() != nil:
		return "the signing keys could not be read from the session store so far"
	}
	return ""
}

// impaired returns what does not work while tokens are accepted.
func (k *published) impaired() (why []string) {
	if store := k.tokens.store.Health(); !store.Up {
		why = append(why, "the session store fails: logins, refreshes and logouts may be refused")
	}
	why = append(why, k.unanswered()...)
	slices.Sort(why)
	return why
}

// unanswered returns what is wrong with WeChat and the hook.
func (k *published) unanswered() (why []string) {
	if degradation := k.hook.degradation(); degradation != "" {
		why = append(why, degradation)
	}
	for _, a := range k.apps {
		if degradation := a.degradation(); degradation != "" && !slices.Contains(why, degradation) {
			why = append(why, degradation)
		}
	}
	return why
}
