package session

import "time"

// pinned holds few records that nothing pushes out.
type pinned struct {
	max    int
	values map[string][]byte
	ends   deadlines[string]
}

func newPinned(maxRecords int) *pinned {
	return &pinned{max: maxRecords, values: map[string][]byte{}, ends: newDeadlines[string]()}
}

func (p *pinned) get(key []byte, now time.Time) []byte {
	if d, ok := p.ends.of(string(key)); !ok || d.at <= now.UnixNano() {
		return nil
	}
	return p.values[string(key)]
}

func (p *pinned) scan(each func(key, value []byte) error) error {
	for key, value := range p.values {
		if err := each([]byte(key), value); err != nil {
			return err
		}
	}
	return nil
}

// grows returns by how many records a write makes it grow.
func (p *pinned) grows(key string, value []byte) int {
	_, there := p.values[key]
	switch {
	case there && value == nil:
		return -1
	case !there && value != nil:
		return 1
	}
	return 0
}

func (p *pinned) fits(records int) bool { return records <= 0 || len(p.values)+records <= p.max }

func (p *pinned) set(key string, s stagedValue) {
	if s.value == nil {
		delete(p.values, key)
		p.ends.drop(key)
		return
	}
	p.values[key] = s.value
	p.ends.set(deadline[string]{key: key, at: s.expires})
}

// sweep drops what is past its time.
func (p *pinned) sweep(now time.Time) {
	for d, ok := p.ends.passed(now); ok; d, ok = p.ends.passed(now) {
		delete(p.values, d.key)
		p.ends.drop(d.key)
	}
}
