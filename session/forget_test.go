//go:build unix

package session_test

import (
	"encoding/base64"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/session"
	"github.com/caddy-wechat/wechatauth/session/redistest"
)

// TestForgettingLeavesNothing looks for what was known of a user in all that a store holds.
func TestForgettingLeavesNothing(t *testing.T) {
	t.Parallel()
	overRecords := func(s session.Store) func(*testing.T) string {
		return func(t *testing.T) string {
			t.Helper()
			all, err := session.Records(s)
			if err != nil {
				t.Fatal(err)
			}
			return string(all)
		}
	}
	for name, open := range map[string]func(*testing.T) (session.Store, func(*testing.T) string){
		"memory": func(t *testing.T) (session.Store, func(*testing.T) string) {
			t.Helper()
			s := newMemory(t, 0)
			return s, overRecords(s)
		},
		"bolt": func(t *testing.T) (session.Store, func(*testing.T) string) {
			t.Helper()
			s := openBolt(t, filepath.Join(t.TempDir(), "sessions.db"))
			return s, overRecords(s)
		},
		"any DB": func(*testing.T) (session.Store, func(*testing.T) string) {
			s := session.Over(newMapDB())
			return s, overRecords(s)
		},
		"redis": func(t *testing.T) (session.Store, func(*testing.T) string) {
			t.Helper()
			server := redistest.Start(t)
			client := server.Client()
			t.Cleanup(func() { client.Close() })
			return openRedis(t, session.RedisConfig{URLs: []string{server.URL}}), func(t *testing.T) string {
				t.Helper()
				return dump(t, client)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, records := open(t)
			at := time.Now()
			known := []string{
				redisUser.AppID, redisUser.OpenID, redisUser.UnionID, redisUser.Phone, redisUser.Nickname, redisUser.Avatar,
				"secret-role", text64(redisUser.Key), text64([]byte("secret-next-key")),
			}
			if name == "redis" {
				known[len(known)-2], known[len(known)-1] = string(redisUser.Key), "secret-next-key"
			}
			redisLogin(t, s, at.Add(-time.Minute))
			token := redisLogin(t, s, at.Add(time.Minute))
			next := session.User{UserID: redisUser.UserID, Key: []byte("secret-next-key"), KeySince: at}
			if _, err := s.Learn(t.Context(), session.Lesson{SID: token.SID, User: next}); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Refresh(t.Context(), session.NewSpend(token, at, redisPolicy)); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Count(t.Context(), session.Digest{1}, 1, at.Add(time.Hour), at); err != nil {
				t.Fatal(err)
			}
			before := records(t)
			for _, value := range append(known, "secret-note") {
				if !strings.Contains(before, value) {
					t.Errorf("%q is not stored, so that nothing can be told of its going", value)
				}
			}
			got, err := s.Forget(t.Context(), redisUser.UserID, at, redisPolicy)
			if err != nil || got.Phone != redisUser.Phone || got.Avatar != redisUser.Avatar {
				t.Errorf("got %+v, %v, want what was known", got, err)
			}
			after := records(t)
			for _, value := range known {
				if strings.Contains(after, value) {
					t.Errorf("%q is still there", value)
				}
			}
			if !strings.Contains(after, "secret-note") {
				t.Error("the note has gone, so that a repeated request gets no answer")
			}
			if !strings.Contains(after, tagText(redisUser.UserID)) {
				t.Error("the revocation has gone")
			}
		})
	}
}

func text64(raw []byte) string { return base64.StdEncoding.EncodeToString(raw) }
