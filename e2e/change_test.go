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

// With store memory the list of logouts ends with the process, but an own key does not: after a
// restart a stolen token would be good again.
// Threats: F14.
func TestRestartUndoesNoLogoutInMemory(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.start("store memory", "token {\nalgorithm HS256\nkey 9b1f0c5e7a3d48264f8e6d1b2c7a9053\n}")
	stolen := n.newUser()
	want(t, "before", n.get("/", stolen.access()), 200, "")
	want(t, "logout", n.logout(stolen.access()), 204, "")
	n.stop()
	n.start()
	if a := n.get("/", stolen.access()); a.status != 401 {
		t.Errorf("after the restart: got %s, want 401", a)
	}
	want(t, "refresh", n.refresh(stolen.refresh()), 401, "refresh_invalid")
	want(t, "a new login", n.get("/", n.newUser().access()), 200, "")
}
