package avatar

import (
	"encoding/binary"
	"errors"
)

const (
	webpAnimated = 1 << 1 // a flag of VP8X
	webpHeader   = 8      // of a chunk

	// vp8Memory is what a lossy picture takes for each block of 16 by 16 pixels: 256 samples of brightness,
	// 128 of colour, and some bytes of state.
	vp8Memory = 256 + 128 + 16

	// vp8Partition is the largest first part of a lossy picture, which the decoder makes room for before
	// it has seen a byte of it.
	vp8Partition = 1 << 19
)

// inspectWebP walks over the chunks up to the file's end. The decoder believes the lengths that they state
// and makes room before it reads: here each has to lie in the file.
func inspectWebP(data []byte) (picture, error) {
	p := picture{orientation: 1}
	end := int64(binary.LittleEndian.Uint32(data[4:])) + webpHeader
	if end > int64(len(data)) || end < 12 {
		return picture{}, ErrFormat
	}
	p.data = data[:end]
	var alpha, image, extended bool
	for rest := p.data[12:]; len(rest) > 0; {
		if len(rest) < webpHeader {
			return picture{}, ErrFormat
		}
		size := int64(binary.LittleEndian.Uint32(rest[4:]))
		if size > int64(len(rest)-webpHeader) {
			return picture{}, ErrFormat
		}
		kind, body := string(rest[:4]), rest[webpHeader:webpHeader+size]
		rest = rest[min(webpHeader+size+size&1, int64(len(rest))):]
		ok := true
		switch {
		case kind == "VP8X":
			ok = !extended && !image && p.readCanvas(body)
			extended = true
		case kind == "ALPH":
			ok = extended && !image && !alpha && p.readAlpha(body)
			alpha = true
		case image: // the decoder has its picture and reads no further
		case kind == "VP8 ":
			ok = p.readVP8(body, extended)
			image = true
		case kind == "VP8L":
			ok = p.readVP8L(body, extended)
			image = true
		}
		if err := checkSize(p.width, p.height); !ok || (extended || image) && err != nil {
			return picture{}, orFormat(err)
		}
		if tiff, _ := trimExif(body); kind == "EXIF" {
			p.orientation = orientation(tiff)
		}
	}
	if !image {
		return picture{}, ErrFormat
	}
	return p, nil
}

// orFormat prefers to say that a picture is too large.
func orFormat(err error) error {
	if errors.Is(err, ErrTooLarge) {
		return err
	}
	return ErrFormat
}

// readCanvas reads the size that the parts of the picture must have. A still picture is wanted.
func (p *picture) readCanvas(body []byte) bool {
	if len(body) != 10 || body[0]&webpAnimated != 0 {
		return false
	}
	p.width = 1 + (int(body[4]) | int(body[5])<<8 | int(body[6])<<16)
	p.height = 1 + (int(body[7]) | int(body[8])<<8 | int(body[9])<<16)
	return true
}

// readAlpha reads how the transparency is stored: a byte a pixel as it is, or as the green of a lossless
// picture, which the decoder decodes to four bytes a pixel first.
func (p *picture) readAlpha(body []byte) bool {
	if len(body) == 0 {
		return false
	}
	p.memory += int64(p.width) * int64(p.height)
	if compressed := body[0]&3 == 1; !compressed {
		return true
	}
	memory, ok := vp8lMemory(body[1:], p.width, p.height)
	p.memory += memory
	return ok
}

func (p *picture) readVP8(body []byte, extended bool) bool {
	if len(body) < 10 {
		return false
	}
	width, height := int(binary.LittleEndian.Uint16(body[6:])&0x3fff), int(binary.LittleEndian.Uint16(body[8:])&0x3fff)
	if !p.setSize(width, height, extended) {
		return false
	}
	across, down := (int64(width)+15)/16, (int64(height)+15)/16
	p.memory += across*down*vp8Memory + vp8Partition + int64(len(body))
	return true
}

func (p *picture) readVP8L(body []byte, extended bool) bool {
	const header = 5
	if len(body) < header || body[0] != 0x2f {
		return false
	}
	bits := binary.LittleEndian.Uint32(body[1:])
	if !p.setSize(1+int(bits&0x3fff), 1+int(bits>>14&0x3fff), extended) {
		return false
	}
	if checkSize(p.width, p.height) != nil {
		return true // which the caller finds, too
	}
	memory, ok := vp8lMemory(body[header:], p.width, p.height)
	p.memory += memory
	return ok
}

// setSize takes the size of the picture proper: that of the canvas if there is one.
func (p *picture) setSize(width, height int, extended bool) bool {
	if extended {
		return width == p.width && height == p.height
	}
	p.width, p.height = width, height
	return true
}
