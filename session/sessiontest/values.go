// Rules for what records may hold.

//nolint:thelper // rules are tests: a failure is at their line, not at that which calls them
package sessiontest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/session"
)

func usersAreApart(t *testing.T, f *fixture) {
	begin := now()
	users := []session.UserID{
		alice,
		{AppID: alice.AppID, OpenID: strings.ToLower(alice.OpenID)},
		{AppID: "wx-other", OpenID: alice.OpenID},
		{AppID: alice.AppID + "o", OpenID: alice.OpenID[1:]},
		{AppID: "a\x00b", OpenID: "c"},
		{AppID: "a", OpenID: "b\x00c"},
	}
	tokens := make([]session.RefreshToken, len(users))
	for i, user := range users {
		tokens[i] = login(t, f.Store, user, begin)
		update(t, f.Store, tokens[i].SID, session.User{UserID: user, Phone: fmt.Sprint(i)})
	}
	for i, user := range users {
		wantUser(t, f.last(), session.User{UserID: user, Phone: fmt.Sprint(i), FirstSeen: begin})
	}
	_, err := f.Store.Erase(t.Context(), users[0].Tag(), ending(begin))
	check(t, err)
	wantOutcome(t, f.last(), tokens[0], begin, session.Unknown)
	for i, token := range tokens[1:] {
		got, _ := refresh(t, f.last(), token, begin)
		if got.Outcome != session.Rotated || got.Session.User != users[i+1] || got.User.UserID != users[i+1] {
			t.Errorf("got %v of %+v, want Rotated of %+v", name(got.Outcome), got.Session.User, users[i+1])
		}
	}

	// A token of one session with the name of another is none.
	r := session.NewRedemption(tokens[1], begin, policy)
	r.SID = tokens[2].SID
	if got, err := f.Store.Refresh(t.Context(), r); err != nil || got.Outcome != session.Unknown {
		t.Errorf("got %v, %v for a mixed token, want Unknown", name(got.Outcome), err)
	}
}

func strangeNames(t *testing.T, f *fixture) {
	begin := now()
	for _, text := range []string{
		"'", `"`, `\`, "a\x00b", "\r\n", "{tag}", "*", "a:b", "a/../b", "%s", "用户", "\u2028", "👩‍👩‍👧", "<&>",
		"'; DROP TABLE users; --", "return redis.call('FLUSHALL')", "null", strings.Repeat("x", 128),
		strings.Repeat("微", 128),
	} {
		user := session.User{
			UserID:  session.UserID{AppID: "wx" + text, OpenID: text},
			UnionID: text, Phone: text, PhoneNumber: text, PhoneVerified: begin, FirstSeen: begin,
			Nickname: text, Avatar: text, Key: []byte(text + "\xff"), KeySince: begin,
		}
		claims, err := json.Marshal(map[string]string{"claim" + text: text})
		check(t, err)
		l, token := newLogin(user.UserID, begin, 0)
		l.User, l.Session.Claims = user, claims
		if _, err := f.Store.Login(t.Context(), l); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		wantUser(t, f.last(), user)
		got, _ := refresh(t, f.last(), token, begin)
		if got.Outcome != session.Rotated || got.Session.User != user.UserID {
			t.Errorf("%q: got %v of %+v, want Rotated", text, name(got.Outcome), got.User)
		}
		wantSame(t, text, got.User, user)
		wantSame(t, text, got.Session.Claims, json.RawMessage(claims))
	}
}

func largeValues(t *testing.T, f *fixture) {
	begin := now()
	claims := json.RawMessage(`{"n":9007199254740993,"e":1.50,"large":"` + strings.Repeat("微", 10_000) + `"}`)
	large := bytes.Repeat([]byte{0, 0xff, '\n', '"'}, 16<<10)
	var tokens []session.RefreshToken
	for range policy.MaxPerUser {
		l, token := newLogin(alice, begin, 0)
		l.Session.Claims, l.Replay.Value = claims, large
		l.User.Nickname, l.User.Key = strings.Repeat("n", 1<<10), large[:1<<10]
		_, err := f.Store.Login(t.Context(), l)
		check(t, err)
		wantReplay(t, f.last(), l.Replay.Key, begin, large)
		tokens = append(tokens, token)
	}
	for _, token := range tokens {
		got, _ := refresh(t, f.last(), token, begin)
		if got.Outcome != session.Rotated || !bytes.Equal(got.Session.Claims, claims) || !bytes.Equal(got.User.Key, large[:1<<10]) {
			t.Errorf("got %v with %d bytes of claims, want Rotated with %d", name(got.Outcome), len(got.Session.Claims), len(claims))
		}
	}
	swapped, err := f.Store.SwapKeys(t.Context(), 0, large)
	if check(t, err); !swapped {
		t.Error("keys were not swapped")
	}
	wantKeys(t, f.last(), large, 1)
}

func replaysHoldAnything(t *testing.T, f *fixture) {
	begin := now()
	until := begin.Add(time.Minute)
	for i, value := range [][]byte{{}, {0}, []byte("null"), []byte("\xff\xfe\r\n"), []byte(`"`), []byte("0")} {
		key := session.Digest{byte(i)} // the zero key is that of no replay
		check(t, f.Store.PutReplay(t.Context(), session.Replay{Key: key, Value: value, Until: until}, begin))
		want := value
		if key == (session.Digest{}) {
			want = nil
		}
		wantReplay(t, f.last(), key, begin, want)
		wantReplay(t, f.last(), key, until.Add(-time.Millisecond), want)
		wantReplay(t, f.last(), key, until, nil)
		wantCount(t, f.Store, key, 1, until, begin, 1) // a counter of the same key is another thing
		wantReplay(t, f.last(), key, begin, want)
	}
}

