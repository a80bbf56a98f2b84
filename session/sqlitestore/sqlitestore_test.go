// The contracts of stores, and what users of the file see.

package sqlitestore

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/session"
	"github.com/caddy-wechat/wechatauth/session/sessiontest"
)

func TestDB(t *testing.T) {
	t.Parallel()
	sessiontest.RunDB(t, func(t *testing.T, clock *session.Clock) sessiontest.DBFixture {
		d, file := openTest(t, clock)
		return sessiontest.DBFixture{
			DB: d,
			Reopen: func(t *testing.T) session.DB {
				closeTest(t, d)
				d = reopenTest(t, file, clock)
				return d
			},
			Sweep: func(t *testing.T) { sweepAll(t, d) },
		}
	})
}

func TestStore(t *testing.T) {
	t.Parallel()
	sessiontest.Run(t, func(t *testing.T, clock, _ *session.Clock) sessiontest.Fixture {
		d, file := openTest(t, clock)
		s := session.NewKVStore(d)
		return sessiontest.Fixture{
			Store: s,
			Reopen: func(t *testing.T) session.Store {
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				d = reopenTest(t, file, clock)
				s = session.NewKVStore(d)
				return s
			},
			Sweep: func(t *testing.T) { sweepAll(t, d) },
		}
	})
}

func openTest(t testing.TB, clock *session.Clock) (d *db, file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "folder", "sessions.db")
	return reopenTest(t, file, clock), file
}

func reopenTest(t testing.TB, file string, clock *session.Clock) *db {
	t.Helper()
	d, err := openDB(file, Options{Wait: time.Millisecond}, clock)
	if err != nil {
		t.Fatal(err)
	}
	d.running.Go(d.upkeep)
	t.Cleanup(func() { _ = d.Close() })
	return d
}

func closeTest(t *testing.T, d *db) {
	t.Helper()
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
}

// sweepAll does at once what the upkeep does in steps.
func sweepAll(t *testing.T, d *db) {
	t.Helper()
	for more := true; more; {
		var err error
		if more, err = d.sweep(); err != nil {
			t.Fatal(err)
		}
	}
}
