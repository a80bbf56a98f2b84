package session

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"sort"
	"sync"

	bolt "go.etcd.io/bbolt"
)

// bbolt's pages: a header and elements, whose keys and values lie behind them.
const (
	pageHeader  = 16 // id uint64, kind uint16, count uint16, overflow uint32
	pageElement = 16 // branch: pos, size uint32, page uint64; leaf: kind, pos, size, value size uint32
	pageBranch  = 1
	pageLeaf    = 2
)

// pages is a tree of a bolt file, of one transaction on it, that is looked up by reads.
//
// bbolt looks up in the mapped file. There the first access to a page costs several times as much as to
// read it, and makes it count as memory of the process together with its neighbours. In a large file
// nearly each lookup comes to pages where none was before.
type pages struct {
	file io.ReaderAt
	top  *topPages
	tx   int    // the state of the file
	size int    // of a page
	root uint64 // 0: it has no page of its own
	path string
}

func newPages(f *boltFile, top *topPages, t *bolt.Tx, b *bolt.Bucket) pages {
	return pages{
		file: f, top: top, tx: t.ID(), size: t.DB().Info().PageSize, root: uint64(b.RootPage()), path: f.path,
	}
}

// topPages keeps the pages that nearly all lookups need, as long as nothing changes the file.
type topPages struct {
	buffers sync.Pool // of other pages

	mu    sync.RWMutex // guards what follows
	tx    int          // the state of the file that they belong to
	pages map[uint64]boltPage
}

const (
	topLevels = 3    // how far below the root pages are kept
	topMost   = 1024 // how many
)

// find returns a page that was kept.
func (c *topPages) find(tx int, id uint64) (page boltPage, ok bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.tx == tx {
		page, ok = c.pages[id]
	}
	return page, ok
}

// keep keeps a page. The older of two states has to go.
func (c *topPages) keep(tx int, page boltPage) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if tx > c.tx {
		c.tx, c.pages = tx, map[uint64]boltPage{}
	}
	if tx == c.tx && len(c.pages) < topMost {
		c.pages[page.id] = page
	}
}

// get returns what a key has, nil for nothing.
func (p pages) get(key []byte) ([]byte, error) {
	buffer, _ := p.top.buffers.Get().([]byte)
	if len(buffer) != p.size {
		buffer = make([]byte, p.size)
	}
	defer func() { p.top.buffers.Put(buffer) }() //nolint:staticcheck // SA6002: a header is little beside a page
	id := p.root
	for level := range 64 { // no tree is deeper
		page, err := p.page(id, level, buffer)
		if err != nil {
			return nil, err
		}
		if page.kind == pageLeaf {
			value, err := page.value(key)
			return bytes.Clone(value), err
		}
		if id, err = page.child(key); err != nil {
			return nil, err
		}
	}
	return nil, p.damage(p.root)
}

// page returns a page of a level, the root's being 0. It may be in the buffer.
func (p pages) page(id uint64, level int, buffer []byte) (boltPage, error) {
	if level < topLevels {
		if page, ok := p.top.find(p.tx, id); ok {
			return page, nil
		}
	}
	page, err := p.read(id, buffer)
	if err == nil && page.kind == pageBranch && level < topLevels {
		page.data = bytes.Clone(page.data)
		p.top.keep(p.tx, page)
	}
	return page, err
}

// read reads a page into the buffer, or into one of its own if it is longer.
func (p pages) read(id uint64, buffer []byte) (boltPage, error) {
	at := int64(id) * int64(p.size)
	if _, err := p.file.ReadAt(buffer, at); err != nil {
		return boltPage{}, &boltDamage{p.path, err}
	}
	native := binary.NativeEndian
	page := boltPage{
		pages: p, id: id, data: buffer,
		kind: native.Uint16(buffer[8:]), count: int(native.Uint16(buffer[10:])),
	}
	if native.Uint64(buffer) != id || page.kind != pageBranch && page.kind != pageLeaf {
		return boltPage{}, p.damage(id)
	}
	if more := int64(native.Uint32(buffer[12:])); more > 0 {
		if more > 1<<31/int64(p.size) { // no value is longer
			return boltPage{}, p.damage(id)
		}
		page.data = make([]byte, int64(p.size)*(1+more))
		if _, err := p.file.ReadAt(page.data, at); err != nil {
			return boltPage{}, &boltDamage{p.path, err}
		}
	}
	if pageHeader+page.count*pageElement > len(page.data) {
		return boltPage{}, p.damage(id)
	}
	return page, nil
}

func (p pages) damage(id uint64) error {
	return &boltDamage{p.path, fmt.Sprintf("page %d makes no sense", id)}
}

// boltPage is one page of a tree.
type boltPage struct {
	pages
	id    uint64
	kind  uint16
	count int
	data  []byte
}

// element returns the four numbers of an element, and where it is.
func (p boltPage) element(i int) (numbers [4]uint32, at int) {
	at = pageHeader + i*pageElement
	for n := range numbers {
		numbers[n] = binary.NativeEndian.Uint32(p.data[at+4*n:])
	}
	return numbers, at
}

// part returns some bytes of the page, nil if there are none.
func (p boltPage) part(at int, pos, size uint32) []byte {
	from := uint64(at) + uint64(pos)
	if from+uint64(size) > uint64(len(p.data)) {
		return nil
	}
	return p.data[from : from+uint64(size) : from+uint64(size)]
}

// child returns the page below a branch in which a key is, if it is anywhere.
func (p boltPage) child(key []byte) (uint64, error) {
	i := sort.Search(p.count, func(i int) bool {
		e, at := p.element(i)
		return bytes.Compare(p.part(at, e[0], e[1]), key) > 0
	})
	if p.count == 0 {
		return 0, p.damage(p.id)
	}
	_, at := p.element(max(0, i-1))
	return binary.NativeEndian.Uint64(p.data[at+8:]), nil
}

// value returns what a key has in a leaf.
func (p boltPage) value(key []byte) ([]byte, error) {
	i := sort.Search(p.count, func(i int) bool {
		e, at := p.element(i)
		return bytes.Compare(p.part(at, e[1], e[2]), key) >= 0
	})
	if i == p.count {
		return nil, nil
	}
	e, at := p.element(i)
	if !bytes.Equal(p.part(at, e[1], e[2]), key) {
		return nil, nil
	}
	value := p.part(at, e[1]+e[2], e[3])
	if value == nil {
		return nil, p.damage(p.id)
	}
	return value, nil
}
