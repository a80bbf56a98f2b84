package lab

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Load is what clients got that each send the next request as soon as they have the answer to the last.
type Load struct {
	Requests int
	Elapsed  time.Duration
	took     []time.Duration // sorted
}

// ClosedLoop lets so many clients call send until the time or the number of requests is over. A call that
// fails ends it all.
func ClosedLoop(ctx context.Context, clients int, d time.Duration, limit int, send func(client int) error) (Load, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var (
		wg    sync.WaitGroup
		begun atomic.Int64
		mu    sync.Mutex // guards what follows
		load  Load
		fails error
	)
	begin := time.Now()
	end := begin.Add(d)
	for c := range clients {
		wg.Go(func() {
			var took []time.Duration
			for ctx.Err() == nil && time.Now().Before(end) && begun.Add(1) <= int64(limit) {
				at := time.Now()
				if err := send(c); err != nil {
					cancel()
					mu.Lock()
					defer mu.Unlock()
					fails = cmp.Or(fails, err) // the others fail for the same reason
					return
				}
				took = append(took, time.Since(at))
			}
			mu.Lock()
			defer mu.Unlock()
			load.took = append(load.took, took...)
		})
	}
	wg.Wait()
	if fails == nil && len(load.took) == 0 {
		fails = errors.Join(ctx.Err(), errors.New("not one request was answered"))
	}
	load.Elapsed = time.Since(begin)
	load.Requests = len(load.took)
	slices.Sort(load.took)
	return load, fails
}

// PerSecond is the rate of requests.
func (l Load) PerSecond() float64 { return float64(l.Requests) / l.Elapsed.Seconds() }

// Percentile is the time within which so many of a hundred requests were answered.
func (l Load) Percentile(p int) time.Duration {
	return l.took[min(len(l.took)*p/100, len(l.took)-1)]
}
