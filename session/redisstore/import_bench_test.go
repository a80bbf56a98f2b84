//go:build unix

package redisstore_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/session"
	"github.com/caddy-wechat/wechatauth/session/redisstore"
	"github.com/caddy-wechat/wechatauth/session/redisstore/redistest"
)

// BenchmarkImport imports 100,000 users:
//
//	go test ./session/redisstore -run - -bench Import -benchtime 1x
func BenchmarkImport(b *testing.B) {
	users := make([]session.User, 100_000)
	for i := range users {
		users[i] = session.User{
			UserID:  session.UserID{AppID: "wx0123456789abcdef", OpenID: fmt.Sprintf("oAbC0-%022d", i)},
			UnionID: fmt.Sprintf("oUnI0-%022d", i), FirstSeen: time.Now(),
			Phone: fmt.Sprintf("138%08d", i), PhoneNumber: fmt.Sprintf("+86138%08d", i), PhoneVerified: time.Now(),
		}
	}
	for b.Loop() {
		s := open(b, redisstore.Config{URLs: []string{redistest.Start(b).URL}, SealKey: sealKey})
		if err := s.Import(b.Context(), users, time.Now()); err != nil {
			b.Fatal(err)
		}
	}
}
