// A random walk: a store must do what the model does.

package sessiontest

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/session"
)

// walk does the same random things to a model and to the nodes of a store.
type walk struct {
	*rand.Rand
	*fixture
	model  *model
	at     time.Time
	policy session.Policy
	steps  int
	held   []held // every token ever got
}

// users are those of the walk.
var users = []session.UserID{
	{AppID: "wx0", OpenID: "o0"}, {AppID: "wx0", OpenID: "o1"}, {AppID: "wx0", OpenID: "o2"}, {AppID: "wx1", OpenID: "o0"},
}

// held is a refresh token and whose it is.
type held struct {
	token session.RefreshToken
	user  session.UserID
}

func newWalk(t *testing.T, f *fixture) *walk {
	t.Helper()
	const seed = 20261122
	t.Logf("seed %d", seed)
	return &walk{
		Rand:    rand.New(rand.NewPCG(seed, 0)),
		fixture: f, model: newModel(), at: now().Add(time.Hour), // no step of the walk lies in the past
		policy: session.Policy{
			Idle: 10 * time.Minute, Lifetime: 30 * time.Minute, Grace: 10 * time.Second,
			MaxPerUser: 3, TokenTTL: 5 * time.Minute,
		},
	}
}

func agreesWithModel(t *testing.T, f *fixture) {
	followed := follow(t, f.last())
	w := newWalk(t, f)
	w.walk(t, 2000)
	w.wantAll(t)
	if f.Second == nil {
		return // its own revocations may be left out
	}
	followed.want(t, func(revoked []session.Revocation) bool { return len(latest(revoked)) == len(w.model.revoked) })
	wantRevocations(t, followed.all(), w.model.revoked)
}

func restartKeepsAll(t *testing.T, f *fixture) {
	if f.Reopen == nil {
		t.Skip("nothing survives")
	}
	w := newWalk(t, f)
	for range 5 {
		w.walk(t, 100)
		f.reopen(t)
		f.reopen(t) // after nothing was written
		w.wantAll(t)
	}
}

func (w *walk) walk(t *testing.T, steps int) {
	for range steps {
		w.step(t)
		if t.Failed() {
			t.Fatalf("at step %d", w.steps)
		}
	}
}

// wantAll compares everything that is stored.
func (w *walk) wantAll(t *testing.T) {
	t.Helper()
	for _, node := range w.nodes() {
		for _, user := range users {
			w.wantAccount(t, node, user)
		}
		for key := range w.model.replays {
			wantReplay(t, node, key, w.at, w.model.replay(key, w.at))
		}
		for key := range w.model.counters {
			wantCount(t, node, key, 0, w.at, w.at, w.model.count(key, 0, w.at, w.at))
		}
		for _, user := range users {
			w.wantFound(t, node, user)
		}
		wantKeys(t, node, w.model.keys, w.model.version)
		wantRevocations(t, follow(t, node).first(), w.model.revoked)
	}
}

func wantRevocations(t *testing.T, revoked []session.Revocation, want map[session.SID]time.Time) {
	t.Helper()
	got := latest(revoked)
	if len(got) != len(want) {
		t.Errorf("got %d sessions revoked, want %d", len(got), len(want))
	}
	for sid, until := range want {
		if !got[sid].Equal(until) {
			t.Errorf("got a session revoked until %v, want %v", got[sid], until)
		}
	}
}

func latest(revoked []session.Revocation) map[session.SID]time.Time {
	last := map[session.SID]time.Time{}
	for _, r := range revoked {
		last[r.SID] = until([]session.Revocation{r, {SID: r.SID, Until: last[r.SID]}}, r.SID)
	}
	return last
}

