// Orientations.

package avatar_test

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"

	"github.com/caddy-wechat/wechatauth/avatar"
)

func TestExifOrientation(t *testing.T) {
	t.Parallel()
	little, big := exif(binary.LittleEndian, 6)[6:], exif(binary.BigEndian, 6)[6:]
	const tag = 8 + 2 + 12 // where the orientation's entry begins
	set := func(at int, value ...byte) []byte {
		return slices.Replace(slices.Clone(little), at, at+len(value), value...)
	}
	tests := []struct {
		name string
		tiff []byte
		want int
	}{
		{"little", little, 6},
		{"big", big, 6},
		{"nothing", nil, 1},
		{"header only", little[:8], 1},
		{"no entry", little[:10], 1},
		{"half an entry", little[:tag+11], 1},
		{"just the entry", little[:tag+12], 6},
		{"other magic", set(0, 'X'), 1},
		{"mixed order", set(0, 'M', 'M'), 1},
		{"not TIFF", set(2, 43), 1},
		{"directory in the header", set(4, 2), 1},
		{"directory at the end", set(4, byte(len(little)-1)), 1},
		{"directory far away", set(4, 0xff, 0xff, 0xff, 0xff), 1},
		{"directory at 2 GB", set(4, 0, 0, 0, 0x80), 1},
		{"directory is itself", set(4, 8, 0, 0, 0, 0xff, 0xff), 6}, // more entries than bytes
		{"next directory is this one", append(slices.Clone(little[:len(little)-4]), 8, 0, 0, 0), 6},
		{"no entries", set(8, 0, 0), 1},
		{"other tag", set(tag, 0x13), 1},
		{"a long", set(tag+2, 4), 1},
		{"many", set(tag+4, 2), 1},
		{"very many", set(tag+4, 1, 0, 0, 0x80), 1},
		{"0", set(tag+8, 0), 1},
		{"9", set(tag+8, 9), 1},
		{"262", set(tag+9, 1), 1},
		{"65535 entries of zeros", append(set(8, 0xff, 0xff), make([]byte, 12*65535)...), 6},
		{"zeros", make([]byte, 1<<16), 1},
		{"ones", bytes.Repeat([]byte{0xff}, 1<<16), 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := avatar.Orientation(tt.tiff); got != tt.want {
				t.Errorf("got %d, want %d", got, tt.want)
			}
		})
	}
}
