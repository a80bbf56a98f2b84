// Rules for what comes from elsewhere, or goes there.

package sessiontest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/session"
)

func usersAreImported(t *testing.T, f *fixture) {
	begin := now()
	login(t, f.Store, alice, begin)
	var news []session.User
	for i := range 250 {
		news = append(news, session.User{UserID: session.UserID{AppID: "wx", OpenID: fmt.Sprint("o", i)}, Phone: fmt.Sprint(13800138000 + i)})
	}
	old := begin.Add(-1000 * 24 * time.Hour)
	known := session.User{UserID: alice, UnionID: "oUnion", Phone: "13900139000", Nickname: "Alice", FirstSeen: old}
	news = append(news, known)
	for range 2 { // to repeat it does no harm
		check(t, f.Store.Import(t.Context(), news, begin))
	}
	for _, u := range news[:250] {
		u.FirstSeen = begin
		wantUser(t, f.last(), u)
	}
	known.FirstSeen = begin // it logged in first
	wantUser(t, f.last(), known)
	if a := account(t, f.last(), alice); len(a.Sessions) != 1 {
		t.Errorf("got %d sessions of a user who was known, want 1", len(a.Sessions))
	}
	wantListed(t, f.last(), session.UserQuery{Phone: "13800138007"}, news[7].UserID)
	if got := len(openIDs(list(t, f.last(), session.UserQuery{AppID: "wx", Limit: 100}))); got != 250 {
		t.Errorf("got %d users listed, want 250", got)
	}
	stats, err := f.last().Stats(t.Context())
	if check(t, err); stats.Users != 251 || stats.Sessions != 1 {
		t.Errorf("got %+v, want 251 users and a session", stats)
	}

	// A phone that was verified here is worth more than one of the import.
	update(t, f.Store, account(t, f.Store, alice).Sessions[0].SID,
		session.User{UserID: alice, Phone: "13700137000", PhoneVerified: begin})
	check(t, f.last().Import(t.Context(), news, begin))
	known.Phone, known.PhoneVerified = "13700137000", begin
	wantUser(t, f.Store, known)

	// Nobody is let in by an import, and whoever was erased comes back by one.
	ban(t, f.Store, session.Ban{Reason: "x"}, begin)
	check(t, f.Store.Import(t.Context(), news, begin))
	tryLogin(t, f.last(), begin, &session.Ban{Reason: "x"})
	unban(t, f.Store, begin)
	_, err = f.Store.Erase(t.Context(), alice.Tag(), ending(begin))
	check(t, err)
	check(t, f.Store.Import(t.Context(), news, begin))
	wantListed(t, f.last(), session.UserQuery{Phone: "13900139000"}, alice)
	tryLogin(t, f.last(), begin, nil)
}

// dumpIsRestored: a store that lost what it had, or one that has something else, has everything
// again.
func dumpIsRestored(t *testing.T, f *fixture) {
	w := newWalk(t, f)
	w.walk(t, 300)
	for i := range 700 { // more than a part holds
		user := session.User{UserID: session.UserID{AppID: "wx9", OpenID: fmt.Sprint(i)}, FirstSeen: w.at}
		check(t, f.Store.Import(t.Context(), []session.User{user}, w.at))
	}
	var parts []session.Dump
	check(t, f.last().Dump(t.Context(), func(part session.Dump) error {
		parts = append(parts, part)
		return nil
	}))
	for _, user := range users {
		_, err := f.Store.Erase(t.Context(), user.Tag(), session.Ending{Now: w.at, Policy: w.policy})
		check(t, err)
		check(t, f.Store.Unban(t.Context(), user.Tag(), w.at))
	}
	swapped, err := f.Store.SwapKeys(t.Context(), w.model.version, []byte("lost"))
	if check(t, err); !swapped {
		t.Error("keys were not swapped")
	}
	check(t, f.Store.Import(t.Context(), []session.User{{UserID: users[0], Phone: "else"}}, w.at))
	for range 2 { // to repeat it does no harm
		for _, part := range parts {
			check(t, f.last().Restore(t.Context(), part, w.at))
		}
	}
	for _, user := range users {
		w.wantAccount(t, f.Store, user)
	}
	wantListed(t, f.Store, session.UserQuery{Phone: "else"})
	keys, _, err := f.Store.Keys(t.Context())
	if check(t, err); string(keys) != string(w.model.keys) {
		t.Errorf("got %d bytes of keys, want %d", len(keys), len(w.model.keys))
	}
	if got := len(openIDs(list(t, f.Store, session.UserQuery{AppID: "wx9", Limit: 100}))); got != 700 {
		t.Errorf("got %d users listed, want 700", got)
	}

	// An account under a tag that is not its own is refused.
	foreign := session.DumpedAccount{Tag: users[1].Tag(), Account: session.Account{User: session.User{UserID: users[0]}}}
	if err := f.Store.Restore(t.Context(), session.Dump{Accounts: []session.DumpedAccount{foreign}}, w.at); err == nil {
		t.Error("an account of another user was restored")
	}
	cause := errors.New("the caller's own")
	if err := f.Store.Dump(t.Context(), func(session.Dump) error { return cause }); !errors.Is(err, cause) {
		t.Errorf("got %v, want %v", err, cause)
	}
}
