//nolint:thelper // rules are tests: a failure is at their line, not at that which calls them
package sessiontest

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/session"
)

// model is the contract written down as simply as possible, for one goroutine.
type model struct {
	sessions map[session.SID]session.Session
	users    map[session.UserID]session.User
	notes    map[session.Digest]session.Note
	ended    map[session.SID]bool
	keys     []byte
	version  int64
}

func newModel() *model {
	return &model{
		sessions: map[session.SID]session.Session{},
		users:    map[session.UserID]session.User{},
		notes:    map[session.Digest]session.Note{},
		ended:    map[session.SID]bool{},
	}
}

func (m *model) login(l session.Login) {
	m.learn(l.Learned, l.Note)
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
}

func (m *model) user(id session.UserID) session.User {
	u := m.users[id]
	u.UserID = id
	return u
}

func (m *model) learn(learned session.User, n session.Note) session.User {
	u := m.user(learned.UserID)
	u.Learn(learned)
	m.users[u.UserID] = u
	if n.Key != (session.Digest{}) {
		m.notes[n.Key] = n
	}
	return u
}

func (m *model) recall(key session.Digest, at time.Time) []byte {
	if n, ok := m.notes[key]; ok && at.Before(n.Until) {
		return n.Value
	}
	return nil
}

// walk does the same random things to a model and to the nodes of a store.
type walk struct {
	*rand.Rand
	model  *model
	nodes  []session.Store
	at     time.Time
	policy session.Policy
	tokens []session.RefreshToken // every one ever got
}

func agreesWithModel(t *testing.T, f Fixture) {
	const seed = 20261122
	t.Logf("seed %d", seed)
	w := &walk{
		Rand:  rand.New(rand.NewPCG(seed, 0)), //nolint:gosec // to be repeated
		model: newModel(), nodes: f.nodes(), at: now(),
		policy: session.Policy{
			Idle: 10 * time.Minute, Lifetime: 30 * time.Minute, Grace: 10 * time.Second,
			MaxPerUser: 3, TokenTTL: 5 * time.Minute,
		},
	}
	news := follow(t, f.Store, w.at)
	for step := range 1000 {
		// Sessions are never made in the same millisecond, so that it is clear which was first.
		w.at = w.at.Add(time.Duration(1+w.IntN(5000)) * time.Millisecond)
		w.step(t, step)
		if t.Failed() {
			t.Fatalf("at step %d", step)
		}
	}
	for sid := range w.model.ended {
		heard := news.wait(patience, func([][]session.Revocation) bool {
			for _, r := range slices.Concat(news.reports...) {
				if r.SID == sid {
					return true
				}
			}
			return false
		})
		if !heard {
			t.Fatal("the end of a session was not reported")
		}
	}
}

func (w *walk) step(t *testing.T, step int) {
	t.Helper()
	node := w.nodes[w.IntN(len(w.nodes))]
	user := session.UserID{AppID: fmt.Sprint("wx", w.IntN(2)), OpenID: fmt.Sprint("o", w.IntN(3))}
	learned := session.User{UserID: user, FirstSeen: w.at}
	if w.IntN(3) == 0 {
		learned.Phone, learned.PhoneVerified = fmt.Sprint(step), w.at
	}
	if w.IntN(3) == 0 {
		learned.UnionID = fmt.Sprint("union", w.IntN(2))
	}
	note := session.Note{
		Key:   sha256.Sum256(fmt.Append(nil, w.IntN(10))),
		Value: fmt.Append(nil, step),
		Until: w.at.Add(time.Duration(w.IntN(60)) * time.Second),
	}
	switch w.IntN(10) {
	case 0, 1:
		made, token := session.New(user, w.at)
		l := session.Login{Session: made, Learned: learned, Note: note, Policy: w.policy}
		w.model.login(l)
		w.tokens = append(w.tokens, token)
		check(t, node.Login(t.Context(), l))
	case 2, 3, 4, 5:
		w.refresh(t, node)
	case 6:
		if len(w.tokens) == 0 || w.IntN(3) > 0 {
			return
		}
		sid := w.token().SID
		w.model.end(sid)
		check(t, node.End(t.Context(), sid, w.at, w.policy))
	case 7:
		if w.IntN(3) > 0 {
			return
		}
		before := w.at.Add(-time.Duration(w.IntN(60)) * time.Second)
		w.model.endAll(user, before)
		check(t, node.EndAll(t.Context(), user, before, w.policy))
	case 8:
		want := w.model.learn(learned, note)
		got, err := node.Learn(t.Context(), learned, note)
		check(t, err)
		if !sameUser(got, want) {
			t.Errorf("got user %+v, want %+v", got, want)
		}
	case 9:
		wantUser(t, node, w.model.user(user))
		wantNote(t, node, note.Key, w.at, w.model.recall(note.Key, w.at))
		wantKeys(t, node, w.model.keys, w.model.version)
		version := w.model.version - int64(w.IntN(2))
		swapped, err := node.SwapKeys(t.Context(), version, note.Value)
		check(t, err)
		if want := version == w.model.version; swapped != want {
			t.Errorf("got swapped %t, want %t", swapped, want)
		}
		if swapped {
			w.model.keys, w.model.version = note.Value, version+1
		}
	}
}

func (w *walk) refresh(t *testing.T, node session.Store) {
	t.Helper()
	if len(w.tokens) == 0 {
		return
	}
	token := w.token()
	use := session.NewSpend(token, w.at, w.policy)
	want := w.model.refresh(use)
	got, err := node.Refresh(t.Context(), use)
	check(t, err)
	if got.Verdict != want.Verdict {
		t.Errorf("got %v, want %v", name(got.Verdict), name(want.Verdict))
	}
	if want.Verdict != session.Rotated && want.Verdict != session.Repeated {
		return
	}
	if !sameSession(got.Session, want.Session) || !sameUser(got.User, want.User) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	w.tokens = append(w.tokens, token.Successor(got.Session.Salt))
}

// token returns one of those got lately, for the others are mostly dead.
func (w *walk) token() session.RefreshToken {
	return w.tokens[len(w.tokens)-1-w.IntN(min(len(w.tokens), 8))]
}
