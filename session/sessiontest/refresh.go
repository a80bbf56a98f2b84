//nolint:thelper // rules are tests: a failure is at their line, not at that which calls them
package sessiontest

import (
	"crypto/sha256"
	"sync"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/session"
)

func loginRefreshes(t *testing.T, f Fixture) {
	begin := now()
	made, token := session.New(alice, begin)
	learned := session.User{UserID: alice, UnionID: "union", FirstSeen: begin}
	err := f.Store.Login(t.Context(), session.Login{Session: made, Learned: learned, Policy: policy})
	if err != nil {
		t.Fatal(err)
	}
	wantUser(t, f.Store, learned)

	later := begin.Add(time.Minute)
	spend := session.NewSpend(token, later, policy)
	got, err := f.Store.Refresh(t.Context(), spend)
	if err != nil {
		t.Fatal(err)
	}
	want := made
	want.Previous, want.Current, want.Salt = made.Current, spend.Next, spend.Salt
	want.Spent, want.LastUse = later, later
	if got.Verdict != session.Rotated || !sameSession(got.Session, want) {
		t.Errorf("got %v of %+v, want Rotated of %+v", name(got.Verdict), got.Session, want)
	}
	if !sameUser(got.User, learned) {
		t.Errorf("got user %+v, want %+v", got.User, learned)
	}
}

func tokensRotate(t *testing.T, f Fixture) {
	begin := now()
	token := login(t, f.Store, alice, begin, policy)
	seen := map[string]bool{token.Text(): true}
	for i := range 10 {
		nodes := f.nodes()
		token = wantVerdict(t, nodes[i%len(nodes)], token, begin.Add(time.Duration(i)*time.Minute), policy, session.Rotated)
		if seen[token.Text()] {
			t.Fatal("a refresh token came twice")
		}
		seen[token.Text()] = true
	}
}

func graceGivesSameSuccessor(t *testing.T, f Fixture) {
	begin := now()
	token := login(t, f.Store, alice, begin, policy)
	want := wantVerdict(t, f.Store, token, begin, policy, session.Rotated)
	for _, at := range []time.Duration{0, time.Second, policy.Grace - time.Millisecond} {
		for _, node := range f.nodes() {
			got, next := refresh(t, node, token, begin.Add(at), policy)
			if got.Verdict != session.Repeated || next.Text() != want.Text() {
				t.Errorf("after %v: got %v and a successor that is the same: %t", at, name(got.Verdict), next.Text() == want.Text())
			}
			if got.User.UserID != alice {
				t.Errorf("after %v: got user %+v, want %+v", at, got.User.UserID, alice)
			}
		}
	}
	wantVerdict(t, f.Store, want, begin.Add(policy.Grace), policy, session.Rotated)
}

func parallelUsesMakeOneLineage(t *testing.T, f Fixture) {
	begin := now()
	token := login(t, f.Store, alice, begin, policy)
	for round := range 3 {
		at := begin.Add(time.Duration(round) * time.Minute)
		const uses = 50
		got := make([]session.Refreshed, uses)
		var wg sync.WaitGroup
		for i := range uses {
			nodes := f.nodes()
			wg.Go(func() {
				var err error
				got[i], err = nodes[i%len(nodes)].Refresh(t.Context(), session.NewSpend(token, at, policy))
				if err != nil {
					t.Errorf("refresh: %v", err)
				}
			})
		}
		wg.Wait()

		verdicts, successors := map[session.Verdict]int{}, map[string]session.RefreshToken{}
		for _, r := range got {
			verdicts[r.Verdict]++
			next := token.Successor(r.Session.Salt)
			successors[next.Text()] = next
		}
		if verdicts[session.Rotated] != 1 || verdicts[session.Repeated] != uses-1 {
			t.Fatalf("got verdicts %v, want one Rotated and %d Repeated", verdicts, uses-1)
		}
		if len(successors) != 1 {
			t.Fatalf("got %d successors, want 1", len(successors))
		}
		for _, token = range successors { // there is one
		}
	}
}

func reuseEndsSession(t *testing.T, f Fixture) {
	begin := now()
	spent := login(t, f.Store, alice, begin, policy)
	other := login(t, f.Store, alice, begin, policy)
	current := wantVerdict(t, f.Store, spent, begin, policy, session.Rotated)

	news := follow(t, f.Store, begin)
	late := begin.Add(policy.Grace)
	wantVerdict(t, f.Store, spent, late, policy, session.Reused)
	news.wantSession(t, spent.SID, late.Add(policy.TokenTTL))

	wantVerdict(t, f.Store, current, late, policy, session.Unknown)
	wantVerdict(t, f.Store, spent, late, policy, session.Unknown)
	wantVerdict(t, f.Store, other, late, policy, session.Rotated)
}

