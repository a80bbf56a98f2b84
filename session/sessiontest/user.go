//nolint:thelper // rules are tests: a failure is at their line, not at that which calls them
package sessiontest

import (
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/session"
)

// learn teaches a store and returns the user after that.
func learn(t *testing.T, s session.Store, l session.Lesson) session.User {
	t.Helper()
	learned, err := s.Learn(t.Context(), l)
	if err != nil {
		t.Fatalf("learn: %v", err)
	}
	return learned.User
}

func unseenUserIsEmpty(t *testing.T, f Fixture) {
	wantUser(t, f.Store, session.User{UserID: alice})
}

func usersAreLearned(t *testing.T, f Fixture) {
	begin := now()
	known := session.User{UserID: alice}
	for _, step := range []struct {
		name string
		user session.User
	}{
		{"first seen", session.User{FirstSeen: begin}},
		{"seen again", session.User{FirstSeen: begin.Add(time.Hour)}},
		{"phone", session.User{Phone: "13800138000", PhoneNumber: "+8613800138000", PhoneVerified: begin}},
		{"nothing new", session.User{}},
		{"unionid appears", session.User{UnionID: "o-union"}},
		{"unionid is not told again", session.User{FirstSeen: begin.Add(2 * time.Hour)}},
		{"phone without E.164", session.User{Phone: "12345", PhoneVerified: begin.Add(time.Minute)}},
		{"unionid changes", session.User{UnionID: "o-union-2"}},
		{"nickname", session.User{Nickname: "小明"}},
		{"avatar", session.User{Avatar: "0123456789abcdef"}},
		{"both", session.User{Nickname: "Ming", Avatar: "fedcba9876543210"}},
	} {
		step.user.UserID = alice
		known.Learn(step.user)
		got, err := f.Store.Learn(t.Context(), session.Lesson{User: step.user})
		if err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		if !sameUser(got.User, known) {
			t.Errorf("%s: got %+v, want %+v", step.name, got.User, known)
		}
		for _, node := range f.nodes() {
			wantUser(t, node, known)
		}
	}

	// A login learns in the same way, and a refresh tells it.
	token := login(t, f.Store, alice, begin.Add(time.Hour), policy)
	wantUser(t, f.Store, known)
	if got, _ := refresh(t, f.Store, token, begin.Add(time.Hour), policy); !sameUser(got.User, known) {
		t.Errorf("got user %+v at refresh, want %+v", got.User, known)
	}
}

func parallelLessons(t *testing.T, f Fixture) {
	begin := now()
	var wg sync.WaitGroup
	for i, lesson := range []session.User{
		{UserID: alice, UnionID: "union"},
		{UserID: alice, Phone: "13800138000", PhoneNumber: "+8613800138000", PhoneVerified: begin},
		{UserID: alice, FirstSeen: begin},
		{UserID: alice, Nickname: "小明"},
		{UserID: alice, Avatar: "0123456789abcdef"},
		{UserID: alice, Key: []byte("key"), KeySince: begin},
	} {
		for j := range 5 {
			wg.Go(func() {
				nodes := f.nodes()
				if _, err := nodes[(i+j)%len(nodes)].Learn(t.Context(), session.Lesson{User: lesson}); err != nil {
					t.Errorf("learn: %v", err)
				}
			})
		}
	}
	wg.Wait()
	wantUser(t, f.Store, session.User{
		UserID: alice, UnionID: "union", FirstSeen: begin,
		Phone: "13800138000", PhoneNumber: "+8613800138000", PhoneVerified: begin,
		Nickname: "小明", Avatar: "0123456789abcdef", Key: []byte("key"), KeySince: begin,
	})
}

