// Rules for the lists of users.

package sessiontest

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/session"
)

// list reads all pages of a query. overshoot is how many more than asked for were on one page.
func list(t *testing.T, s session.Store, q session.UserQuery) (accounts []session.Account) {
	t.Helper()
	for range 10_000 {
		page, err := s.Users(t.Context(), q)
		if err != nil {
			t.Fatalf("users: %v", err)
		}
		if n := len(page.Accounts); n > q.Limit+100 {
			t.Errorf("got a page of %d, want about %d at most", n, q.Limit)
		}
		accounts = append(accounts, page.Accounts...)
		if q.After = page.Next; q.After == "" {
			return accounts
		}
	}
	t.Fatal("the list has no end")
	return nil
}

// openIDs returns whose accounts these are, each once.
func openIDs(accounts []session.Account) []string {
	var ids []string
	for _, a := range accounts {
		ids = append(ids, a.User.AppID+" "+a.User.OpenID)
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

func wantListed(t *testing.T, s session.Store, q session.UserQuery, want ...session.UserID) {
	t.Helper()
	var ids []string
	for _, user := range want {
		ids = append(ids, user.AppID+" "+user.OpenID)
	}
	slices.Sort(ids)
	if q.Limit == 0 {
		q.Limit = 10
	}
	if got := openIDs(list(t, s, q)); !slices.Equal(got, ids) {
		t.Errorf("%+v: got %.300q, want %.300q", q, got, ids)
	}
}

func usersByPage(t *testing.T, f *fixture) {
	const number, restless = 130, 10
	begin := now()
	var all, apps [3][]session.UserID
	for i := range number {
		user := session.UserID{AppID: fmt.Sprint("wx", i%3), OpenID: fmt.Sprint("o", i)}
		login(t, f.nodes()[i%len(f.nodes())], user, begin.Add(time.Duration(i)*time.Second))
		apps[i%3] = append(apps[i%3], user)
		all[0] = append(all[0], user)
	}
	ban(t, f.Store, session.Ban{}, begin) // of a user never seen
	wantListed(t, f.last(), session.UserQuery{Limit: 7}, all[0]...)
	wantListed(t, f.last(), session.UserQuery{Limit: session.MaxPage * 2}, all[0]...)
	wantListed(t, f.last(), session.UserQuery{AppID: "wx1", Limit: 7}, apps[1]...)
	wantListed(t, f.last(), session.UserQuery{AppID: "wx"})
	stats, err := f.last().Stats(t.Context())
	if check(t, err); stats != (session.Stats{Users: number, Sessions: number}) {
		t.Errorf("got %+v, want %d users and sessions", stats, number)
	}

	// Some log in again and again while pages are read. The others are on a page, and once in a
	// store that keeps the order.
	stop := make(chan struct{})
	var logins sync.WaitGroup
	logins.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
				login(t, f.Store, all[0][i%restless], begin.Add(time.Hour+time.Duration(i)*time.Second))
			}
		}
	})
	accounts := list(t, f.last(), session.UserQuery{Limit: 7})
	close(stop)
	logins.Wait()
	times := map[session.UserID]int{}
	for i, a := range accounts {
		times[a.User.UserID]++
		if f.Second == nil && (times[a.User.UserID] > 1 || i > 0 && a.LastLogin.After(accounts[i-1].LastLogin)) {
			t.Errorf("got %+v at place %d, out of order or not for the first time", a.User.UserID, i)
		}
	}
	for _, user := range all[0][restless:] {
		if times[user] == 0 {
			t.Errorf("%+v is on no page", user)
		}
	}
}

func usersAreFound(t *testing.T, f *fixture) {
	begin := now()
	bob, carol := session.UserID{AppID: alice.AppID, OpenID: "oBob"}, session.UserID{AppID: "wx-other", OpenID: "oCarol"}
	// One person in two apps, somebody else, and somebody nobody asks for.
	for user, news := range map[session.UserID]session.User{
		alice:                           {UnionID: "oUnion", Phone: "13800138000", PhoneNumber: "+8613800138000"},
		carol:                           {UnionID: "oUnion", Phone: "13800138000", PhoneNumber: "+8613800138000"},
		bob:                             {UnionID: "oBob", Phone: "+1 4155552671", PhoneNumber: "+14155552671"},
		{AppID: "wx", OpenID: "nobody"}: {},
	} {
		news.UserID = user
		update(t, f.Store, login(t, f.Store, user, begin).SID, news)
	}
	for _, node := range f.nodes() {
		wantListed(t, node, session.UserQuery{Phone: "13800138000", Limit: 1}, alice, carol)
		wantListed(t, node, session.UserQuery{Phone: "+8613800138000"}, alice, carol)
		wantListed(t, node, session.UserQuery{Phone: "13800138000", AppID: carol.AppID}, carol)
		for _, phone := range []string{"+14155552671", "+1 4155552671", "1-415-555-2671", "14155552671"} {
			wantListed(t, node, session.UserQuery{Phone: phone}, bob)
		}
		wantListed(t, node, session.UserQuery{UnionID: "oUnion", Limit: 1}, alice, carol)
		wantListed(t, node, session.UserQuery{UnionID: "oUnion", AppID: alice.AppID}, alice)
		wantListed(t, node, session.UserQuery{UnionID: "oUnion", Phone: "13800138000"}, alice, carol)
		for _, none := range []session.UserQuery{
			{Phone: "1380013800"}, {Phone: "oUnion"}, {UnionID: "13800138000"}, {UnionID: "OUNION"}, {Phone: "*"}, {Phone: "-"}, {UnionID: "oUnion", Phone: "1"},
		} {
			wantListed(t, node, none)
		}
	}

	// A phone goes to another user.
	login(t, f.Store, alice, begin)
	update(t, f.last(), account(t, f.Store, alice).Sessions[0].SID, session.User{UserID: alice, Phone: "13900139000"})
	login(t, f.Store, bob, begin)
	update(t, f.Store, account(t, f.Store, bob).Sessions[0].SID, session.User{UserID: bob, Phone: "13800138000"})
	if f.Reopen != nil {
		f.reopen(t)
	}
	for _, node := range f.nodes() {
		wantListed(t, node, session.UserQuery{Phone: "13800138000"}, bob, carol)
		wantListed(t, node, session.UserQuery{Phone: "13900139000"}, alice)
		wantListed(t, node, session.UserQuery{Phone: "+14155552671"})
	}
}

