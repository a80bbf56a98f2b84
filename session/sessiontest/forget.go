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

// whole is a user of whom all is known.
func whole(id session.UserID, at time.Time) session.User {
	return session.User{
		UserID: id, UnionID: "o-union", FirstSeen: at, Nickname: "小明", Avatar: "0123456789abcdef",
		Phone: "13800138000", PhoneNumber: "+8613800138000", PhoneVerified: at,
		Key: []byte("key"), KeySince: at,
	}
}

func forget(t *testing.T, s session.Store, user session.UserID, before time.Time) session.User {
	t.Helper()
	known, err := s.Forget(t.Context(), user, before, policy)
	if err != nil {
		t.Fatalf("forget: %v", err)
	}
	return known
}

func forgetErasesAll(t *testing.T, f Fixture) {
	begin := now()
	known := whole(alice, begin)
	var tokens []session.RefreshToken
	for _, made := range []time.Time{begin.Add(-time.Minute), begin, begin, begin.Add(time.Millisecond), begin.Add(time.Minute)} {
		tokens = append(tokens, login(t, f.Store, alice, made, policy))
	}
	ended := login(t, f.Store, alice, begin, session.Policy{Idle: time.Hour, Lifetime: time.Hour, MaxPerUser: 9})
	check(t, f.Store.End(t.Context(), ended.SID, begin, policy))
	learn(t, f.Store, session.Lesson{SID: tokens[0].SID, User: known, Claims: json.RawMessage(`{"a":1}`)})
	known.FirstSeen = begin.Add(-time.Minute)
	wantUser(t, f.Store, known)

	news := follow(t, f.Store, begin)
	if got := forget(t, f.Store, alice, begin); !sameUser(got, known) {
		t.Errorf("got %+v, want what was known: %+v", got, known)
	}
	for _, heard := range []*follower{news, follow(t, f.Store, begin)} {
		heard.wantUser(t, alice.Tag(), begin)
		if _, until := heard.user(alice.Tag()); until.Before(begin.Add(policy.TokenTTL)) {
			t.Errorf("got a revocation until %v, but a token made now lives until %v", until, begin.Add(policy.TokenTTL))
		}
		for i, token := range tokens {
			if i < 3 {
				heard.wantNoSession(t, token.SID)
				continue
			}
			_, made, _ := token.SID.Parse()
			if until := heard.last(token.SID); until.Before(made.Add(policy.TokenTTL)) {
				t.Errorf("got a session made later revoked until %v, but its token lives until %v", until, made.Add(policy.TokenTTL))
			}
		}
	}
	for _, node := range f.nodes() {
		wantUser(t, node, session.User{UserID: alice})
		for _, token := range tokens {
			wantVerdict(t, node, token, begin.Add(time.Minute), policy, session.Unknown)
			_, err := node.Learn(t.Context(), session.Lesson{SID: token.SID, User: known})
			if !errors.Is(err, session.ErrEnded) {
				t.Errorf("learn: got %v, want %v", err, session.ErrEnded)
			}
		}
		wantUser(t, node, session.User{UserID: alice})
	}
	if got := forget(t, f.Store, alice, begin); !sameUser(got, session.User{UserID: alice}) {
		t.Errorf("got %+v the second time, want nothing", got)
	}
}

func forgetOfUnknown(t *testing.T, f Fixture) {
	begin := now()
	news := follow(t, f.Store, begin)
	if got := forget(t, f.Store, alice, begin); !sameUser(got, session.User{UserID: alice}) {
		t.Errorf("got %+v, want nothing", got)
	}
	news.wantUser(t, alice.Tag(), begin)

	// It shortens nothing that was revoked.
	check(t, f.Store.EndAll(t.Context(), alice, begin.Add(time.Minute), policy))
	forget(t, f.Store, alice, begin)
	follow(t, f.Store, begin).wantUser(t, alice.Tag(), begin.Add(time.Minute))
}