func (w *walk) step(t *testing.T) {
	w.steps++
	step := w.steps
	w.at = w.at.Add(time.Duration(w.IntN(5000)) * time.Millisecond)
	if w.IntN(100) == 0 {
		w.at = w.at.Add(time.Duration(w.IntN(20)) * time.Hour)
	}
	if w.IntN(100) == 0 && w.Reopen != nil {
		w.reopen(t)
	}
	at := w.at
	if w.IntN(10) == 0 { // this node's clock is wrong
		at = at.Add(time.Duration(w.IntN(6)-3) * time.Minute)
	}
	nodes := w.nodes()
	node := nodes[w.IntN(len(nodes))]
	user := users[w.IntN(len(users))]
	replay := session.Replay{
		Key:   sha256.Sum256(fmt.Append(nil, w.IntN(10))),
		Value: fmt.Append(nil, step),
		Until: at.Add(time.Duration(w.IntN(60)) * time.Second),
	}
	switch w.IntN(16) {
	case 0, 1, 2:
		w.login(t, node, user, at, replay, step)
	case 3, 4, 5, 6:
		w.refresh(t, node, at, step)
	case 7, 8:
		w.update(t, node, user, at, replay, step)
	case 9, 10:
		w.end(t, node, user, at)
	case 11:
		w.swap(t, node, replay.Value)
	case 12:
		w.model.putReplay(replay)
		check(t, node.PutReplay(t.Context(), replay, at))
	case 13:
		key, delta, until := session.Digest{byte(w.IntN(2))}, w.IntN(5)-1, at.Add(time.Duration(w.IntN(10))*time.Minute)
		wantCount(t, node, key, delta, until, at, w.model.count(key, delta, until, at))
	case 14:
		w.operate(t, node, user, at, step)
	case 15:
		w.wantFound(t, node, user)
	}
	wantReplay(t, node, replay.Key, at, w.model.replay(replay.Key, at))
	w.wantAccount(t, nodes[w.IntN(len(nodes))], user)
}

func (w *walk) wantAccount(t *testing.T, node session.Store, user session.UserID) {
	t.Helper()
	wantSame(t, "account", account(t, node, user), *w.model.account(user.Tag()))
}

func (w *walk) login(t *testing.T, node session.Store, user session.UserID, at time.Time, replay session.Replay, step int) {
	made, token := session.New(user, session.NewSite(fmt.Sprint(w.IntN(2))), at)
	if w.IntN(4) == 0 { // it was long under way
		made.Created = at.Add(-time.Duration(w.IntN(60000)) * time.Millisecond)
	}
	made.TokensUntil, made.Claims = w.tokensUntil(at), w.claims(step)
	l := session.Login{
		Session: made, User: w.news(user, at, step), Generation: w.model.account(user.Tag()).Generation,
		Withdrawals: w.withdrawals(user), Replay: replay, Policy: w.policy,
	}
	if w.IntN(6) == 0 {
		l.Generation += int64(w.IntN(3) - 1)
	}
	want, wantErr := w.model.login(l)
	w.held = append(w.held, held{token, user})
	got, err := node.Login(t.Context(), l)
	wantBanned(t, err, wantErr)
	if !errors.Is(err, session.ErrEnded) {
		check(t, err)
	}
	if (err == nil) != (wantErr == nil) {
		t.Errorf("login: got %v, want %v", err, wantErr)
	}
	w.wantRevoked(t, got, want)
	w.wantAccount(t, node, user)
}

func (w *walk) refresh(t *testing.T, node session.Store, at time.Time, step int) {
	h, ok := w.recent()
	if !ok {
		return
	}
	r := session.NewRedemption(h.token, at, w.policy)
	r.TokensUntil, r.Claims = w.tokensUntil(at), w.claims(step)
	want := w.model.refresh(h.user.Tag(), r)
	got, err := node.Refresh(t.Context(), r)
	check(t, err)
	if got.Outcome != want.Outcome {
		t.Errorf("got %v, want %v", name(got.Outcome), name(want.Outcome))
	}
	w.wantRevoked(t, got.Revoked, want.Revoked)
	w.wantAccount(t, node, h.user)
	if want.Outcome != session.Rotated && want.Outcome != session.Repeated {
		return
	}
	wantSame(t, "session", got.Session, want.Session)
	wantSame(t, "user", got.User, want.User)
	if got.Session.User != h.user {
		t.Errorf("got a session of %+v, want %+v", got.Session.User, h.user)
	}
	w.held = append(w.held, held{h.token.Successor(got.Session.Salt), h.user})
}

