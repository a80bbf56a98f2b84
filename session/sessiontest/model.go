package sessiontest

import (
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/caddy-wechat/wechatauth/session"
)

// model is the contract written down as simply as possible, for one goroutine.
type model struct {
	sessions map[session.SID]session.Session
	users    map[session.UserID]session.User
	notes    map[session.Digest]session.Note
	counters map[session.Digest]counter
	ended    map[session.SID]bool
	before   map[session.UserID]time.Time
	keys     []byte
	version  int64
}

type counter struct {
	count int
	until time.Time
}

func newModel() *model {
	return &model{
		sessions: map[session.SID]session.Session{},
		users:    map[session.UserID]session.User{},
		notes:    map[session.Digest]session.Note{},
		counters: map[session.Digest]counter{},
		ended:    map[session.SID]bool{},
		before:   map[session.UserID]time.Time{},
	}
}

func (m *model) login(l session.Login) error {
	before, bounded := m.before[l.Session.User]
	if m.ended[l.Session.SID] || bounded && !l.Session.Created.After(before) {
		return session.ErrEnded
	}
	m.remember(session.Lesson{User: l.Learned, Note: l.Note})
	l.Session.Claims = said(l.Session.Claims)
	m.sessions[l.Session.SID] = l.Session
	var live []session.Session
	for _, s := range m.sessions {
		if s.User == l.Session.User && l.Session.LastUse.Before(s.Ends(l.Policy)) {
			live = append(live, s)
		}
	}
	slices.SortFunc(live, func(a, b session.Session) int { return a.Created.Compare(b.Created) })
	for len(live) > l.Policy.MaxPerUser {
		m.end(live[0].SID)
		live = live[1:]
	}
	return nil
}

// said returns claims, nil for null.
func said(claims json.RawMessage) json.RawMessage {
	if string(claims) == "null" {
		return nil
	}
	return claims
}

func (m *model) refresh(use session.Spend) session.Refreshed {
	s := m.sessions[use.SID]
	r := session.Refreshed{Verdict: s.Spend(use)}
	switch r.Verdict {
	case session.Rotated, session.Repeated:
		m.sessions[use.SID] = s
		r.Session, r.User = s, m.user(s.User)
	case session.Reused:
		m.end(use.SID)
	}
	return r
}

func (m *model) end(sid session.SID) {
	delete(m.sessions, sid)
	m.ended[sid] = true
}

func (m *model) endAll(user session.UserID, before time.Time) {
	maps.DeleteFunc(m.sessions, func(_ session.SID, s session.Session) bool {
		return s.User == user && !s.Created.After(before)
	})
	if last, ok := m.before[user]; !ok || before.After(last) {
		m.before[user] = before
	}
}

func (m *model) user(id session.UserID) session.User {
	u := m.users[id]
	u.UserID = id
	return u
}

func (m *model) learn(l session.Lesson) (learned session.Learned, err error) {
	if l.SID != "" {
		s, ok := m.sessions[l.SID]
		if !ok || s.User != l.User.UserID {
			return learned, session.ErrEnded
		}
		if l.Claims != nil {
			s.Claims = said(l.Claims)
			m.sessions[l.SID] = s
		}
		learned.Claims = s.Claims
	}
	learned.User = m.remember(l)
	return learned, nil
}

func (m *model) remember(l session.Lesson) session.User {
	u := m.user(l.User.UserID)
	u.Learn(l.User)
	u.DropKey(l.DropKey)
	m.users[u.UserID] = u
	if l.Note.Key != (session.Digest{}) {
		m.notes[l.Note.Key] = l.Note
	}
	return u
}

func (m *model) forget(user session.UserID, before time.Time) session.User {
	m.endAll(user, before)
	for sid, s := range m.sessions {
		if s.User == user {
			m.end(sid)
		}
	}
	u := m.user(user)
	delete(m.users, user)
	return u
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

func (m *model) recall(key session.Digest, at time.Time) []byte {
	if n, ok := m.notes[key]; ok && at.Before(n.Until) {
		return n.Value
	}
	return nil
}
