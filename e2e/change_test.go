//go:build unix

package e2e_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/session/redistest"
	"github.com/caddy-wechat/wechatauth/wechat/wechattest"
)

// A login waits for WeChat while the operator reloads. Its code is spent, so it has to be answered.
func TestReloadOfTheStoreWhileALoginWaitsForWeChat(t *testing.T) {
	w := newWorld(t)
	redis := redistest.Start(t)
	for name, to := range map[string][]string{
		"another file": {"store bolt other.db"},
		"memory":       {"store memory"},
		"redis":        {"store redis " + redis.URL},
	} {
		t.Run(name, func(t *testing.T) {
			w := &world{t, w.fake, w.api}
			n := w.newNode("store bolt").patient()
			n.start()
			asked := w.fake.Count(wechattest.Login)
			w.fake.Fail(wechattest.Login, 1, wechattest.Delay(700*time.Millisecond))
			waiting := make(chan answer)
			go func() {
				waiting <- n.post("/auth/login", "", "code", w.fake.LoginCode(w.fake.NewUser(appID)))
			}()
			eventually(t, "WeChat is asked", func() bool { return w.fake.Count(wechattest.Login) > asked })
			old := n.config()
			n.lines = to
			if a := n.reload(n.config()); a.status != 200 {
				t.Fatalf("reload: got %s", a)
			}
			login := <-waiting
			want(t, "the login", login, 200, "")
			if a := n.reload(old); a.status != 200 {
				t.Fatalf("reload: got %s", a)
			}
			want(t, "its token", n.get("/", login.access()), 200, "")
			want(t, "its session", n.refresh(login.refresh()), 200, "")
		})
	}
}

// Caddy starts its apps in any order: for a moment the new sites serve, before their store can't be opened.
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
			if a := n.reload(n.global() + n.server("store bolt "+store)); a.status == 200 {
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
