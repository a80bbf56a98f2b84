// Pictures for tests, those included that no honest encoder makes.

package avatar_test

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"hash/crc32"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"testing"
)

// scene is a picture with something of its own at each place.
func scene(width, height int) *image.NRGBA {
	img := image.NewNRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			img.SetNRGBA(x, y, color.NRGBA{byte(x * 255 / width), byte(y * 255 / height), byte((x + y) * 7), 255})
		}
	}
	return img
}

// corners has a corner each in red, green, blue and black, from the top left clockwise.
func corners(width, height int) *image.NRGBA {
	img := image.NewNRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			var c color.NRGBA
			switch left, top := x < width/2, y < height/2; {
			case left && top:
				c = color.NRGBA{255, 0, 0, 255}
			case top:
				c = color.NRGBA{0, 255, 0, 255}
			case !left:
				c = color.NRGBA{0, 0, 255, 255}
			default:
				c = color.NRGBA{0, 0, 0, 255}
			}
			img.SetNRGBA(x, y, c)
		}
	}
	return img
}

func jpegOf(t testing.TB, img image.Image) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := jpeg.Encode(&out, img, &jpeg.Options{Quality: 95}); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func pngOf(t testing.TB, img image.Image) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := png.Encode(&out, img); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func gifOf(t testing.TB, imgs ...image.Image) []byte {
	t.Helper()
	var out bytes.Buffer
	all := gif.GIF{}
	for _, img := range imgs {
		frame := image.NewPaletted(img.Bounds(), color.Palette{color.White, color.Black, color.NRGBA{255, 0, 0, 255}, color.NRGBA{0, 0, 255, 255}})
		for y := range img.Bounds().Dy() {
			for x := range img.Bounds().Dx() {
				frame.Set(x, y, img.At(x, y))
			}
		}
		all.Image, all.Delay = append(all.Image, frame), append(all.Delay, 0)
	}
	if err := gif.EncodeAll(&out, &all); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// segment is a part of a JPEG with a length.
func segment(marker byte, body ...byte) []byte {
	return append(binary.BigEndian.AppendUint16([]byte{0xff, marker}, uint16(len(body)+2)), body...)
}

// exif is a JPEG's segment, or a chunk's body, with an orientation.
func exif(order binary.AppendByteOrder, orientation uint16) []byte {
	head := "Exif\x00\x00II*\x00"
	if order == binary.AppendByteOrder(binary.BigEndian) {
		head = "Exif\x00\x00MM\x00*"
	}
	body := order.AppendUint32([]byte(head), 8)
	body = order.AppendUint16(body, 2) // entries: the maker, then the orientation
	body = order.AppendUint32(order.AppendUint32(order.AppendUint16(order.AppendUint16(body, 0x010f), 2), 4), 0x6d616b65)
	body = order.AppendUint16(order.AppendUint32(order.AppendUint16(order.AppendUint16(body, 0x0112), 3), 1), orientation)
	return append(body, 0, 0, 0, 0, 0, 0)
}

// insert puts bytes into a file.
func insert(file []byte, at int, parts ...[]byte) []byte {
	out := bytes.Clone(file[:at])
	for _, part := range parts {
		out = append(out, part...)
	}
	return append(out, file[at:]...)
}

// component is one of a JPEG's, with a flat colour.
type component struct {
	id, sampling byte
	dc           int // 8 times what it is above 128
}

// flatJPEG writes a JPEG of one colour by hand, in so many scans. Each block takes a bit or two.
func flatJPEG(width, height int, progressive bool, scans int, before []byte, components ...component) []byte {
	out := append([]byte{0xff, 0xd8}, before...)
	out = append(out, segment(0xdb, append([]byte{0}, bytes.Repeat([]byte{1}, 64)...)...)...)
	frame := binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16([]byte{8}, uint16(height)), uint16(width))
	frame = append(frame, byte(len(components)))
	for _, c := range components {
		frame = append(frame, c.id, c.sampling, 0)
	}
	marker := byte(0xc0)
	if progressive {
		marker = 0xc2
	}
	out = append(out, segment(marker, frame...)...)
	// Both tables: 0 for the symbol 0, and 10 for a difference of eleven bits in the one.
	out = append(out, segment(0xc4, append([]byte{0x00, 1, 1, 14: 0, 15: 0, 16: 0}, 0, 11)...)...)
	out = append(out, segment(0xc4, append([]byte{0x10, 1, 14: 0, 15: 0, 16: 0}, 0)...)...)
	for range scans {
		header := []byte{byte(len(components))}
		for _, c := range components {
			header = append(header, c.id, 0)
		}
		last := byte(63)
		if progressive {
			last = 0
		}
		out = append(out, segment(0xda, append(header, 0, last, 0)...)...)
		out = append(out, flatScan(width, height, progressive, components)...)
	}
	return append(out, 0xff, 0xd9)
}

