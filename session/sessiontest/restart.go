//nolint:thelper // rules are tests: a failure is at their line, not at that which calls them
package sessiontest

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/session"
)

func restartKeepsAll(t *testing.T, f Fixture) {
	if f.Reopen == nil {
		t.Skip("nothing survives")
	}
	begin := now()
	var tokens []session.RefreshToken
	for i := range 20 {
		user := session.UserID{AppID: alice.AppID, OpenID: fmt.Sprint("user ", i)}
		token := login(t, f.Store, user, begin, policy)
		if i%2 == 0 {
			token = wantVerdict(t, f.Store, token, begin, policy, session.Rotated)
		}
		tokens = append(tokens, token)
	}
	spent := login(t, f.Store, alice, begin, policy)
	next := wantVerdict(t, f.Store, spent, begin, policy, session.Rotated)
	ended := login(t, f.Store, alice, begin, policy)
	bob := whole(session.UserID{AppID: alice.AppID, OpenID: "oBob"}, begin)
	note := session.Note{Key: sha256.Sum256([]byte("note")), Value: []byte("value\x00"), Until: begin.Add(time.Hour)}
	_, err := f.Store.Learn(t.Context(), session.Lesson{User: bob, Note: note})
	check(t, err)
	learn(t, f.Store, session.Lesson{SID: next.SID, User: session.User{UserID: alice}, Claims: json.RawMessage(`{"a":1}`)})
	eve := session.UserID{AppID: alice.AppID, OpenID: "oEve"}
	forgotten := login(t, f.Store, eve, begin, policy)
	forget(t, f.Store, eve, begin)
	wantCount(t, f.Store, session.Digest{1}, 2, begin.Add(time.Hour), begin, 2)
	check(t, f.Store.End(t.Context(), ended.SID, begin, policy))
	check(t, f.Store.EndAll(t.Context(), bob.UserID, begin, policy))
	_, err = f.Store.SwapKeys(t.Context(), 0, []byte("keys\x00"))
	check(t, err)

	again := f.Reopen(t)
	t.Cleanup(func() { _ = again.Close() })
	at := begin.Add(time.Second)
	news := follow(t, again, at)
	news.wantSession(t, ended.SID, begin.Add(policy.TokenTTL))
	news.wantUser(t, bob.Tag(), begin)
	news.wantUser(t, eve.Tag(), begin)
	wantUser(t, again, bob)
	wantUser(t, again, session.User{UserID: eve})
	wantVerdict(t, again, forgotten, at, policy, session.Unknown)
	wantTooLate(t, again, lateLogin(eve, begin))
	wantCount(t, again, session.Digest{1}, 1, begin, at, 3)
	wantNote(t, again, note.Key, at, note.Value)
	wantKeys(t, again, []byte("keys\x00"), 1)
	wantVerdict(t, again, ended, at, policy, session.Unknown)
	got, same := refresh(t, again, spent, at, policy)
	if got.Verdict != session.Repeated || same.Text() != next.Text() {
		t.Error("the grace time gave another successor after the restart")
	}
	if string(got.Session.Claims) != `{"a":1}` {
		t.Errorf("got claims %s after the restart", got.Session.Claims)
	}
	for _, token := range append(tokens, next) {
		wantVerdict(t, again, token, at, policy, session.Rotated)
	}
	wantVerdict(t, again, spent, begin.Add(policy.Grace), policy, session.Reused)
}
