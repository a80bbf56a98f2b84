// An example for the documentation.

package session_test

import (
	"context"
	"fmt"
	"time"

	"github.com/caddy-wechat/wechatauth/session"
	"github.com/caddy-wechat/wechatauth/session/memstore"
)

// A login makes a session. Each use of its refresh token gives the next one. A token that comes back after its successor
// was used is a copy: the session ends, for the thief and for the user.
func Example() {
	ctx, now := context.Background(), time.Now()
	store := memstore.New(1 << 20)
	policy := session.Policy{Idle: 30 * 24 * time.Hour, Lifetime: 180 * 24 * time.Hour, Grace: 30 * time.Second, MaxPerUser: 20, TokenTTL: time.Hour}

	user := session.UserID{AppID: "wx0123456789abcdef", OpenID: "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o"}
	login, first := session.New(user, session.NewSite("api.example.com"), now)
	if _, err := store.Login(ctx, session.Login{Session: login, User: session.User{UserID: user}, Policy: policy}); err != nil {
		panic(err)
	}

	redemption := session.NewRedemption(first, now, policy)
	refreshed, err := store.Refresh(ctx, redemption)
	if err != nil {
		panic(err)
	}
	second := first.Successor(refreshed.Session.Salt)
	fmt.Println(refreshed.Outcome == session.Rotated, first.Text() != second.Text())

	now = now.Add(time.Minute) // the grace is over
	stolen, err := store.Refresh(ctx, session.NewRedemption(first, now, policy))
	if err != nil {
		panic(err)
	}
	theirs, err := store.Refresh(ctx, session.NewRedemption(second, now, policy))
	if err != nil {
		panic(err)
	}
	fmt.Println(stolen.Outcome == session.Reused, theirs.Outcome == session.Unknown)
	// Output:
	// true true
	// true true
}
