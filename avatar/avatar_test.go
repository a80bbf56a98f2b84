// Honest pictures: their size, position and colours.

package avatar_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"image"
	"image/color"
	"image/jpeg"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/caddy-wechat/wechatauth/avatar"
)

// made returns the avatar of a picture, decoded.
func made(t *testing.T, longest int, picture []byte) image.Image {
	t.Helper()
	out, err := avatar.JPEG(t.Context(), picture, longest)
	if err != nil {
		t.Fatal(err)
	}
	img, err := jpeg.Decode(bytes.NewReader(out))
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// near reports whether a colour is this one, within what JPEG makes of it.
func near(got color.Color, want color.RGBA, tolerance int) bool {
	c := color.RGBAModel.Convert(got).(color.RGBA)
	for _, d := range []int{int(c.R) - int(want.R), int(c.G) - int(want.G), int(c.B) - int(want.B)} {
		if d < -tolerance || d > tolerance {
			return false
		}
	}
	return true
}

func webpFile(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "webp", name+".webp"))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestEveryFormat(t *testing.T) {
	t.Parallel()
	gray := image.NewGray(image.Rect(0, 0, 100, 50))
	for i := range gray.Pix {
		gray.Pix[i] = byte(i)
	}
	adobe := func(transform byte) []byte {
		return segment(0xee, append([]byte("Adobe\x00\x64\x00\x00\x00\x00"), transform)...)
	}
	plain := []component{{1, 0x11, 0}, {2, 0x11, 0}, {3, 0x11, 0}}
	tests := []struct {
		name          string
		picture       []byte
		width, height int
	}{
		{"JPEG", jpegOf(t, scene(100, 50)), 100, 50},
		{"JPEG, gray", jpegOf(t, gray), 100, 50},
		{"JPEG, progressive", flatJPEG(100, 50, true, 1, nil, plain...), 100, 50},
		{"JPEG, RGB", flatJPEG(100, 50, false, 1, adobe(0), plain...), 100, 50},
		{"JPEG, CMYK", flatJPEG(100, 50, false, 1, adobe(0), append(plain, component{4, 0x11, 0})...), 100, 50},
		{"JPEG, YCCK", flatJPEG(100, 50, false, 1, adobe(2), component{1, 0x22, 0}, component{2, 0x11, 0}, component{3, 0x11, 0}, component{4, 0x22, 0}), 100, 50},
		{"JPEG with a tail", append(jpegOf(t, scene(100, 50)), "<script>"...), 100, 50},
		{"PNG", pngOf(t, scene(100, 50)), 100, 50},
		{"PNG, gray", pngOf(t, gray), 100, 50},
		{"PNG, 16 bits", zeroPNG(t, 100, 50, 16, 6, false), 100, 50},
		{"PNG, interlaced", zeroPNG(t, 101, 51, 8, 2, true), 101, 51},
		{"PNG, palette", zeroPNG(t, 100, 50, 1, 3, false), 100, 50},
		{"GIF", gifOf(t, corners(100, 50)), 100, 50},
		{"GIF, animated", gifOf(t, corners(100, 50), scene(100, 50)), 100, 50},
		{"WebP, lossy", webpFile(t, "blue-purple-pink.lossy"), 150, 100},
		{"WebP, lossless", webpFile(t, "gopher-doc.1bpp.lossless"), 75, 100},
		{"WebP, lossless with alpha", webpFile(t, "gopher-doc.with-alpha.lossless"), 75, 100},
		{"WebP, lossy with alpha", webpFile(t, "yellow_rose.lossy-with-alpha"), 400, 301},
		{"WebP with trees", treesWebP(64, 64, 200), 64, 64},
		{"a pixel", pngOf(t, scene(1, 1)), 1, 1},
		{"a line", pngOf(t, scene(4096, 1)), 512, 1},
		{"large", zeroPNG(t, 2048, 1024, 8, 0, false), 512, 256},
		{"longest", pngOf(t, scene(512, 512)), 512, 512},
		{"one more", pngOf(t, scene(513, 512)), 512, 511},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got, want := made(t, 512, tt.picture).Bounds().Size(), image.Pt(tt.width, tt.height); got != want {
				t.Errorf("got %v, want %v", got, want)
			}
		})
	}
}