// sessionKeysAreKept holds stores to what User.Learn and User.DropKey do with WeChat's session_keys, and
// those to what is written here.
func sessionKeysAreKept(t *testing.T, f Fixture) {
	begin := now()
	a, b, c, all := []byte("key a"), []byte("key b"), []byte("\x00\xff\r\n"), make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	for minute, step := range []struct {
		name           string
		key, drop      []byte
		last, previous []byte
		since          int // minute
	}{
		{name: "none"},
		{name: "dropping of none", drop: a},
		{name: "the first", key: a, last: a, since: 2},
		{name: "the same again", key: a, last: a, since: 2},
		{name: "none this time", last: a, since: 2},
		{name: "dropping of a stranger", drop: b, last: a, since: 2},
		{name: "the second", key: b, last: b, previous: a, since: 6},
		{name: "the second again", key: b, last: b, previous: a, since: 6},
		{name: "the third", key: c, last: c, previous: b, since: 8},
		{name: "the second comes back", key: b, last: b, previous: c, since: 9},
		{name: "dropping of the previous", drop: c, last: b, since: 9},
		{name: "any bytes", key: all, last: all, previous: b, since: 11},
		{name: "dropping of the last", drop: all, previous: b, since: 11},
		{name: "another after the last was dropped", key: a, last: a, since: 13},
		{name: "dropping of the one that comes", key: b, drop: b, previous: a, since: 14},
		{name: "dropping of all", drop: a},
		{name: "one again", key: a, last: a, since: 16},
		{name: "dropping of the one superseded", key: b, drop: a, last: b, since: 17},
	} {
		lesson := session.Lesson{User: session.User{UserID: alice, Key: step.key}, DropKey: step.drop}
		if step.key != nil {
			lesson.User.KeySince = begin.Add(time.Duration(minute) * time.Minute)
		}
		want := session.User{UserID: alice, Key: step.last, PreviousKey: step.previous}
		if step.last != nil || step.previous != nil {
			want.KeySince = begin.Add(time.Duration(step.since) * time.Minute)
		}
		if got := learn(t, f.Store, lesson); !sameUser(got, want) {
			t.Errorf("%s: got %+v, want %+v", step.name, got, want)
		}
		for _, node := range f.nodes() {
			wantUser(t, node, want)
		}
	}

	// A login learns in the same way.
	made, _ := session.New(alice, begin)
	learned := session.User{UserID: alice, FirstSeen: begin, Key: c, KeySince: begin}
	check(t, f.Store.Login(t.Context(), session.Login{Session: made, Learned: learned, Policy: policy}))
	learned.PreviousKey = b
	wantUser(t, f.Store, learned)
}

func largeProfilesAreKept(t *testing.T, f Fixture) {
	begin := now()
	large := session.User{UserID: alice, FirstSeen: begin, Nickname: strings.Repeat("微👩‍👩‍👧", 2000), Avatar: strings.Repeat("f", 1000)}
	token := login(t, f.Store, alice, begin, policy)
	learn(t, f.Store, session.Lesson{SID: token.SID, User: large})
	wantUser(t, f.Store, large)
	small := session.User{UserID: alice, FirstSeen: begin, Nickname: "x", Avatar: "y"}
	learn(t, f.Store, session.Lesson{SID: token.SID, User: small})
	if got, _ := refresh(t, f.Store, token, begin, policy); !sameUser(got.User, small) {
		t.Errorf("got %+v, want %+v", got.User, small)
	}
}

// learnedClaims teaches a store and wants the session to have some claims after that.
func learnedClaims(t *testing.T, s session.Store, l session.Lesson, want json.RawMessage) {
	t.Helper()
	got, err := s.Learn(t.Context(), l)
	if err != nil {
		t.Fatalf("learn: %v", err)
	}
	if (got.Claims == nil) != (want == nil) || string(got.Claims) != string(want) {
		t.Errorf("learned claims %s, want %s", got.Claims, want)
	}
}

