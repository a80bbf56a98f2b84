//nolint:thelper // rules are tests: a failure is at their line, not at that which calls them
package sessiontest

import (
	"crypto/sha256"
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
	bob := session.User{
		UserID: session.UserID{AppID: alice.AppID, OpenID: "oBob"}, UnionID: "union",
		FirstSeen: begin, Phone: "13800138000", PhoneNumber: "+8613800138000", PhoneVerified: begin,
	}
	note := session.Note{Key: sha256.Sum256([]byte("note")), Value: []byte("value\x00"), Until: begin.Add(time.Hour)}
	_, err := f.Store.Learn(t.Context(), bob, note)
	check(t, err)
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
	wantUser(t, again, bob)
	wantNote(t, again, note.Key, at, note.Value)
	wantKeys(t, again, []byte("keys\x00"), 1)
	wantVerdict(t, again, ended, at, policy, session.Unknown)
	if got := wantVerdict(t, again, spent, at, policy, session.Repeated); got.Text() != next.Text() {
		t.Error("the grace time gave another successor after the restart")
	}
	for _, token := range append(tokens, next) {
		wantVerdict(t, again, token, at, policy, session.Rotated)
	}
	wantVerdict(t, again, spent, begin.Add(policy.Grace), policy, session.Reused)
}
