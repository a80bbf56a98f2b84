//go:build unix

// The refresh script against the rules in Go.

package redisstore_test

import (
	"encoding/json"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/session"
	"github.com/caddy-wechat/wechatauth/session/redisstore"
)

// TestTheScriptRefreshesAsAnAccountDoes compares refresh.lua with Account.Refresh over random
// sessions and uses of their tokens.
func TestTheScriptRefreshesAsAnAccountDoes(t *testing.T) {
	t.Parallel()
	_, s := openAlone(t)
	seen := map[session.Outcome]int{}
	for seed := range uint64(3000) {
		g := generator{rand.New(rand.NewPCG(seed, 1)), time.UnixMilli(1_790_000_000_000).UTC()}
		account, r := g.account(), g.redemption()
		if g.IntN(8) > 0 {
			account.Sessions[0].SID, account.Sessions[0].Family = r.SID, r.Family
		}
		tag := account.User.Tag()
		if err := redisstore.PutAccount(t.Context(), s, tag, clone(account)); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		want := account.Refresh(r)
		if account.Drop(want.Revoked); len(account.Sessions) == 0 {
			account.Sessions = nil
		}
		got, err := s.Refresh(t.Context(), r)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("seed %d: got %+v, want %+v", seed, got, want)
		}
		after, err := s.Account(t.Context(), tag)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if _ = account.Check(tag); !reflect.DeepEqual(after, account) {
			t.Fatalf("seed %d, %v: got %+v, want %+v", seed, want.Outcome, after, account)
		}
		seen[want.Outcome]++
	}
	for outcome := session.Unknown; outcome <= session.Reused; outcome++ {
		if seen[outcome] < 100 {
			t.Errorf("outcome %d: got %d cases, want 100 or more", outcome, seen[outcome])
		}
	}
}

func clone(a session.Account) session.Account {
	a.Sessions = slices.Clone(a.Sessions)
	return a
}

// generator makes values that meet one another often.
type generator struct {
	*rand.Rand
	now time.Time
}

func (g generator) account() session.Account {
	a := session.Account{User: user, Generation: int64(g.IntN(3))}
	a.User.PreviousKey = []byte("previous")
	for range 1 + g.IntN(2) {
		made, _ := session.New(user.UserID, site, g.time())
		made.Family, made.Current, made.LastUse, made.TokensUntil = g.digest(), g.digest(), g.time(), g.time()
		made.Claims = g.claims()
		if g.IntN(3) > 0 {
			made.Previous, made.Spent, made.Salt = g.digest(), g.time(), g.salt()
		}
		if g.IntN(6) == 0 {
			made.Ended = []session.Outcome{session.Reused, session.Evicted}[g.IntN(2)]
		}
		a.Sessions = append(a.Sessions, made)
	}
	_ = a.Check(user.Tag())
	return a
}

func (g generator) redemption() session.Redemption {
	made, _ := session.New(user.UserID, site, g.now)
	return session.Redemption{
		SID: made.SID, Family: g.digest(), Token: g.digest(), Next: session.Digest{9, 9}, Salt: g.salt(), Now: g.time(),
		Policy:      session.Policy{Idle: g.span(), Lifetime: g.span(), Grace: g.span(), TokenTTL: g.span()},
		TokensUntil: g.time(), Claims: g.claims(),
	}
}

func (g generator) digest() session.Digest { return session.Digest{byte(1 + g.IntN(3)), 5: 0, 31: 7} }

func (g generator) time() time.Time     { return g.now.Add(time.Duration(g.IntN(40)) * time.Millisecond) }
func (g generator) span() time.Duration { return time.Duration(g.IntN(60)) * time.Millisecond }
func (g generator) claims() json.RawMessage {
	return []json.RawMessage{nil, json.RawMessage("null"), json.RawMessage(`{"a":"\u0000"}`), claims}[g.IntN(4)]
}

func (g generator) salt() []byte {
	salt := make([]byte, 16)
	salt[0], salt[9] = byte(g.IntN(256)), byte(g.IntN(256))
	return salt
}