func TestColours(t *testing.T) {
	t.Parallel()
	nothing := image.NewNRGBA(image.Rect(0, 0, 40, 40))
	half := image.NewNRGBA(nothing.Rect)
	for i := range half.Pix {
		half.Pix[i] = []byte{255, 0, 0, 128}[i%4]
	}
	transform := func(n byte) []byte { return segment(0xee, append([]byte("Adobe\x00\x64\x00\x00\x00\x00"), n)...) }
	tests := []struct {
		name    string
		picture []byte
		want    color.RGBA
	}{
		{"transparent is white", pngOf(t, nothing), color.RGBA{255, 255, 255, 255}},
		{"half transparent", pngOf(t, half), color.RGBA{255, 127, 127, 255}},
		{"black", zeroPNG(t, 40, 40, 8, 2, false), color.RGBA{0, 0, 0, 255}},
		{"transparent colour", zeroPNG(t, 40, 40, 8, 2, false, chunk("tRNS", make([]byte, 6))), color.RGBA{255, 255, 255, 255}},
		{"transparent palette", zeroPNG(t, 40, 40, 1, 3, false, chunk("tRNS", []byte{0})), color.RGBA{255, 255, 255, 255}},
		{"16 bits, transparent", zeroPNG(t, 40, 40, 16, 6, true), color.RGBA{255, 255, 255, 255}},
		{"gray", flatJPEG(40, 40, false, 1, nil, component{1, 0x11, 0}), color.RGBA{128, 128, 128, 255}},
		{"gray with sampling", flatJPEG(40, 40, false, 1, nil, component{1, 0x22, 0}), color.RGBA{128, 128, 128, 255}},
		{"white", flatJPEG(40, 40, true, 1, nil, component{1, 0x11, 1024}), color.RGBA{255, 255, 255, 255}},
		// Adobe stores inks inverted: full is none.
		{
			"CMYK, no ink", flatJPEG(40, 40, false, 1, transform(0), component{1, 0x11, 1024}, component{2, 0x11, 1024},
				component{3, 0x11, 1024}, component{4, 0x11, 1024}),
			color.RGBA{255, 255, 255, 255},
		},
		{
			"CMYK, cyan", flatJPEG(40, 40, false, 1, transform(0), component{1, 0x11, -1024}, component{2, 0x11, 1024},
				component{3, 0x11, 1024}, component{4, 0x11, 1024}),
			color.RGBA{0, 255, 255, 255},
		},
		{
			"RGB", flatJPEG(40, 40, false, 1, nil, component{'R', 0x11, 1024}, component{'G', 0x11, -1024}, component{'B', 0x11, -1024}),
			color.RGBA{255, 0, 0, 255},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, longest := range []int{512, 16} {
				if got := made(t, longest, tt.picture).At(8, 8); !near(got, tt.want, 2) {
					t.Errorf("got %v, want %v", color.RGBAModel.Convert(got), tt.want)
				}
			}
		})
	}
}

// The corners of a picture, from the top left clockwise, for each way to store it.
func TestOrientation(t *testing.T) {
	t.Parallel()
	red, green, blue, black := color.RGBA{255, 0, 0, 255}, color.RGBA{0, 255, 0, 255}, color.RGBA{0, 0, 255, 255}, color.RGBA{0, 0, 0, 255}
	want := map[uint16][4]color.RGBA{
		0: {red, green, blue, black}, 1: {red, green, blue, black}, 9: {red, green, blue, black},
		2: {green, red, black, blue},
		3: {blue, black, red, green},
		4: {black, blue, green, red},
		5: {red, black, blue, green},
		6: {black, red, green, blue},
		7: {blue, green, red, black},
		8: {green, blue, black, red},
	}
	lossless := webpFile(t, "gopher-doc.1bpp.lossless")
	for orientation, colours := range want {
		for _, longest := range []int{512, 40} {
			for name, picture := range map[string][]byte{
				"JPEG, little":     insert(jpegOf(t, corners(96, 48)), 2, segment(0xe1, exif(binary.LittleEndian, orientation)...)),
				"JPEG, big":        insert(jpegOf(t, corners(96, 48)), 2, segment(0xe0, 'J', 'F', 'I', 'F', 0), segment(0xe1, exif(binary.BigEndian, orientation)...)),
				"JPEG, two":        insert(jpegOf(t, corners(96, 48)), 2, segment(0xe1, exif(binary.BigEndian, orientation)...), segment(0xe1, exif(binary.BigEndian, 3)...)),
				"JPEG, XMP before": insert(jpegOf(t, corners(96, 48)), 2, segment(0xe1, []byte("http://ns.adobe.com/xap/1.0/\x00<x/>")...), segment(0xe1, exif(binary.BigEndian, orientation)...)),
				"PNG":              insert(pngOf(t, corners(96, 48)), afterIHDR, chunk("eXIf", exif(binary.BigEndian, orientation)[6:])),
			} {
				img := made(t, longest, picture)
				b := img.Bounds()
				if turned := 5 <= orientation && orientation <= 8; turned != (b.Dy() > b.Dx()) {
					t.Errorf("%s, %d: got %v", name, orientation, b.Size())
					continue
				}
				x, y := b.Dx()-1, b.Dy()-1
				for i, p := range []image.Point{{0, 0}, {x, 0}, {x, y}, {0, y}} {
					if !near(img.At(p.X, p.Y), colours[i], 12) {
						t.Errorf("%s, %d, corner %d: got %v, want %v", name, orientation, i, color.RGBAModel.Convert(img.At(p.X, p.Y)), colours[i])
					}
				}
			}
		}
		for name, body := range map[string][]byte{"with prefix": exif(binary.BigEndian, orientation), "without": exif(binary.BigEndian, orientation)[6:]} {
			picture := riff(vp8x(1<<3, 75, 100), lossless[12:], riffChunk("EXIF", body))
			size := made(t, 512, picture).Bounds().Size()
			if turned := 5 <= orientation && orientation <= 8; turned != (size.X > size.Y) {
				t.Errorf("WebP %s, %d: got %v", name, orientation, size)
			}
		}
	}
}

