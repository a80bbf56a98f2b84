// The formats: detection by the first bytes, the header, and the decoder of each.

package avatar

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"io"
	"slices"

	"golang.org/x/image/webp"
)

// picture is a file whose header was read, and nothing else.
type picture struct {
	parts
	pixels  int
	decoder func(io.Reader) (image.Image, error)
}

// parts are the segments or chunks of a file.
type parts struct {
	data        []byte // for the decoder
	orientation int    // as in Exif, 1 to 8; 0 is none
	profile     []byte // ICC
	tooLarge    bool
}

type format struct {
	magic   string // ? stands for any byte
	split   func([]byte) parts
	config  func(io.Reader) (image.Config, error)
	decoder func(io.Reader) (image.Image, error)
	costly  []color.Model // take more memory: half as many pixels are let in
}

var formats = []format{
	{"\xff\xd8\xff", splitJPEG, jpeg.DecodeConfig, jpeg.Decode, []color.Model{color.RGBAModel, color.CMYKModel}},
	{"\x89PNG\r\n\x1a\n", splitPNG, png.DecodeConfig, png.Decode, nil},
	{"GIF8?a", func(data []byte) parts { return parts{data: data} }, gif.DecodeConfig, gif.Decode, nil},
	{"RIFF????WEBP", splitWebP, webp.DecodeConfig, webp.Decode, []color.Model{color.NYCbCrAModel}},
}

// read reads the header of a picture.
func read(upload []byte) (picture, error) {
	for _, f := range formats {
		if !hasMagic(upload, f.magic) {
			continue
		}
		p := picture{parts: f.split(upload), decoder: f.decoder}
		if p.tooLarge {
			return p, ErrTooLarge
		}
		config, err := f.config(bytes.NewReader(p.data))
		if err != nil {
			return p, fmt.Errorf("%w: %w", ErrFormat, err)
		}
		if err := checkSize(config.Width, config.Height); err != nil {
			return p, err
		}
		p.pixels = config.Width * config.Height
		if slices.Contains(f.costly, config.ColorModel) && p.pixels > maxPixels/2 {
			return p, ErrTooLarge
		}
		return p, nil
	}
	return picture{}, ErrFormat
}

func hasMagic(data []byte, magic string) bool {
	if len(data) < len(magic) {
		return false
	}
	for i := range len(magic) {
		if magic[i] != '?' && magic[i] != data[i] {
			return false
		}
	}
	return true
}

// decode decodes the picture. A decoder that a hostile file makes panic must cost its sender no
// more than any other bad file does.
func (p *picture) decode() (img image.Image, err error) {
	defer func() {
		if r := recover(); r != nil {
			img, err = nil, fmt.Errorf("the decoder failed: %v", r)
		}
	}()
	return p.decoder(bytes.NewReader(p.data))
}
