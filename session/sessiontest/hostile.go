//nolint:thelper // rules are tests: a failure is at their line, not at that which calls them
package sessiontest

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/session"
)

func usersAreApart(t *testing.T, f Fixture) {
	begin := now()
	users := []session.UserID{
		alice,
		{AppID: alice.AppID, OpenID: strings.ToLower(alice.OpenID)},
		{AppID: "wx-other", OpenID: alice.OpenID},
		{AppID: alice.AppID + "o", OpenID: alice.OpenID[1:]},
		{AppID: "a\x00b", OpenID: "c"},
		{AppID: "a", OpenID: "b\x00c"},
	}
	tokens := make([]session.RefreshToken, len(users))
	for i, user := range users {
		tokens[i] = login(t, f.Store, user, begin, policy)
		_, err := f.Store.Learn(t.Context(), session.Lesson{User: session.User{UserID: user, Phone: fmt.Sprint(i)}})
		if err != nil {
			t.Fatal(err)
		}
	}
	for i, user := range users {
		wantUser(t, f.Store, session.User{UserID: user, Phone: fmt.Sprint(i), FirstSeen: begin})
	}
	if err := f.Store.EndAll(t.Context(), users[0], begin, policy); err != nil {
		t.Fatal(err)
	}
	wantVerdict(t, f.Store, tokens[0], begin, policy, session.Unknown)
	for i, token := range tokens[1:] {
		got, _ := refresh(t, f.Store, token, begin, policy)
		if got.Verdict != session.Rotated || got.Session.User != users[i+1] || got.User.UserID != users[i+1] {
			t.Errorf("got %v of %+v, want Rotated of %+v", name(got.Verdict), got.Session.User, users[i+1])
		}
	}

	// A token of one session with the name of another is not one.
	spend := session.NewSpend(tokens[1], begin, policy)
	spend.SID = tokens[2].SID
	if got, err := f.Store.Refresh(t.Context(), spend); err != nil || got.Verdict != session.Unknown {
		t.Errorf("got %v, %v for a mixed token, want Unknown", name(got.Verdict), err)
	}
}