func erasedAreNotFound(t *testing.T, f *fixture) {
	begin := now()
	l, _ := newLogin(alice, begin, 0)
	l.User.Phone, l.User.UnionID = "13800138000", "oUnion"
	_, err := f.Store.Login(t.Context(), l)
	check(t, err)
	_, err = f.last().Erase(t.Context(), alice.Tag(), ending(begin))
	check(t, err)
	for _, node := range f.nodes() {
		wantListed(t, node, session.UserQuery{})
		wantListed(t, node, session.UserQuery{Phone: "13800138000"})
		wantListed(t, node, session.UserQuery{UnionID: "oUnion"})
		if stats, err := node.Stats(t.Context()); err != nil || stats != (session.Stats{}) {
			t.Errorf("got %+v, %v, want none", stats, err)
		}
	}
}

// indexRaces: two phones go to and fro at once, and some are erased. In the end a user is found by
// the phone that the account has, and by no other.
func indexRaces(t *testing.T, f *fixture) {
	begin := now()
	phones := []string{"13800138000", "13900139000", "13700137000"}
	for round := range 20 {
		token := login(t, f.Store, alice, begin)
		f.atOnce(6, func(i int, node session.Store) {
			if i == 5 && round%4 == 0 {
				_, err := node.Erase(t.Context(), alice.Tag(), ending(begin))
				check(t, err)
				return
			}
			u := session.Update{SID: token.SID, User: session.User{UserID: alice, Phone: phones[i%3]}, Now: begin}
			if _, err := node.Update(t.Context(), u); !errors.Is(err, session.ErrEnded) {
				check(t, err)
			}
		})
		a := account(t, f.last(), alice)
		for _, phone := range phones {
			var want []session.UserID
			if phone == a.User.Phone {
				want = append(want, alice)
			}
			wantListed(t, f.last(), session.UserQuery{Phone: phone}, want...)
		}
	}
}

func foreignCursors(t *testing.T, f *fixture) {
	login(t, f.Store, alice, now())
	for _, after := range []string{"x", "0", "-1-0", "1e9-0", "AAAA", " ", "0-0 ", "'", "\x00"} {
		for _, q := range []session.UserQuery{{After: after}, {After: after, Phone: "1"}} {
			if _, err := f.Store.Users(t.Context(), q); !errors.Is(err, session.ErrCursor) || errors.Is(err, session.ErrUnavailable) {
				t.Errorf("%q: got %v, want %v", after, err, session.ErrCursor)
			}
		}
	}
}

// operate does what an operator does to a user.
func (w *walk) operate(t *testing.T, node session.Store, user session.UserID, at time.Time, step int) {
	a := w.model.account(user.Tag())
	switch e := (session.Ending{Now: at, Policy: w.policy}); w.IntN(7) {
	case 0:
		b := session.Ban{Reason: fmt.Sprint(step)}
		if w.IntN(3) > 0 {
			b.Until = at.Add(time.Duration(w.IntN(10)) * time.Minute)
		}
		want := w.model.revoke(a.SetBan(b, e))
		got, err := node.Ban(t.Context(), user.Tag(), b, e)
		check(t, err)
		w.wantRevoked(t, got, want)
	case 4:
		withdrawal := session.Withdrawal{Phone: w.IntN(2) == 0, Nickname: w.IntN(2) == 0, Avatar: w.IntN(2) == 0}
		want := a.Withdraw(withdrawal, at)
		got, err := node.Withdraw(t.Context(), user.Tag(), withdrawal, at)
		if check(t, err); got != want {
			t.Errorf("withdraw: got %+v, want %+v", got, want)
		}
	case 1, 2, 3:
		a.Ban = nil
		check(t, node.Unban(t.Context(), user.Tag(), at))
	default:
		news := w.news(user, at, step)
		a.Import(news, at)
		check(t, node.Import(t.Context(), []session.User{news}, at))
	}
	w.wantAccount(t, node, user)
}

// wantFound wants the lists to have the users of the model.
func (w *walk) wantFound(t *testing.T, node session.Store, user session.UserID) {
	t.Helper()
	u := w.model.account(user.Tag()).User
	for _, q := range []session.UserQuery{{}, {AppID: user.AppID}, {Phone: u.Phone, UnionID: u.UnionID}, {Phone: u.Phone}, {UnionID: u.UnionID}} {
		var want []session.UserID
		for _, other := range users {
			if q.Matches(w.model.account(other.Tag())) {
				want = append(want, other)
			}
		}
		q.Limit = 2
		wantListed(t, node, q, want...)
	}
}
