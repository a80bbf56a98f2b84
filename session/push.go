// Messages of WeChat's that wait for a backend.

package session

import "time"

// Push is a message that waits in a queue of a store.
type Push struct {
	Queue Digest    // those for one backend
	Line  Digest    // in a queue: those of a line leave one after the other, as they came
	ID    Digest    // in a queue: one that was there before is not added again
	Label string    // for lists, in ASCII; it names nobody
	Body  []byte    // lists lack it
	Since time.Time // when it came

	// Until is the time until which the ID is remembered. A push is kept for RecordMargin longer.
	Until time.Time

	// Seq is the place in the queue, Tries how often the push was taken: a store sets them.
	Seq   int64
	Tries int

	// Due is the time before which it is not taken again. Taken reports that whoever took it last
	// has not said what became of it.
	Due   time.Time
	Taken bool
}

// MaxPushDelay is the longest time for which a push is put off. One that is due later was put off by a
// clock that was ahead, and is due.
const MaxPushDelay = 30 * time.Minute

// PushRoom bounds what waits: Pushes and Bytes in a queue, and pushes in a Line.
type PushRoom struct{ Pushes, Bytes, Line int }

// PushPlace is the outcome of adding a push.
type PushPlace int

// What can become of a push that was added.
const (
	PushKnown PushPlace = iota // it was there before
	PushFull                   // there is no room, and it is not remembered
	PushWaits                  // others of its line come first
	PushTaken                  // it is the first of its line, and is taken by who added it
)