func olderTokenIsReuse(t *testing.T, f Fixture) {
	begin := now()
	first := login(t, f.Store, alice, begin, policy)
	second := wantVerdict(t, f.Store, first, begin, policy, session.Rotated)
	third := wantVerdict(t, f.Store, second, begin, policy, session.Rotated)
	wantVerdict(t, f.Store, first, begin, policy, session.Reused)
	wantVerdict(t, f.Store, third, begin, policy, session.Unknown)
}

func garbageSecretIsReuse(t *testing.T, f Fixture) {
	begin := now()
	token := login(t, f.Store, alice, begin, policy)
	garbage := token.Successor([]byte("of no salt that was ever given"))
	news := follow(t, f.Store, begin)
	wantVerdict(t, f.Store, garbage, begin, policy, session.Reused)
	news.wantSession(t, token.SID, begin.Add(policy.TokenTTL))
	wantVerdict(t, f.Store, token, begin, policy, session.Unknown)
}

func wrongFamilyEndsNothing(t *testing.T, f Fixture) {
	begin := now()
	token := login(t, f.Store, alice, begin, policy)
	for _, secret := range []session.Digest{token.Digest(), sha256.Sum256([]byte("any"))} {
		spend := session.NewSpend(token, begin, policy)
		spend.Family, spend.Token = sha256.Sum256([]byte("a guess")), secret
		got, err := f.Store.Refresh(t.Context(), spend)
		if err != nil || got.Verdict != session.Unknown {
			t.Fatalf("got %v, %v, want Unknown", name(got.Verdict), err)
		}
		if !sameSession(got.Session, session.Session{}) || !sameUser(got.User, session.User{}) {
			t.Errorf("got %+v, want nothing for who could not show a token", got)
		}
	}
	_, never := session.New(alice, begin)
	wantVerdict(t, f.Store, never, begin, policy, session.Unknown)
	wantVerdict(t, f.Store, token, begin, policy, session.Rotated)
}

func idleSessionDies(t *testing.T, f Fixture) {
	begin := now()
	used, unused := login(t, f.Store, alice, begin, policy), login(t, f.Store, alice, begin, policy)
	used = wantVerdict(t, f.Store, used, begin.Add(policy.Idle-time.Millisecond), policy, session.Rotated)
	wantVerdict(t, f.Store, unused, begin.Add(policy.Idle), policy, session.Unknown)
	wantVerdict(t, f.Store, used, begin.Add(policy.Idle), policy, session.Rotated)
}

func lifetimeIsAbsolute(t *testing.T, f Fixture) {
	begin := now()
	token := login(t, f.Store, alice, begin, policy)
	step := policy.Idle / 2
	for at := step; at < policy.Lifetime; at += step {
		token = wantVerdict(t, f.Store, token, begin.Add(at), policy, session.Rotated)
	}
	wantVerdict(t, f.Store, token, begin.Add(policy.Lifetime), policy, session.Unknown)
}

func firstMadeGoes(t *testing.T, f Fixture) {
	begin := now()
	news := follow(t, f.Store, begin)
	var tokens []session.RefreshToken
	for i := range policy.MaxPerUser + 2 {
		tokens = append(tokens, login(t, f.Store, alice, begin.Add(time.Duration(i)*time.Second), policy))
	}
	at := begin.Add(time.Minute)
	for i, token := range tokens {
		if i < 2 {
			wantVerdict(t, f.Store, token, at, policy, session.Unknown)
			// The last login ended the second, the one before it the first.
			made := begin.Add(time.Duration(i+policy.MaxPerUser) * time.Second)
			news.wantSession(t, token.SID, made.Add(policy.TokenTTL))
			continue
		}
		wantVerdict(t, f.Store, token, at, policy, session.Rotated)
		news.wantNoSession(t, token.SID)
	}

	// Sessions that ended or died on their own leave their places free.
	if err := f.Store.End(t.Context(), tokens[3].SID, at, policy); err != nil {
		t.Fatal(err)
	}
	login(t, f.Store, alice, at, policy)
	news.wantNoSession(t, tokens[2].SID)
	muchLater := at.Add(policy.Idle)
	last := login(t, f.Store, alice, muchLater, policy)
	news.wantNoSession(t, tokens[2].SID)
	wantVerdict(t, f.Store, last, muchLater, policy, session.Rotated)
}

func firstMadeGoesOutOfOrder(t *testing.T, f Fixture) {
	begin := now()
	two := policy
	two.MaxPerUser = 2
	tokens := map[int]session.RefreshToken{}
	for _, second := range []int{1, 3, 2, 4} {
		tokens[second] = login(t, f.Store, alice, begin.Add(time.Duration(second)*time.Second), two)
	}
	at := begin.Add(time.Minute)
	for second, want := range map[int]session.Verdict{
		1: session.Unknown, 2: session.Unknown, 3: session.Rotated, 4: session.Rotated,
	} {
		if got, _ := refresh(t, f.Store, tokens[second], at, two); got.Verdict != want {
			t.Errorf("session made at second %d: got %v, want %v", second, name(got.Verdict), name(want))
		}
	}
}
