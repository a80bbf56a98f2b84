//go:build unix

// A Redis that hangs and goes on: what is acknowledged afterwards is true at once.

package e2e_test

import (
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/session/redisstore/redistest"
)

// Redis hangs for a moment while users log out. The first logout that is answered with 204 must
// hold at this very node, although its follower of the revocations is still waiting to try again;
// and a login must not give a token that is refused for want of the list.
// Threats: F04.
func TestLogoutRightAfterRedisHung(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	redis := redistest.Start(t)
	n := w.start("store redis "+redis.URL+sealed, "session {\nstale 1s\n}")
	for round := range 3 {
		logins := make([]answer, 20)
		for i := range logins {
			logins[i] = n.newUser()
		}
		redis.Pause()
		unavailable(t, "logout", n.logout(logins[0].access()))
		<-time.After(1500 * time.Millisecond) // until the list is stale
		redis.Resume()
		for i, login := range logins {
			if i%2 == 1 { // logins go on between the logouts
				fresh := n.newUser()
				if got := n.get("/", fresh.access()); got.status != 200 {
					t.Errorf("round %d: the token of a new login: got %s, want 200", round, got)
				}
			}
			out := n.logout(login.access())
			for out.status == 503 {
				pause()
				out = n.logout(login.access())
			}
			want(t, "logout", out, 204, "")
			if got := n.get("/", login.access()); !got.is(401, "session_revoked") {
				t.Errorf("round %d: right after a logout with 204: got %s, want session_revoked", round, got)
			}
		}
	}
}
