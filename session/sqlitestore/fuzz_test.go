// Fuzzing of values: what SQLite gives back, sound or not.

package sqlitestore

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/session"
)

// FuzzValue: a value of any bytes under any key comes back as it was put, and one of which a byte
// changed, or its size or key, is an error.
func FuzzValue(f *testing.F) {
	f.Add([]byte("k"), []byte("value"), uint16(0), byte(1), int16(0))
	f.Add([]byte("a\x00"), bytes.Repeat([]byte(" "), 2*padding), uint16(padding), byte(0x20), int16(-1))
	f.Add([]byte{}, []byte{}, uint16(0), byte(0), int16(1))
	d, _ := openTest(f, session.NewClock())
	f.Fuzz(func(t *testing.T, key, value []byte, at uint16, flip byte, longer int16) {
		err := d.Update(t.Context(), func(tx session.Tx) error {
			if err := tx.Put(key, value, time.Now().Add(time.Hour)); err != nil {
				return err
			}
			got, err := tx.Get(key)
			if err != nil || got == nil || !bytes.Equal(got, value) {
				t.Errorf("got %q %v, want %q", got, err, value)
			}
			return tx.Delete(key)
		})
		if err != nil {
			t.Fatal(err)
		}
		stored, sum := padded(value), checksum(key, value)
		if got, err := sound(key, stored, int64(len(value)), sum); err != nil || !bytes.Equal(got, value) {
			t.Errorf("got %q %v, want %q", got, err, value)
		}
		if flip != 0 && len(value) > 0 {
			damaged := slices.Clone(stored)
			damaged[int(at)%len(value)] ^= flip
			if got, err := sound(key, damaged, int64(len(value)), sum); err == nil {
				t.Errorf("got the damaged value %q", got)
			}
			if got, err := sound(append(slices.Clip(key), flip), stored, int64(len(value)), sum); err == nil {
				t.Errorf("got the value %q of another key", got)
			}
		}
		if got, err := sound(key, stored, int64(len(value))+int64(longer), sum); longer != 0 && err == nil && !bytes.Equal(got, value) {
			t.Errorf("got %q of another size", got)
		}
	})
}
