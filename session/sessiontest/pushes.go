// Rules for pushes that wait.

package sessiontest

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/session"
)

var pushRoom = session.PushRoom{Pushes: 100, Bytes: 4 << 20, Line: 20}

func digest(name string) session.Digest { return sha256.Sum256([]byte(name)) }

// newPush is a push of a queue and a line, whose body is its name.
func newPush(queue, line, name string, at time.Time) session.Push {
	return session.Push{
		Queue: digest(queue), Line: digest(line), ID: digest(name), Label: "text", Body: []byte(name), Since: at, Until: at.Add(24 * time.Hour),
	}
}

func addPush(t *testing.T, s session.Store, p session.Push, at time.Time, want session.PushPlace) session.Push {
	t.Helper()
	got, err := s.AddPush(t.Context(), &p, pushRoom, at.Add(time.Minute), at)
	if check(t, err); got != want {
		t.Errorf("add %s: got %d, want %d", p.Body, got, want)
	}
	return p
}

// holding returns a push as its holder has it.
func holding(t *testing.T, s session.Store, p session.Push) session.Push {
	t.Helper()
	for _, listed := range pushes(t, s, p.Queue) {
		if listed.ID == p.ID {
			p.Seq, p.Tries = listed.Seq, listed.Tries
		}
	}
	return p
}

func pushes(t *testing.T, s session.Store, queue session.Digest) []session.Push {
	t.Helper()
	all, err := s.Pushes(t.Context(), queue)
	check(t, err)
	return all
}

// takePush takes the push that is due, and wants its name, "" for none.
func takePush(t *testing.T, s session.Store, queue string, at time.Time, want string) session.Push {
	t.Helper()
	got, err := s.TakePush(t.Context(), digest(queue), at.Add(time.Minute), at)
	check(t, err)
	if got == nil {
		if want != "" {
			t.Errorf("take: got nothing, want %s", want)
		}
		return session.Push{}
	}
	if string(got.Body) != want {
		t.Errorf("take: got %s, want %q", got.Body, want)
	}
	return *got
}

// aPushOfAClockAhead: a node whose clock is a year ahead holds a push, or puts it off, and dies or gets
// the right time. Nobody has to wait for a year, and what is due by the right clock comes first.
func aPushOfAClockAhead(t *testing.T, f *fixture) {
	begin := now()
	ahead := begin.Add(365 * 24 * time.Hour)
	addPush(t, f.Store, newPush("q", "a", "a1", begin), ahead, session.PushTaken)
	b1 := addPush(t, f.Store, newPush("q", "b", "b1", begin), begin, session.PushTaken)
	check(t, f.Store.DelayPush(t.Context(), b1, begin))
	takePush(t, f.last(), "q", begin, "b1")
	a1 := takePush(t, f.last(), "q", begin.Add(2*time.Minute), "b1") // its lease is over
	check(t, f.last().EndPush(t.Context(), a1, begin))
	a1 = takePush(t, f.last(), "q", begin, "a1")
	takePush(t, f.last(), "q", begin, "")
	check(t, f.last().DelayPush(t.Context(), a1, begin.Add(session.MaxPushDelay)))
	takePush(t, f.last(), "q", begin, "")
}

// aLineIsInOrder: of a line one push is out at a time, the oldest first; a failure of one holds the
// rest back, and no other line.
func aLineIsInOrder(t *testing.T, f *fixture) {
	begin := now()
	a1 := addPush(t, f.Store, newPush("q", "a", "a1", begin), begin, session.PushTaken)
	addPush(t, f.last(), newPush("q", "a", "a2", begin), begin, session.PushWaits)
	b1 := addPush(t, f.last(), newPush("q", "b", "b1", begin), begin, session.PushTaken)
	addPush(t, f.Store, newPush("q", "a", "a3", begin), begin, session.PushWaits)
	takePush(t, f.last(), "q", begin, "") // all are out, or behind one that is
	takePush(t, f.Store, "another", begin, "")

	check(t, f.last().EndPush(t.Context(), b1, begin))
	check(t, f.Store.DelayPush(t.Context(), a1, begin.Add(time.Hour)))
	takePush(t, f.last(), "q", begin.Add(time.Hour-time.Millisecond), "")
	addPush(t, f.Store, newPush("q", "b", "b2", begin), begin, session.PushTaken)
	if f.Reopen != nil {
		f.reopen(t)
	}
	at := begin.Add(time.Hour)
	b2 := takePush(t, f.last(), "q", at, "b2") // whoever took it has died
	a1 = takePush(t, f.Store, "q", at, "a1")
	if a1.Tries != 2 || a1.Label != "text" || !a1.Since.Equal(begin) || !a1.Until.Equal(begin.Add(24*time.Hour)) {
		t.Errorf("got %+v, want the push at its second try", a1)
	}
	check(t, f.last().EndPush(t.Context(), a1, at))
	a2 := takePush(t, f.last(), "q", at, "a2")
	check(t, f.Store.EndPush(t.Context(), b2, at))
	check(t, f.Store.EndPush(t.Context(), a2, at))
	check(t, f.Store.EndPush(t.Context(), takePush(t, f.last(), "q", at, "a3"), at))
	takePush(t, f.Store, "q", at.Add(24*time.Hour), "")
	if all := pushes(t, f.last(), digest("q")); len(all) != 0 {
		t.Errorf("got %d pushes, want none", len(all))
	}
}

