// The clients: each sends the next request as soon as it has the answer to the last.

package main

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// load holds the results of the clients.
type load struct {
	elapsed time.Duration
	took    []time.Duration // sorted
}

// closedLoop runs clients that call send until the time or the number of requests is over. A call that fails
// ends it.
func closedLoop(ctx context.Context, clients int, d time.Duration, limit int, send func(client int) error) (load, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var (
		wg    sync.WaitGroup
		begun atomic.Int64
		mu    sync.Mutex // guards what follows
		l     load
		fails error
	)
	begin := time.Now()
	for c := range clients {
		wg.Go(func() {
			var took []time.Duration
			for ctx.Err() == nil && time.Since(begin) < d && begun.Add(1) <= int64(limit) {
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
			l.took = append(l.took, took...)
		})
	}
	wg.Wait()
	if fails == nil && len(l.took) == 0 {
		fails = errors.Join(ctx.Err(), errors.New("not one request was answered"))
	}
	l.elapsed = time.Since(begin)
	slices.Sort(l.took)
	return l, fails
}

func (l load) perSecond() float64 { return float64(len(l.took)) / l.elapsed.Seconds() }

// percentile is the time in milliseconds within which so many of a hundred requests were answered.
func (l load) percentile(p int) float64 {
	return float64(l.took[min(len(l.took)*p/100, len(l.took)-1)].Microseconds()) / 1000
}