func forgottenMayComeBack(t *testing.T, f Fixture) {
	begin := now()
	learn(t, f.Store, session.Lesson{User: whole(alice, begin)})
	forget(t, f.Store, alice, begin)
	back := begin.Add(time.Second)
	token := login(t, f.Store, alice, back, policy)
	wantUser(t, f.Store, session.User{UserID: alice, FirstSeen: back})
	for range 2 * policy.MaxPerUser {
		login(t, f.Store, alice, back, policy)
		back = back.Add(time.Second)
	}
	wantVerdict(t, f.Store, token, back, policy, session.Unknown)
	token = login(t, f.Store, alice, back, policy)
	wantVerdict(t, f.Store, token, back, policy, session.Rotated)
	if got := forget(t, f.Store, alice, back); !got.FirstSeen.Equal(begin.Add(time.Second)) {
		t.Errorf("got %+v, want who came back", got)
	}
}

func forgetLeavesOthers(t *testing.T, f Fixture) {
	begin := now()
	others := []session.UserID{
		{AppID: alice.AppID, OpenID: strings.ToLower(alice.OpenID)},
		{AppID: "wx-other", OpenID: alice.OpenID},
		{AppID: alice.AppID + "o", OpenID: alice.OpenID[1:]},
		{AppID: alice.AppID, OpenID: alice.OpenID + "*"},
	}
	tokens := make([]session.RefreshToken, len(others))
	for i, user := range append(others, alice) {
		token := login(t, f.Store, user, begin, policy)
		learn(t, f.Store, session.Lesson{SID: token.SID, User: whole(user, begin)})
		if i < len(tokens) {
			tokens[i] = token
		}
	}
	note := session.Note{Key: session.Digest{1}, Value: []byte("answer"), Until: begin.Add(time.Hour)}
	takeNote(t, f.Store, note)
	wantCount(t, f.Store, session.Digest{1}, 3, begin.Add(time.Hour), begin, 3)
	news := follow(t, f.Store, begin)
	forget(t, f.Store, alice, begin)
	for i, user := range others {
		wantUser(t, f.Store, whole(user, begin))
		wantVerdict(t, f.Store, tokens[i], begin, policy, session.Rotated)
		news.wantNoSession(t, tokens[i].SID)
		if before, _ := news.user(user.Tag()); !before.IsZero() {
			t.Error("the end of another user's sessions was reported")
		}
	}
	wantNote(t, f.Store, note.Key, begin, note.Value)
	wantCount(t, f.Store, session.Digest{1}, 0, begin, begin, 3)
}

// lessonsRaceForget: whoever is first, nothing is known in the end.
func lessonsRaceForget(t *testing.T, f Fixture) {
	nodes := f.nodes()
	begin := now()
	learned, late := 0, 0
	for round := range 30 {
		at := begin.Add(time.Duration(round) * time.Millisecond)
		token := login(t, f.Store, alice, at, policy)
		known := whole(alice, at)
		errs := make([]error, 8)
		var wg sync.WaitGroup
		for i := range errs {
			wg.Go(func() {
				_, errs[i] = nodes[i%len(nodes)].Learn(t.Context(), session.Lesson{
					SID: token.SID, User: known, Claims: json.RawMessage(`{"a":1}`), DropKey: []byte("key"),
				})
			})
			if i == round%len(errs) {
				wg.Go(func() {
					if _, err := nodes[round%len(nodes)].Forget(t.Context(), alice, at, policy); err != nil {
						t.Errorf("forget: %v", err)
					}
				})
			}
		}
		wg.Wait()
		for _, err := range errs {
			switch {
			case err == nil:
				learned++
			case errors.Is(err, session.ErrEnded):
				late++
			default:
				t.Errorf("learn: %v", err)
			}
		}
		wantUser(t, f.Store, session.User{UserID: alice})
		wantVerdict(t, f.Store, token, at, policy, session.Unknown)
	}
	t.Logf("%d lessons were learned, %d came too late", learned, late)
}
