package avatar

const (
	// A lossless WebP can have a set of Huffman trees for each tile of the picture; the decoder refuses
	// more than this.
	vp8lMaxGroups = 2600

	vp8lTrees    = 5
	vp8lLengths  = 24 // symbols of the first tree that stand for repetitions, after 256 literals
	vp8lMaxCode  = 15 // bits
	vp8lMaxCache = 11 // bits

	// What the decoder and this scan take for a set of trees whatever is in them, and for a tree for each
	// of its symbols, and, until the garbage collector comes, for each that it could have.
	vp8lGroupMemory    = 3 << 10
	vp8lSymbolMemory   = 16 + 2
	vp8lAlphabetMemory = 8 + 4
)

var vp8lAlphabets = [vp8lTrees]int{256 + vp8lLengths, 256, 256, 256, 40}

// vp8lMemory works out what decoding a lossless WebP's bit stream will take, from behind its header. It
// has to read that stream up to the pixels. A stream of a hundred kilobytes can have trees of over a
// hundred megabytes, and how many it has stands behind small pictures of its own.
func vp8lMemory(data []byte, width, height int) (memory int64, ok bool) {
	s := &vp8lScan{data: data}
	pixels := int64(width) * int64(height)
	s.memory = 4 * pixels
	var seen [4]bool
	for s.read(1) == 1 && !s.failed {
		kind := s.read(2)
		if seen[kind] {
			return 0, false
		}
		seen[kind] = true
		switch kind {
		case 0, 1: // each tile has a predictor, or factors between colours
			bits := s.read(3) + 2
			s.image(tiles(width, bits), tiles(height, bits))
		case 3: // a palette; with few colours several pixels are packed into one, and unpacked to another picture
			colours := int(s.read(8)) + 1
			s.image(colours, 1)
			s.memory += 4 * 256
			if bits := packing(colours); bits > 0 {
				width = tiles(width, bits)
				s.memory += 4 * pixels
			}
		}
	}
	s.groups(width, height, true)
	return s.memory, !s.failed
}

func packing(colours int) (bits uint32) {
	switch {
	case colours <= 2:
		return 3
	case colours <= 4:
		return 2
	case colours <= 16:
		return 1
	}
	return 0
}

// tiles is how many tiles of 1<<bits pixels cover so many pixels.
func tiles(pixels int, bits uint32) int { return (pixels + 1<<bits - 1) >> bits }

// vp8lScan reads a bit stream, least significant bits first. Once it has failed, what it gives is of no use.
type vp8lScan struct {
	data   []byte
	bits   uint32
	n      uint32 // bits in bits
	failed bool
	memory int64
}

// read reads up to 24 bits.
func (s *vp8lScan) read(n uint32) uint32 {
	for s.n < n {
		if len(s.data) == 0 {
			s.failed = true
			return 0
		}
		s.bits |= uint32(s.data[0]) << s.n
		s.data = s.data[1:]
		s.n += 8
	}
	v := s.bits & (1<<n - 1)
	s.bits >>= n
	s.n -= n
	return v
}

// groups reads the trees of a picture and returns the first set. Only the picture proper can have more.
func (s *vp8lScan) groups(width, height int, proper bool) (trees [vp8lTrees]vp8lTree, cacheBits uint32) {
	if s.read(1) == 1 {
		cacheBits = s.read(4)
		if cacheBits < 1 || cacheBits > vp8lMaxCache {
			s.failed = true
			return trees, 0
		}
		s.memory += 4 << cacheBits
	}
	groups := 1
	if proper && s.read(1) == 1 {
		bits := s.read(3) + 2
		for _, argb := range s.image(tiles(width, bits), tiles(height, bits)) {
			groups = max(groups, 1+int(argb>>8&0xffff)) // red and green
		}
		if groups > vp8lMaxGroups {
			s.failed = true
		}
	}
	for i := 0; i < groups && !s.failed; i++ {
		s.memory += vp8lGroupMemory
		for j, alphabet := range vp8lAlphabets {
			if j == 0 && cacheBits > 0 {
				alphabet += 1 << cacheBits
			}
			tree := s.tree(alphabet)
			if i == 0 {
				trees[j] = tree
			}
		}
	}
	return trees, cacheBits
}

