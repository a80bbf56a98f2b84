//go:build unix

// The contract of stores, on every kind of Redis.

package redisstore_test

import (
	"testing"

	"github.com/caddy-wechat/wechatauth/session"
	"github.com/caddy-wechat/wechatauth/session/redisstore"
	"github.com/caddy-wechat/wechatauth/session/redisstore/redistest"
	"github.com/caddy-wechat/wechatauth/session/sessiontest"
)

func TestStoreKeepsTheContract(t *testing.T) {
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
		cfg   redisstore.Config
	}{
		{"single", single, redisstore.Config{}},
		{"sealed", single, redisstore.Config{SealKey: sealKey}},
		{"cluster", cluster, redisstore.Config{}},
		{"sentinel", sentinel, redisstore.Config{SealKey: sealKey, WaitReplicas: 1}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.cfg.URLs = test.start(t)
			sessiontest.Run(t, func(t *testing.T, first, second *session.Clock) sessiontest.Fixture {
				t.Helper()
				// Each rule has keys of its own in the one server.
				one := test.cfg
				one.Prefix, one.Clock = t.Name()+":", first
				two := one
				two.Clock = second
				return sessiontest.Fixture{
					Store:  open(t, one),
					Second: open(t, two),
					Reopen: func(t *testing.T) session.Store { t.Helper(); return open(t, one) },
				}
			})
		})
	}
}
