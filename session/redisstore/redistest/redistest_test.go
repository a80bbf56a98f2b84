//go:build unix

// A server's data across a restart.

package redistest_test

import (
	"testing"

	"github.com/caddy-wechat/wechatauth/session/redisstore/redistest"
)

func TestServerKeepsItsDataOverARestart(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	server.Do(t, "SET", "key", "value")
	server.Restart(t)
	if got, want := server.Do(t, "GET", "key"), "value"; got != want {
		t.Errorf("got %v, want %v", got, want)
	}
}
