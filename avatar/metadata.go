// Metadata: orientation and colour profile. Whatever cannot be read counts as not there.

package avatar

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"io"
	"iter"
)

// maxProfile bounds an ICC profile. Those of cameras and screens have less than a kilobyte to a
// few.
const maxProfile = 1 << 20

// splitJPEG reads the segments as the decoder does. A profile may have several, in any order. Where
// the file ends, the picture does, as in browsers.
func splitJPEG(data []byte) (p parts) {
	const (
		progressive = 0xc2
		end         = 0xd9
		scan        = 0xda
		app1        = 0xe1
		app2        = 0xe2
	)
	var profile [256][]byte
	scans, limit := 0, maxScans
	rest := data[2:]
	for {
		var marker byte
		var body []byte
		marker, body, rest = nextSegment(rest)
		tiff, isExif := trimExif(body)
		icc, isICC := bytes.CutPrefix(body, []byte("ICC_PROFILE\x00"))
		switch {
		case marker == 0 || marker == end:
			p.data = append(data[:len(data)-len(rest):len(data)-len(rest)], 0xff, end)
			p.profile, p.tooLarge = bytes.Join(profile[:], nil), scans > limit
			return p
		case marker == progressive && scans == 0:
			limit = progressiveScans
		case marker == scan:
			scans++
		case marker == app1 && isExif && p.orientation == 0:
			p.orientation = orientation(tiff)
		case marker == app2 && isICC && len(icc) > 2:
			profile[icc[0]] = icc[2:]
		}
	}
}

// nextSegment finds the next marker, with the segment behind it unless it has none; 0 is none. It
// passes over the data of a scan, where FF 00 stands for FF, and over anything else between
// segments.
func nextSegment(data []byte) (marker byte, body, rest []byte) {
	for {
		at := bytes.IndexByte(data, 0xff)
		if at < 0 {
			return 0, nil, nil
		}
		for data = data[at:]; len(data) > 0 && data[0] == 0xff; { // any number of them
			data = data[1:]
		}
		if len(data) == 0 {
			return 0, nil, nil
		}
		marker, data = data[0], data[1:]
		if marker != 0 && marker>>3 != 0xd0>>3 { // a restart has no length either
			break
		}
	}
	if marker == 0xd9 {
		return marker, nil, data
	}
	if len(data) < 2 {
		return 0, nil, nil
	}
	size := int(binary.BigEndian.Uint16(data))
	if size < 2 || size > len(data) {
		return 0, nil, nil
	}
	return marker, data[2:size], data[size:]
}

// splitPNG reads the chunks.
func splitPNG(data []byte) parts {
	const signature, header, trailer = 8, 8, 4
	p := parts{data: data}
	for rest := data[signature:]; len(rest) >= header+trailer; {
		size := int64(binary.BigEndian.Uint32(rest))
		if size > int64(len(rest)-header-trailer) {
			break
		}
		body := rest[header : header+size]
		switch string(rest[4:8]) {
		case "IHDR": // the decoder looks at the checksum first
			p.tooLarge = len(body) == 13 &&
				errors.Is(checkSize(int(binary.BigEndian.Uint32(body)), int(binary.BigEndian.Uint32(body[4:]))), ErrTooLarge)
		case "eXIf":
			p.orientation = orientation(body)
		case "iCCP":
			p.profile = inflateProfile(body)
		}
		rest = rest[header+size+trailer:]
	}
	return p
}

// inflateProfile reads a name, a zero, a zero for the method, and the profile as a zlib stream.
func inflateProfile(body []byte) []byte {
	_, packed, ok := bytes.Cut(body, []byte{0})
	if !ok || len(packed) == 0 {
		return nil
	}
	z, err := zlib.NewReader(bytes.NewReader(packed[1:]))
	if err != nil {
		return nil
	}
	profile, err := io.ReadAll(io.LimitReader(z, maxProfile))
	if err != nil {
		return nil
	}
	return profile
}

// splitWebP reads the chunks, and writes the file anew with one picture, the first frame of an
// animation, and its transparency. The decoder knows no animation, and makes room for whatever
// length a chunk states: here each lies in the file.
func splitWebP(data []byte) (p parts) {
	var f frame
	end := min(int64(len(data)), max(12, 8+int64(binary.LittleEndian.Uint32(data[4:]))))
	for kind, body := range chunks(data[12:end]) {
		switch {
		case kind == "EXIF":
			tiff, _ := trimExif(body)
			p.orientation = orientation(tiff)
		case kind == "ICCP":
			p.profile = body
		case kind == "VP8X" && len(body) == 10 && f.pixels == nil:
			f.size = body[4:]
		case kind == "ANMF" && len(body) > 16 && f.pixels == nil:
			f = frame{size: body[6:12]}
			for kind, body := range chunks(body[16:]) {
				f.add(kind, body)
			}
		default:
			f.add(kind, body)
		}
	}
	p.data = f.file()
	return p
}

// chunks are the whole chunks of a RIFF file, up to one that is not.
func chunks(data []byte) iter.Seq2[string, []byte] {
	const header = 8
	return func(yield func(string, []byte) bool) {
		for len(data) >= header {
			size := int64(binary.LittleEndian.Uint32(data[4:]))
			if size > int64(len(data)-header) || !yield(string(data[:4]), data[header:header+size]) {
				return
			}
			data = data[min(header+size+size&1, int64(len(data))):]
		}
	}
}

// frame is one picture of a WebP file.
type frame struct {
	size          []byte // width and height, less one, in three bytes each
	alpha, pixels []byte
	kind          string // of the pixels
}

func (f *frame) add(kind string, body []byte) {
	switch {
	case f.pixels != nil: // what follows is no part of it
	case kind == "ALPH":
		f.alpha = body
	case kind == "VP8 ", kind == "VP8L":
		f.kind, f.pixels = kind, body
	}
}

func (f *frame) file() []byte {
	const hasAlpha = 1 << 4
	out := []byte("RIFF\x00\x00\x00\x00WEBP")
	add := func(kind string, body ...byte) {
		out = append(binary.LittleEndian.AppendUint32(append(out, kind...), uint32(len(body))), body...)
		out = append(out, make([]byte, len(body)&1)...)
	}
	if f.kind == "VP8 " && f.alpha != nil && f.size != nil {
		add("VP8X", append([]byte{hasAlpha, 0, 0, 0}, f.size...)...)
		add("ALPH", f.alpha...)
	}
	if f.pixels != nil {
		add(f.kind, f.pixels...)
	}
	binary.LittleEndian.PutUint32(out[4:], uint32(len(out)-8))
	return out
}

// trimExif takes the prefix off that Exif data have in a JPEG, and sometimes elsewhere.
func trimExif(body []byte) (tiff []byte, ok bool) {
	const prefix = "Exif\x00"
	if len(body) <= len(prefix) || string(body[:len(prefix)]) != prefix {
		return body, false
	}
	return body[len(prefix)+1:], true // a byte of padding follows
}
