// Sessions' names, sites and users.

package session_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/session"
)

// The parts of a site come from its configuration: no two lists of them may run together.
func TestSitesHaveMarksOfTheirOwn(t *testing.T) {
	t.Parallel()
	seen := map[session.Site][]string{}
	for _, parts := range [][]string{
		{},
		{""},
		{"", ""},
		{"ab"},
		{"a", "b"},
		{"", "ab"},
		{"ab", ""},
		{"b", "a"},
		{"a\x00b"},
		{"\x01a"},
		{"\x01a", "b"},
		{"a", "\x01b"},
		{strings.Repeat("a", 128)},
		{strings.Repeat("a", 127), "a"},
	} {
		mark := session.NewSite(parts...)
		if other, ok := seen[mark]; ok {
			t.Errorf("%q and %q have one mark", parts, other)
		}
		seen[mark] = parts
		if again := session.NewSite(parts...); again != mark {
			t.Errorf("%q: got %v, then %v", parts, mark, again)
		}
	}
}

func TestASessionBelongsToItsUserAndSite(t *testing.T) {
	t.Parallel()
	for _, user := range []session.UserID{bob, {AppID: "wx-other", OpenID: bob.OpenID}} {
		for _, where := range []session.Site{site, session.NewSite("https://other.example"), {}} {
			made, token := session.New(user, where, start)
			tag, at, ok := made.SID.Parse()
			if !ok || tag != user.Tag() || at != where || token.SID != made.SID {
				t.Errorf("got a session of %v at %v, %t, want %v at %v", tag, at, ok, user.Tag(), where)
			}
			if !tag.IsOf(user.AppID) || tag.IsOf(user.AppID+"x") {
				t.Errorf("the tag of %v is not that of a user of its mini program", user)
			}
		}
	}
}

func TestSessionsEnd(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name          string
		created, used time.Duration
		want          time.Duration
	}{
		{"unused", 0, 0, policy.Idle},
		{"used", 0, time.Minute, time.Minute + policy.Idle},
		{"used until its end", 0, policy.Lifetime - time.Minute, policy.Lifetime},
		{"long under way", -time.Hour, 0, policy.Idle},
	} {
		s := session.Session{Created: start.Add(test.created), LastUse: start.Add(test.used)}
		if got := s.Ends(policy).Sub(start); got != test.want {
			t.Errorf("%s: got an end after %v, want %v", test.name, got, test.want)
		}
	}
}

func TestUsersMerge(t *testing.T) {
	t.Parallel()
	day := func(n int) time.Time { return start.AddDate(0, 0, n) }
	known := session.User{
		UserID: bob, UnionID: "union", FirstSeen: start, Phone: "13800138000", PhoneNumber: "+8613800138000", PhoneVerified: start,
		Nickname: "Bob", Avatar: "a1", Key: []byte("2"), KeySince: start, PreviousKey: []byte("1"),
	}
	for _, test := range []struct {
		name string
		news session.User
		want func(*session.User)
	}{
		{"nothing", session.User{FirstSeen: day(1)}, func(*session.User) {}},
		{"unionid", session.User{UnionID: "u2"}, func(u *session.User) { u.UnionID = "u2" }},
		{"phone without E.164", session.User{Phone: "1", PhoneVerified: day(1)}, func(u *session.User) {
			u.Phone, u.PhoneNumber, u.PhoneVerified = "1", "", day(1)
		}},
		{"nickname", session.User{Nickname: "B"}, func(u *session.User) { u.Nickname = "B" }},
		{"avatar", session.User{Avatar: "a2"}, func(u *session.User) { u.Avatar = "a2" }},
		{"the same key", session.User{Key: []byte("2"), KeySince: day(1)}, func(*session.User) {}},
		{"another key", session.User{Key: []byte("3"), KeySince: day(1)}, func(u *session.User) {
			u.Key, u.KeySince, u.PreviousKey = []byte("3"), day(1), []byte("2")
		}},
		{"the key before", session.User{Key: []byte("1"), KeySince: day(1)}, func(u *session.User) {
			u.Key, u.KeySince, u.PreviousKey = []byte("1"), day(1), []byte("2")
		}},
	} {
		got, want := known, known
		test.news.UserID = bob
		got.Merge(test.news)
		test.want(&want)
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %s, want %s", test.name, text(t, got), text(t, want))
		}
		var first session.User
		if first.Merge(known); !reflect.DeepEqual(first, session.User{
			UserID: bob, UnionID: known.UnionID, FirstSeen: start, Phone: known.Phone, PhoneNumber: known.PhoneNumber, PhoneVerified: start,
			Nickname: known.Nickname, Avatar: known.Avatar, Key: known.Key, KeySince: start,
		}) {
			t.Errorf("got %s of one never seen", text(t, first))
		}
	}
}

func TestKeysAreDropped(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		key, previous, drop, want string
	}{
		{"2", "1", "", "2 1 true"},
		{"2", "1", "2", " 1 true"},
		{"2", "1", "1", "2  true"},
		{"2", "1", "3", "2 1 true"},
		{"2", "", "2", "  false"},
		{"", "", "2", "  false"},
	} {
		u := session.User{KeySince: start}
		if test.key != "" {
			u.Key = []byte(test.key)
		}
		if test.previous != "" {
			u.PreviousKey = []byte(test.previous)
		}
		u.DropKey([]byte(test.drop))
		if got := fmt.Sprintf("%s %s %t", u.Key, u.PreviousKey, !u.KeySince.IsZero()); got != test.want {
			t.Errorf("%q and %q without %q: got %q, want %q", test.key, test.previous, test.drop, got, test.want)
		}
	}
}