func strangeNames(t *testing.T, f Fixture) {
	begin := now()
	for _, text := range []string{
		"", "'", `"`, `\`, "a\x00b", "\r\n", "{tag}", "*", "a:b", "a/../b", "%s", "用户", "\u2028", "👩‍👩‍👧",
		"'; DROP TABLE users; --", "return redis.call('FLUSHALL')", "null", strings.Repeat("x", 128),
		strings.Repeat("微", 128),
	} {
		user := session.User{
			UserID:  session.UserID{AppID: "wx" + text, OpenID: text},
			UnionID: text, Phone: text, PhoneNumber: text, FirstSeen: begin, Nickname: text, Avatar: text,
		}
		if text != "" {
			user.PhoneVerified = begin
		}
		made, token := session.New(user.UserID, begin)
		if err := f.Store.Login(t.Context(), session.Login{Session: made, Learned: user, Policy: policy}); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		wantUser(t, f.Store, user)
		got, _ := refresh(t, f.Store, token, begin, policy)
		if got.Verdict != session.Rotated || got.Session.User != user.UserID || !sameUser(got.User, user) {
			t.Errorf("%q: got %v of %+v, want Rotated", text, name(got.Verdict), got.User)
		}
	}
}

// everythingAtOnce is for the race detector; what must come out of it is little.
func everythingAtOnce(t *testing.T, f Fixture) {
	begin := now()
	news := follow(t, f.Store, begin)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			nodes := f.nodes()
			s := nodes[i%len(nodes)]
			user := session.UserID{AppID: alice.AppID, OpenID: fmt.Sprint("user ", i%3)}
			mine := session.UserID{AppID: alice.AppID, OpenID: fmt.Sprint("of my own ", i)}
			for j := range 10 {
				at := begin.Add(time.Duration(j) * time.Millisecond)
				made, token := session.New(user, at)
				err := s.Login(t.Context(), session.Login{Session: made, Learned: session.User{UserID: user}, Policy: policy})
				if !errors.Is(err, session.ErrEnded) { // others end all of the user's
					check(t, err)
				}
				_, _ = refresh(t, s, token, at, policy)
				check(t, s.End(t.Context(), token.SID, at, policy))
				check(t, s.EndAll(t.Context(), user, at, policy))
				_, err = s.Forget(t.Context(), user, at, policy)
				check(t, err)
				_, err = s.Count(t.Context(), session.Digest{byte(j)}, 1, at.Add(time.Hour), at)
				check(t, err)

				token = login(t, s, mine, at, policy)
				if got, _ := refresh(t, s, token, at, policy); got.Verdict != session.Rotated {
					t.Errorf("got %v, want Rotated", name(got.Verdict))
				}
				note := session.Note{Key: sha256.Sum256([]byte(token.SID)), Value: []byte("x"), Until: at.Add(time.Hour)}
				_, err = s.Learn(t.Context(), session.Lesson{User: session.User{UserID: user, Phone: fmt.Sprint(j)}, Note: note})
				check(t, err)
				wantNote(t, s, note.Key, at, note.Value)
				_, version, err := s.Keys(t.Context())
				check(t, err)
				_, err = s.SwapKeys(t.Context(), version, []byte("keys"))
				check(t, err)
			}
		})
	}
	wg.Wait()
	for j := range 10 {
		wantCount(t, f.Store, session.Digest{byte(j)}, 0, begin, begin.Add(10*time.Millisecond), 8)
	}
	for i := range 3 {
		tag := session.UserID{AppID: alice.AppID, OpenID: fmt.Sprint("user ", i)}.Tag()
		heard := news.wait(patience, func([][]session.Revocation) bool {
			for _, report := range news.reports {
				for _, r := range report {
					if r.Tag == tag && !r.Before.Before(begin.Add(9*time.Millisecond)) {
						return true
					}
				}
			}
			return false
		})
		if !heard {
			t.Errorf("the end of the sessions of user %d was not reported", i)
		}
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}

// calls is every method that may fail, with values that an error must not repeat.
func calls(ctx context.Context, s session.Store, at time.Time) map[string]func() error {
	user := session.UserID{AppID: "wx-secret-app", OpenID: "secret-openid"}
	made, token := session.New(user, at)
	made.Claims = json.RawMessage(`{"secret":"claim"}`)
	learned := session.User{
		UserID: user, UnionID: "secret-union", Phone: "secret-phone", FirstSeen: at,
		Nickname: "secret-nickname", Avatar: "secret-avatar", Key: []byte("secret-key"), KeySince: at,
	}
	note := session.Note{Key: sha256.Sum256([]byte("call")), Value: []byte("secret-value"), Until: at.Add(time.Hour)}
	return map[string]func() error{
		"Login": func() error {
			return s.Login(ctx, session.Login{Session: made, Learned: learned, Note: note, Policy: policy})
		},
		"Refresh": func() error {
			_, err := s.Refresh(ctx, session.NewSpend(token, at, policy))
			return err
		},
		"End":    func() error { return s.End(ctx, made.SID, at, policy) },
		"EndAll": func() error { return s.EndAll(ctx, user, at, policy) },
		"User": func() error {
			_, err := s.User(ctx, user)
			return err
		},
		"Learn": func() error {
			_, err := s.Learn(ctx, session.Lesson{User: learned, Note: note})
			return err
		},
		"Learn in a session": func() error {
			_, err := s.Learn(ctx, session.Lesson{SID: made.SID, User: learned, Claims: made.Claims, DropKey: learned.Key, Note: note})
			return err
		},
		"Forget": func() error {
			_, err := s.Forget(ctx, user, at, policy)
			return err
		},
		"Count": func() error {
			_, err := s.Count(ctx, note.Key, 1, note.Until, at)
			return err
		},
		"Recall": func() error {
			_, err := s.Recall(ctx, note.Key, at)
			return err
		},
		"Keys": func() error {
			_, _, err := s.Keys(ctx)
			return err
		},
		"SwapKeys": func() error {
			_, err := s.SwapKeys(ctx, 0, []byte("secret-keys"))
			return err
		},
		"Follow": func() error {
			return s.Follow(ctx, at, func([]session.Revocation) {})
		},
	}
}

func closedStoreSaysSo(t *testing.T, f Fixture) {
	token := login(t, f.Store, alice, now(), policy)
	if err := f.Store.Close(); err != nil {
		t.Fatal(err)
	}
	_ = f.Store.Close() // must not panic
	for method, call := range calls(t.Context(), f.Store, now()) {
		if err := call(); !errors.Is(err, session.ErrClosed) {
			t.Errorf("%s: got %v, want %v", method, err, session.ErrClosed)
		}
	}
	if f.Second != nil { // the other node works on
		wantVerdict(t, f.Second, token, now(), policy, session.Rotated)
	}
}

func cancelledCallWritesNothing(t *testing.T, f Fixture) {
	begin := now()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for method, call := range calls(ctx, f.Store, begin) {
		if err := call(); err == nil {
			t.Errorf("%s: got no error of a cancelled call", method)
		}
	}
	wantKeys(t, f.Store, nil, 0)
	wantUser(t, f.Store, session.User{UserID: session.UserID{AppID: "wx-secret-app", OpenID: "secret-openid"}})
	wantNote(t, f.Store, sha256.Sum256([]byte("call")), begin, nil)
	wantCount(t, f.Store, sha256.Sum256([]byte("call")), 0, begin, begin, 0)
	if past := follow(t, f.Store, begin).first(); len(past) != 0 {
		t.Errorf("got %d revocations of cancelled calls", len(past))
	}

	// A call that is cancelled while it runs is done as a whole or not at all.
	for i := range 20 {
		ctx, cancel := context.WithCancel(t.Context())
		made, token := session.New(alice, begin.Add(time.Duration(i)*time.Millisecond))
		note := session.Note{Key: sha256.Sum256([]byte(made.SID)), Value: []byte("x"), Until: begin.Add(time.Hour)}
		go cancel()
		_ = f.Store.Login(ctx, session.Login{
			Session: made, Learned: session.User{UserID: alice}, Note: note, Policy: policy,
		})
		value, err := f.Store.Recall(t.Context(), note.Key, begin)
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := refresh(t, f.Store, token, begin.Add(time.Second), policy); value != nil && got.Verdict != session.Rotated {
			t.Errorf("got a note, but %v of its session", name(got.Verdict))
		}
	}
}

func errorsHoldNoValues(t *testing.T, f Fixture) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	look := func(method string, err error) {
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: got error %q, want one without values", method, err)
		}
	}
	for method, call := range calls(ctx, f.Store, now()) {
		look(method, call())
	}
	_ = f.Store.Close()
	for method, call := range calls(t.Context(), f.Store, now()) {
		look(method, call())
	}
}
