package session

import "time"

const (
	// roomFree is how much of a generation is written at full speed, whatever the merger does.
	roomFree = 0.75

	// roomWait is how long one batch waits at most for the merger, unless there is no room at all.
	roomWait = 20 * time.Millisecond
)

// room is what the writer knows of the batch before.
type room struct {
	number uint64
	full   float64
	at     time.Time
}

// makeRoom lets the next generation take over when the active one is full. If the merger still has to do
// with the one before, updates get slower as the room gets less, so that none has to wait for long.
func (d *boltDB) makeRoom() error {
	for {
		state := d.over.state()
		switch {
		case state.full < 1:
			d.slowDown(state)
			return nil
		case state.frozen == nil:
			if err := d.rotate(); err != nil {
				return err
			}
			continue
		}
		if failed := d.merge.failed.Load(); failed != nil {
			return *failed
		}
		signal(d.merge.wake)
		select {
		case <-d.merge.stepped:
		case r := <-d.rotations: // asked for before the generation was frozen
			r <- nil
		}
	}
}

// slowDown waits so long that, if all batches are like the last one, the merger is ready when the room
// is used up.
func (d *boltDB) slowDown(state overlayState) {
	last := d.room
	if state.frozen != nil && state.full > roomFree && last.number == state.active.number {
		left := float64(d.merge.total.Load()-d.merge.done.Load()) / float64(max(1, d.merge.rate.Load()))
		share := (state.full - last.full) / (1 - state.full)
		wait := time.Duration(share*left*float64(time.Second)) - time.Since(last.at)
		if wait > 0 {
			time.Sleep(min(wait, roomWait))
		}
	}
	d.room = room{state.active.number, state.full, time.Now()}
}

// rotate begins a new generation, unless there is nothing in the active one or the merger has to do with
// the one before. Only the writer may call it.
func (d *boltDB) rotate() error {
	if state := d.over.state(); state.frozen != nil || state.end == 0 {
		return nil
	}
	if err := d.journal.rotate(&d.over); err != nil {
		return err
	}
	d.merge.done.Store(0)
	signal(d.merge.wake)
	return nil
}