func flatScan(width, height int, progressive bool, components []component) []byte {
	var w bitWriter
	h0, v0 := int(components[0].sampling>>4), int(components[0].sampling&15)
	if len(components) == 1 {
		h0, v0 = 1, 1
	}
	units := ((width + 8*h0 - 1) / (8 * h0)) * ((height + 8*v0 - 1) / (8 * v0))
	for unit := range units {
		for _, c := range components {
			blocks := int(c.sampling>>4) * int(c.sampling&15)
			if len(components) == 1 {
				blocks = 1
			}
			for block := range blocks {
				if unit == 0 && block == 0 && c.dc != 0 {
					value := c.dc
					if value < 0 {
						value += 1<<11 - 1
					}
					w.msb(0b10, 2)
					w.msb(value, 11)
				} else {
					w.msb(0, 1)
				}
				if !progressive {
					w.msb(0, 1) // no further coefficients
				}
			}
		}
	}
	for w.n%8 != 0 {
		w.msb(1, 1)
	}
	return bytes.ReplaceAll(w.out, []byte{0xff}, []byte{0xff, 0})
}

// bitWriter writes bits, most or least significant first.
type bitWriter struct {
	out []byte
	n   int
}

func (w *bitWriter) bit(b int, place uint) {
	if w.n%8 == 0 {
		w.out = append(w.out, 0)
	}
	w.out[len(w.out)-1] |= byte(b << place)
	w.n++
}

func (w *bitWriter) msb(value, bits int) {
	for ; bits > 0; bits-- {
		w.bit(value>>(bits-1)&1, uint(7-w.n%8))
	}
}

func (w *bitWriter) lsb(value, bits int) {
	for i := range bits {
		w.bit(value>>i&1, uint(w.n%8))
	}
}

// chunk is a part of a PNG.
func chunk(kind string, body []byte) []byte {
	out := append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), kind...)
	out = append(out, body...)
	return binary.BigEndian.AppendUint32(out, crc32.ChecksumIEEE(out[4:]))
}

const (
	pngSignature = "\x89PNG\r\n\x1a\n"
	afterIHDR    = 8 + 8 + 13 + 4
)

