package session

import (
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// generationBytes and generationMemory are how much one generation holds, in the journal and in
	// memory, before the next begins: about 100,000 refreshes.
	generationBytes  = 64 << 20
	generationMemory = 16 << 20

	// versionMemory is what a record takes in memory besides its key.
	versionMemory = 112
)

// generation is what the frames of one journal file say: the latest of each key, and where its value is.
// The active one grows by each batch; a frozen one stays as it is until all of it is in the bolt file.
type generation struct {
	number  uint64
	segment *segment
	before  int64     // where the generation before ends, in the other segment
	end     int64     // behind the last frame; 0 is before the head
	begun   time.Time // when the first frame was written
	last    time.Time // when the last one was

	records map[string]boltVersion
	memory  int
}

// boltVersion is what a key had from one batch on.
type boltVersion struct {
	at       int64        // the value's place in the segment
	batch    uint64       // that wrote it
	previous *boltVersion // for views that began earlier
	size     int32        // of the value; negative is none, for the key was deleted
	expires  uint32
}

// overlay is what is in the journal and not, or not surely, in the bolt file.
type overlay struct {
	room  int64        // how many bytes a generation has
	drops atomic.Int64 // how often a frozen one was let go

	mu     sync.RWMutex // guards what follows, and the generations' records
	active *generation
	frozen *generation // nil: none
	batch  uint64      // the last one that is visible
	views  int         // that have not ended
}

// snapshot is the overlay as it was at one time.
type snapshot struct {
	overlay        *overlay
	active, frozen *generation
	batch          uint64
}

// look takes a snapshot, unless a generation was dropped since drops had the given value: a transaction
// begun then on the bolt file may lack it. A view is counted until it calls leave.
func (o *overlay) look(drops int64, view bool) (s snapshot, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.drops.Load() != drops {
		return snapshot{}, false
	}
	s = snapshot{overlay: o, active: o.active, frozen: o.frozen, batch: o.batch}
	if view {
		o.views++
		for _, g := range s.generations() {
			g.segment.readers++
		}
	}
	return s, true
}

// leave ends a view.
func (s snapshot) leave() {
	s.overlay.mu.Lock()
	defer s.overlay.mu.Unlock()
	s.overlay.views--
	for _, g := range s.generations() {
		if g.segment.readers--; g.segment.readers == 0 && g.segment.replaced {
			_ = g.segment.file.Close() // it was only read
		}
	}
}

// generations are the snapshot's, the newer first.
func (s snapshot) generations() []*generation {
	if s.frozen == nil {
		return []*generation{s.active}
	}
	return []*generation{s.active, s.frozen}
}

// find returns what a key has in the snapshot.
func (s snapshot) find(key []byte) (v boltVersion, in *segment, found bool) {
	s.overlay.mu.RLock()
	defer s.overlay.mu.RUnlock()
	if v, found = s.seen(s.active.records[string(key)]); found {
		return v, s.active.segment, true
	}
	if s.frozen == nil {
		return v, nil, false
	}
	v, found = s.seen(s.frozen.records[string(key)])
	return v, s.frozen.segment, found
}

// seen returns the version that was the latest at the time of the snapshot.
func (s snapshot) seen(v boltVersion) (boltVersion, bool) {
	for v.batch > s.batch && v.previous != nil {
		v = *v.previous
	}
	return v, v.batch != 0 && v.batch <= s.batch
}

// overlaid is a version and where its value is.
type overlaid struct {
	boltVersion
	segment *segment
}

// findAll returns what all keys that begin with a prefix have in the snapshot.
func (s snapshot) findAll(prefix string) map[string]overlaid {
	s.overlay.mu.RLock()
	defer s.overlay.mu.RUnlock()
	found := map[string]overlaid{}
	for _, g := range s.generations() {
		for key, v := range g.records {
			if !strings.HasPrefix(key, prefix) {
				continue
			}
			if _, newer := found[key]; newer {
				continue
			}
			if v, ok := s.seen(v); ok {
				found[key] = overlaid{v, g.segment}
			}
		}
	}
	return found
}

// has tells whether a key has anything in the overlay, be it visible to somebody or not.
func (o *overlay) has(key []byte) bool {
	o.mu.RLock()
	defer o.mu.RUnlock()
	if _, ok := o.active.records[string(key)]; ok || o.frozen == nil {
		return ok
	}
	_, ok := o.frozen.records[string(key)]
	return ok
}

// publish makes the entries of a frame visible, which is the last one of its generation.
func (o *overlay) publish(g *generation, at int64, entries []byte) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if g.last = time.Now(); g.end == 0 {
		g.begun = g.last
	}
	g.end = at + frameHeadSize + int64(len(entries))
	o.batch++
	return readEntries(entries, func(key []byte, v boltVersion) {
		v.at += at + frameHeadSize
		v.batch = o.batch
		old, replaced := g.records[string(key)]
		if replaced && o.views > 0 {
			previous := old
			v.previous = &previous
		}
		if !replaced || o.views > 0 {
			g.memory += len(key) + versionMemory
		}
		g.records[string(key)] = v
	})
}

// freeze lets a new generation take over from the active one. There must be no frozen one.
func (o *overlay) freeze(next *generation) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.frozen, o.active = o.active, next
}

// drop lets the frozen generation go, now that all of it is in the bolt file.
func (o *overlay) drop() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.frozen = nil
	o.drops.Add(1)
}

// read tells whether views read a segment.
func (o *overlay) read(s *segment) bool {
	o.mu.RLock()
	defer o.mu.RUnlock()
	return s.readers > 0
}

// retire closes a segment that was replaced, once nobody reads it.
func (o *overlay) retire(s *segment) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if s.replaced = true; s.readers == 0 {
		_ = s.file.Close() // nothing of it is needed
	}
}

// overlayState is what there is to say of an overlay.
type overlayState struct {
	active, frozen *generation
	full           float64   // how much of the active generation's room is taken
	begun, last    time.Time // its first and last frame
	end            int64     // of its last frame
}

func (o *overlay) state() overlayState {
	o.mu.RLock()
	defer o.mu.RUnlock()
	return overlayState{
		active: o.active, frozen: o.frozen,
		full: o.full(), begun: o.active.begun, last: o.active.last, end: o.active.end,
	}
}

// full tells how much of its room the active generation has taken; 1 is all.
func (o *overlay) full() float64 {
	return max(float64(o.active.end)/float64(o.room), float64(o.active.memory)/generationMemory)
}
