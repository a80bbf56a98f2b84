package avatar_test

import (
	"runtime"
	"slices"
	"testing"

	"github.com/caddy-wechat/wechatauth/avatar"
)

// The largest pictures that are let in must not take more memory than was worked out, and that never more
// than the limit. Everything allocated counts, also what the garbage collector could take back at once.
// It cannot run beside other tests.
func TestMemoryIsWorkedOut(t *testing.T) {
	if raceDetector {
		t.Skip("one goroutine and hundreds of millions of pixels")
	}
	half := component{1, 0x22, 0}
	full := component{1, 0x11, 0}
	colours := []component{{2, 0x11, 0}, {3, 0x11, 0}}
	four := append(slices.Clone(colours), component{4, 0x11, 0})
	adobe := segment(0xee, []byte("Adobe\x00\x64\x00\x00\x00\x00\x00")...)
	gifData := func(width, height int) []byte { // clear codes between pixels: 3 bits each
		var w bitWriter
		for range width * height {
			w.lsb(4, 3)
			w.lsb(0, 3)
		}
		w.lsb(5, 3)
		var out []byte
		for block := range slices.Chunk(w.out, 255) {
			out = append(append(out, byte(len(block))), block...)
		}
		return append(out, 0, 0x3b)
	}
	gif := func(width, height int, interlaced byte) []byte {
		return slices.Concat(gifHead(width, height, 0, 0, width, height, interlaced), []byte{2}, gifData(width, height))
	}
	lossless := func(width, height int, colours int) []byte {
		w := vp8l(width, height)
		for _, kind := range []int{0, 1} { // predictors, and factors between colours, by tiles of 4 by 4
			w.lsb(1, 1)
			w.lsb(kind, 2)
			w.lsb(0, 3)
			w.lsb(0, 1)
			w.oneSymbol(5)
		}
		if colours > 0 {
			w.lsb(1, 1)
			w.lsb(3, 2)
			w.lsb(colours-1, 8)
			w.lsb(0, 1)
			w.oneSymbol(5)
		}
		w.lsb(0, 3) // no more transforms, no cache, one set of trees
		w.oneSymbol(5)
		return riff(riffChunk("VP8L", append(w.out, make([]byte, 16)...)))
	}
	tests := []struct {
		name    string
		picture []byte
	}{
		{"JPEG, gray", flatJPEG(4096, 4096, false, 1, nil, full)},
		{"JPEG, 4:4:4", flatJPEG(4096, 4096, false, 1, nil, append([]component{full}, colours...)...)},
		{"JPEG, 4:2:0", flatJPEG(4096, 4096, false, 1, nil, append([]component{half}, colours...)...)},
		{"JPEG, progressive 4:2:0", flatJPEG(4032, 3024, true, 1, nil, append([]component{half}, colours...)...)},
		{"JPEG, progressive 4:4:4", flatJPEG(2500, 2500, true, 1, nil, append([]component{full}, colours...)...)},
		{"JPEG, odd sampling", flatJPEG(4095, 4095, false, 1, nil, component{1, 0x41, 0}, component{2, 0x11, 0}, component{3, 0x11, 0})},
		{"JPEG, RGB", flatJPEG(3600, 3600, false, 1, adobe, append([]component{full}, colours...)...)},
		{"JPEG, CMYK", flatJPEG(3400, 3400, false, 1, adobe, append([]component{full}, four...)...)},
		{"JPEG, a line", flatJPEG(4096, 1, true, 1, nil, append([]component{full}, colours...)...)},
		{"PNG, gray", zeroPNG(t, 4096, 4096, 8, 0, false)},
		{"PNG, gray, transparent", zeroPNG(t, 4096, 4096, 8, 0, false, chunk("tRNS", []byte{0, 1}))},
		{"PNG, 16 bits", zeroPNG(t, 4096, 2900, 16, 2, false, chunk("tRNS", make([]byte, 6)))},
		{"PNG, interlaced", zeroPNG(t, 4096, 2900, 8, 6, true)},
		{"PNG, interlaced, 16 bits", zeroPNG(t, 2400, 2400, 16, 6, true)},
		{"PNG, palette, interlaced", zeroPNG(t, 4096, 4096, 1, 3, true)},
		{"GIF", gif(1024, 1024, 0)},
		{"GIF, interlaced", gif(1024, 1024, 0x40)},
		{"WebP, lossless", lossless(4096, 4096, 0)},
		{"WebP, palette", lossless(3000, 3000, 2)},
		{"WebP, trees", treesWebP(256, 256, 600)},
		{"WebP, lossy with alpha", webpFile(t, "yellow_rose.lossy-with-alpha")},
		{"WebP, lossless with alpha", webpFile(t, "gopher-doc.with-alpha.lossless")},
	}
	maker := avatar.NewMaker(512, 1)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			expected, err := maker.Memory(tt.picture)
			if err != nil {
				t.Fatal(err)
			}
			got := allocated(func() { _, err = maker.JPEG(t.Context(), tt.picture) })
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%d KB file, %.1f of %.1f MB", len(tt.picture)>>10, float64(got)/(1<<20), float64(expected)/(1<<20))
			if got > expected || expected > avatar.MaxMemory {
				t.Errorf("got %d bytes, expected %d, the limit is %d", got, expected, avatar.MaxMemory)
			}
		})
	}
	for name, tt := range refused(t) {
		t.Run(name, func(t *testing.T) {
			var err error
			got := allocated(func() { _, err = maker.JPEG(t.Context(), tt.file) })
			if limit := int64(avatar.MaxMemory); err == nil || got > limit/2 && err == avatar.ErrTooLarge || got > limit {
				t.Errorf("got %d bytes, %v", got, err)
			}
		})
	}
}

// allocated is how much a function allocates in all.
func allocated(f func()) int64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return int64(after.TotalAlloc - before.TotalAlloc)
}