func (w *walk) update(t *testing.T, node session.Store, user session.UserID, at time.Time, replay session.Replay, step int) {
	h, ok := w.recent()
	if !ok {
		return
	}
	if w.IntN(4) > 0 {
		user = h.user
	}
	u := session.Update{
		SID: h.token.SID, User: w.news(user, at, step), Claims: w.claims(step), TokensUntil: w.tokensUntil(at),
		DropKey: w.key(), Replay: replay, Now: at, Withdrawals: w.withdrawals(user),
	}
	want, wantErr := w.model.update(u)
	got, err := node.Update(t.Context(), u)
	if !errors.Is(err, wantErr) {
		t.Errorf("update: got %v, want %v", err, wantErr)
	}
	wantSame(t, "updated", got.User, want.User)
	if string(got.Claims) != string(want.Claims) {
		t.Errorf("got claims %s, want %s", got.Claims, want.Claims)
	}
	w.wantAccount(t, node, user)
}

func (w *walk) end(t *testing.T, node session.Store, user session.UserID, at time.Time) {
	h, ok := w.recent()
	if !ok {
		return
	}
	e := session.Ending{Now: at, Policy: w.policy}
	if w.IntN(2) == 0 && h.user == user {
		e.SID = h.token.SID
	}
	var want, got []session.Revocation
	var err error
	switch a := w.model.account(user.Tag()); w.IntN(8) {
	case 0:
		want = a.EndAll(e)
		got, err = node.EndAll(t.Context(), user.Tag(), e)
	case 1:
		want = a.Erase(e)
		got, err = node.Erase(t.Context(), user.Tag(), e)
	default:
		user = h.user
		want = w.model.account(user.Tag()).End(h.token.SID, e)
		got, err = node.End(t.Context(), h.token.SID, e)
	}
	check(t, err)
	w.wantRevoked(t, got, w.model.revoke(want))
	w.wantAccount(t, node, user)
}

func (w *walk) swap(t *testing.T, node session.Store, keys []byte) {
	version := w.model.version - int64(w.IntN(2))
	swapped, err := node.SwapKeys(t.Context(), version, keys)
	check(t, err)
	if want := version == w.model.version; swapped != want {
		t.Errorf("got swapped %t, want %t", swapped, want)
	}
	if swapped {
		w.model.keys, w.model.version = keys, version+1
	}
	wantKeys(t, node, w.model.keys, w.model.version)
}

// wantRevoked wants the same sessions revoked, for as long as now needed, or as was needed before.
func (w *walk) wantRevoked(t *testing.T, got, want []session.Revocation) {
	t.Helper()
	if len(latest(got)) != len(latest(want)) {
		t.Errorf("got %d sessions revoked, want %d", len(got), len(want))
	}
	for _, r := range want {
		if last := until(got, r.SID); last.Before(r.Until) || last.After(w.model.revoked[r.SID]) {
			t.Errorf("got a session revoked until %v, want %v", last, r.Until)
		}
	}
}

// news returns something of a user, at random.
func (w *walk) news(user session.UserID, at time.Time, step int) session.User {
	u := session.User{UserID: user, FirstSeen: at}
	if w.IntN(3) == 0 {
		u.Phone, u.PhoneVerified = fmt.Sprint(step), at
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
		u.KeySince = at
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
	case 0:
		return json.RawMessage("null")
	case 1, 2, 3:
		return fmt.Appendf(nil, `{"step":%d}`, step)
	}
	return nil
}

// tokensUntil returns when a token made now expires: nodes differ in how long theirs live.
func (w *walk) tokensUntil(at time.Time) time.Time {
	return at.Add(time.Duration(w.IntN(8)) * time.Minute)
}

// recent returns one of the tokens got lately, for the others are mostly over.
func (w *walk) recent() (held, bool) {
	if len(w.held) == 0 {
		return held{}, false
	}
	return w.held[len(w.held)-1-w.IntN(min(len(w.held), 8))], true
}
