// The check that no test leaves a goroutine behind.

package session_test

import (
	"testing"

	"github.com/caddy-wechat/wechatauth/internal/testkit"
)

func TestMain(m *testing.M) { testkit.RunTests(m.Run) }
