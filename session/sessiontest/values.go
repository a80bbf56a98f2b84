// Rules for what records may hold.

package sessiontest

import (
	"bytes"
	"encoding/json"
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
