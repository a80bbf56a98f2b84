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

func TestStore(t *testing.T) {
	t.Parallel()
	sessiontest.Run(t, func(t *testing.T, clock, _ *session.Clock) sessiontest.Fixture {
		d := newDB(64 << 20)
		d.clock = clock
		sweep := func(*testing.T) {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.sweep(0)
		}
		return sessiontest.Fixture{Store: session.NewKVStore(d), Sweep: sweep}
	})
}
