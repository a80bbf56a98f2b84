//go:build unix

package session_test

import (
	"testing"

	"github.com/caddy-wechat/wechatauth/session"
	"github.com/caddy-wechat/wechatauth/session/redistest"
	"github.com/caddy-wechat/wechatauth/session/sessiontest"
)

const sealKey = "a key for tests, of 32 characters or more"

// openRedis returns a store that the test closes.
func openRedis(t testing.TB, cfg session.RedisConfig) session.Store {
	t.Helper()
	store, err := session.NewRedis(cfg)
	if err != nil {
		t.Fatalf("NewRedis: %v", err)
	}
	t.Cleanup(func() { _ = store.Close() })
	return store
}

func TestRedisKeepsTheContract(t *testing.T) {
	t.Parallel()
	single := func(t *testing.T) []string {
		t.Helper()
		return []string{redistest.Start(t).URL}
	}
	cluster := func(t *testing.T) []string {
		t.Helper()
		return redistest.StartCluster(t).URLs
	}
	sentinel := func(t *testing.T) []string {
		t.Helper()
		return []string{redistest.StartSentinel(t).URL}
	}
	for _, test := range []struct {
		name  string
		start func(*testing.T) []string
		cfg   session.RedisConfig
	}{
		{"single", single, session.RedisConfig{}},
		{"sealed", single, session.RedisConfig{SealKey: sealKey}},
		{"cluster", cluster, session.RedisConfig{}},
		{"sentinel", sentinel, session.RedisConfig{SealKey: sealKey, WaitReplicas: 1}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.cfg.URLs = test.start(t)
			sessiontest.Run(t, func(t *testing.T) sessiontest.Fixture {
				t.Helper()
				// Each subtest has keys of its own in the one server.
				cfg := test.cfg
				cfg.Prefix = t.Name() + ":"
				return sessiontest.Fixture{
					Store:  openRedis(t, cfg),
					Reopen: func(t *testing.T) session.Store { t.Helper(); return openRedis(t, cfg) },
					Second: openRedis(t, cfg),
				}
			})
		})
	}
}
