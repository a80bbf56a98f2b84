//nolint:thelper // rules are tests: a failure is at their line, not at that which calls them
package sessiontest

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/session"
)

// late is a login that takes its time: its session was made when it began.
type late struct {
	login session.Login
	token session.RefreshToken
}

func lateLogin(user session.UserID, made time.Time) late {
	s, token := session.New(user, made)
	s.Claims = json.RawMessage(`{"too":"late"}`)
	note := session.Note{Key: sha256.Sum256([]byte(s.SID)), Value: []byte("answer"), Until: made.Add(time.Hour)}
	return late{session.Login{Session: s, Learned: whole(user, made), Note: note, Policy: policy}, token}
}

// wantTooLate wants a login refused, and no trace of it.
func wantTooLate(t *testing.T, s session.Store, l late) {
	t.Helper()
	user := l.login.Session.User
	before, err := s.User(t.Context(), user)
	check(t, err)
	if err := s.Login(t.Context(), l.login); !errors.Is(err, session.ErrEnded) {
		t.Errorf("login: got %v, want %v", err, session.ErrEnded)
	}
	wantUser(t, s, before)
	wantNote(t, s, l.login.Note.Key, l.login.Session.Created, nil)
	wantVerdict(t, s, l.token, l.login.Session.Created, policy, session.Unknown)
	if _, err := s.Learn(t.Context(), session.Lesson{SID: l.token.SID, User: whole(user, now())}); !errors.Is(err, session.ErrEnded) {
		t.Errorf("learn: got %v, want %v", err, session.ErrEnded)
	}
}

func loginsTooLate(t *testing.T, f Fixture) {
	begin := now()
	for name, end := range map[string]func(session.Store, session.UserID, time.Time) error{
		"end of all": func(s session.Store, user session.UserID, before time.Time) error {
			return s.EndAll(t.Context(), user, before, policy)
		},
		"forget": func(s session.Store, user session.UserID, before time.Time) error {
			_, err := s.Forget(t.Context(), user, before, policy)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			user := session.UserID{AppID: alice.AppID, OpenID: name}
			boundary := begin.Add(time.Second)
			check(t, end(f.Store, user, boundary))
			check(t, end(f.Store, user, begin)) // takes nothing back
			for _, node := range f.nodes() {
				for _, made := range []time.Time{begin.Add(-time.Hour / 2), begin, boundary} {
					wantTooLate(t, node, lateLogin(user, made))
				}
			}
			wantUser(t, f.Store, session.User{UserID: user})

			// Neither a login made later is in the way, nor one of somebody else.
			other := lateLogin(session.UserID{AppID: "wx-other", OpenID: name}, begin)
			next := lateLogin(user, boundary.Add(time.Millisecond))
			for _, l := range []late{other, next} {
				check(t, f.Store.Login(t.Context(), l.login))
				wantNote(t, f.Store, l.login.Note.Key, boundary, []byte("answer"))
				wantVerdict(t, f.Store, l.token, boundary.Add(time.Second), policy, session.Rotated)
			}
			for _, node := range f.nodes() {
				wantTooLate(t, node, lateLogin(user, boundary))
			}
			wantUser(t, f.Store, whole(user, boundary.Add(time.Millisecond)))
		})
	}

	// One that ended by its name.
	never := lateLogin(alice, begin)
	check(t, f.Store.End(t.Context(), never.token.SID, begin, policy))
	brief := policy
	brief.TokenTTL = time.Second
	check(t, f.Store.End(t.Context(), never.token.SID, begin, brief))
	reused := lateLogin(alice, begin)
	check(t, f.Store.Login(t.Context(), reused.login))
	wantVerdict(t, f.Store, reused.token.Successor(nil), begin, policy, session.Reused)
	forget(t, f.Store, alice, begin.Add(-time.Minute))
	reused.login.Note.Key = session.Digest{1}
	for _, node := range f.nodes() {
		wantTooLate(t, node, never)
		wantTooLate(t, node, reused)
	}
	wantUser(t, f.Store, session.User{UserID: alice})
	check(t, f.Store.Login(t.Context(), lateLogin(alice, begin).login))
}

func loginsRaceForget(t *testing.T, f Fixture) {
	loginsRace(t, f, func(ctx context.Context, s session.Store, before time.Time) error {
		_, err := s.Forget(ctx, alice, before, policy)
		return err
	}, func() { wantUser(t, f.Store, session.User{UserID: alice}) })
}

func loginsRaceEndAll(t *testing.T, f Fixture) {
	loginsRace(t, f, func(ctx context.Context, s session.Store, before time.Time) error {
		return s.EndAll(ctx, alice, before, policy)
	}, func() {})
}

// loginsRace lets logins race with what ends the sessions made by then, and looks at what is left. Whoever
// is first, none of those sessions lives in the end; one that is made later does.
func loginsRace(t *testing.T, f Fixture, end func(context.Context, session.Store, time.Time) error, look func()) {
	nodes := f.nodes()
	begin := now()
	stored, refused := 0, 0
	for round := range 10 {
		before := begin.Add(time.Duration(round) * time.Second)
		logins := make([]late, 30)
		errs := make([]error, len(logins))
		var wg sync.WaitGroup
		for i := range logins {
			logins[i] = lateLogin(alice, before.Add(-time.Duration(i)*time.Millisecond))
			wg.Go(func() { errs[i] = nodes[i%len(nodes)].Login(t.Context(), logins[i].login) })
			if i == round*len(logins)/10 {
				wg.Go(func() { check(t, end(t.Context(), nodes[round%len(nodes)], before)) })
			}
		}
		wg.Wait()
		for i, err := range errs {
			switch {
			case err == nil:
				stored++
			case errors.Is(err, session.ErrEnded):
				refused++
				wantNote(t, f.Store, logins[i].login.Note.Key, before, nil)
			default:
				t.Errorf("login: %v", err)
			}
			wantVerdict(t, nodes[i%len(nodes)], logins[i].token, before, policy, session.Unknown)
		}
		look()
		next := lateLogin(alice, before.Add(time.Millisecond))
		check(t, f.Store.Login(t.Context(), next.login))
		wantVerdict(t, f.Store, next.token, before.Add(time.Millisecond), policy, session.Rotated)
	}
	t.Logf("%d logins were stored, %d refused", stored, refused)
}
