// Rules for consent that a user takes back.

package sessiontest

import (
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/session"
)

// informed is a user of whom everything is known.
var informed = session.User{
	UserID: alice, UnionID: "u1", Phone: "13800138000", PhoneNumber: "+8613800138000", Nickname: "阿丽", Avatar: "picture",
}

func withdraw(t *testing.T, s session.Store, w session.Withdrawal, want session.Withdrawal) {
	t.Helper()
	had, err := s.Withdraw(t.Context(), alice.Tag(), w, now())
	if check(t, err); had != want {
		t.Errorf("withdraw %+v: got %+v, want %+v", w, had, want)
	}
}

// consentTakenBack: exactly what was named is gone, and stays so over a restart; the session lives.
func consentTakenBack(t *testing.T, f *fixture) {
	token := login(t, f.Store, alice, now())
	known := informed
	known.PhoneVerified = now()
	update(t, f.Store, token.SID, known)
	withdraw(t, f.last(), session.Withdrawal{}, session.Withdrawal{})
	before := known.PhoneVerified.Add(-session.WithdrawalMargin - time.Second)
	withdraw(t, f.last(), session.Withdrawal{Phone: true, At: before}, session.Withdrawal{}) // it was given since
	withdraw(t, f.last(), session.Withdrawal{Phone: true, At: before.Add(time.Minute)}, session.Withdrawal{Phone: true})
	withdraw(t, f.last(), session.Withdrawal{Phone: true, Nickname: true}, session.Withdrawal{Nickname: true})

	// A phone that a node proved whose clock was ahead may have been given before.
	ahead := known
	ahead.PhoneVerified = known.PhoneVerified.Add(365 * 24 * time.Hour)
	_, err := f.Store.Update(t.Context(), session.Update{
		SID: token.SID, User: ahead, Withdrawals: account(t, f.Store, alice).Withdrawals, Now: now(),
	})
	check(t, err)
	withdraw(t, f.last(), session.Withdrawal{Phone: true, Nickname: true, At: known.PhoneVerified}, session.Withdrawal{Phone: true, Nickname: true})
	wantListed(t, f.Store, session.UserQuery{Phone: informed.Phone})
	if f.Reopen != nil {
		f.reopen(t)
	}
	for _, node := range f.nodes() {
		u := account(t, node, alice).User
		if u.Phone != "" || u.PhoneNumber != "" || !u.PhoneVerified.IsZero() || u.Nickname != "" {
			t.Errorf("got %s, want neither phone nor nickname", text(t, u))
		}
		if u.UnionID != informed.UnionID || u.Avatar != informed.Avatar {
			t.Errorf("got %s, want the rest as it was", text(t, u))
		}
	}
	withdraw(t, f.Store, session.Withdrawal{Avatar: true}, session.Withdrawal{Avatar: true})
	if got := account(t, f.last(), alice).User.Avatar; got != "" {
		t.Errorf("got avatar %q, want none", got)
	}
	wantOutcome(t, f.last(), token, now(), session.Rotated)
}

// consentRacesRequests: a login or an update that began before brings no phone back, be the user
// known or not. What begins later does.
func consentRacesRequests(t *testing.T, f *fixture) {
	begin := now()
	withPhone := func() session.Login {
		a := account(t, f.Store, alice)
		l, _ := newLogin(alice, begin, a.Generation)
		l.User, l.Withdrawals = informed, a.Withdrawals
		l.User.PhoneVerified = begin
		return l
	}
	try := func(l session.Login, want string) {
		t.Helper()
		_, err := f.Store.Login(t.Context(), l)
		check(t, err)
		if got := account(t, f.last(), alice).User; got.Phone != want || got.Nickname != informed.Nickname {
			t.Errorf("got phone %q of %q, want %q", got.Phone, got.Nickname, want)
		}
	}
	first := withPhone()
	withdraw(t, f.last(), session.Withdrawal{Phone: true}, session.Withdrawal{}) // a user never seen
	try(first, "")
	second := withPhone()
	try(withPhone(), informed.Phone)
	withdraw(t, f.last(), session.Withdrawal{Phone: true}, session.Withdrawal{Phone: true})
	try(second, "")

	u := session.Update{SID: second.Session.SID, User: second.User, Withdrawals: second.Withdrawals, Now: begin}
	for _, want := range []string{"", informed.Phone} {
		got, err := f.Store.Update(t.Context(), u)
		check(t, err)
		if stored := account(t, f.last(), alice).User.Phone; got.User.Phone != want || stored != want {
			t.Errorf("update: got phone %q, stored %q, want %q", got.User.Phone, stored, want)
		}
		u.Withdrawals = account(t, f.Store, alice).Withdrawals // from now on
	}

	// A late one that raced on two nodes.
	for range 10 {
		l := withPhone()
		f.atOnce(2, func(i int, node session.Store) {
			if i == 0 {
				_, err := node.Login(t.Context(), l)
				check(t, err)
				return
			}
			_, err := node.Withdraw(t.Context(), alice.Tag(), session.Withdrawal{Phone: true}, begin)
			check(t, err)
		})
		if got := account(t, f.last(), alice).User.Phone; got != "" {
			t.Fatalf("got phone %q after it was taken back, want none", got)
		}
	}
}

// withdrawals returns the number that a request read, sometimes long ago.
func (w *walk) withdrawals(user session.UserID) int64 {
	known := w.model.account(user.Tag()).Withdrawals
	if w.IntN(4) == 0 {
		known -= int64(w.IntN(2))
	}
	return known
}
