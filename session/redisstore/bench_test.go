//go:build unix

// The cost of a refresh.

package redisstore_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/session"
)

// BenchmarkRefresh refreshes sessions of many users from many goroutines.
func BenchmarkRefresh(b *testing.B) {
	_, s := openAlone(b)
	at := time.Now()
	tokens := make([]atomic.Pointer[session.RefreshToken], 1000)
	for i := range tokens {
		id := session.UserID{AppID: "wx0123456789abcdef", OpenID: fmt.Sprintf("oAbC0-%022d", i)}
		made, token := session.New(id, site, at)
		if _, err := s.Login(b.Context(), session.Login{Session: made, User: session.User{UserID: id}, Policy: policy}); err != nil {
			b.Fatal(err)
		}
		tokens[i].Store(&token)
	}
	var next atomic.Int64
	b.SetParallelism(16)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			slot := &tokens[next.Add(1)%int64(len(tokens))]
			token := slot.Load()
			got, err := s.Refresh(b.Context(), session.NewRedemption(*token, at, policy))
			if err != nil {
				b.Error(err)
				return
			}
			if got.Outcome == session.Rotated {
				successor := token.Successor(got.Session.Salt)
				slot.CompareAndSwap(token, &successor)
			}
		}
	})
}
