//go:build unix

// The memory a user takes in Redis.

package redisstore_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/caddy-wechat/wechatauth/session"
	"github.com/caddy-wechat/wechatauth/session/redisstore"
)

// TestMemoryOfAUser measures what Redis needs for users as WeChat has them. Run it with -v for the
// numbers.
func TestMemoryOfAUser(t *testing.T) {
	t.Parallel()
	const users, more, further = 20_000, 2000, 3 // few users would pay for the buckets of many
	for _, test := range []struct{ name, sealKey string }{{"open", ""}, {"sealed", sealKey}} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			server, _ := openAlone(t)
			s := open(t, redisstore.Config{URLs: []string{server.URL}, SealKey: test.sealKey})
			client := server.Client()
			defer client.Close()
			p := policy
			p.MaxPerUser = 20
			at := time.Now()
			add := func(n, sessions int) {
				for i := range n {
					id := session.UserID{AppID: "wx0123456789abcdef", OpenID: fmt.Sprintf("oAbC0-%022d", i)}
					news := session.User{
						UserID: id, UnionID: fmt.Sprintf("oUnI0-%022d", i), FirstSeen: at,
						Phone: fmt.Sprintf("138%08d", i), PhoneNumber: fmt.Sprintf("+86138%08d", i), PhoneVerified: at,
					}
					for range sessions {
						made, token := session.New(id, site, at)
						if _, err := s.Login(t.Context(), session.Login{Session: made, User: news, Policy: p}); err != nil {
							t.Fatal(err)
						}
						// Sessions that live have been refreshed.
						if _, err := s.Refresh(t.Context(), session.NewRedemption(token, at, p)); err != nil {
							t.Fatal(err)
						}
					}
				}
			}
			add(1, 1) // the scripts
			empty := usedMemory(t, client)
			add(users, 1)
			one := usedMemory(t, client)
			add(more, further)
			all := usedMemory(t, client)
			perUser, perSession := (one-empty)/(users-1), (all-one)/(more*further)
			t.Logf("%d bytes for a user with one session, %d for each further session", perUser, perSession)
			if perUser > 900 || perSession > 350 {
				t.Errorf("got %d bytes for a user and %d for a further session, want at most 900 and 350", perUser, perSession)
			}
		})
	}
}

func usedMemory(t *testing.T, client *redis.Client) int {
	t.Helper()
	info, err := client.Info(t.Context(), "memory").Result()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(info) {
		if text, ok := strings.CutPrefix(line, "used_memory:"); ok {
			used, err := strconv.Atoi(strings.TrimSpace(text))
			if err != nil {
				t.Fatal(err)
			}
			return used
		}
	}
	t.Fatal("got no used_memory")
	return 0
}