// Each pixel of the result is the mean of what it covers, and lies where it belongs.
func TestScaledIsTheMean(t *testing.T) {
	t.Parallel()
	for _, from := range []image.Point{{1, 1}, {2, 1}, {7, 3}, {3, 7}, {16, 16}, {31, 32}, {100, 1}, {1, 100}, {40, 39}} {
		src := scene(from.X, from.Y)
		for _, longest := range []int{1, 2, 3, 7, 16, 31, 64, 100} {
			size := avatar.Scale(src, longest, 1).Rect.Size()
			w, h := size.X, size.Y
			var turned [9]*image.RGBA
			for orientation := 1; orientation <= 8; orientation++ {
				turned[orientation] = avatar.Scale(src, longest, orientation)
			}
			for i := range w * h {
				x, y := i%w, i/w
				want := mean(src, x, y, w, h)
				for orientation, at := range []image.Point{
					1: {x, y}, 2: {w - 1 - x, y}, 3: {w - 1 - x, h - 1 - y}, 4: {x, h - 1 - y},
					5: {y, x}, 6: {h - 1 - y, x}, 7: {h - 1 - y, w - 1 - x}, 8: {y, w - 1 - x},
				} {
					if orientation == 0 {
						continue
					}
					if got := turned[orientation].RGBAAt(at.X, at.Y); got != want {
						t.Fatalf("%v to %d, orientation %d, at %v: got %v, want %v", from, longest, orientation, at, got, want)
					}
				}
			}
		}
	}
}

// mean is the mean colour below a pixel of a picture of w by h, worked out the slow way.
func mean(src *image.NRGBA, x, y, w, h int) color.RGBA {
	size := src.Rect.Size()
	var sums [3]int
	for sy := range size.Y {
		for sx := range size.X {
			// In units of which a side of the picture has as many as both sides' pixels multiplied.
			across := min((x+1)*size.X, (sx+1)*w) - max(x*size.X, sx*w)
			down := min((y+1)*size.Y, (sy+1)*h) - max(y*size.Y, sy*h)
			if across > 0 && down > 0 {
				c := src.NRGBAAt(sx, sy)
				for i, v := range []byte{c.R, c.G, c.B} {
					sums[i] += int(v) * across * down
				}
			}
		}
	}
	area := size.X * size.Y
	return color.RGBA{byte((sums[0] + area/2) / area), byte((sums[1] + area/2) / area), byte((sums[2] + area/2) / area), 255}
}

func TestSamePictureGivesTheSameBytes(t *testing.T) {
	t.Parallel()
	picture := jpegOf(t, scene(300, 200))
	first, err := avatar.JPEG(t.Context(), picture, 64)
	if err != nil {
		t.Fatal(err)
	}
	// Nor is anything left in it that the pixels do not say.
	commented := insert(picture, 2, segment(0xfe, []byte("a comment")...))
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			again, err := avatar.JPEG(t.Context(), [][]byte{picture, commented}[i%2], 64)
			if err != nil || !bytes.Equal(again, first) {
				t.Errorf("got other bytes, %v", err)
			}
		})
	}
	wg.Wait()
}

// A request that has to wait gives up with its context. It keeps all others waiting, so it cannot
// run beside them.
func TestWaitingEndsWithTheContext(t *testing.T) {
	picture := pngOf(t, scene(10, 10))
	leave := avatar.Occupy()
	ctx, cancel := context.WithCancel(t.Context())
	got := make(chan error)
	go func() {
		_, err := avatar.JPEG(ctx, picture, 64)
		got <- err
	}()
	cancel()
	if err := <-got; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
	leave()
	if _, err := avatar.JPEG(t.Context(), picture, 64); err != nil {
		t.Error(err)
	}
	if _, err := avatar.JPEG(ctx, picture, 64); !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that has ended: got %v, want %v", err, context.Canceled)
	}
}
