package session

import (
	"container/heap"
	"math"
	"time"
)

// never is the deadline of what stays.
const never = math.MaxInt64

// deadline is when a record may go, and how much room it takes until then.
type deadline[K comparable] struct {
	key  K
	at   int64 // in nanoseconds
	size int
}

// deadlines finds the deadline that passes first. There is one to a key, however often it is moved, so
// that their number is that of the records.
type deadlines[K comparable] struct{ heap *deadlineHeap[K] }

func newDeadlines[K comparable]() deadlines[K] {
	return deadlines[K]{&deadlineHeap[K]{place: map[K]int{}}}
}

// of returns the deadline of a key.
func (d deadlines[K]) of(key K) (deadline[K], bool) {
	i, ok := d.heap.place[key]
	if !ok {
		return deadline[K]{}, false
	}
	return d.heap.items[i], true
}

func (d deadlines[K]) set(item deadline[K]) {
	if i, ok := d.heap.place[item.key]; ok {
		d.heap.items[i] = item
		heap.Fix(d.heap, i)
		return
	}
	heap.Push(d.heap, item)
}

func (d deadlines[K]) drop(key K) {
	if i, ok := d.heap.place[key]; ok {
		heap.Remove(d.heap, i)
	}
}

// passed returns the deadline that passed first, if one has.
func (d deadlines[K]) passed(now time.Time) (deadline[K], bool) {
	if len(d.heap.items) == 0 || d.heap.items[0].at > now.UnixNano() {
		return deadline[K]{}, false
	}
	return d.heap.items[0], true
}

// deadlineHeap implements heap.Interface, and knows each key's place in it.
type deadlineHeap[K comparable] struct {
	items []deadline[K]
	place map[K]int
}

func (h *deadlineHeap[K]) Len() int           { return len(h.items) }
func (h *deadlineHeap[K]) Less(i, j int) bool { return h.items[i].at < h.items[j].at }

func (h *deadlineHeap[K]) Swap(i, j int) {
	h.items[i], h.items[j] = h.items[j], h.items[i]
	h.place[h.items[i].key], h.place[h.items[j].key] = i, j
}

func (h *deadlineHeap[K]) Push(item any) {
	d := item.(deadline[K])
	h.place[d.key] = len(h.items)
	h.items = append(h.items, d)
}

func (h *deadlineHeap[K]) Pop() any {
	last := h.items[len(h.items)-1]
	h.items = h.items[:len(h.items)-1]
	delete(h.place, last.key)
	return last
}
