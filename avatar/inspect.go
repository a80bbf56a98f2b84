package avatar

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"image"
	"image/gif"
	"image/jpeg"
	"image/png"
	"io"

	"golang.org/x/image/webp"
)

// decoderMemory is what a decoder takes whatever the picture: its own state, buffers and tables.
const decoderMemory = 512 << 10

// picture is what a file's headers say, before anything is decoded.
type picture struct {
	data          []byte // the file up to the picture's end
	width, height int
	orientation   int   // as in Exif, 1 to 8
	memory        int64 // that the decoder will ask for, in all
	decoder       func(io.Reader) (image.Image, error)
}

// format is a kind of picture. Its inspect reads just the headers, in time proportional to the file.
type format struct {
	magic   string // ? stands for any byte
	inspect func([]byte) (picture, error)
	decoder func(io.Reader) (image.Image, error)
}

var formats = []format{
	{"\xff\xd8\xff", inspectJPEG, jpeg.Decode},
	{"\x89PNG\r\n\x1a\n", inspectPNG, png.Decode},
	{"GIF8?a", inspectGIF, gif.Decode},
	{"RIFF????WEBP", inspectWebP, webp.Decode},
}

func inspect(data []byte) (picture, error) {
	for _, f := range formats {
		if !hasMagic(data, f.magic) {
			continue
		}
		p, err := f.inspect(data)
		if err != nil {
			return picture{}, err
		}
		if err := checkSize(p.width, p.height); err != nil {
			return picture{}, err
		}
		p.memory += decoderMemory
		p.decoder = f.decoder
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

func checkSize(width, height int) error {
	if width < 1 || height < 1 {
		return ErrFormat
	}
	if width > MaxSide || height > MaxSide {
		return ErrTooLarge
	}
	return nil
}

// decode decodes the picture. A decoder that a hostile file makes panic must cost its sender no more than
// any other bad file does.
func (p *picture) decode() (img image.Image, err error) {
	defer func() {
		if r := recover(); r != nil {
			img, err = nil, fmt.Errorf("the decoder failed: %v", r)
		}
	}()
	return p.decoder(bytes.NewReader(p.data))
}

// inspectGIF reads the logical screen's size. The decoder takes a byte a pixel for the first frame, which
// lies in the screen, and the same again when it is interlaced.
func inspectGIF(data []byte) (picture, error) {
	const header = 13
	if len(data) < header {
		return picture{}, ErrFormat
	}
	width, height := int(binary.LittleEndian.Uint16(data[6:])), int(binary.LittleEndian.Uint16(data[8:]))
	return picture{data: data, width: width, height: height, orientation: 1, memory: 2 * int64(width) * int64(height)}, nil
}

// inspectPNG walks over the chunks.
func inspectPNG(data []byte) (picture, error) {
	const signature, header, trailer = 8, 8, 4
	p := picture{orientation: 1}
	for at := signature; ; {
		if len(data)-at < header+trailer {
			return picture{}, ErrFormat
		}
		size, kind := int64(binary.BigEndian.Uint32(data[at:])), string(data[at+4:at+8])
		if size > int64(len(data)-at-header-trailer) {
			return picture{}, ErrFormat
		}
		body := data[at+header : at+header+int(size)]
		switch {
		case (at == signature) != (kind == "IHDR"): // the decoder would let others come first
			return picture{}, ErrFormat
		case kind == "IHDR":
			if err := p.readIHDR(body); err != nil {
				return picture{}, err
			}
		case kind == "eXIf":
			p.orientation = orientation(body)
		}
		at += header + int(size) + trailer
		if kind == "IEND" {
			p.data = data[:at]
			return p, nil
		}
	}
}

// readIHDR works out the memory: at most eight bytes a pixel with 16 bits a sample, one with a palette,
// else four. An interlaced picture is put together from seven others that make up the same again.
func (p *picture) readIHDR(body []byte) error {
	if len(body) != 13 {
		return ErrFormat
	}
	width, height := binary.BigEndian.Uint32(body), binary.BigEndian.Uint32(body[4:])
	if width > 1<<31-1 || height > 1<<31-1 {
		return ErrFormat
	}
	p.width, p.height = int(width), int(height)
	if err := checkSize(p.width, p.height); err != nil {
		return err
	}
	depth, colour, interlaced := body[8], body[9], body[12] != 0
	perPixel := int64(4)
	switch {
	case depth == 16:
		perPixel = 8
	case colour == 3:
		perPixel = 1
	}
	p.memory = perPixel * int64(p.width) * int64(p.height)
	if interlaced {
		p.memory *= 2
	}
	return nil
}

// trimExif takes the prefix off that Exif data have in a JPEG, and sometimes elsewhere.
func trimExif(body []byte) (tiff []byte, ok bool) {
	const prefix = "Exif\x00"
	if len(body) <= len(prefix) || string(body[:len(prefix)]) != prefix {
		return body, false
	}
	return body[len(prefix)+1:], true // a byte of padding follows
}
