//go:build linux

// The ways in which a connection breaks.

package faults_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
)

// down is no toxic of toxiproxy: nobody listens.
const down = "down"

// toxic is one way to break a link.
type toxic struct {
	kind       string
	attributes map[string]any
	share      float64 // of the connections
}

func (x toxic) String() string {
	name := x.kind
	for _, key := range slices.Sorted(func(yield func(string) bool) {
		for key := range x.attributes {
			if !yield(key) {
				return
			}
		}
	}) {
		name += fmt.Sprintf(" %s=%v", key, x.attributes[key])
	}
	if x.share < 1 {
		name += fmt.Sprintf(" on %.0f%%", 100*x.share)
	}
	return name
}

func all(kind string, pairs ...any) toxic {
	x := toxic{kind, map[string]any{}, 1}
	for i := 0; i+1 < len(pairs); i += 2 {
		x.attributes[pairs[i].(string)] = pairs[i+1]
	}
	return x
}

// toxicsOf returns all toxics, with numbers that the seed chooses beside the fixed ones.
func toxicsOf(random *rand.Rand) []toxic {
	list := []toxic{
		all(down),
		all("latency", "latency", 50+random.IntN(400)),
		all("latency", "latency", 700+random.IntN(500)),
		all("latency", "latency", 3000),
		all("latency", "latency", 100, "jitter", 100+random.IntN(900)),
		all("bandwidth", "rate", 1),
		all("bandwidth", "rate", 8+random.IntN(60)),
		all("slow_close", "delay", 500+random.IntN(3000)),
		all("timeout", "timeout", 0),
		all("timeout", "timeout", 1+random.IntN(900)),
		all("reset_peer", "timeout", 0),
		all("reset_peer", "timeout", 1+random.IntN(500)),
		all("slicer", "average_size", 1+random.IntN(60), "size_variation", 0, "delay", 100+random.IntN(3000)),
	}
	for _, bytes := range []int{0, 1, 10, 60, 200, 600, 1500, 5000} {
		list = append(list, all("limit_data", "bytes", bytes+random.IntN(1+bytes/2)))
	}
	for _, x := range []toxic{all("timeout", "timeout", 0), all("reset_peer", "timeout", 0), all("latency", "latency", 3000)} {
		x.share = 0.2 + 0.6*random.Float64()
		list = append(list, x)
	}
	return list
}
