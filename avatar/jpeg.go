package avatar

import (
	"bytes"
	"encoding/binary"
)

// maxScans bounds the passes over a progressive JPEG. The usual one has ten. A pass can cost the decoder a
// visit to all of the picture's blocks, and the file only a few dozen bytes.
const maxScans = 20

const (
	jpegSOF0  = 0xc0 // baseline; SOF1 is extended, SOF2 progressive, and the decoder knows no other
	jpegSOF2  = 0xc2
	jpegRST0  = 0xd0
	jpegRST7  = 0xd7
	jpegEOI   = 0xd9
	jpegSOS   = 0xda
	jpegAPP1  = 0xe1
	jpegAPP14 = 0xee
)

// inspectJPEG walks over the markers exactly as the decoder does: a scan that it does not see is one that
// it cannot count.
func inspectJPEG(data []byte) (picture, error) {
	p := picture{orientation: 1}
	var frame *jpegFrame
	adobe, exif, scans, scanned := false, false, 0, 0
	for at := 2; ; {
		marker, next := jpegMarker(data, at)
		if marker == jpegEOI {
			p.data = data[:next]
			break
		}
		if jpegRST0 <= marker && marker <= jpegRST7 {
			at = next
			continue
		}
		if marker == 0 || len(data)-next < 2 {
			return picture{}, ErrFormat
		}
		size := int(binary.BigEndian.Uint16(data[next:]))
		if size < 2 || size > len(data)-next {
			return picture{}, ErrFormat
		}
		body := data[next+2 : next+size]
		at = next + size
		switch {
		case jpegSOF0 <= marker && marker <= jpegSOF2:
			var ok bool
			if frame != nil {
				return picture{}, ErrFormat
			}
			if frame, ok = readFrame(body, marker == jpegSOF2); !ok {
				return picture{}, ErrFormat
			}
		case marker == jpegSOS:
			if scans++; scans > maxScans {
				return picture{}, ErrTooLarge
			}
			// Without progression a component has but one scan. The decoder would do it again each time.
			if len(body) > 0 {
				scanned += int(body[0])
			}
			if frame == nil || !frame.progressive && scanned > len(frame.ids) {
				return picture{}, ErrFormat
			}
		case marker == jpegAPP1 && !exif:
			if tiff, ok := trimExif(body); ok {
				p.orientation, exif = orientation(tiff), true
			}
		case marker == jpegAPP14:
			adobe = true
		}
	}
	if frame == nil || scans == 0 {
		return picture{}, ErrFormat
	}
	p.width, p.height = frame.width, frame.height
	if err := checkSize(p.width, p.height); err != nil {
		return picture{}, err
	}
	p.memory = frame.memory(adobe)
	return p, nil
}

// jpegMarker finds the next marker and returns it with what follows its place, or 0. It passes over the
// data of a scan, where FF 00 stands for FF, and over anything else between segments.
func jpegMarker(data []byte, at int) (marker byte, next int) {
	for {
		i := bytes.IndexByte(data[at:], 0xff)
		if i < 0 || at+i+1 >= len(data) {
			return 0, len(data)
		}
		at += i + 2
		marker = data[at-1]
		if marker == 0 {
			continue
		}
		for marker == 0xff { // any number of them may come before a marker
			if at >= len(data) {
				return 0, len(data)
			}
			marker = data[at]
			at++
		}
		return marker, at
	}
}

// jpegFrame is the header of a JPEG's picture.
type jpegFrame struct {
	width, height int
	progressive   bool
	ids           []byte
	h, v          []int // how often a component is sampled, across and down
}

func readFrame(body []byte, progressive bool) (*jpegFrame, bool) {
	if len(body) < 6 || len(body) != 6+3*int(body[5]) {
		return nil, false
	}
	f := &jpegFrame{
		height:      int(binary.BigEndian.Uint16(body[1:])),
		width:       int(binary.BigEndian.Uint16(body[3:])),
		progressive: progressive,
	}
	for component := body[6:]; len(component) > 0; component = component[3:] {
		h, v := int(component[1]>>4), int(component[1]&0x0f)
		if h < 1 || h > 4 || v < 1 || v > 4 {
			return nil, false
		}
		f.ids, f.h, f.v = append(f.ids, component[0]), append(f.h, h), append(f.v, v)
	}
	switch len(f.ids) {
	case 1:
		f.h[0], f.v[0] = 1, 1 // how one component is sampled means nothing
	case 3, 4:
	default:
		return nil, false
	}
	return f, true
}

// memory is one byte a sample in whole blocks. A progressive picture's coefficients, four bytes each, are
// kept until the end. Four components, and three that are no YCbCr, are put into one picture of four bytes
// a pixel then.
func (f *jpegFrame) memory(adobe bool) int64 {
	across := (f.width + 8*f.h[0] - 1) / (8 * f.h[0])
	down := (f.height + 8*f.v[0] - 1) / (8 * f.v[0])
	blocks := 0
	for i := range f.ids {
		blocks += across * down * f.h[i] * f.v[i]
	}
	perSample := int64(1)
	if f.progressive {
		perSample += 4
	}
	memory := int64(blocks) * 64 * perSample
	if len(f.ids) == 4 || len(f.ids) == 3 && (adobe || string(f.ids) == "RGB") {
		memory += 4 * int64(f.width) * int64(f.height)
	}
	return memory
}
