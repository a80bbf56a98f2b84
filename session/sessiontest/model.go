// The contract of a Store written down as simply as possible, for one goroutine.

package sessiontest

import (
	"time"

	"github.com/caddy-wechat/wechatauth/session"
)

// model keeps everything in maps. The rules of accounts are those of session.Account itself.
type model struct {
	accounts map[session.Tag]*session.Account
	revoked  map[session.SID]time.Time
	replays  map[session.Digest]session.Replay
	counters map[session.Digest]counter
	keys     []byte
	version  int64
}

type counter struct {
	count int
	until time.Time
}

func newModel() *model {
	return &model{
		accounts: map[session.Tag]*session.Account{},
		revoked:  map[session.SID]time.Time{},
		replays:  map[session.Digest]session.Replay{},
		counters: map[session.Digest]counter{},
	}
}

func (m *model) account(user session.Tag) *session.Account {
	if m.accounts[user] == nil {
		m.accounts[user] = &session.Account{}
	}
	return m.accounts[user]
}

func (m *model) login(l session.Login) ([]session.Revocation, error) {
	a := m.account(l.Session.User.Tag())
	revoked, err := a.Login(l)
	if err == nil {
		m.putReplay(l.Replay)
	}
	a.Drop(revoked)
	return m.revoke(revoked), err
}

func (m *model) refresh(user session.Tag, r session.Redemption) session.Refreshed {
	a := m.account(user)
	result := a.Refresh(r)
	a.Drop(result.Revoked)
	m.revoke(result.Revoked)
	return result
}

func (m *model) update(u session.Update) (session.Updated, error) {
	updated, err := m.account(u.User.Tag()).Update(u)
	if err == nil {
		m.putReplay(u.Replay)
	}
	return updated, err
}

func (m *model) revoke(revoked []session.Revocation) []session.Revocation {
	for _, r := range revoked {
		if r.Until.After(m.revoked[r.SID]) {
			m.revoked[r.SID] = r.Until
		}
	}
	return revoked
}

func (m *model) putReplay(r session.Replay) {
	if r.Key != (session.Digest{}) {
		m.replays[r.Key] = r
	}
}

func (m *model) replay(key session.Digest, at time.Time) []byte {
	if r, ok := m.replays[key]; ok && at.Before(r.Until) {
		return r.Value
	}
	return nil
}

func (m *model) count(key session.Digest, delta int, until, at time.Time) int {
	c := m.counters[key]
	if c.count == 0 || !at.Before(c.until) {
		c = counter{until: until}
	}
	c.count = max(c.count+delta, 0)
	m.counters[key] = c
	return c.count
}
