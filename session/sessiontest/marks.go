// Rules of a DB for records found by other than their key.

package sessiontest

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/session"
)

// mark puts a record, and marks it.
func (f *dbFixture) mark(t *testing.T, key string, m session.Marks) {
	t.Helper()
	f.put(t, key, "v", f.clock.Now().Add(time.Hour))
	f.update(t, func(tx session.Tx) error { return tx.Mark([]byte(key), m) })
}

// view runs a View that must succeed, and returns the keys it passes.
func (f *dbFixture) view(t *testing.T, read func(tx session.Tx, pass func(key []byte) error) error) string {
	t.Helper()
	var keys []string
	err := f.DB.View(t.Context(), func(tx session.Tx) error {
		return read(tx, func(key []byte) error {
			keys = append(keys, string(key))
			return nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(keys, " ")
}

func (f *dbFixture) wantNewest(t *testing.T, order int64, after, want string) {
	t.Helper()
	got := f.view(t, func(tx session.Tx, pass func([]byte) error) error {
		return tx.Newest(order, []byte(after), func(_ int64, key []byte) error { return pass(key) })
	})
	if got != want {
		t.Errorf("the newest after %d %q: got %q, want %q", order, after, got, want)
	}
}

func (f *dbFixture) wantLabeled(t *testing.T, label, after, want string) {
	t.Helper()
	got := f.view(t, func(tx session.Tx, pass func([]byte) error) error { return tx.Labeled(label, []byte(after), pass) })
	if got != want {
		t.Errorf("those with label %q after %q: got %q, want %q", label, after, got, want)
	}
}

func (f *dbFixture) wantTotals(t *testing.T, records, weight int64) {
	t.Helper()
	var r, w int64
	f.view(t, func(tx session.Tx, _ func([]byte) error) (err error) {
		r, w, err = tx.Totals()
		return err
	})
	if r != records || w != weight {
		t.Errorf("got %d records of weight %d, want %d of %d", r, w, records, weight)
	}
}

func dbScansFrom(t *testing.T, f *dbFixture) {
	for _, key := range []string{"ac", "b", "\xff", "aa", "ab\xff", "ab"} {
		f.put(t, key, "v", time.Time{})
	}
	for _, test := range []struct{ prefix, from, want string }{
		{"a", "", "aa ab ab\xff ac"},
		{"a", "A", "aa ab ab\xff ac"},
		{"a", "ab", "ab ab\xff ac"},
		{"a", "ab\x00", "ab\xff ac"},
		{"a", "ad", ""},
		{"a", "b", ""},
		{"", "b", "b \xff"},
	} {
		got := f.view(t, func(tx session.Tx, pass func([]byte) error) error {
			return tx.Scan([]byte(test.prefix), []byte(test.from), func(key, _ []byte) error { return pass(key) })
		})
		if got != test.want {
			t.Errorf("%q from %q: got %q, want %q", test.prefix, test.from, got, test.want)
		}
	}
}

func dbNewest(t *testing.T, f *dbFixture) {
	f.put(t, "unmarked", "v", time.Time{})
	for key, m := range map[string]session.Marks{
		"a": {Order: 5, Weight: 1}, "b": {Order: 7, Weight: 2}, "c": {Order: 5}, "d": {Order: 5, Weight: 3}, "e": {Order: 6},
		"none": {Weight: 9, Labels: [2]string{"x"}},
	} {
		f.mark(t, key, m)
	}
	f.wantNewest(t, math.MaxInt64, "", "b e d c a")
	f.wantNewest(t, 5, "d", "c a")
	f.wantNewest(t, 6, "a", "d c a")
	f.wantNewest(t, 5, "a", "")
	f.wantTotals(t, 5, 6)
	f.mark(t, "a", session.Marks{Order: 8, Weight: 1})
	f.mark(t, "b", session.Marks{})
	f.wantNewest(t, math.MaxInt64, "", "a e d c")
	f.wantTotals(t, 4, 4)

	enough, seen := errors.New("enough"), 0
	err := f.DB.View(t.Context(), func(tx session.Tx) error {
		return tx.Newest(math.MaxInt64, nil, func(int64, []byte) error { seen++; return enough })
	})
	if !errors.Is(err, enough) || seen != 1 {
		t.Errorf("got %v after %d records, want %v after 1", err, seen, enough)
	}

	// Page by page, whatever the size of a page.
	random := rand.New(rand.NewPCG(1, 2))
	for i := range 200 {
		f.mark(t, "r"+string(rune('A'+i)), session.Marks{Order: 1 + random.Int64N(20)})
	}
	whole := f.view(t, func(tx session.Tx, pass func([]byte) error) error {
		return tx.Newest(math.MaxInt64, nil, func(_ int64, key []byte) error { return pass(key) })
	})
	for _, size := range []int{1, 7, 100} {
		var keys []string
		for order, key, more := int64(math.MaxInt64), []byte(nil), true; more; {
			more = false
			n := 0
			f.view(t, func(tx session.Tx, _ func([]byte) error) error {
				err := tx.Newest(order, key, func(o int64, k []byte) error {
					if n++; n > size {
						more = true
						return enough
					}
					order, key = o, slices.Clone(k)
					keys = append(keys, string(k))
					return nil
				})
				if errors.Is(err, enough) {
					return nil
				}
				return err
			})
		}
		if got := strings.Join(keys, " "); got != whole {
			t.Errorf("pages of %d: got %d keys, want as many as at once, in the same order", size, len(keys))
		}
	}
}

func dbLabels(t *testing.T, f *dbFixture) {
	odd := "\x00'\xff" + strings.Repeat("l", 29)
	f.mark(t, "b", session.Marks{Labels: [2]string{"x", odd}})
	f.mark(t, "a", session.Marks{Labels: [2]string{odd, "y"}})
	f.mark(t, "c", session.Marks{Order: 1, Labels: [2]string{"", "x"}})
	f.mark(t, "d", session.Marks{Labels: [2]string{"x", "x"}})
	f.wantLabeled(t, "x", "", "b c d")
	f.wantLabeled(t, "x", "b", "c d")
	f.wantLabeled(t, odd, "", "a b")
	f.wantLabeled(t, "X", "", "")
	f.mark(t, "b", session.Marks{Labels: [2]string{"y"}})
	f.wantLabeled(t, "x", "", "c d")
	f.wantLabeled(t, "y", "", "a b")
}

func dbMarksGo(t *testing.T, f *dbFixture) {
	m := session.Marks{Order: 5, Weight: 1, Labels: [2]string{"x"}}
	f.update(t, func(tx session.Tx) error { return tx.Mark([]byte("missing"), m) })
	for _, key := range []string{"a", "b", "c"} {
		f.mark(t, key, m)
	}
	f.put(t, "a", "changed", time.Time{}) // for good, unlike the others
	cause := errors.New("the function's own")
	err := f.DB.Update(t.Context(), func(tx session.Tx) error {
		return errors.Join(tx.Mark([]byte("a"), session.Marks{}), tx.Delete([]byte("c")), cause)
	})
	if !errors.Is(err, cause) {
		t.Errorf("got %v, want %v", err, cause)
	}
	if err := f.DB.View(t.Context(), func(tx session.Tx) error { return tx.Mark([]byte("a"), session.Marks{}) }); err == nil {
		t.Error("mark in a view: got no error, want one")
	}
	f.wantNewest(t, math.MaxInt64, "", "c b a")
	f.update(t, func(tx session.Tx) error { return tx.Delete([]byte("b")) })
	f.put(t, "b", "again", time.Time{}) // another record
	if f.Reopen != nil {
		f.DB = f.Reopen(t)
	}
	f.wantNewest(t, math.MaxInt64, "", "c a")
	f.wantLabeled(t, "x", "", "a c")
	if f.Sweep == nil {
		return
	}
	f.clock.pass(2 * time.Hour)
	f.Sweep(t)
	f.wantNewest(t, math.MaxInt64, "", "a")
	f.wantLabeled(t, "x", "", "a")
	f.wantTotals(t, 1, 1)
}
