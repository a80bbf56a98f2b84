// What a refresh takes, by store, with the handler and without.

//go:build unix

package bench

import (
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/session"
	"github.com/caddy-wechat/wechatauth/session/memstore"
	"github.com/caddy-wechat/wechatauth/session/redisstore"
	"github.com/caddy-wechat/wechatauth/session/redisstore/redistest"
	"github.com/caddy-wechat/wechatauth/session/sqlitestore"
)

// refreshed is the number of sessions that are refreshed in turn: so many that none exceeds the limit of a session.
const refreshed = 1024

// BenchmarkRefresh is a refresh, by store, from the request to the answer.
func BenchmarkRefresh(b *testing.B) {
	eachStore(b, func(b *testing.B, store string) {
		b.Helper()
		s := newShop(b, store)
		tokens := make(chan string, refreshed)
		atOnce(b, func(int) error {
			token, err := s.login()
			tokens <- token
			return err
		})
		inTurns(b, func() error {
			next, err := s.post("/auth/refresh", "refresh_token", <-tokens)
			tokens <- next
			return err
		})
	})
}

// BenchmarkStoreRefresh is the store's part of it.
func BenchmarkStoreRefresh(b *testing.B) {
	policy := session.Policy{
		Idle: 30 * 24 * time.Hour, Lifetime: 180 * 24 * time.Hour, Grace: 30 * time.Second, MaxPerUser: 20, TokenTTL: time.Hour,
	}
	eachStore(b, func(b *testing.B, kind string) {
		b.Helper()
		store := openStore(b, kind)
		tokens := make(chan session.RefreshToken, refreshed)
		atOnce(b, func(i int) error {
			id := session.UserID{AppID: shopID, OpenID: fmt.Sprintf("oBench-0123456789_0%09d", i)}
			made, token := session.New(id, session.Site{}, time.Now())
			tokens <- token
			_, err := store.Login(b.Context(), session.Login{Session: made, User: session.User{UserID: id}, Policy: policy})
			return err
		})
		inTurns(b, func() error {
			token := <-tokens
			got, err := store.Refresh(b.Context(), session.NewRedemption(token, time.Now(), policy))
			if err == nil && got.Outcome != session.Rotated {
				err = fmt.Errorf("got outcome %v, want Rotated", got.Outcome)
			}
			tokens <- token.Successor(got.Session.Salt)
			return err
		})
	})
}

// atOnce makes what is refreshed, a few at a time.
func atOnce(tb testing.TB, each func(i int) error) {
	tb.Helper()
	const clients = 64
	var wg sync.WaitGroup
	for first := range clients {
		wg.Go(func() {
			for i := first; i < refreshed; i += clients {
				if err := each(i); err != nil {
					tb.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	if tb.Failed() {
		tb.FailNow()
	}
}

func openStore(tb testing.TB, kind string) session.Store {
	tb.Helper()
	var store session.Store
	var err error
	switch kind {
	case "sqlite":
		store, err = sqlitestore.Open(filepath.Join(tb.TempDir(), "sessions.db"), sqlitestore.Options{})
	case "redis":
		store, err = redisstore.New(redisstore.Config{URLs: []string{redistest.Start(tb).URL}})
	default:
		store = memstore.New(memoryMiB << 20)
	}
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { store.Close() })
	return store
}