// image reads one of the small pictures, as ARGB. It is nil when that failed.
func (s *vp8lScan) image(width, height int) []uint32 {
	trees, cacheBits := s.groups(width, height, false)
	if s.failed {
		return nil
	}
	pix := make([]uint32, width*height)
	s.memory += 2 * 4 * int64(len(pix)) // here and in the decoder
	cache, cached := make([]uint32, 1<<cacheBits), 0
	for p := 0; p < len(pix); {
		green := trees[0].next(s)
		switch {
		case green < 256:
			red, blue, alpha := trees[1].next(s), trees[2].next(s), trees[3].next(s)
			pix[p] = alpha<<24 | red<<16 | green<<8 | blue
			p++
		case green < 256+vp8lLengths:
			length := int(s.number(green - 256))
			distance := vp8lDistance(width, int(s.number(trees[4].next(s))))
			if length > len(pix)-p || distance > p {
				s.failed = true
				break
			}
			for ; length > 0; length-- {
				pix[p] = pix[p-distance]
				p++
			}
		default:
			for ; cached < p; cached++ {
				cache[vp8lHash(pix[cached], cacheBits)] = pix[cached]
			}
			pix[p] = cache[green-256-vp8lLengths]
			p++
		}
		if s.failed {
			return nil
		}
	}
	return pix
}

// vp8lHash is a colour's place in the cache.
func vp8lHash(argb, cacheBits uint32) uint32 { return argb * 0x1e35a7bd >> (32 - cacheBits) }

// number reads a length or a distance that begins with this symbol.
func (s *vp8lScan) number(symbol uint32) uint32 {
	if symbol < 4 {
		return symbol + 1
	}
	extra := (symbol - 2) >> 1
	return (2+symbol&1)<<extra + s.read(extra) + 1
}

// vp8lNear are the places that the first distances mean, each as rows up and 8 less the columns to the left.
var vp8lNear = [120]byte{
	0x18, 0x07, 0x17, 0x19, 0x28, 0x06, 0x27, 0x29, 0x16, 0x1a, 0x26, 0x2a, 0x38, 0x05, 0x37, 0x39, 0x15, 0x1b, 0x36, 0x3a,
	0x25, 0x2b, 0x48, 0x04, 0x47, 0x49, 0x14, 0x1c, 0x35, 0x3b, 0x46, 0x4a, 0x24, 0x2c, 0x58, 0x45, 0x4b, 0x34, 0x3c, 0x03,
	0x57, 0x59, 0x13, 0x1d, 0x56, 0x5a, 0x23, 0x2d, 0x44, 0x4c, 0x55, 0x5b, 0x33, 0x3d, 0x68, 0x02, 0x67, 0x69, 0x12, 0x1e,
	0x66, 0x6a, 0x22, 0x2e, 0x54, 0x5c, 0x43, 0x4d, 0x65, 0x6b, 0x32, 0x3e, 0x78, 0x01, 0x77, 0x79, 0x53, 0x5d, 0x11, 0x1f,
	0x64, 0x6c, 0x42, 0x4e, 0x76, 0x7a, 0x21, 0x2f, 0x75, 0x7b, 0x31, 0x3f, 0x63, 0x6d, 0x52, 0x5e, 0x00, 0x74, 0x7c, 0x41,
	0x4f, 0x10, 0x20, 0x62, 0x6e, 0x30, 0x73, 0x7d, 0x51, 0x5f, 0x40, 0x72, 0x7e, 0x61, 0x6f, 0x50, 0x71, 0x7f, 0x60, 0x70,
}

func vp8lDistance(width, code int) int {
	if code > len(vp8lNear) {
		return code - len(vp8lNear)
	}
	near := int(vp8lNear[code-1])
	return max(1, near>>4*width+8-near&15)
}
