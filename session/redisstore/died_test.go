//go:build unix

// Callers that die between two steps, and steps that are sent twice.

package redisstore_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/caddy-wechat/wechatauth/session"
	"github.com/caddy-wechat/wechatauth/session/redisstore"
	"github.com/caddy-wechat/wechatauth/session/redisstore/redistest"
)

// TestWhatEndedIsRevokedThoughTheFirstCallerDied: what ended must be revoked in the end, even if
// its caller died, or Redis did, before it could say so; and nobody can go on with it meanwhile.
func TestWhatEndedIsRevokedThoughTheFirstCallerDied(t *testing.T) {
	t.Parallel()
	evict := func(t *testing.T, s session.Store, _ session.RefreshToken, at time.Time) error {
		t.Helper()
		for range policy.MaxPerUser {
			l, _ := newLogin(t, s, at.Add(time.Second))
			if _, err := s.Login(t.Context(), l); err != nil {
				return err
			}
		}
		return nil
	}
	for _, test := range []struct {
		name string
		ends bool // by itself, and not beside something else
		end  func(*testing.T, session.Store, session.RefreshToken, time.Time) error
	}{
		{"reuse", false, func(t *testing.T, s session.Store, spent session.RefreshToken, at time.Time) error {
			t.Helper()
			got, err := s.Refresh(t.Context(), session.NewRedemption(spent, at.Add(time.Minute), policy))
			if err == nil && got.Outcome != session.Reused {
				t.Errorf("got %v, want Reused", got.Outcome)
			}
			// A node that takes the session for revoked answers its logout with 204, and the other
			// nodes go on with its access tokens.
			if err != nil && len(got.Revoked) > 0 {
				t.Errorf("got a revocation and %v, want nothing that is not written", err)
			}
			return err
		}},
		{"eviction, then login", false, evict},
		{"eviction, then refresh", false, evict},
		{"end", true, func(t *testing.T, s session.Store, token session.RefreshToken, at time.Time) error {
			t.Helper()
			_, err := s.End(t.Context(), token.SID, ending(at))
			return err
		}},
		{"ban", true, func(t *testing.T, s session.Store, _ session.RefreshToken, at time.Time) error {
			t.Helper()
			_, err := s.Ban(t.Context(), user.Tag(), session.Ban{}, ending(at))
			return err
		}},
		{"end of all", true, func(t *testing.T, s session.Store, _ session.RefreshToken, at time.Time) error {
			t.Helper()
			_, err := s.EndAll(t.Context(), user.Tag(), ending(at))
			return err
		}},
		{"erasure", true, func(t *testing.T, s session.Store, _ session.RefreshToken, at time.Time) error {
			t.Helper()
			_, err := s.Erase(t.Context(), user.Tag(), ending(at))
			return err
		}},
	} {
		for _, step := range []string{"the revocation", "the account"} {
			t.Run(test.name+", before "+step, func(t *testing.T) {
				t.Parallel()
				_, s := openAlone(t)
				at := time.Now()
				spent := login(t, s, at)
				rotated, err := s.Refresh(t.Context(), session.NewRedemption(spent, at, policy))
				if err != nil {
					t.Fatal(err)
				}
				refuse := scriptOn(redisstore.DefaultPrefix + "revoked")
				if step == "the account" {
					// The script that comes after the revocation.
					var revoked atomic.Bool
					before, account := refuse, scriptOn(redisstore.AccountKey(s, user.Tag()))
					refuse = func(cmd redis.Cmder) bool {
						if before(cmd) {
							revoked.Store(true)
						}
						return revoked.Load() && account(cmd)
					}
				}
				refuser := new(hook)
				redisstore.AddHook(s, refuser)
				refuser.refuse.Store(&refuse)
				err = test.end(t, s, spent, at)
				if done := test.ends && step == "the account"; !done {
					wantUnavailable(t, test.name, err, "")
				} else if err != nil { // what is left can wait
					t.Errorf("%s: got %v, want it done", test.name, err)
				}
				refuser.refuse.Store(nil)
				// Sessions that are marked are used by nobody: one whose tokens are refused must not
				// give new ones. What ends sessions goes on when it is tried again.
				left, err := s.Account(t.Context(), user.Tag())
				if known := left.Session(spent.SID); err != nil || known != nil && known.Ended == session.Unknown {
					t.Errorf("got a session that goes on, %v", err)
				}
				if test.name == "reuse" || test.name == "eviction, then refresh" {
					current := spent.Successor(rotated.Session.Salt)
					got, err := s.Refresh(t.Context(), session.NewRedemption(current, at, policy))
					if err != nil || got.Outcome == session.Rotated {
						t.Errorf("got %v, %v of an ended session, want it refused", got.Outcome, err)
					}
				}
				if test.name != "reuse" && test.name != "eviction, then refresh" {
					if err := test.end(t, s, spent, at); err != nil {
						t.Fatal(err)
					}
				}
				list, _ := follow(t, s)
				until(t, "the revocation is known", func() bool { return list.Revoked(spent.SID) })
				a, err := s.Account(t.Context(), user.Tag())
				if err != nil || a.Session(spent.SID) != nil {
					t.Errorf("got %v, %v, want an account without the session", a.Session(spent.SID), err)
				}
			})
		}
	}
}

