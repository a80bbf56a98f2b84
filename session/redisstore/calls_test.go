//go:build unix

// Every method, for tests of what all have in common.

package redisstore_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/caddy-wechat/wechatauth/session"
	"github.com/caddy-wechat/wechatauth/session/redisstore"
)

// call is a use of a method, with the round trips it may take.
type call struct {
	name  string
	trips int64
	do    func() error
}

// calls returns every method that uses the network. The session of the token must be there; the
// last ones end it.
func calls(ctx context.Context, s session.Store, token session.RefreshToken, at time.Time) []call {
	made, _ := session.New(user.UserID, site, at)
	a, _ := s.Account(ctx, user.Tag())
	l := session.Login{Session: made, User: user, Generation: a.Generation, Policy: policy}
	l.Policy.MaxPerUser = 1000
	withReplay := l
	withReplay.Session, _ = session.New(user.UserID, site, at)
	withReplay.Replay = replay
	u := session.Update{SID: token.SID, User: user, Claims: claims, DropKey: []byte("secret"), Now: at}
	_, version, _ := s.Keys(ctx)
	banned := session.UserID{AppID: user.AppID, OpenID: "secret-" + at.String()}
	push := session.Push{Line: session.Digest{1}, ID: session.Digest{2}, Body: []byte("secret-push"), Until: at.Add(time.Hour)}
	first := func(_ any, err error) error { return err }
	return []call{
		{"Refresh", 1, func() error {
			got, err := s.Refresh(ctx, session.NewRedemption(token, at, policy))
			if err == nil && got.Outcome != session.Rotated {
				return errors.New("not rotated")
			}
			return err
		}},
		{"Login", 2, func() error { _, err := s.Login(ctx, l); return err }},
		{"Login with a replay", 3, func() error { _, err := s.Login(ctx, withReplay); return err }},
		{"Account", 1, func() error { _, err := s.Account(ctx, user.Tag()); return err }},
		{"Update", 2, func() error {
			u := u
			u.User.Nickname = "secret-" + at.String()
			_, err := s.Update(ctx, u)
			return err
		}},
		{"Count", 1, func() error { _, err := s.Count(ctx, replay.Key, 1, at.Add(time.Hour), at); return err }},
		{"PutReplay", 1, func() error { return s.PutReplay(ctx, replay, at) }},
		{"Replay", 1, func() error { _, err := s.Replay(ctx, replay.Key, at); return err }},
		{"Keys", 1, func() error { _, _, err := s.Keys(ctx); return err }},
		{"SwapKeys", 1, func() error { _, err := s.SwapKeys(ctx, version, []byte("secret-keys")); return err }},
		{"Ban", 2, func() error {
			_, err := s.Ban(ctx, banned.Tag(), session.Ban{Reason: "secret"}, ending(at))
			return err
		}},
		{"Withdraw", 2, func() error { return first(s.Withdraw(ctx, banned.Tag(), session.Withdrawal{Phone: true}, at)) }},
		{"AddPush", 1, func() error {
			return first(s.AddPush(ctx, &push, session.PushRoom{Pushes: 9, Bytes: 99, Line: 9}, at, at))
		}},
		{"TakePush", 1, func() error { return first(s.TakePush(ctx, push.Queue, at, at)) }},
		{"Pushes", 1, func() error { return first(s.Pushes(ctx, push.Queue)) }},
		{"HurryPush", 1, func() error { return first(s.HurryPush(ctx, push.Queue, push.Line, at)) }},
		{"DelayPush", 1, func() error { return s.DelayPush(ctx, push, at) }},
		{"EndPush", 1, func() error { return s.EndPush(ctx, push, at) }},
		{"Unban", 2, func() error { return s.Unban(ctx, banned.Tag(), at) }},
		{"Users by phone", 3, func() error { return first(s.Users(ctx, session.UserQuery{Phone: user.Phone})) }},
		{"Users by unionid", 2, func() error { return first(s.Users(ctx, session.UserQuery{UnionID: user.UnionID})) }},
		{"Users", 2, func() error { return first(s.Users(ctx, session.UserQuery{})) }},
		{"Stats", 2, func() error { return first(s.Stats(ctx)) }},
		{"Import", 1, func() error { return s.Import(ctx, []session.User{{UserID: user.UserID}}, at) }},
		{"Dump", 4, func() error { return s.Dump(ctx, func(session.Dump) error { return nil }) }},
		{"Restore", 1, func() error { return s.Restore(ctx, session.Dump{Revoked: []session.Revocation{{SID: "secret"}}}, at) }},
		{"End", 4, func() error { _, err := s.End(ctx, token.SID, ending(at)); return err }},
		{"EndAll", 4, func() error { _, err := s.EndAll(ctx, user.Tag(), ending(at)); return err }},
		{"Erase", 5, func() error { _, err := s.Erase(ctx, user.Tag(), ending(at)); return err }},
	}
}