func claimsAreKept(t *testing.T, f Fixture) {
	begin := now()
	other := login(t, f.Store, alice, begin, policy)
	made, token := session.New(alice, begin)
	made.Claims = json.RawMessage(`{"role":"admin"}`)
	none := json.RawMessage("null")
	check(t, f.Store.Login(t.Context(), session.Login{Session: made, Learned: session.User{UserID: alice}, Policy: policy}))
	want := made.Claims
	wantClaims := func(name string) {
		t.Helper()
		for _, node := range f.nodes() {
			got, next := refresh(t, node, token, begin, policy)
			if (got.Session.Claims == nil) != (want == nil) || string(got.Session.Claims) != string(want) {
				t.Errorf("%s: got claims %s, want %s", name, got.Session.Claims, want)
			}
			again, _ := refresh(t, node, token, begin, policy) // gets the same successor
			if string(again.Session.Claims) != string(want) {
				t.Errorf("%s: got claims %s again, want %s", name, again.Session.Claims, want)
			}
			token = next
		}
	}
	wantClaims("login")
	for _, claims := range []json.RawMessage{
		nil, json.RawMessage(`{"role":"用户","list":[1,2.5,null],"of":{"s":"\"\u0000"}}`), json.RawMessage(`{}`), nil,
		none, nil, json.RawMessage(`{"a":null}`), nil,
	} {
		if string(claims) == "null" {
			want = nil
		} else if claims != nil {
			want = claims
		}
		learnedClaims(t, f.Store, session.Lesson{SID: token.SID, User: session.User{UserID: alice}, Claims: claims}, want)
		wantClaims("learned " + string(claims))
	}
	learnedClaims(t, f.Store, session.Lesson{User: session.User{UserID: alice}, Claims: json.RawMessage(`{"of":"no session"}`)}, nil)
	wantClaims("of no session")
	learnedClaims(t, f.Store, session.Lesson{SID: other.SID, User: session.User{UserID: alice}}, nil)
	made, nothing := session.New(alice, begin)
	made.Claims = none
	check(t, f.Store.Login(t.Context(), session.Login{Session: made, Learned: session.User{UserID: alice}, Policy: policy}))
	learnedClaims(t, f.Store, session.Lesson{SID: made.SID, User: session.User{UserID: alice}}, nil)
	if got, _ := refresh(t, f.Store, nothing, begin, policy); got.Session.Claims != nil {
		t.Errorf("got claims %s of a login with null, want none", got.Session.Claims)
	}
	if got, _ := refresh(t, f.Store, other, begin, policy); got.Session.Claims != nil {
		t.Errorf("got claims %s in another session, want none", got.Session.Claims)
	}

	// What is no JSON is refused as a whole.
	broken := json.RawMessage(`{"secret`)
	u := session.User{UserID: session.UserID{AppID: "wx", OpenID: "o-broken"}, Phone: "1"}
	made, _ = session.New(u.UserID, begin)
	made.Claims = broken
	if err := f.Store.Login(t.Context(), session.Login{Session: made, Learned: u, Policy: policy}); err == nil {
		t.Error("login: got no error for claims that are no JSON")
	}
	wantUser(t, f.Store, session.User{UserID: u.UserID})
	_, err := f.Store.Learn(t.Context(), session.Lesson{SID: token.SID, User: session.User{UserID: alice, Phone: "1"}, Claims: broken})
	if err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("learn: got %v for claims that are no JSON, want an error without values", err)
	}
	wantUser(t, f.Store, session.User{UserID: alice, FirstSeen: begin})
	wantClaims("broken")
}

// lessonsOfEndedSessions come too late, whatever ended the session.
func lessonsOfEndedSessions(t *testing.T, f Fixture) {
	begin := now()
	bob := session.UserID{AppID: alice.AppID, OpenID: "oBob"}
	lessonOf := func(sid session.SID) session.Lesson {
		return session.Lesson{
			SID: sid, User: session.User{UserID: alice, Phone: "13800138000", Nickname: "late", Key: []byte("key")},
			Claims: json.RawMessage(`{"too":"late"}`),
			Note:   session.Note{Key: session.Digest{1}, Value: []byte("answer"), Until: begin.Add(time.Hour)},
		}
	}
	wantEnded := func(name string, sid session.SID) {
		t.Helper()
		for _, node := range f.nodes() {
			got, err := node.Learn(t.Context(), lessonOf(sid))
			if !errors.Is(err, session.ErrEnded) || !sameUser(got.User, session.User{}) || got.Claims != nil {
				t.Errorf("%s: got %+v, %v, want %v", name, got, err, session.ErrEnded)
			}
		}
		wantNote(t, f.Store, session.Digest{1}, begin, nil)
	}
	never, _ := session.New(alice, begin)
	wantEnded("never stored", never.SID)
	wantEnded("no name", "no name of a session")
	wantUser(t, f.Store, session.User{UserID: alice})

	live := login(t, f.Store, alice, begin, policy)
	wantEnded("another user's", login(t, f.Store, bob, begin, policy).SID)
	ended := login(t, f.Store, alice, begin, policy)
	check(t, f.Store.End(t.Context(), ended.SID, begin, policy))
	wantEnded("ended", ended.SID)
	reused := login(t, f.Store, alice, begin, policy)
	wantVerdict(t, f.Store, reused.Successor(nil), begin, policy, session.Reused)
	wantEnded("reused", reused.SID)
	one := policy
	one.MaxPerUser = 1
	last := login(t, f.Store, alice, begin.Add(time.Second), one)
	wantEnded("gone for another", live.SID)
	check(t, f.Store.EndAll(t.Context(), alice, begin, policy))
	wantUser(t, f.Store, session.User{UserID: alice, FirstSeen: begin})

	got := learn(t, f.Store, lessonOf(last.SID))
	if want := (session.User{UserID: alice, FirstSeen: begin, Phone: "13800138000", Nickname: "late", Key: []byte("key")}); !sameUser(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	wantNote(t, f.Store, session.Digest{1}, begin, []byte("answer"))
	if got, _ := refresh(t, f.Store, last, begin.Add(time.Second), policy); string(got.Session.Claims) != `{"too":"late"}` {
		t.Errorf("got claims %s, want those learned", got.Session.Claims)
	}
}
