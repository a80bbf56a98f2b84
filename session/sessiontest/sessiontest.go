// Package sessiontest tests whether a session.Store, or a session.DB, keeps its contract. Every
// store of this module passes Run; one written elsewhere should, too.
package sessiontest

import (
	"testing"

	"github.com/caddy-wechat/wechatauth/session"
)

// Fixture is an empty store to be tested.
type Fixture struct {
	Store session.Store

	// Second is another node on the same data; nil for a store that only one process uses.
	Second session.Store

	// Reopen ends Store as a crash or a restart does, opens its data again and returns that. It may
	// be called more than once. nil: the data does not survive.
	Reopen func(t *testing.T) session.Store

	// Sweep drops what is over by the clock of Store, or of the store that Reopen returned last, as
	// the store does by itself now and then. nil: nothing is ever dropped by that clock.
	Sweep func(t *testing.T)
}

// Open opens an empty store. Store, and what Reopen returns, has the first clock for dropping
// records, and Second, if there is one, the second. What is opened is closed by Run; the rest is up
// to t.Cleanup.
type Open func(t *testing.T, first, second *session.Clock) Fixture

// Run tests the stores that open returns. Each rule opens its own, in parallel with others. The
// times given to the stores are near the real ones, or later.
func Run(t *testing.T, open Open) {
	t.Helper()
	for _, rule := range rules {
		t.Run(rule.name, func(t *testing.T) {
			t.Parallel()
			rule.test(t, start(t, open))
		})
	}
}

type rule struct {
	name string
	test func(*testing.T, *fixture)
}

var rules = []rule{
	{"RandomOperationsAgreeWithTheAccount", agreesWithModel},
	{"FiftyUsesOfOneTokenMakeOneLineage", parallelUsesMakeOneLineage},
	{"LoginsAtOnceLeaveAsManySessionsAsAllowed", parallelLogins},
	{"NoLoginOutlivesTheEndOfAll", loginsRaceEndAll},
	{"NoLoginBringsAnErasedUserBack", loginsRaceErase},
	{"NoUpdateBringsAnErasedUserBack", updatesRaceErase},
	{"UpdatesAtOnceAreAllKept", parallelUpdates},
	{"FiftyCountsAreFifty", parallelCounts},
	{"OneOfTwentySwapsWins", parallelSwaps},
	{"AReplayIsNeverBeforeItsSession", replayIsNeverBeforeSession},
	{"AllSessionsEndWhateverTheClocksSay", allEndWhateverTheClocksSay},
	{"ARevocationOutlivesEveryToken", revocationOutlivesTokens},
	{"EndingAnUnknownSessionRevokesItsName", endOfUnknown},
	{"SessionsPastTheirTimeAreFound", pastSessionsAreFound},
	{"AWrongClockDropsNothing", aWrongClockDropsNothing},
	{"WhatIsOverIsDropped", whatIsOverIsDropped},
	{"FollowReportsAllAtFirst", followReportsAllAtFirst},
	{"FollowReportsTheOtherNodesRevocations", followReportsOtherNodes},
	{"FollowMissesNothingAtItsBeginning", followMissesNothing},
	{"FollowBeats", followBeats},
	{"FollowEndsAndBeginsAgain", followEndsAndBeginsAgain},
	{"CloseEndsFollow", closeEndsFollow},
	{"ABanEndsAndRefuses", banEndsAndRefuses},
	{"ABanOutlivesItsUser", banOutlivesUser},
	{"NoLoginOutlivesABan", loginsRaceBan},
	{"NoRefreshOutlivesABan", refreshesRaceBan},
	{"ConsentTakenBackStaysSo", consentTakenBack},
	{"NoRequestUnderWayBringsThePhoneBack", consentRacesRequests},
	{"UsersAreListedByPage", usersByPage},
	{"UsersAreFound", usersAreFound},
	{"WhoIsErasedIsNotFound", erasedAreNotFound},
	{"AnIndexFollowsItsUser", indexRaces},
	{"AForeignCursorIsNone", foreignCursors},
	{"UsersAreImported", usersAreImported},
	{"ADumpIsRestored", dumpIsRestored},
	{"PushesOfALineAreInOrder", aLineIsInOrder},
	{"APushIsAddedOnce", aPushIsAddedOnce},
	{"APushIsTakenByOne", aPushIsTakenByOne},
	{"APushThatAClockAheadPutOffIsTaken", aPushOfAClockAhead},
	{"AQueueIsBounded", aQueueIsBounded},
	{"AppsAndUsersAreApart", usersAreApart},
	{"StrangeNamesAreKept", strangeNames},
	{"LargeValuesAreKept", largeValues},
	{"ReplaysHoldAnything", replaysHoldAnything},
	{"WhatWasAcknowledgedIsThereAfterARestart", restartKeepsAll},
	{"AClosedStoreSaysSo", closedStoreSaysSo},
	{"AStoreMayBeClosedAtWork", closeAtWork},
	{"ACancelledCallWritesNothing", cancelledCallWritesNothing},
	{"ErrorsHoldNoValues", errorsHoldNoValues},
}

// fixture is a Fixture with its clocks.
type fixture struct {
	Fixture
	first, second *clock
}

func start(t *testing.T, open Open) *fixture {
	t.Helper()
	f := &fixture{first: newClock(), second: newClock()}
	f.Fixture = open(t, f.first.Clock, f.second.Clock)
	t.Cleanup(func() {
		for _, node := range f.nodes() {
			_ = node.Close()
		}
	})
	return f
}

// nodes returns all stores that are open on the data.
func (f *fixture) nodes() []session.Store {
	if f.Second == nil {
		return []session.Store{f.Store}
	}
	return []session.Store{f.Store, f.Second}
}

// last returns another node than the first, if there is one.
func (f *fixture) last() session.Store {
	if f.Second == nil {
		return f.Store
	}
	return f.Second
}

// reopen restarts the first node.
func (f *fixture) reopen(t *testing.T) {
	t.Helper()
	f.Store = f.Reopen(t)
}
