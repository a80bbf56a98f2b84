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
	orderOf := func(key string) int64 { return t.d.records[key].marks.Order }
	newestFirst := func(a, b string) int { return cmp.Or(cmp.Compare(orderOf(b), orderOf(a)), cmp.Compare(b, a)) }
	keys := t.keys(func(key string, r record) bool {
		return r.marks.Order != 0 && (r.marks.Order < order || r.marks.Order == order && key < string(after))
	})
	slices.SortFunc(keys, newestFirst)
	for _, key := range keys {
		if err := each(orderOf(key), []byte(key)); err != nil {
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
