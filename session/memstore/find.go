// Records found by other than their key. Each search walks over all: rare, and there are not many.

package memstore

import (
	"cmp"
	"slices"
	"strings"

	"github.com/caddy-wechat/wechatauth/session"
)

// Scan implements session.Tx.
func (t *tx) Scan(prefix, from []byte, each func(key, value []byte) error) error {
	keys := t.keys(func(key string, _ record) bool { return strings.HasPrefix(key, string(prefix)) && key >= string(from) })
	slices.Sort(keys)
	for _, key := range keys {
		if err := each([]byte(key), t.d.records[key].value); err != nil {
			return err
		}
	}
	return nil
}

// Mark implements session.Tx.
func (t *tx) Mark(key []byte, m session.Marks) error {
	r := t.d.records[string(key)]
	if r.value == nil {
		return nil
	}
	r.marks = m
	return t.write(key, r)
}

// Newest implements session.Tx.
func (t *tx) Newest(order int64, after []byte, each func(order int64, key []byte) error) error {
	type place struct {
		order int64
		key   string
	}
	var places []place
	for key, r := range t.d.records {
		if o := r.marks.Order; o != 0 && (o < order || o == order && key < string(after)) {
			places = append(places, place{o, key})
		}
	}
	slices.SortFunc(places, func(a, b place) int {
		return cmp.Or(cmp.Compare(b.order, a.order), cmp.Compare(b.key, a.key))
	})
	for _, p := range places {
		if err := each(p.order, []byte(p.key)); err != nil {
			return err
		}
	}
	return nil
}

// Labeled implements session.Tx.
func (t *tx) Labeled(label string, after []byte, each func(key []byte) error) error {
	keys := t.keys(func(key string, r record) bool {
		return slices.Contains(r.marks.Labels[:], label) && key > string(after)
	})
	slices.Sort(keys)
	for _, key := range keys {
		if err := each([]byte(key)); err != nil {
			return err
		}
	}
	return nil
}

// Totals implements session.Tx.
func (t *tx) Totals() (records, weight int64, err error) {
	for _, r := range t.d.records {
		if r.marks.Order != 0 {
			records++
			weight += r.marks.Weight
		}
	}
	return records, weight, nil
}

func (t *tx) keys(wanted func(string, record) bool) (keys []string) {
	for key, r := range t.d.records {
		if wanted(key, r) {
			keys = append(keys, key)
		}
	}
	return keys
}
