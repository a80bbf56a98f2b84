//go:build linux && !race

// Memory of decoding the worst files, measured in a process each.

package avatar_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/avatar"
	"github.com/caddy-wechat/wechatauth/internal/testkit"
)

// maxResident bounds the resident memory of a process, with a Caddy's 60 MB still to come.
const maxResident = 240 << 20

// childEnv makes the test binary decode the picture on its standard input, so many times.
const childEnv = "AVATAR_DECODE"

func TestMain(m *testing.M) {
	times := os.Getenv(childEnv)
	if times == "" {
		testkit.RunTests(m.Run)
	}
	upload, err := io.ReadAll(os.Stdin)
	for range len(times) {
		_, jpegErr := avatar.JPEG(context.Background(), upload, 2048)
		err = errors.Join(err, jpegErr)
	}
	status, statusErr := os.ReadFile("/proc/self/status")
	fmt.Printf("%s\n", status)
	if err := errors.Join(err, statusErr); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

// No file within the bounds takes more memory than a small server has, however often it is sent.
// Threats: T93.
func TestWorstFiles(t *testing.T) {
	const w, h = avatar.MaxSide, avatar.MaxPixels / avatar.MaxSide
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
		broken  bool
	}{
		{"JPEG, 4:4:4", flatJPEG(w, h, false, 1, nil, append([]component{full}, colours...)...), false},
		{"JPEG, progressive 4:2:0", flatJPEG(w, h, true, 1, nil, append([]component{half}, colours...)...), false},
		{"JPEG, progressive 4:4:4", flatJPEG(w, h, true, 1, nil, append([]component{full}, colours...)...), false},
		{"JPEG, progressive RGB", flatJPEG(w, h/2, true, 1, adobe, append([]component{full}, colours...)...), false},
		{"JPEG, progressive CMYK", flatJPEG(w, h/2, true, 1, adobe, append([]component{full}, four...)...), false},
		{"JPEG, scans, not progressive", flatJPEG(w, h, false, 4, nil, append([]component{full}, colours...)...), false},
		{"JPEG, scans", flatJPEG(w, h, true, avatar.MaxScans, nil, append([]component{full}, colours...)...), false},
		{"PNG, interlaced", zeroPNG(t, w, h, 8, 6, true), false},
		{"PNG, interlaced, 16 bits", zeroPNG(t, w, h, 16, 6, true), false},
		{"PNG, palette, interlaced", zeroPNG(t, w, h, 1, 3, true), false},
		{"GIF, interlaced", gif(2048, 2048, 0x40), false},
		{"WebP, lossless", lossless(w, h, 0), false},
		{"WebP, palette", lossless(w, h, 2), false},
		{"WebP, trees", treesWebP(256, 256, 2600), false},
		{"WebP, trees in a large one", treesWebP(w, h, 2600), false},
		{"WebP, trees of its transparency", riff(vp8x(1<<4, w, h/2), riffChunk("ALPH", slices.Concat([]byte{1}, treesWebP(w, h/2, 2600)[25:])), riffChunk("VP8 ", vp8Head(w, h/2))), true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			start := time.Now()
			cmd := exec.CommandContext(t.Context(), os.Args[0])
			cmd.Env, cmd.Stdin = append(os.Environ(), childEnv+"=xx"), bytes.NewReader(tt.picture)
			out, err := cmd.Output()
			var resident int
			_, peak, _ := strings.Cut(string(out), "VmHWM:")
			if _, scanErr := fmt.Sscan(peak, &resident); scanErr != nil || (err != nil) != tt.broken {
				t.Fatalf("got %v, %s", err, out)
			}
			resident <<= 10
			t.Logf("%d KB file, %d MB, %s", len(tt.picture)>>10, resident>>20, time.Since(start)/2)
			if resident > maxResident {
				t.Errorf("got %d MB, want %d at most", resident>>20, maxResident>>20)
			}
		})
	}
}

// vp8Head begins a lossy picture, and has none of its data.
func vp8Head(width, height int) []byte {
	webp := []byte{0x10, 0x02, 0x00, 0x9d, 0x01, 0x2a}
	webp = binary.LittleEndian.AppendUint16(webp, uint16(width))
	return append(binary.LittleEndian.AppendUint16(webp, uint16(height)), make([]byte, 64)...)
}
