//nolint:thelper // rules are tests: a failure is at their line, not at that which calls them
package sessiontest

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/session"
)

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
	for step := range 1500 {
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
	learned := w.learned(user, step)
	note := session.Note{
		Key:   sha256.Sum256(fmt.Append(nil, w.IntN(10))),
		Value: fmt.Append(nil, step),
		Until: w.at.Add(time.Duration(w.IntN(60)) * time.Second),
	}
	switch w.IntN(14) {
	case 0, 1, 10:
		since := w.at
		if w.IntN(4) == 0 { // it was long under way
			since = since.Add(-time.Duration(w.IntN(60000)) * time.Millisecond)
		}
		made, token := session.New(user, since)
		made.LastUse, made.Claims = w.at, w.claims(step)
		l := session.Login{Session: made, Learned: learned, Note: note, Policy: w.policy}
		want := w.model.login(l)
		w.tokens = append(w.tokens, token)
		if err := node.Login(t.Context(), l); !errors.Is(err, want) {
			t.Errorf("login: got %v, want %v", err, want)
		}
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
		w.learn(t, node, session.Lesson{User: learned, DropKey: w.key(), Note: note})
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
	case 11:
		if len(w.tokens) > 0 {
			w.learnInSession(t, node, session.Lesson{SID: w.token().SID, User: learned, Claims: w.claims(step), DropKey: w.key(), Note: note})
		}
	case 12:
		if w.IntN(3) > 0 {
			return
		}
		before := w.at.Add(-time.Duration(w.IntN(60)) * time.Second)
		want := w.model.forget(user, before)
		got, err := node.Forget(t.Context(), user, before, w.policy)
		check(t, err)
		if !sameUser(got, want) {
			t.Errorf("forgot user %+v, want %+v", got, want)
		}
	case 13:
		delta := w.IntN(4) - 1
		want := w.model.count(note.Key, delta, note.Until, w.at)
		wantCount(t, node, note.Key, delta, note.Until, w.at, want)
	}
}

// learned returns something of a user, at random.
func (w *walk) learned(user session.UserID, step int) session.User {
	u := session.User{UserID: user, FirstSeen: w.at}
	if w.IntN(3) == 0 {
		u.Phone, u.PhoneVerified = fmt.Sprint(step), w.at
	}
	if w.IntN(3) == 0 {
		u.UnionID = fmt.Sprint("union", w.IntN(2))
	}
	if w.IntN(3) == 0 {
		u.Nickname = fmt.Sprint("nickname", step)
	}
	if w.IntN(3) == 0 {
		u.Avatar = fmt.Sprint("avatar", step)
	}
	if u.Key = w.key(); u.Key != nil {
		u.KeySince = w.at
	}
	return u
}

func (w *walk) key() []byte {
	if n := w.IntN(6); n < 3 {
		return fmt.Append(nil, "session_key", n)
	}
	return nil
}

func (w *walk) claims(step int) json.RawMessage {
	switch w.IntN(8) {
	case 0, 1, 2, 3:
		return nil
	case 4:
		return json.RawMessage("null")
	default:
		return fmt.Appendf(nil, `{"step":%d}`, step)
	}
}

func (w *walk) learn(t *testing.T, node session.Store, l session.Lesson) {
	t.Helper()
	want, wantErr := w.model.learn(l)
	got, err := node.Learn(t.Context(), l)
	if !errors.Is(err, wantErr) || !sameUser(got.User, want.User) || string(got.Claims) != string(want.Claims) {
		t.Errorf("learned %+v, %v, want %+v, %v", got, err, want, wantErr)
	}
}

func (w *walk) learnInSession(t *testing.T, node session.Store, l session.Lesson) {
	t.Helper()
	s, ok := w.model.sessions[l.SID]
	if ok && !w.at.Before(s.Ends(w.policy)) {
		return // a store may have dropped it, or not
	}
	if w.IntN(4) > 0 && ok {
		l.User.UserID = s.User
	}
	w.learn(t, node, l)
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
