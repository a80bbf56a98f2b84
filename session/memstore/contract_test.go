// The contracts of stores.

package memstore

import (
	"testing"

	"github.com/caddy-wechat/wechatauth/session"
	"github.com/caddy-wechat/wechatauth/session/sessiontest"
)

func TestDB(t *testing.T) {
	t.Parallel()
	sessiontest.RunDB(t, func(t *testing.T, clock *session.Clock) sessiontest.DBFixture {
		d := newDB(64 << 20)
		d.clock = clock
		return sessiontest.DBFixture{DB: d, Sweep: func(*testing.T) { d.sweep(0) }}
	})
}
