package session

import "context"

// batchSize is how many updates share a frame of the journal at most, and maxBatchBytes how much of
// changes lets it end early. More would make the first of them wait for the last.
const (
	batchSize     = 256
	maxBatchBytes = 4 << 20
)

// boltUpdate is an update on its way through the writer. The writer never runs the change itself: it
// lends the transaction to whoever waits in Update. So a change that panics or ends its goroutine does
// that where it belongs, and none runs after its Update has returned.
type boltUpdate struct {
	turn chan *boltTx  // the transaction, to use until ran
	ran  chan struct{} // the transaction is back
	kept bool          // set before ran: the change is to be committed
	done chan error    // how the commit went, or why there was no turn
}

// Update implements DB. Updates that arrive while another is written to the disk are written together
// after it, with one sync for all. One that comes alone does not wait for company. After its context has
// ended an update is not begun; one that has begun is waited for, since its outcome must be known.
func (d *boltDB) Update(ctx context.Context, change func(Tx) error) error {
	if err := d.enter(ctx); err != nil {
		return err
	}
	defer d.running.Done()
	u := &boltUpdate{turn: make(chan *boltTx, 1), ran: make(chan struct{}), done: make(chan error, 1)}
	select {
	case d.updates <- u:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case tx := <-u.turn:
		err := u.run(tx, change)
		// Also a refusal waits: it may come from what another update of the batch has written.
		if failed := <-u.done; failed != nil {
			return failed
		}
		return err
	case err := <-u.done:
		return err
	}
}

// run makes the change, and unmakes it unless it comes to its end without an error.
func (u *boltUpdate) run(tx *boltTx, change func(Tx) error) (err error) {
	defer func() {
		if !u.kept {
			tx.undo()
		}
		u.ran <- struct{}{}
	}()
	err = change(tx)
	u.kept = err == nil
	return err
}

// write is the writer: it carries out updates until there are no more.
func (d *boltDB) write() {
	defer close(d.stopped)
	for {
		select {
		case u := <-d.updates:
			d.batch(u)
		case r := <-d.rotations:
			r <- d.rotate()
		case <-d.stop:
			return
		}
	}
}

// batch carries out an update and all that wait behind it.
func (d *boltDB) batch(first *boltUpdate) {
	tx, err := d.beginBatch()
	if err != nil {
		first.done <- err
		return
	}
	var ran []*boltUpdate
	for u, n := first, 1; u != nil; u, n = d.next(tx, n), n+1 {
		u.turn <- tx
		<-u.ran
		if u.kept {
			tx.keep()
		}
		ran = append(ran, u)
	}
	d.end(tx)
	if tx.dirty { // nothing to write needs no sync
		err = d.journal.append(&d.over, tx.changes)
	}
	for _, u := range ran {
		u.done <- err
	}
}

// beginBatch starts a transaction for a batch, as soon as there is room for what it may write.
func (d *boltDB) beginBatch() (*boltTx, error) {
	if err := d.makeRoom(); err != nil {
		return nil, err
	}
	tx, err := d.begin(false)
	if err != nil {
		return nil, err
	}
	tx.changes = map[string]boltChange{}
	return tx, nil
}

// next returns an update that waits already, nil if there is none or the batch is full.
func (d *boltDB) next(tx *boltTx, taken int) *boltUpdate {
	if taken >= batchSize || tx.size >= maxBatchBytes {
		return nil
	}
	select {
	case u := <-d.updates:
		return u
	default:
		return nil
	}
}
