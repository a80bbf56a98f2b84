package avatar

// vp8lTree is a canonical Huffman code: how many codes there are of each length, and their symbols in the
// order of the codes.
type vp8lTree struct {
	counts  [vp8lMaxCode + 1]uint16
	symbols []uint16
}

// next reads a symbol.
func (t *vp8lTree) next(s *vp8lScan) uint32 {
	if len(t.symbols) == 1 {
		return uint32(t.symbols[0]) // takes no bits
	}
	code, first, index := uint32(0), uint32(0), uint32(0)
	for _, count := range t.counts[1:] {
		code |= s.read(1)
		n := uint32(count)
		if code < first+n {
			return uint32(t.symbols[index+code-first])
		}
		index += n
		first = (first + n) << 1
		code <<= 1
	}
	s.failed = true
	return 0
}

// build makes the tree of these lengths, 0 for a symbol that has no code.
func (t *vp8lTree) build(lengths []byte) bool {
	for _, l := range lengths {
		t.counts[l]++
	}
	used := len(lengths) - int(t.counts[0])
	if used == 0 {
		return false
	}
	var offsets [vp8lMaxCode + 2]uint16
	free := 1
	for l := 1; l <= vp8lMaxCode; l++ {
		free = 2*free - int(t.counts[l])
		if free < 0 && used > 1 {
			return false
		}
		offsets[l+1] = offsets[l] + t.counts[l]
	}
	t.symbols = make([]uint16, used)
	for symbol, l := range lengths {
		if l > 0 {
			t.symbols[offsets[l]] = uint16(symbol)
			offsets[l]++
		}
	}
	return true
}

// tree reads a tree over so many symbols.
func (s *vp8lScan) tree(alphabet int) (t vp8lTree) {
	if simple := s.read(1) == 1; simple {
		return s.simpleTree(alphabet)
	}
	s.memory += vp8lAlphabetMemory * int64(alphabet)
	// The lengths are Huffman coded themselves, and the lengths for that stand in this order.
	order := [...]byte{17, 18, 0, 1, 2, 3, 4, 5, 16, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}
	var first [len(order)]byte
	n := int(s.read(4)) + 4
	if n > len(order) {
		s.failed = true
		return t
	}
	for _, symbol := range order[:n] {
		first[symbol] = byte(s.read(3))
	}
	var outer vp8lTree
	if !outer.build(first[:]) {
		s.failed = true
		return t
	}
	lengths := s.lengths(&outer, alphabet)
	if s.failed || !t.build(lengths) {
		s.failed = true
		return t
	}
	s.memory += vp8lSymbolMemory * int64(len(t.symbols))
	return t
}

func (s *vp8lScan) simpleTree(alphabet int) (t vp8lTree) {
	two := s.read(1) == 1
	width := uint32(1)
	if s.read(1) == 1 {
		width = 8
	}
	t.symbols = []uint16{uint16(s.read(width))}
	if two {
		t.symbols = append(t.symbols, uint16(s.read(8)))
		t.counts[1] = 2
	}
	for _, symbol := range t.symbols {
		if int(symbol) >= alphabet {
			s.failed = true
		}
	}
	return t
}

// lengths reads the lengths of a tree's codes.
func (s *vp8lScan) lengths(outer *vp8lTree, alphabet int) []byte {
	lengths := make([]byte, 0, alphabet)
	most := alphabet // of the symbols to come
	if s.read(1) == 1 {
		most = int(s.read(2+2*s.read(3))) + 2
		if most > alphabet {
			s.failed = true
		}
	}
	last := byte(8)
	for ; most > 0 && len(lengths) < alphabet && !s.failed; most-- {
		symbol := byte(outer.next(s))
		times, length := uint32(1), symbol
		switch symbol {
		case 16:
			times, length = s.read(2)+3, last
		case 17:
			times, length = s.read(3)+3, 0
		case 18:
			times, length = s.read(7)+11, 0
		}
		if int(times) > alphabet-len(lengths) {
			s.failed = true
			break
		}
		if length != 0 {
			last = length
		}
		for range times {
			lengths = append(lengths, length)
		}
	}
	return append(lengths, make([]byte, alphabet-len(lengths))...)
}
