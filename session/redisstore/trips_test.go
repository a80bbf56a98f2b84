//go:build unix

// The number of round trips.

package redisstore_test

import (
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/session/redisstore"
)

func TestRoundTrips(t *testing.T) {
	t.Parallel()
	_, s := openAlone(t)
	at := time.Now()
	for _, c := range calls(t.Context(), s, login(t, s, at), at) { // lets the server know the scripts
		if err := c.do(); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
	}
	counter := new(hook)
	redisstore.AddHook(s, counter)
	at = at.Add(time.Second)
	for _, c := range calls(t.Context(), s, login(t, s, at), at) {
		counter.trips.Store(0)
		if err := c.do(); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if got := counter.trips.Load(); got != c.trips {
			t.Errorf("%s: got %d round trips, want %d", c.name, got, c.trips)
		}
	}
}
