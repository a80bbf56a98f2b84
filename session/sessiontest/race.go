// Rules for what happens at the same moment, on all nodes.

package sessiontest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/session"
)

// atOnce calls a function n times at once, with all nodes in turn.
func (f *fixture) atOnce(n int, do func(i int, node session.Store)) {
	nodes := f.nodes()
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { do(i, nodes[i%len(nodes)]) })
	}
	wg.Wait()
}

func parallelUsesMakeOneLineage(t *testing.T, f *fixture) {
	const uses = 50
	begin := now()
	token := login(t, f.Store, alice, begin)
	for round := range 3 {
		at := begin.Add(time.Duration(round) * time.Minute)
		got := make([]session.Refreshed, uses)
		f.atOnce(uses, func(i int, node session.Store) {
			var err error
			got[i], err = node.Refresh(t.Context(), session.NewRedemption(token, at, policy))
			check(t, err)
		})
		outcomes, successors := map[session.Outcome]int{}, map[string]session.RefreshToken{}
		for _, r := range got {
			outcomes[r.Outcome]++
			next := token.Successor(r.Session.Salt)
			successors[next.Text()] = next
		}
		if outcomes[session.Rotated] != 1 || outcomes[session.Repeated] != uses-1 {
			t.Fatalf("got outcomes %v, want one Rotated and %d Repeated", outcomes, uses-1)
		}
		if len(successors) != 1 {
			t.Fatalf("got %d successors, want 1", len(successors))
		}
		for _, token = range successors { // there is one
		}
	}
	wantOutcome(t, f.last(), token, begin.Add(time.Hour), session.Rotated)
}

func countTrue(all []bool) (n int) {
	for _, b := range all {
		if b {
			n++
		}
	}
	return n
}

// parallelLogins leaves as many sessions as are allowed, and each of the others was revoked.
func parallelLogins(t *testing.T, f *fixture) {
	const logins = 30
	begin := now()
	tokens, evicted := make([]session.RefreshToken, logins), make([][]session.Revocation, logins)
	f.atOnce(logins, func(i int, node session.Store) {
		var l session.Login
		var err error
		l, tokens[i] = newLogin(alice, begin, 0)
		evicted[i], err = node.Login(t.Context(), l)
		check(t, err)
	})
	a := account(t, f.Store, alice)
	if len(a.Sessions) != policy.MaxPerUser {
		t.Errorf("got %d sessions, want %d", len(a.Sessions), policy.MaxPerUser)
	}
	kept := follow(t, f.Store).first()
	for _, token := range tokens {
		ended := a.Session(token.SID) == nil
		returned := 0
		for _, revoked := range evicted {
			if !until(revoked, token.SID).IsZero() {
				returned++
			}
		}
		if ended != (returned > 0) || ended == until(kept, token.SID).IsZero() {
			t.Errorf("ended: %t; got it revoked %d times, kept: %t", ended, returned, !until(kept, token.SID).IsZero())
		}
	}
}

type endAll func(session.Store, context.Context, session.Tag, session.Ending) ([]session.Revocation, error)

func loginsRaceEndAll(t *testing.T, f *fixture) { loginsRace(t, f, session.Store.EndAll) }

func loginsRaceBan(t *testing.T, f *fixture) {
	loginsRace(t, f, func(s session.Store, ctx context.Context, user session.Tag, e session.Ending) ([]session.Revocation, error) {
		revoked, err := s.Ban(ctx, user, session.Ban{Reason: "x", Until: e.Now.Add(time.Hour)}, e)
		// Lifted at once, it must refuse all the same those that began before.
		return revoked, errors.Join(err, s.Unban(ctx, user, e.Now))
	})
}

func loginsRaceErase(t *testing.T, f *fixture) { loginsRace(t, f, session.Store.Erase) }

// loginsRace lets logins race with what ends all sessions. Whichever is first, none of those
// sessions lives in the end; one that begins later does.
func loginsRace(t *testing.T, f *fixture, end endAll) {
	const logins = 30
	begin := now()
	stored := 0
	for round := range 10 {
		generation := account(t, f.Store, alice).Generation
		began, tokens, errs := make([]session.Login, logins), make([]session.RefreshToken, logins), make([]error, logins)
		f.atOnce(logins, func(i int, node session.Store) {
			if i == round*logins/10 {
				_, err := end(node, t.Context(), alice.Tag(), ending(begin))
				check(t, err)
			}
			began[i], tokens[i] = newLogin(alice, begin, generation)
			_, errs[i] = node.Login(t.Context(), began[i])
		})
		if a := account(t, f.Store, alice); len(a.Sessions) != 0 || a.Generation != generation+1 {
			t.Errorf("got %d sessions in generation %d, want none in %d", len(a.Sessions), a.Generation, generation+1)
		}
		kept := follow(t, f.Store).first()
		for i, err := range errs {
			wantOutcome(t, f.nodes()[i%len(f.nodes())], tokens[i], begin, session.Unknown)
			switch {
			case err == nil:
				stored++
				if until(kept, tokens[i].SID).IsZero() {
					t.Error("a session ended, and its tokens are not revoked")
				}
			case errors.Is(err, session.ErrEnded):
				wantReplay(t, f.Store, began[i].Replay.Key, begin, nil)
			default:
				t.Errorf("login: %v", err)
			}
		}
		token := login(t, f.last(), alice, begin)
		wantOutcome(t, f.Store, token, begin, session.Rotated)
	}
	t.Logf("%d logins were stored before all ended", stored)
}