// readings returns every method that reads.
func readings(t testing.TB, s session.Store, token session.RefreshToken) map[string]func() error {
	t.Helper()
	ctx := t.Context()
	return map[string]func() error{
		"Account": func() error { _, err := s.Account(ctx, user.Tag()); return err },
		"Refresh": func() error {
			_, err := s.Refresh(ctx, session.NewRedemption(token, time.Now(), policy))
			return err
		},
		"Replay": func() error { _, err := s.Replay(ctx, replay.Key, time.Now()); return err },
		"Keys":   func() error { _, _, err := s.Keys(ctx); return err },
		"Users":  func() error { _, err := s.Users(ctx, session.UserQuery{}); return err },
		"Stats":  func() error { _, err := s.Stats(ctx); return err },
		"Dump":   func() error { return s.Dump(ctx, func(session.Dump) error { return nil }) },
		"Follow": func() error { return s.Follow(ctx, func([]session.Revocation) {}) },
	}
}

// wantUnavailable wants an error of the store's of some cause, without values. Any cause will do if
// it is "".
func wantUnavailable(t testing.TB, name string, err error, cause redisstore.Cause) {
	t.Helper()
	got, ok := errors.AsType[*redisstore.Error](err)
	if !ok || !errors.Is(err, session.ErrUnavailable) || cause != "" && got.Cause != cause {
		t.Errorf("%s: got %v, want one of cause %q", name, err, cause)
		return
	}
	if reason := session.Reason(err); reason != string(got.Cause) {
		t.Errorf("%s: got the reason %q, want %q whatever was asked", name, reason, got.Cause)
	}
	for _, value := range []string{"secret", "13800138000", "hunter2"} {
		if strings.Contains(err.Error(), value) {
			t.Errorf("%s: got error %q, want one without %q", name, err, value)
		}
	}
}

// quickly bounds a call that can't succeed. Two seconds are planned for; the rest is for busy
// machines.
const quickly = 10 * time.Second

// allFail wants every method to fail in time, with an error that holds no value.
func allFail(t *testing.T, s session.Store) {
	t.Helper()
	_, token := session.New(user.UserID, site, time.Now())
	all := calls(t.Context(), s, token, time.Now())
	all = append(all, call{"Follow", 0, readings(t, s, token)["Follow"]})
	var wg sync.WaitGroup
	for _, c := range all {
		wg.Go(func() {
			began := time.Now()
			err := c.do()
			if took := time.Since(began); took > quickly {
				t.Errorf("%s took %v, want at most %v", c.name, took, quickly)
			}
			wantUnavailable(t, c.name, err, "")
		})
	}
	wg.Wait()
}

// healed waits until all methods of a store work. The nodes of a cluster come back one by one.
func healed(t *testing.T, s session.Store) {
	t.Helper()
	var failure error
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the last failure while healing: %v", failure)
		}
	})
	until(t, "the store works again", func() bool {
		at := time.Now()
		made, token := session.New(user.UserID, site, at)
		a, err := s.Account(t.Context(), user.Tag())
		if failure = err; err != nil {
			return false
		}
		l := session.Login{Session: made, User: user, Generation: a.Generation, Replay: replay, Policy: policy}
		if _, failure = s.Login(t.Context(), l); failure != nil {
			return false
		}
		for _, c := range calls(t.Context(), s, token, at) {
			if failure = c.do(); failure != nil {
				return false
			}
		}
		return true
	})
}

// failures collects errors.
type failures struct {
	mu   sync.Mutex
	errs []error
}

func (f *failures) add(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.errs = append(f.errs, err)
}

func (f *failures) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.errs)
}

// hook counts round trips, and refuses those that a function wants refused.
type hook struct {
	trips  atomic.Int64
	refuse atomic.Pointer[func(redis.Cmder) bool]
}

var errRefused = errors.New("refused by the test")

func (h *hook) DialHook(next redis.DialHook) redis.DialHook { return next }

func (h *hook) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		h.trips.Add(1)
		if refuse := h.refuse.Load(); refuse != nil && (*refuse)(cmd) {
			cmd.SetErr(errRefused)
			return errRefused
		}
		return next(ctx, cmd)
	}
}

func (h *hook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		h.trips.Add(1)
		return next(ctx, cmds)
	}
}

// scriptOn returns a test for a script that is run on a key.
func scriptOn(key string) func(redis.Cmder) bool {
	return func(cmd redis.Cmder) bool {
		args := cmd.Args()
		return len(args) > 3 && args[3] == key
	}
}
