// Rules for stores that can't do what they are asked.

package sessiontest

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/session"
)

// mallory has values that an error must not repeat.
var mallory = session.UserID{AppID: "wx-secret-app", OpenID: "secret-openid"}

// calls returns every method that may fail.
func calls(ctx context.Context, s session.Store, at time.Time, claims json.RawMessage) map[string]func() error {
	l, token := newLogin(mallory, at, 0)
	l.User = session.User{
		UserID: mallory, UnionID: "secret-union", Phone: "secret-phone", FirstSeen: at,
		Nickname: "secret-nickname", Avatar: "secret-avatar", Key: []byte("secret-key"), KeySince: at,
	}
	l.Session.Claims = claims
	l.Replay = session.Replay{Key: session.Digest{7}, Value: []byte("secret-value"), Until: at.Add(time.Hour)}
	tag := mallory.Tag()
	first := func(_ any, err error) error { return err }
	return map[string]func() error{
		"Account": func() error { return first(s.Account(ctx, tag)) },
		"Login":   func() error { return first(s.Login(ctx, l)) },
		"Refresh": func() error { return first(s.Refresh(ctx, session.NewRedemption(token, at, policy))) },
		"Update": func() error {
			return first(s.Update(ctx, session.Update{SID: token.SID, User: l.User, Claims: claims, Replay: l.Replay, Now: at}))
		},
		"End":    func() error { return first(s.End(ctx, token.SID, ending(at))) },
		"EndAll": func() error { return first(s.EndAll(ctx, tag, ending(at))) },
		"Erase":  func() error { return first(s.Erase(ctx, tag, ending(at))) },
		"Ban": func() error {
			return first(s.Ban(ctx, tag, session.Ban{Reason: "secret-reason"}, ending(at)))
		},
		"Withdraw": func() error { return first(s.Withdraw(ctx, tag, session.Withdrawal{Phone: true}, at)) },
		"AddPush": func() error {
			p := newPush("q", "a", "a1", at)
			return first(s.AddPush(ctx, &p, pushRoom, at, at))
		},
		"TakePush":  func() error { return first(s.TakePush(ctx, digest("q"), at, at)) },
		"EndPush":   func() error { return s.EndPush(ctx, newPush("q", "a", "a1", at), at) },
		"DelayPush": func() error { return s.DelayPush(ctx, newPush("q", "a", "a1", at), at) },
		"HurryPush": func() error { return first(s.HurryPush(ctx, digest("q"), digest("a"), at)) },
		"Pushes":    func() error { return first(s.Pushes(ctx, digest("q"))) },
		"Unban":     func() error { return s.Unban(ctx, tag, at) },
		"Users":     func() error { return first(s.Users(ctx, session.UserQuery{Phone: l.User.Phone})) },
		"AllUsers":  func() error { return first(s.Users(ctx, session.UserQuery{})) },
		"Stats":     func() error { return first(s.Stats(ctx)) },
		"Import":    func() error { return s.Import(ctx, []session.User{l.User}, at) },
		"Dump":      func() error { return s.Dump(ctx, func(session.Dump) error { return nil }) },
		"Restore": func() error {
			account := session.Account{User: l.User, Sessions: []session.Session{l.Session}}
			return s.Restore(ctx, session.Dump{Accounts: []session.DumpedAccount{{Tag: tag, Account: account}}}, at)
		},
		"Count":     func() error { return first(s.Count(ctx, l.Replay.Key, 1, l.Replay.Until, at)) },
		"PutReplay": func() error { return s.PutReplay(ctx, l.Replay, at) },
		"Replay":    func() error { return first(s.Replay(ctx, l.Replay.Key, at)) },
		"Keys": func() error {
			_, _, err := s.Keys(ctx)
			return err
		},
		"SwapKeys": func() error { return first(s.SwapKeys(ctx, 0, []byte("secret-keys"))) },
		"Follow":   func() error { return s.Follow(ctx, func([]session.Revocation) {}) },
	}
}

func closedStoreSaysSo(t *testing.T, f *fixture) {
	begin := now()
	token := login(t, f.Store, alice, begin)
	check(t, f.Store.Close())
	check(t, f.Store.Close())
	for method, call := range calls(t.Context(), f.Store, begin, nil) {
		if err := call(); !errors.Is(err, session.ErrClosed) || !errors.Is(err, session.ErrUnavailable) {
			t.Errorf("%s: got %v, want %v and %v", method, err, session.ErrClosed, session.ErrUnavailable)
		}
	}
	if f.Second != nil { // the other node works on
		wantOutcome(t, f.Second, token, begin, session.Rotated)
	}
}

// closeAtWork closes a store that others are using: they get an answer or an error, and nothing
// else happens.
func closeAtWork(t *testing.T, f *fixture) {
	begin := now()
	f.atOnce(20, func(i int, _ session.Store) {
		if i == 10 {
			check(t, f.Store.Close())
		}
		for method, call := range calls(t.Context(), f.Store, begin, nil) {
			if method == "Follow" {
				continue
			}
			if err := call(); err != nil && !errors.Is(err, session.ErrClosed) && !errors.Is(err, session.ErrEnded) {
				t.Errorf("%s: got %v, want %v", method, err, session.ErrClosed)
			}
		}
	})
}

func cancelledCallWritesNothing(t *testing.T, f *fixture) {
	begin := now()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for method, call := range calls(ctx, f.Store, begin, nil) {
		if err := call(); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: got %v, want %v", method, err, context.Canceled)
		}
	}
	wantKeys(t, f.Store, nil, 0)
	wantSame(t, "account", account(t, f.Store, mallory), session.Account{})
	wantReplay(t, f.Store, session.Digest{7}, begin, nil)
	wantCount(t, f.Store, session.Digest{7}, 0, begin, begin, 0)
	if kept := follow(t, f.Store).first(); len(kept) != 0 {
		t.Errorf("got %d revocations of cancelled calls", len(kept))
	}

	// A call that is cancelled while it runs is done as a whole or not at all.
	for range 20 {
		ctx, cancel := context.WithCancel(t.Context())
		l, token := newLogin(alice, begin, 0)
		go cancel()
		_, _ = f.Store.Login(ctx, l)
		value, err := f.Store.Replay(t.Context(), l.Replay.Key, begin)
		check(t, err)
		if a := account(t, f.Store, alice); value != nil && a.Session(token.SID) == nil {
			t.Error("got a replay without its session")
		}
	}
}

func errorsHoldNoValues(t *testing.T, f *fixture) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	want := func(method string, err error) {
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: got error %q, want one without values", method, err)
		}
	}
	malformed := json.RawMessage(`{"secret":`)
	for _, node := range f.nodes() {
		for method, call := range calls(ctx, node, now(), malformed) {
			want(method, call())
		}
		for method, call := range calls(t.Context(), node, now(), malformed) {
			if method != "Follow" {
				want(method, call())
			}
		}
		check(t, node.Close())
		for method, call := range calls(t.Context(), node, now(), malformed) {
			want(method, call())
		}
	}
}