// zeroPNG writes a PNG whose samples are all 0, with further chunks before its data.
func zeroPNG(t testing.TB, width, height int, depth, colour byte, interlaced bool, before ...[]byte) []byte {
	t.Helper()
	header := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, uint32(width)), uint32(height))
	header = append(header, depth, colour, 0, 0, 0)
	passes := [][4]int{{1, 1, 0, 0}}
	if interlaced {
		header[12] = 1
		passes = [][4]int{{8, 8, 0, 0}, {8, 8, 4, 0}, {4, 8, 0, 4}, {4, 4, 2, 0}, {2, 4, 0, 2}, {2, 2, 1, 0}, {1, 2, 0, 1}}
	}
	perPixel := int(depth) * map[byte]int{0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
	var data bytes.Buffer
	z := zlib.NewWriter(&data)
	for _, p := range passes {
		w, h := (width-p[2]+p[0]-1)/p[0], (height-p[3]+p[1]-1)/p[1]
		if w <= 0 || h <= 0 {
			continue
		}
		row := make([]byte, 1+(w*perPixel+7)/8)
		for range h {
			if _, err := z.Write(row); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	out := append([]byte(pngSignature), chunk("IHDR", header)...)
	if colour == 3 {
		out = append(out, chunk("PLTE", make([]byte, 3))...)
	}
	for _, b := range before {
		out = append(out, b...)
	}
	out = append(out, chunk("IDAT", data.Bytes())...)
	return append(out, chunk("IEND", nil)...)
}

// gifHead is the beginning of a GIF, up to its first frame's data, with two colours.
func gifHead(screenWidth, screenHeight, left, top, width, height int, interlaced byte) []byte {
	out := []byte("GIF89a")
	for _, n := range []int{screenWidth, screenHeight} {
		out = binary.LittleEndian.AppendUint16(out, uint16(n))
	}
	out = append(out, 0x80, 0, 0, 0, 0, 0, 255, 255, 255, 0x2c)
	for _, n := range []int{left, top, width, height} {
		out = binary.LittleEndian.AppendUint16(out, uint16(n))
	}
	return append(out, interlaced)
}

// riff is a WebP file of these chunks.
func riff(chunks ...[]byte) []byte {
	body := bytes.Join(chunks, nil)
	out := binary.LittleEndian.AppendUint32([]byte("RIFF"), uint32(4+len(body)))
	return append(append(out, "WEBP"...), body...)
}

func riffChunk(kind string, body []byte) []byte {
	out := append(binary.LittleEndian.AppendUint32([]byte(kind), uint32(len(body))), body...)
	if len(body)%2 == 1 {
		out = append(out, 0)
	}
	return out
}

func vp8x(flags byte, width, height int) []byte {
	body := binary.LittleEndian.AppendUint32([]byte{flags, 0, 0, 0}, uint32(width-1))[:7]
	return riffChunk("VP8X", binary.LittleEndian.AppendUint32(body, uint32(height-1))[:10])
}

// vp8l begins a lossless picture.
func vp8l(width, height int) *bitWriter {
	w := new(bitWriter)
	w.lsb(0x2f, 8)
	w.lsb(width-1, 14)
	w.lsb(height-1, 14)
	w.lsb(0, 4)
	return w
}

// oneSymbol writes trees that know one symbol each, so that pixels take no bits.
func (w *bitWriter) oneSymbol(trees int) {
	for range trees {
		w.lsb(0b0001, 4) // simple, one, of one bit, 0
	}
}

// largeTrees writes a set of trees with as many symbols as a colour cache of 11 bits allows, in few
// bits: all codes of a tree have the same length, and that is the only one, so it takes no bits
// itself.
func (w *bitWriter) largeTrees() {
	for _, tree := range []struct{ length, symbols int }{{11, 2048}, {8, 256}, {8, 256}, {8, 256}, {5, 32}} {
		w.lsb(0, 1)
		w.lsb(15, 4) // all 19 lengths of lengths
		for _, symbol := range []int{17, 18, 0, 1, 2, 3, 4, 5, 16, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15} {
			if symbol == tree.length {
				w.lsb(1, 3)
			} else {
				w.lsb(0, 3)
			}
		}
		w.lsb(1, 1) // so many symbols, in 12 bits
		w.lsb(5, 3)
		w.lsb(tree.symbols-2, 12)
	}
}

// treesWebP is a lossless WebP with so many sets of trees: large ones for a tile each, and one that
// takes no bits for all the rest.
func treesWebP(width, height, groups int) []byte {
	w := vp8l(width, height)
	w.lsb(0, 1)  // no transform
	w.lsb(1, 1)  // a colour cache
	w.lsb(11, 4) // of 11 bits
	w.treeMap(width, height, groups)
	for range groups - 1 {
		w.largeTrees()
	}
	w.oneSymbol(5)
	for i := range width * height { // all pixels the first of their tree, 11, 8, 8 and 8 bits
		if tile := i/width/4*((width+3)/4) + i%width/4; tile < groups-1 {
			w.lsb(0, 35)
		}
	}
	return riff(riffChunk("VP8L", w.out))
}

// treeMap writes which set of trees each tile of 4 by 4 pixels has: in turn, from the first to the
// last.
func (w *bitWriter) treeMap(width, height, groups int) {
	w.lsb(1, 1)
	w.lsb(0, 3)
	w.lsb(0, 1) // no colour cache
	eight := func() {
		// All 256 symbols have 8 bits. The symbols behind them have none.
		w.lsb(0, 1)
		w.lsb(15, 4)
		for _, symbol := range []int{17, 18, 0, 1, 2, 3, 4, 5, 16, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15} {
			if symbol == 8 {
				w.lsb(1, 3)
			} else {
				w.lsb(0, 3)
			}
		}
		w.lsb(1, 1)
		w.lsb(3, 3)
		w.lsb(254, 8)
	}
	eight()        // green
	eight()        // red
	w.oneSymbol(3) // blue, alpha, distance
	for i := range ((width + 3) / 4) * ((height + 3) / 4) {
		group := min(i, groups-1)
		w.code(group&0xff, 8)
		w.code(group>>8, 8)
	}
}

// code writes a Huffman code, whose first bit is its most significant.
func (w *bitWriter) code(value, bits int) {
	for ; bits > 0; bits-- {
		w.lsb(value>>(bits-1)&1, 1)
	}
}
