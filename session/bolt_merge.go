package session

import (
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// mergeQuiet and mergeAge are how long nothing may be written, and how long ago the first frame of a
	// generation may be, before it is merged.
	mergeQuiet = time.Second
	mergeAge   = 30 * time.Second

	// mergeStep is how many records one step of the merger carries over, and mergePause lies between two
	// steps, if there is time. In a large file each record changes a page of its own, for which the
	// journal's next sync may have to wait.
	mergeStep  = 32
	mergePause = 15 * time.Millisecond

	// mergeStride is a step in a hurry, and mergeBytes how much of records lets one end early. A long one
	// is less work for each record, since their neighbours are changed, too.
	mergeStride = 128
	mergeBytes  = 4 << 20

	// mergeRetry follows a failure. The updates that find no room in the journal then tell their callers
	// why, so the merger need not tell anybody.
	mergeRetry = time.Second
)

// merge is the merger's work: to carry the frozen generation into the bolt file, in the order of its
// keys. It alone changes the bolt file, so it sweeps as well.
type merge struct {
	ended   chan struct{} // closed when the merger has ended
	wake    chan struct{} // there is something to do at once
	stepped chan struct{} // a step was made, for the writer who waits

	// The last step's failure; nil after success.
	failed atomic.Pointer[error]

	// How far it is, for the writer.
	done  atomic.Int64 // records carried over
	total atomic.Int64
	rate  atomic.Int64 // records a second, without pauses

	mu   sync.Mutex // guards what follows: one step at a time
	of   *generation
	keys []string // of the generation, in order
}

func newMerge() merge {
	return merge{ended: make(chan struct{}), wake: make(chan struct{}, 1), stepped: make(chan struct{}, 1)}
}

// signal tells whoever waits, or will.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// mergeOn is the merger: it works until the writer has ended.
func (d *boltDB) mergeOn() {
	defer close(d.merge.ended)
	timer := time.NewTimer(mergeQuiet)
	defer timer.Stop()
	nextSweep := time.Now().Add(sweepRest)
	for {
		select {
		case <-d.stopped:
			return
		case <-timer.C:
		case <-d.merge.wake:
		}
		pause := d.tend()
		if !time.Now().Before(nextSweep) {
			nextSweep = time.Now().Add(d.sweepPaced())
		}
		timer.Reset(min(pause, max(0, time.Until(nextSweep))))
	}
}

// tend makes a step, if it is time for one, and tells when it is time for the next.
func (d *boltDB) tend() time.Duration {
	state := d.over.state()
	if state.frozen != nil {
		lag := d.merge.lag(state.full)
		if err := d.mergeStep(mergeStep + int(lag*(mergeStride-mergeStep))); err != nil {
			return mergeRetry
		}
		return time.Duration((1 - lag) * float64(mergePause))
	}
	if state.end == 0 {
		return mergeQuiet
	}
	due := min(mergeQuiet-time.Since(state.last), mergeAge-time.Since(state.begun))
	if due > 0 {
		return due
	}
	rotated := make(chan error, 1)
	select {
	case d.rotations <- rotated:
		if err := <-rotated; err != nil {
			d.merge.fail(err)
			return mergeRetry
		}
	case <-d.stopped:
	}
	return 0
}

// lag is how much of a hurry the merger is in, from 0 to 1. The active generation must not fill up faster
// than the frozen one empties, but a burst may be over before that comes to matter.
func (m *merge) lag(full float64) float64 {
	merged := float64(m.done.Load()) / float64(max(1, m.total.Load()))
	return min(1, max(0, 2*(full-merged)-0.5))
}

// fail notes how a step went.
func (m *merge) fail(err error) {
	if err == nil {
		m.failed.Store(nil)
	} else {
		m.failed.Store(&err)
	}
	signal(m.stepped)
}

// mergeStep carries a part of the frozen generation over, if there is one. With the last part the
// generation ends.
func (d *boltDB) mergeStep(limit int) (err error) {
	m := &d.merge
	m.mu.Lock()
	defer m.mu.Unlock()
	defer func() { m.fail(err) }()
	frozen := d.over.state().frozen
	if frozen == nil {
		return nil
	}
	if m.of != frozen {
		m.begin(frozen)
	}
	begin, done := time.Now(), int(m.done.Load())
	carried := 0
	err = d.change(func(t *boltFileTx) (err error) {
		carried, err = d.carry(t, frozen, m.keys[done:min(len(m.keys), done+limit)])
		if err != nil || done+carried < len(m.keys) {
			return err
		}
		return writeGeneration(t.tx.Bucket(boltMeta), frozen.number+1)
	})
	if err != nil {
		return err
	}
	m.advance(carried, time.Since(begin))
	d.forgetChanged(carried)
	if done+carried == len(m.keys) {
		d.over.drop()
		m.of, m.keys = nil, nil
	}
	return nil
}

// begin takes up a generation.
func (m *merge) begin(frozen *generation) {
	m.of = frozen
	m.keys = make([]string, 0, len(frozen.records))
	for key := range frozen.records { // nobody changes it any more
		m.keys = append(m.keys, key)
	}
	slices.Sort(m.keys)
	m.done.Store(0)
	m.total.Store(int64(len(m.keys)))
}

// advance counts a step.
func (m *merge) advance(carried int, took time.Duration) {
	m.done.Add(int64(carried))
	rate := int64(float64(carried) / max(took.Seconds(), 1e-6))
	if old := m.rate.Load(); old > 0 {
		rate = (7*old + rate) / 8
	}
	m.rate.Store(rate)
}

// carry writes records to the bolt file, and returns how many.
func (d *boltDB) carry(t *boltFileTx, g *generation, keys []string) (carried int, err error) {
	now, size := boltSeconds(d.now().Truncate(time.Second)), int64(0)
	for _, key := range keys {
		if size > mergeBytes {
			break
		}
		v := g.records[key]
		switch {
		case v.size < 0, v.expires != 0 && v.expires <= now:
			err = t.delete([]byte(key))
		default:
			var value []byte
			if value, err = g.segment.value(v); err == nil {
				err = t.put([]byte(key), value, v.expires)
			}
			size += int64(v.size)
		}
		if err != nil {
			return 0, err
		}
		carried++
	}
	return carried, nil
}

// mergeAll carries everything over. The writer and the merger must have ended.
func (d *boltDB) mergeAll() error {
	for {
		state := d.over.state()
		if state.frozen == nil {
			if state.end == 0 {
				return nil
			}
			if err := d.rotate(); err != nil {
				return err
			}
		}
		if err := d.mergeStep(8 * mergeStride); err != nil {
			return errors.Join(errors.New("session: the journal could not be merged, and is kept"), err)
		}
	}
}
