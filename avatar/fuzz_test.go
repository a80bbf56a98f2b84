// Fuzzing of whole files, and of the metadata that are read here.

package avatar_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"image/jpeg"
	"testing"

	"github.com/caddy-wechat/wechatauth/avatar"
)

// FuzzJPEG holds that any file is refused or becomes a JPEG within bounds that has nothing but a
// picture.
func FuzzJPEG(f *testing.F) {
	for _, seed := range [][]byte{
		jpegOf(f, scene(16, 8)),
		insert(jpegOf(f, scene(16, 8)), 2, segment(0xe1, exif(binary.LittleEndian, 6)...)),
		flatJPEG(20, 20, true, 2, nil, component{1, 0x22, 0}, component{2, 0x11, 0}, component{3, 0x11, 0}),
		flatJPEG(20, 20, false, 1, segment(0xee, []byte("Adobe\x00\x64\x00\x00\x00\x00\x02")...),
			component{1, 0x11, 0}, component{2, 0x11, 0}, component{3, 0x11, 0}, component{4, 0x11, 0}),
		pngOf(f, scene(9, 9)),
		zeroPNG(f, 9, 9, 16, 6, true, chunk("eXIf", exif(binary.BigEndian, 8)[6:])),
		zeroPNG(f, 9, 9, 2, 3, false, chunk("tRNS", []byte{0})),
		gifOf(f, scene(9, 9), scene(9, 9)),
		webpFile(f, "gopher-doc.1bpp.lossless"),
		webpFile(f, "blue-purple-pink.lossy"),
		treesWebP(12, 12, 9),
		riff(vp8x(1<<3, 75, 100), webpFile(f, "gopher-doc.1bpp.lossless")[12:], riffChunk("EXIF", exif(binary.BigEndian, 3))),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, picture []byte) {
		out, err := avatar.JPEG(t.Context(), picture, 32)
		if err != nil {
			if !errors.Is(err, avatar.ErrFormat) && !errors.Is(err, avatar.ErrTooLarge) {
				t.Errorf("got %v", err)
			}
			return
		}
		config, err := jpeg.DecodeConfig(bytes.NewReader(out))
		if err != nil || config.Width < 1 || config.Height < 1 || config.Width > 32 || config.Height > 32 {
			t.Errorf("got %d by %d, %v", config.Width, config.Height, err)
		}
		wantBare(t, out)
	})
}

// FuzzProfile holds that any profile leaves a picture.
func FuzzProfile(f *testing.F) {
	f.Add(displayP3)
	f.Add(adobeRGB)
	picture := jpegOf(f, scene(8, 8))
	f.Fuzz(func(t *testing.T, profile []byte) {
		if len(profile) > 1<<15 {
			profile = profile[:1<<15]
		}
		if _, err := avatar.JPEG(t.Context(), withProfile(picture, profile), 32); err != nil {
			t.Errorf("got %v", err)
		}
	})
}

// FuzzExif holds that orientation takes any bytes.
func FuzzExif(f *testing.F) {
	f.Add(exif(binary.LittleEndian, 6)[6:])
	f.Add(exif(binary.BigEndian, 8)[6:])
	f.Fuzz(func(t *testing.T, tiff []byte) {
		if got := avatar.Orientation(tiff); got < 1 || got > 8 {
			t.Errorf("got %d", got)
		}
	})
}
