// The parts: filling a store with sessions, and refreshing them.

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/caddy-wechat/wechatauth/session"
	"github.com/caddy-wechat/wechatauth/session/redisstore"
	"github.com/caddy-wechat/wechatauth/session/sqlitestore"
)

var policy = session.Policy{
	Idle: 30 * 24 * time.Hour, Lifetime: 180 * 24 * time.Hour, Grace: 30 * time.Second,
	MaxPerUser: 20, TokenTTL: time.Hour,
}

const appID = "wx0123456789abcdef"

// fillers is the number of logins under way at once: stores write many in one go.
const fillers = 256

func open(o options) (session.Store, error) {
	if o.redis == "" {
		return sqlitestore.Open(o.file(), sqlitestore.Options{})
	}
	return redisstore.New(redisstore.Config{URLs: []string{o.redis}})
}

// tokens are the refresh tokens of all sessions, in a file: in memory they would be most of it.
type tokens struct{ f *os.File }

func (t tokens) get(i int) (token session.RefreshToken, err error) {
	text := make([]byte, tokenSize)
	if _, err := t.f.ReadAt(text, int64(i*tokenSize)); err != nil {
		return token, err
	}
	token, ok := session.ParseRefreshToken(string(text))
	if !ok {
		return token, fmt.Errorf("session %d has no refresh token", i)
	}
	return token, nil
}

func (t tokens) put(i int, token session.RefreshToken) error {
	_, err := t.f.WriteAt([]byte(token.Text()), int64(i*tokenSize))
	return err
}

var tokenSize = func() int {
	_, token := session.New(session.UserID{}, session.Site{}, time.Now())
	return len(token.Text())
}()

// use opens the store and the tokens.
func use(o options, do func(session.Store, tokens) error) error {
	f, err := os.OpenFile(o.tokens(), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	s, err := open(o)
	if err != nil {
		return err
	}
	if err := do(s, tokens{f}); err != nil {
		_ = s.Close()
		return err
	}
	begin := time.Now()
	err = s.Close()
	fmt.Printf("  stop %41v\n", time.Since(begin).Round(time.Millisecond))
	return err
}

func fill(ctx context.Context, o options) error {
	return use(o, func(s session.Store, all tokens) error {
		var next atomic.Int64
		l, err := closedLoop(ctx, fillers, time.Hour, o.sessions, func(int) error {
			i, at := int(next.Add(1)-1), time.Now().Add(-time.Hour)
			id := session.UserID{AppID: appID, OpenID: fmt.Sprintf("oScale-0123456789_0%09d", i)}
			made, token := session.New(id, session.NewSite("scale"), at)
			made.TokensUntil = at.Add(time.Hour)
			_, err := s.Login(ctx, session.Login{Session: made, Policy: policy, User: session.User{
				UserID: id, UnionID: "oUnion-0123456789_0123456789", FirstSeen: at,
				Phone: "13800138000", PhoneNumber: "+8613800138000", PhoneVerified: at,
			}})
			if err != nil {
				return err
			}
			return all.put(i, token)
		})
		if err == nil {
			fmt.Printf("  logins a second %30.0f\n", l.perSecond())
		}
		return err
	})
}

func refresh(ctx context.Context, o options) error {
	begin := time.Now()
	return use(o, func(s session.Store, all tokens) error {
		if err := spend(ctx, s, all, 0); err != nil {
			return err
		}
		fmt.Printf("  start, with the first answer %17v\n", time.Since(begin).Round(time.Millisecond))
		if err := loop(ctx, s, all, o, 1, o.alone); err != nil {
			return err
		}
		if err := loop(ctx, s, all, o, o.clients, o.together); err != nil {
			return err
		}
		fmt.Printf("  memory at most %31s\n", memory())
		return nil
	})
}

// loop lets so many clients refresh random sessions, no two of them the same.
func loop(ctx context.Context, s session.Store, all tokens, o options, clients int, d time.Duration) error {
	var last, longest atomic.Int64
	begin := time.Now()
	l, err := closedLoop(ctx, clients, d, 1<<40, func(client int) error {
		err := spend(ctx, s, all, rand.IntN(o.sessions/clients)*clients+client)
		now := int64(time.Since(begin))
		for pause := now - last.Swap(now); ; {
			if old := longest.Load(); pause <= old || longest.CompareAndSwap(old, pause) {
				return err
			}
		}
	})
	if err != nil {
		return err
	}
	fmt.Printf("  %2d clients for %v: %.0f refreshes a second, p50 %.2f ms, p99 %.2f ms, longest %.1f ms, longest time without an answer %.1f ms\n",
		clients, d, l.perSecond(), l.percentile(50), l.percentile(99), l.percentile(100), float64(longest.Load())/1e6)
	return nil
}

// spend refreshes a session.
func spend(ctx context.Context, s session.Store, all tokens, i int) error {
	token, err := all.get(i)
	if err != nil {
		return err
	}
	now := time.Now()
	r := session.NewRedemption(token, now, policy)
	r.TokensUntil = now.Add(time.Hour)
	got, err := s.Refresh(ctx, r)
	if err != nil {
		return err
	}
	if got.Outcome != session.Rotated {
		return fmt.Errorf("refresh of session %d: got outcome %d, want %d", i, got.Outcome, session.Rotated)
	}
	return all.put(i, token.Successor(r.Salt))
}

// memory is the largest resident size of this process.
func memory() string {
	status, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			return strings.TrimSpace(rest)
		}
	}
	return "unknown"
}
