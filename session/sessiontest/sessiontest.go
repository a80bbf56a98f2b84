// Package sessiontest tells whether a session.Store keeps its contract. Every store of this module
// passes Run; a store written elsewhere should, too.
package sessiontest

import (
	"reflect"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/session"
)

// Fixture is an empty store to be tested.
type Fixture struct {
	Store session.Store

	// Reopen ends Store as a restart or a crash does, and opens its data again. It is nil for a store
	// whose data does not survive.
	Reopen func(t *testing.T) session.Store

	// Second is another node on the same data; nil for a store that only one process uses.
	Second session.Store
}

// nodes returns all stores that are open on the data.
func (f Fixture) nodes() []session.Store {
	if f.Second == nil {
		return []session.Store{f.Store}
	}
	return []session.Store{f.Store, f.Second}
}

// Run tests the stores that open returns. Each subtest opens its own, in parallel with others, and
// closes it. The times given to the stores are near the real ones, or later.
func Run(t *testing.T, open func(t *testing.T) Fixture) {
	t.Helper()
	for _, rule := range rules {
		t.Run(rule.name, func(t *testing.T) {
			t.Parallel()
			rule.test(t, start(t, open))
		})
	}
}

var rules = []struct {
	name string
	test func(*testing.T, Fixture)
}{
	{"LoginMakesASessionThatRefreshes", loginRefreshes},
	{"EachRefreshTokenIsSpentOnce", tokensRotate},
	{"TheGraceTimeGivesTheSameSuccessor", graceGivesSameSuccessor},
	{"FiftyUsesOfOneTokenMakeOneLineage", parallelUsesMakeOneLineage},
	{"ReuseEndsTheSession", reuseEndsSession},
	{"AnOldTokenInsideTheGraceTimeIsReuse", olderTokenIsReuse},
	{"AGarbageSecretOfTheFamilyIsReuse", garbageSecretIsReuse},
	{"AStrangersTokenEndsNothing", wrongFamilyEndsNothing},
	{"AnIdleSessionDies", idleSessionDies},
	{"NoSessionOutlivesItsLifetime", lifetimeIsAbsolute},
	{"TooManySessionsEndTheFirst", firstMadeGoes},
	{"TheFirstMadeGoesWhateverWasStoredFirst", firstMadeGoesOutOfOrder},
	{"ASessionEnds", endEnds},
	{"EndingAnUnknownSessionRevokesItsName", endOfUnknownIsReported},
	{"ARevocationIsNeverShortened", revocationsOnlyGrow},
	{"AllSessionsMadeBeforeEnd", endAllHasABoundary},
	{"EndingThePastReachesTokensOfToday", endAllOfThePast},
	{"FollowBeginsWithThePast", followTellsThePast},
	{"FollowTellsOwnRevocationsAtOnce", followTellsOwn},
	{"FollowTellsTheOtherNodesRevocations", followTellsOthers},
	{"FollowBeats", followBeats},
	{"FollowEndsAndBeginsAgain", followEndsAndBeginsAgain},
	{"CloseEndsFollow", closeEndsFollow},
	{"AnUnseenUserIsEmpty", unseenUserIsEmpty},
	{"UsersAreLearned", usersAreLearned},
	{"ParallelLessonsAreAllLearned", parallelLessons},
	{"TheLastTwoSessionKeysAreKept", sessionKeysAreKept},
	{"LargeProfilesAreKept", largeProfilesAreKept},
	{"ASessionKeepsItsClaims", claimsAreKept},
	{"LessonsOfEndedSessionsComeTooLate", lessonsOfEndedSessions},
	{"ForgettingErasesAll", forgetErasesAll},
	{"ForgettingAnUnknownUserRevokes", forgetOfUnknown},
	{"AForgottenUserMayComeBack", forgottenMayComeBack},
	{"ForgettingLeavesOthers", forgetLeavesOthers},
	{"NoLessonBringsAForgottenUserBack", lessonsRaceForget},
	{"ALoginThatComesTooLateWritesNothing", loginsTooLate},
	{"NoLoginBringsAForgottenUserBack", loginsRaceForget},
	{"NoLoginOutlivesTheEndOfAll", loginsRaceEndAll},
	{"CountersCount", countersCount},
	{"CountersEnd", countersEnd},
	{"FiftyCountsAreFifty", parallelCounts},
	{"CountersAndNotesAreApart", countersAndNotesAreApart},
	{"NotesExpire", notesExpire},
	{"NotesAreReplaced", notesAreReplaced},
	{"NotesHoldAnything", notesHoldAnything},
	{"ANoteIsNeverBeforeItsSession", noteIsNeverBeforeSession},
	{"KeysAreSwapped", keysAreSwapped},
	{"OneOfTwentySwapsWins", oneSwapWins},
	{"AppsAndUsersAreApart", usersAreApart},
	{"StrangeNamesAreKept", strangeNames},
	{"EverythingAtOnce", everythingAtOnce},
	{"AClosedStoreSaysSo", closedStoreSaysSo},
	{"ACancelledCallWritesNothing", cancelledCallWritesNothing},
	{"ErrorsHoldNoValues", errorsHoldNoValues},
	{"WhatWasAcknowledgedIsThereAfterARestart", restartKeepsAll},
	{"RandomOperationsAgreeWithAModel", agreesWithModel},
}

