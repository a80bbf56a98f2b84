//go:build unix

// Changes of the store's configuration.

package e2e_test

import (
	"os"
	"strings"
	"testing"

	"github.com/caddy-wechat/wechatauth/session/redisstore/redistest"
)

// Caddy starts its apps in any order: for a moment the new sites serve, before their store can't be
// opened.
func TestReloadWithAStoreThatCannotBeOpenedIsNotNoticed(t *testing.T) {
	w := newWorld(t)
	n := w.newNode().patient()
	n.start()
	other := w.start() // holds its file
	garbage := n.path("garbage")
	if err := os.WriteFile(garbage, []byte(strings.Repeat("not a store\n", 10000)), 0o600); err != nil {
		t.Fatal(err)
	}
	traffic := n.traffic(3)
	for range 12 {
		for _, store := range []string{other.data() + "/sessions.db", garbage, "/dev/null/sessions.db"} {
			if a := n.reload(n.global() + n.server("store sqlite "+store)); a.status == 200 {
				t.Errorf("%s was accepted", store)
			}
		}
	}
	traffic.allWell(t)
}

// Redis takes connections and says nothing: that is not WeChat's fault.
func TestRedisPausedIsToldAsTheStore(t *testing.T) {
	w := newWorld(t)
	redis := redistest.Start(t)
	n := w.start("store redis " + redis.URL)
	login := n.newUser()
	redis.Pause()
	t.Cleanup(redis.Resume)
	n.writesFail(w.fake.NewUser(appID), login)
}