// updatesRaceErase lets news of a user race with the erasure: it does not come back.
func updatesRaceErase(t *testing.T, f *fixture) {
	const updates = 30
	begin := now()
	for round := range 10 {
		token := login(t, f.Store, alice, begin)
		f.atOnce(updates, func(i int, node session.Store) {
			if i == round*updates/10 {
				_, err := node.Erase(t.Context(), alice.Tag(), ending(begin))
				check(t, err)
			}
			u := session.Update{
				SID: token.SID, User: session.User{UserID: alice, Phone: "13800138000"}, Now: begin,
				Replay: session.Replay{Key: session.Digest{byte(round), byte(i), 1}, Value: []byte("x"), Until: begin.Add(time.Hour)},
			}
			_, err := node.Update(t.Context(), u)
			switch {
			case errors.Is(err, session.ErrEnded):
				wantReplay(t, node, u.Replay.Key, begin, nil)
			case err == nil:
				wantReplay(t, node, u.Replay.Key, begin, []byte("x"))
			default:
				t.Errorf("update: %v", err)
			}
		})
		for _, node := range f.nodes() {
			if a := account(t, node, alice); a.User.UserID == alice || len(a.Sessions) != 0 {
				t.Errorf("got %s after the erasure", text(t, a))
			}
		}
	}
}

// parallelUpdates come from different sessions of one user, and change different things.
func parallelUpdates(t *testing.T, f *fixture) {
	begin := now()
	token := login(t, f.Store, alice, begin)
	for round := range 10 {
		value := fmt.Sprint(round)
		changes := []session.User{{Phone: value}, {UnionID: value}, {Nickname: value}, {Avatar: value}, {Key: []byte(value)}}
		// As many logins as leave the session that the updates come from.
		f.atOnce(len(changes)+policy.MaxPerUser-1, func(i int, node session.Store) {
			if i >= len(changes) {
				wantOutcome(t, node, login(t, node, alice, begin), begin, session.Rotated)
				return
			}
			changes[i].UserID = alice
			_, err := node.Update(t.Context(), session.Update{SID: token.SID, User: changes[i], Now: begin})
			check(t, err)
		})
		u := account(t, f.Store, alice).User
		if u.Phone != value || u.UnionID != value || u.Nickname != value || u.Avatar != value || string(u.Key) != value {
			t.Errorf("got %s, want %q everywhere", text(t, u), value)
		}
		_, err := f.Store.EndAll(t.Context(), alice.Tag(), ending(begin))
		check(t, err)
		token = login(t, f.Store, alice, begin)
	}
}

func parallelCounts(t *testing.T, f *fixture) {
	begin := now()
	key := session.Digest{1}
	seen := make([]int, 50)
	f.atOnce(len(seen), func(i int, node session.Store) {
		n, err := node.Count(t.Context(), key, 1, begin.Add(time.Hour), begin)
		check(t, err)
		seen[i] = n
	})
	once := map[int]bool{}
	for _, n := range seen {
		once[n] = true
	}
	if len(once) != len(seen) {
		t.Errorf("got %d different values, want %d", len(once), len(seen))
	}
	wantCount(t, f.last(), key, 0, begin, begin, len(seen))
}

func parallelSwaps(t *testing.T, f *fixture) {
	for version := range int64(5) {
		swapped := make([]bool, 20)
		f.atOnce(len(swapped), func(i int, node session.Store) {
			var err error
			swapped[i], err = node.SwapKeys(t.Context(), version, []byte{byte(i)})
			check(t, err)
		})
		if n := countTrue(swapped); n != 1 {
			t.Fatalf("got %d swaps of version %d, want 1", n, version)
		}
		for i, won := range swapped {
			if won {
				wantKeys(t, f.last(), []byte{byte(i)}, version+1)
			}
		}
	}
}

// replayIsNeverBeforeSession has another node repeat a login's answer as soon as it can be read.
func replayIsNeverBeforeSession(t *testing.T, f *fixture) {
	begin := now()
	other := f.last()
	for range 20 {
		l, _ := newLogin(alice, begin, 0)
		done := make(chan error, 1)
		go func() {
			_, err := f.Store.Login(t.Context(), l)
			done <- err
		}()
		var value []byte
		for deadline := time.Now().Add(patience); value == nil && time.Now().Before(deadline); {
			var err error
			if value, err = other.Replay(t.Context(), l.Replay.Key, begin); err != nil {
				t.Fatal(err)
			}
		}
		token, ok := session.ParseRefreshToken(string(value))
		if !ok {
			t.Fatal("the replay did not come")
		}
		wantOutcome(t, other, token, begin, session.Rotated)
		check(t, <-done)
	}
}