// aPushIsAddedOnce: by its name, as long as that is remembered, also after it is gone.
func aPushIsAddedOnce(t *testing.T, f *fixture) {
	const times = 20
	begin := now()
	var mu sync.Mutex
	places := map[session.PushPlace]int{}
	f.atOnce(times, func(_ int, node session.Store) {
		p := newPush("q", "a", "a1", begin)
		got, err := node.AddPush(t.Context(), &p, pushRoom, begin.Add(time.Minute), begin)
		check(t, err)
		mu.Lock()
		defer mu.Unlock()
		places[got]++
	})
	if places[session.PushTaken] != 1 || places[session.PushKnown] != times-1 {
		t.Errorf("got %v, want one taken and the rest known", places)
	}
	check(t, f.Store.EndPush(t.Context(), holding(t, f.Store, newPush("q", "a", "a1", begin)), begin))
	if f.Reopen != nil {
		f.reopen(t)
	}
	addPush(t, f.last(), newPush("q", "a", "a1", begin), begin.Add(24*time.Hour-time.Millisecond), session.PushKnown)
	addPush(t, f.last(), newPush("another", "a", "a1", begin), begin, session.PushTaken)
	late := begin.Add(24*time.Hour + time.Millisecond)
	addPush(t, f.last(), newPush("q", "a", "a1", late), late, session.PushTaken)
}

// aPushIsTakenByOne: at a moment, and who held it before can't end or delay it any more.
func aPushIsTakenByOne(t *testing.T, f *fixture) {
	const takers = 20
	begin := now()
	p := newPush("q", "a", "a1", begin)
	p.Body = bytes.Repeat([]byte{0, 0xff}, 1<<18)
	first := addPush(t, f.Store, p, begin, session.PushTaken)
	at := begin.Add(2 * time.Minute) // the lease is over
	var mu sync.Mutex
	var got []session.Push
	f.atOnce(takers, func(_ int, node session.Store) {
		taken, err := node.TakePush(t.Context(), p.Queue, at.Add(time.Minute), at)
		check(t, err)
		mu.Lock()
		defer mu.Unlock()
		if taken != nil {
			got = append(got, *taken)
		}
	})
	if len(got) != 1 || !bytes.Equal(got[0].Body, p.Body) {
		t.Fatalf("got it taken %d times, want once and whole", len(got))
	}
	check(t, f.last().EndPush(t.Context(), first, at))
	check(t, f.last().DelayPush(t.Context(), first, at))
	takePush(t, f.Store, "q", at, "")
	if all := pushes(t, f.last(), p.Queue); len(all) != 1 || !all[0].Taken || all[0].Tries != 2 {
		t.Errorf("got %+v, want one that is taken for the second time", all)
	}
	if hurried, err := f.last().HurryPush(t.Context(), p.Queue, p.Line, at); err != nil || hurried {
		t.Errorf("hurry one that is taken: got %t %v, want false", hurried, err)
	}
	check(t, f.last().DelayPush(t.Context(), got[0], at.Add(time.Hour)))
	if hurried, err := f.Store.HurryPush(t.Context(), p.Queue, p.Line, at); err != nil || !hurried {
		t.Errorf("hurry one that waits: got %t %v, want true", hurried, err)
	}
	if hurried, err := f.Store.HurryPush(t.Context(), p.Queue, digest("none"), at); err != nil || hurried {
		t.Errorf("hurry an empty line: got %t %v, want false", hurried, err)
	}
	taken, err := f.last().TakePush(t.Context(), p.Queue, at.Add(time.Minute), at)
	if check(t, err); taken == nil || taken.Tries != 3 {
		t.Errorf("got %+v, want the third try", taken)
	}
}

// aQueueIsBounded: in pushes, bytes, and pushes of one line; each queue for itself. What did not fit
// is not remembered.
func aQueueIsBounded(t *testing.T, f *fixture) {
	begin := now()
	lease := begin.Add(time.Minute)
	add := func(p session.Push, room session.PushRoom) session.PushPlace {
		t.Helper()
		got, err := f.last().AddPush(t.Context(), &p, room, lease, begin)
		check(t, err)
		return got
	}
	room := session.PushRoom{Pushes: 3, Bytes: 100, Line: 2}
	for i, want := range []session.PushPlace{session.PushTaken, session.PushWaits, session.PushFull} {
		if got := add(newPush("q", "a", fmt.Sprint("a", i), begin), room); got != want {
			t.Errorf("%d of a line: got %d, want %d", i+1, got, want)
		}
	}
	if got := add(newPush("q", "b", "b1", begin), room); got != session.PushTaken {
		t.Errorf("another line: got %d, want it taken", got)
	}
	if got := add(newPush("q", "c", "c1", begin), room); got != session.PushFull {
		t.Errorf("the fourth: got %d, want none", got)
	}
	if got := add(newPush("another", "c", "c1", begin), room); got != session.PushTaken {
		t.Errorf("another queue: got %d, want it taken", got)
	}
	large := newPush("large", "a", "l1", begin)
	large.Body = make([]byte, 101)
	if got := add(large, room); got != session.PushFull {
		t.Errorf("too large: got %d, want none", got)
	}
	check(t, f.Store.EndPush(t.Context(), holding(t, f.Store, newPush("q", "b", "b1", begin)), begin))
	if got := add(newPush("q", "c", "c1", begin), room); got != session.PushTaken {
		t.Errorf("after one has gone: got %d, want it taken", got)
	}
	if all := pushes(t, f.Store, digest("q")); len(all) != 3 || all[0].ID != digest("a0") || all[2].ID != digest("c1") || all[0].Body != nil {
		t.Errorf("got %+v, want a0, a1 and c1 without bodies", all)
	}
}
