package session

import (
	"errors"
	"fmt"
	"math"
	"path/filepath"
)

// What is acknowledged is in the journal first: a change of the bolt file itself costs a dozen page
// writes all over a large file, a frame one write at the end of a small one. The merger carries it over.
//
// The journal has two files. Generations take turns: the one with an odd number is in the second file,
// one with an even number in the first. The bolt file names the oldest generation that is not yet wholly
// in it; no generation begins before the last but one is.
var journalSuffixes = [2]string{"-journal-a", "-journal-b"}

// journal is where the overlay is kept on the disk. Only the writer changes it.
type journal struct {
	path     string // of the bolt file
	id       journalID
	segments [2]*segment
	frame    []byte // the next one's buffer
}

// journalDamage is a journal that was not written like this.
type journalDamage struct {
	path   string
	reason string
}

func (e *journalDamage) Error() string {
	return fmt.Sprintf("session: the journal %s is damaged (%s): restore a copy of the store, or make "+
		"both journal files empty to go on without what was written last", e.path, e.reason)
}

// journalForeign is a journal of another state of the bolt file, or of another file.
type journalForeign struct{ path, store string }

func (e *journalForeign) Error() string {
	return fmt.Sprintf("session: the journal %s does not belong to %s as it is: put back the file that was "+
		"beside it, or make both journal files empty to go on without what they hold", e.path, e.store)
}

// openJournal opens the files of a journal, or makes them if that is wanted.
func openJournal(path string, flag int) (j *journal, err error) {
	j = &journal{path: path}
	for i, suffix := range journalSuffixes {
		if j.segments[i], err = openSegment(path+suffix, flag); err != nil {
			return nil, errors.Join(err, j.close())
		}
	}
	return j, nil
}

// unused makes sure that there is nothing in the journal.
func (j *journal) unused() error {
	for _, s := range j.segments {
		if _, written, err := s.head(); err != nil || written {
			return errors.Join(err, j.foreign(s, written))
		}
	}
	return nil
}

func (j *journal) foreign(s *segment, is bool) error {
	if !is {
		return nil
	}
	return &journalForeign{s.path, j.path}
}

// generation makes the one of a number, as yet without frames.
func (j *journal) generation(number uint64) *generation {
	return &generation{number: number, segment: j.segments[number%2], records: map[string]boltVersion{}}
}

// replay reads what is in the journal, from the oldest generation on that is not in the bolt file.
func (j *journal) replay(o *overlay, oldest uint64) error {
	first, second := j.generation(oldest), j.generation(oldest+1)
	one, err := j.headOf(first)
	if err != nil {
		return err
	}
	two, err := j.headOf(second)
	if err != nil {
		return err
	}
	if two != nil && one == nil {
		return &journalDamage{first.segment.path, "its content is missing"}
	}
	o.active = first
	if one == nil {
		return nil
	}
	first.before = one.before
	end := int64(math.MaxInt64)
	if two != nil {
		end = two.before
	}
	if err := j.read(o, first, end); err != nil || two == nil {
		return err
	}
	if first.end != end {
		return &journalDamage{first.segment.path, "its end is missing"}
	}
	o.freeze(second)
	second.before = two.before
	return j.read(o, second, math.MaxInt64)
}

// headOf returns the head of a generation that has begun, nil if it has not.
func (j *journal) headOf(g *generation) (*journalHead, error) {
	h, written, err := g.segment.head()
	if err != nil || !written {
		return nil, err
	}
	if h.id != j.id || h.generation > g.number || h.generation%2 != g.number%2 {
		return nil, &journalForeign{g.segment.path, j.path}
	}
	if h.generation < g.number {
		return nil, nil // what its file had before
	}
	return &h, nil
}

// read publishes a generation's frames up to a place. The last one may be torn: it was never
// acknowledged. One with others behind it was.
func (j *journal) read(o *overlay, g *generation, end int64) error {
	at := int64(journalHeadSize)
	var buffer []byte
	for at < end {
		entries, err := g.segment.frame(j.id, g.number, at, buffer)
		if err != nil {
			return err
		}
		if entries == nil {
			break
		}
		if err := o.publish(g, at, entries); err != nil {
			return &journalDamage{g.segment.path, err.Error()}
		}
		buffer = entries
		at += frameHeadSize + int64(len(entries))
	}
	if end == math.MaxInt64 {
		switch more, err := g.segment.framesBehind(j.id, g.number, at); {
		case err != nil:
			return err
		case more:
			return &journalDamage{g.segment.path, "a part in the middle makes no sense"}
		}
	}
	// What a process wrote just before it was killed may not be on the disk yet.
	if err := g.segment.sync(g.segment.file); err != nil {
		return fmt.Errorf("session: write the journal: %w", err)
	}
	return nil
}

// append writes what a batch changed. It is on the disk when append returns nil, and then visible.
func (j *journal) append(o *overlay, changes map[string]boltChange) error {
	g := o.state().active // which only the writer changes
	frame := j.frame[:0]
	at := g.end
	if at == 0 {
		frame = append(frame, journalHead{j.id, g.number, g.before}.encode()...)
		at = journalHeadSize
	}
	begin := len(frame)
	frame = append(frame, make([]byte, frameHeadSize)...)
	for key, change := range changes {
		frame = appendEntry(frame, key, change)
	}
	if int64(len(frame)-begin) > math.MaxInt32 {
		return errors.New("session: an update is too large")
	}
	sealFrame(frame[begin:], j.id, g.number, at)
	if cap(frame) <= maxBatchBytes*2 {
		j.frame = frame
	}
	if err := g.segment.append(frame, g.end); err != nil {
		return err
	}
	return o.publish(g, at, frame[begin+frameHeadSize:])
}

// rotate freezes the active generation and begins the next. There must be no frozen one.
func (j *journal) rotate(o *overlay) error {
	active := o.state().active
	next := j.generation(active.number + 1)
	if o.read(next.segment) {
		fresh, err := next.segment.replace()
		if err != nil {
			return err
		}
		syncFolder(filepath.Dir(j.path))
		o.retire(next.segment)
		j.segments[next.number%2], next.segment = fresh, fresh
	}
	next.before = active.end
	o.freeze(next)
	return nil
}

// empty leaves nothing in the journal.
func (j *journal) empty() error {
	return errors.Join(j.segments[0].empty(), j.segments[1].empty())
}

func (j *journal) close() error {
	var errs []error
	for _, s := range j.segments {
		if s != nil {
			errs = append(errs, s.file.Close())
		}
	}
	return errors.Join(errs...)
}
