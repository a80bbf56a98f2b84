//nolint:thelper // rules are tests: a failure is at their line, not at that which calls them
package sessiontest

import (
	"sync"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/session"
)

func wantCount(t *testing.T, s session.Store, key session.Digest, delta int, until, at time.Time, want int) {
	t.Helper()
	got, err := s.Count(t.Context(), key, delta, until, at)
	if err != nil {
		t.Fatalf("count: %v", err)
	}
	if got != want {
		t.Errorf("got a count of %d after %+d, want %d", got, delta, want)
	}
}

func countersCount(t *testing.T, f Fixture) {
	begin := now()
	until := begin.Add(time.Hour)
	one, two := session.Digest{1}, session.Digest{2}
	for i, step := range []struct{ delta, want int }{
		{0, 0}, {-1, 0}, {1, 1}, {0, 1}, {1, 2}, {3, 5}, {-2, 3}, {-10, 0}, {1, 1}, {-1, 0}, {0, 0}, {1 << 40, 1 << 40}, {1, 1<<40 + 1},
	} {
		nodes := f.nodes()
		wantCount(t, nodes[i%len(nodes)], one, step.delta, until, begin, step.want)
		wantCount(t, f.Store, two, 0, until, begin, 0)
	}
}

// countersEnd at the time of their beginning.
func countersEnd(t *testing.T, f Fixture) {
	begin := now()
	until := begin.Add(time.Minute)
	key := session.Digest{1}
	wantCount(t, f.Store, key, 0, begin.Add(time.Hour), begin, 0) // begins nothing
	wantCount(t, f.Store, key, 1, until, begin, 1)
	wantCount(t, f.Store, key, 1, begin.Add(time.Hour), begin, 2)
	for _, node := range f.nodes() {
		wantCount(t, node, key, 0, until, until.Add(-time.Millisecond), 2)
	}
	for _, node := range f.nodes() {
		wantCount(t, node, key, 0, until, until, 0)
	}
	wantCount(t, f.Store, key, 1, until.Add(time.Minute), until, 1)
	wantCount(t, f.Store, key, 1, until, until.Add(time.Minute-time.Millisecond), 2)
	wantCount(t, f.Store, key, 0, until, until.Add(time.Minute), 0)

	// One that is back at zero begins anew.
	key = session.Digest{2}
	wantCount(t, f.Store, key, 1, until, begin, 1)
	wantCount(t, f.Store, key, -1, until, begin, 0)
	wantCount(t, f.Store, key, 1, begin.Add(time.Hour), begin, 1)
	wantCount(t, f.Store, key, 0, until, until, 1)

	// One that begins past its end counts nothing.
	wantCount(t, f.Store, session.Digest{3}, 1, begin, begin, 1)
	wantCount(t, f.Store, session.Digest{3}, 1, until, begin, 1)
}

func parallelCounts(t *testing.T, f Fixture) {
	begin := now()
	until := begin.Add(time.Hour)
	for round := range 3 {
		key := session.Digest{byte(round)}
		const calls = 50
		seen := make([]int, calls)
		var wg sync.WaitGroup
		for i := range calls {
			nodes := f.nodes()
			wg.Go(func() {
				var err error
				if seen[i], err = nodes[i%len(nodes)].Count(t.Context(), key, 1, until, begin); err != nil {
					t.Errorf("count: %v", err)
				}
			})
		}
		wg.Wait()
		values := map[int]bool{}
		for _, n := range seen {
			values[n] = true
		}
		if len(values) != calls || !values[1] || !values[calls] {
			t.Fatalf("got %d different values, want each from 1 to %d", len(values), calls)
		}
		for range calls {
			wg.Go(func() {
				if _, err := f.Store.Count(t.Context(), key, -1, until, begin); err != nil {
					t.Errorf("count: %v", err)
				}
			})
		}
		wg.Wait()
		wantCount(t, f.Store, key, 0, until, begin, 0)
	}
}

// countersAndNotesAreApart though their keys are the same.
func countersAndNotesAreApart(t *testing.T, f Fixture) {
	begin := now()
	key := session.Digest{1}
	takeNote(t, f.Store, session.Note{Key: key, Value: []byte("answer"), Until: begin.Add(time.Hour)})
	wantCount(t, f.Store, key, 2, begin.Add(time.Hour), begin, 2)
	wantNote(t, f.Store, key, begin, []byte("answer"))
	wantCount(t, f.Store, key, 0, begin, begin, 2)
}