func start(t *testing.T, open func(*testing.T) Fixture) Fixture {
	t.Helper()
	f := open(t)
	for _, node := range f.nodes() {
		t.Cleanup(func() { _ = node.Close() })
	}
	return f
}

// policy is what most tests use.
var policy = session.Policy{
	Idle:       time.Hour,
	Lifetime:   24 * time.Hour,
	Grace:      30 * time.Second,
	MaxPerUser: 5,
	TokenTTL:   15 * time.Minute,
}

var alice = session.UserID{AppID: "wx0123456789abcdef", OpenID: "oAlice-0123456789_0123456789"}

// now is a time that any store can keep exactly.
func now() time.Time { return time.Now().UTC().Truncate(time.Millisecond) }

// login logs a user in.
func login(t *testing.T, s session.Store, user session.UserID, made time.Time, p session.Policy) session.RefreshToken {
	t.Helper()
	made0, token := session.New(user, made)
	err := s.Login(t.Context(), session.Login{
		Session: made0, Policy: p,
		Learned: session.User{UserID: user, FirstSeen: made},
	})
	if err != nil {
		t.Fatalf("login: %v", err)
	}
	return token
}

// refresh uses a token and returns its successor, if it got one.
func refresh(
	t *testing.T, s session.Store, token session.RefreshToken, at time.Time, p session.Policy,
) (session.Refreshed, session.RefreshToken) {
	t.Helper()
	got, err := s.Refresh(t.Context(), session.NewSpend(token, at, p))
	if err != nil {
		t.Fatalf("refresh: %v", err)
	}
	if got.Verdict != session.Rotated && got.Verdict != session.Repeated {
		return got, session.RefreshToken{}
	}
	next := token.Successor(got.Session.Salt)
	if got.Verdict == session.Rotated && got.Session.Current != next.Digest() {
		t.Error("the successor is not the session's current token")
	}
	return got, next
}

// wantVerdict uses a token and returns its successor, if it got one.
func wantVerdict(
	t *testing.T, s session.Store, token session.RefreshToken, at time.Time, p session.Policy, want session.Verdict,
) session.RefreshToken {
	t.Helper()
	got, next := refresh(t, s, token, at, p)
	if got.Verdict != want {
		t.Fatalf("got verdict %v, want %v", name(got.Verdict), name(want))
	}
	return next
}

func name(v session.Verdict) string {
	return [...]string{"Unknown", "Rotated", "Repeated", "Reused"}[v]
}

func wantUser(t *testing.T, s session.Store, want session.User) {
	t.Helper()
	got, err := s.User(t.Context(), want.UserID)
	if err != nil {
		t.Fatalf("user: %v", err)
	}
	if !sameUser(got, want) {
		t.Errorf("got user %+v, want %+v", got, want)
	}
}

// sameUser compares users as they are after being stored: the zone of a time may change.
func sameUser(a, b session.User) bool { return reflect.DeepEqual(utcUser(a), utcUser(b)) }

func utcUser(u session.User) session.User {
	u.FirstSeen, u.PhoneVerified, u.KeySince = u.FirstSeen.UTC(), u.PhoneVerified.UTC(), u.KeySince.UTC()
	return u
}

// sameSession compares sessions likewise.
func sameSession(a, b session.Session) bool { return reflect.DeepEqual(utcSession(a), utcSession(b)) }

func utcSession(s session.Session) session.Session {
	s.Created, s.LastUse, s.Spent = s.Created.UTC(), s.LastUse.UTC(), s.Spent.UTC()
	if len(s.Salt) == 0 {
		s.Salt = nil
	}
	return s
}