// TestAStepThatIsSentTwiceIsDoneOnce: go-redis sends a command again when the connection was lost
// before the answer came.
func TestAStepThatIsSentTwiceIsDoneOnce(t *testing.T) {
	t.Parallel()
	_, s := openAlone(t)
	at := time.Now()
	strict := policy
	strict.Grace = 0 // a spent token is good for nothing
	login(t, s, at)  // lets the server know the scripts
	twice := new(losing)
	redisstore.AddHook(s, twice)

	twice.times.Store(1)
	l, token := newLogin(t, s, at)
	if evicted, err := s.Login(t.Context(), l); err != nil || len(evicted) != 0 {
		t.Fatalf("login: got %v, %v, want no eviction", evicted, err)
	}
	wantSessions(t, s, 2)
	for range 2 { // the first lets the server know the script
		twice.times.Store(1)
		got, err := s.Refresh(t.Context(), session.NewRedemption(token, at, strict))
		if err != nil || got.Outcome != session.Rotated {
			t.Fatalf("refresh: got %v, %v, want %v", got.Outcome, err, session.Rotated)
		}
		token = token.Successor(got.Session.Salt)
	}
	twice.times.Store(100)
	if _, err := s.EndAll(t.Context(), user.Tag(), ending(at)); err != nil {
		t.Fatal(err)
	}
	if a, err := s.Account(t.Context(), user.Tag()); err != nil || a.Generation != 1 {
		t.Errorf("got generation %d, %v, want 1", a.Generation, err)
	}
}

func wantSessions(t *testing.T, s session.Store, want int) {
	t.Helper()
	a, err := s.Account(t.Context(), user.Tag())
	if err != nil || len(a.Sessions) != want {
		t.Errorf("got %d sessions, %v, want %d", len(a.Sessions), err, want)
	}
}

// losing is a connection that loses answers to scripts.
type losing struct{ times atomic.Int64 }

func (l *losing) DialHook(next redis.DialHook) redis.DialHook { return next }

func (l *losing) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if cmd.Name() == "evalsha" && l.times.Add(-1) >= 0 {
			if err := next(ctx, cmd); err != nil {
				return err
			}
		}
		return next(ctx, cmd)
	}
}

func (l *losing) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// TestManyChangesOfOneAccountAllHappen: each is tried again until nobody else is faster.
func TestManyChangesOfOneAccountAllHappen(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	at := time.Now()
	const many = 40
	p := policy
	p.MaxPerUser = many
	errs := make(chan error, many)
	for range many {
		s := open(t, redisstore.Config{URLs: []string{server.URL}})
		go func() {
			made, _ := session.New(user.UserID, site, at)
			_, err := s.Login(t.Context(), session.Login{Session: made, User: user, Policy: p})
			errs <- err
		}()
	}
	for range many {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	wantSessions(t, open(t, redisstore.Config{URLs: []string{server.URL}}), many)
}

// TestAnAccountThatNeverRests gives up in time.
func TestAnAccountThatNeverRests(t *testing.T) {
	t.Parallel()
	_, s := openAlone(t)
	at := time.Now()
	token := login(t, s, at)
	redisstore.AddHook(s, conflicting{redisstore.AccountKey(s, user.Tag())})
	began := time.Now()
	_, err := s.Update(t.Context(), session.Update{SID: token.SID, User: session.User{UserID: user.UserID, Phone: "1"}, Now: at})
	wantUnavailable(t, "update", err, redisstore.Busy)
	if took := time.Since(began); took > quickly {
		t.Errorf("took %v, want at most %v", took, quickly)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want no error of a context", err)
	}
}

// conflicting answers every change as if somebody else had been faster.
type conflicting struct{ key string }

func (c conflicting) DialHook(next redis.DialHook) redis.DialHook { return next }

func (c conflicting) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if script, ok := cmd.(*redis.Cmd); ok && scriptOn(c.key)(cmd) {
			script.SetVal(int64(0))
			return nil
		}
		return next(ctx, cmd)
	}
}

func (c conflicting) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}