// countersEndInTime at the until of their beginning, whatever comes later.
func countersEndInTime(t *testing.T, f *fixture) {
	begin, key := now(), session.Digest{1}
	until, later := begin.Add(time.Minute), begin.Add(time.Hour)
	wantCount(t, f.Store, key, 0, later, begin, 0) // begins nothing
	wantCount(t, f.Store, key, -1, later, begin, 0)
	wantCount(t, f.Store, key, 2, until, begin, 2)
	wantCount(t, f.last(), key, 1, later, until.Add(-time.Millisecond), 3)
	wantCount(t, f.Store, key, 0, later, until, 0)
	wantCount(t, f.last(), key, 1, later, until, 1)
	wantCount(t, f.Store, key, -5, later, until, 0) // and is gone
	wantCount(t, f.last(), key, 1, until.Add(time.Second), until, 1)
	wantCount(t, f.Store, key, 1, later, until.Add(time.Second), 1)
}

func restartKeepsAll(t *testing.T, f *fixture) {
	if f.Reopen == nil {
		t.Skip("nothing survives")
	}
	begin := now()
	spent := login(t, f.Store, alice, begin)
	next := wantOutcome(t, f.Store, spent, begin, session.Rotated)
	ended := login(t, f.Store, alice, begin)
	last := end(t, f.Store, ended.SID, ending(begin))
	replay := session.Replay{Key: session.Digest{1}, Value: []byte("value\x00"), Until: begin.Add(time.Hour)}
	user := session.User{UserID: alice, Phone: "13800138000", FirstSeen: begin}
	u := session.Update{SID: next.SID, User: user, Claims: json.RawMessage(`{"a":1}`), Replay: replay, Now: begin}
	_, err := f.Store.Update(t.Context(), u)
	check(t, err)
	eve := session.UserID{AppID: alice.AppID, OpenID: "oEve"}
	erased := login(t, f.Store, eve, begin)
	_, err = f.Store.Erase(t.Context(), eve.Tag(), ending(begin))
	check(t, err)
	wantCount(t, f.Store, session.Digest{1}, 2, begin.Add(time.Hour), begin, 2)
	_, err = f.Store.SwapKeys(t.Context(), 0, []byte("keys\x00"))
	check(t, err)

	for range 2 { // the second time nothing was written in between
		f.reopen(t)
	}
	revoked := follow(t, f.Store).first()
	if got := until(revoked, ended.SID); !got.Equal(last) || until(revoked, erased.SID).IsZero() {
		t.Errorf("got %d revocations, want those of two sessions", len(revoked))
	}
	wantUser(t, f.Store, user)
	late, _ := newLogin(eve, begin, 0)
	if _, err := f.Store.Login(t.Context(), late); !errors.Is(err, session.ErrEnded) {
		t.Errorf("login: got %v, want %v", err, session.ErrEnded)
	}
	wantCount(t, f.Store, session.Digest{1}, 1, begin, begin, 3)
	wantReplay(t, f.Store, replay.Key, begin, replay.Value)
	wantKeys(t, f.Store, []byte("keys\x00"), 1)
	wantOutcome(t, f.Store, ended, begin, session.Unknown)
	got, same := refresh(t, f.Store, spent, begin)
	if got.Outcome != session.Repeated || same.Text() != next.Text() || string(got.Session.Claims) != `{"a":1}` {
		t.Errorf("got %v with claims %s, want Repeated with the same successor", name(got.Outcome), got.Session.Claims)
	}
	wantOutcome(t, f.Store, next, begin, session.Rotated)
	wantOutcome(t, f.Store, spent, begin.Add(policy.Grace), session.Reused)
}
