package session

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// fake is a record as a test remembers it.
type fake struct {
	value   []byte
	expires time.Time
}

// TestTheRingAgreesWithAMap writes, replaces and deletes records of all sizes in a ring that is full all
// the time, until it has gone around often.
func TestTheRingAgreesWithAMap(t *testing.T) {
	t.Parallel()
	for _, largest := range []int{200, 5 << 10, maxValue} {
		t.Run(fmt.Sprint("up to ", largest, " bytes"), func(t *testing.T) {
			t.Parallel()
			const seed = 7
			t.Logf("seed %d", seed)
			random := rand.New(rand.NewPCG(seed, uint64(largest)))
			r, err := newRing(10)
			if err != nil {
				t.Fatal(err)
			}
			want := map[string]fake{}
			now, written, refused := time.Now(), 0, 0
			for step := 0; written < 40<<20 && step < 80_000; step++ {
				now = now.Add(time.Millisecond)
				r.sweep(now)
				key := fmt.Append([]byte{kindNote}, random.IntN(20_000))
				if random.IntN(10) == 0 {
					if err := r.set(key, stagedValue{}); err != nil {
						t.Fatal(err)
					}
					delete(want, string(key))
					continue
				}
				size := random.IntN(largest)
				if random.IntN(2) == 0 {
					size = random.IntN(200)
				}
				value := bytes.Repeat([]byte{byte(step)}, size)
				expires := now.Add(time.Duration(1+random.IntN(100_000)) * time.Millisecond)
				grows, err := r.grows(key, value)
				if err != nil {
					t.Fatal(err)
				}
				if !r.fits(grows) {
					refused++
					written += size // or it would never end
					continue
				}
				if err := r.set(key, stagedValue{value, unixNano(expires)}); err != nil {
					t.Fatal(err)
				}
				want[string(key)] = fake{value, expires}
				written += size
				if step%10_000 == 0 {
					agree(t, r, want, now)
				}
			}
			agree(t, r, want, now)
			t.Logf("%d records, refused %d", len(r.ends.heap.items), refused)

			for key := range want {
				if err := r.set([]byte(key), stagedValue{}); err != nil {
					t.Fatal(err)
				}
			}
			r.sweep(now.Add(time.Hour))
			if r.live != 0 || r.cache.Len() != 0 || len(r.ends.heap.place) != 0 {
				t.Errorf("got %d bytes of %d records with %d deadlines in an empty ring", r.live, r.cache.Len(), len(r.ends.heap.place))
			}
		})
	}
}

func agree(t *testing.T, r *ring, want map[string]fake, now time.Time) {
	t.Helper()
	maps.DeleteFunc(want, func(_ string, f fake) bool { return !now.Before(f.expires) })
	for key, f := range want {
		if got := r.get([]byte(key), now); !bytes.Equal(got, f.value) || got == nil {
			t.Fatalf("got %d bytes, want %d", len(got), len(f.value))
		}
	}
	var scanned []string
	err := r.scan(func(key, value []byte) error {
		if f, ok := want[string(key)]; !ok || !bytes.Equal(f.value, value) {
			return errors.New("a record that is not there")
		}
		scanned = append(scanned, string(key))
		return nil
	})
	slices.Sort(scanned)
	if err != nil || !slices.Equal(scanned, slices.Sorted(maps.Keys(want))) {
		t.Fatalf("scan: got %d records, %v, want %d", len(scanned), err, len(want))
	}
}

func TestARingRecordIsOverAtItsTime(t *testing.T) {
	t.Parallel()
	r, err := newRing(10)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	if err := r.set([]byte("key"), stagedValue{[]byte("value"), unixNano(now)}); err != nil {
		t.Fatal(err)
	}
	if got := r.get([]byte("key"), now.Add(-1)); string(got) != "value" {
		t.Errorf("got %q before its time, want %q", got, "value")
	}
	if got := r.get([]byte("key"), now); got != nil {
		t.Errorf("got %q at its time, want nil", got)
	}
}
