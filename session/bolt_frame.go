package session

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math"
)

// A journal file is a head and frames behind it. A frame holds what one batch of updates changed, and is
// the unit that is there as a whole or not at all:
//
//	head:  magic, the journal's id, generation, end of the generation before, checksum, zeros
//	frame: magic, length, checksum, entries
//	entry: expiry, length of the key, length of the value + 1 (0: deleted), key, value
//
// Numbers are big-endian. A frame's checksum begins with the journal's id, the generation and the place
// of the frame, so that nothing that was left of an earlier use of the file passes for a frame.
const (
	journalHeadSize = 64
	frameHeadSize   = 12
	entryHeadSize   = 10
)

var (
	journalMagic = []byte("wechatj1")
	frameMagic   = []byte{0xf5, 'w', 'j', 0x9e}
	castagnoli   = crc32.MakeTable(crc32.Castagnoli)
)

// journalID says which state of a bolt file a journal belongs to. No two are equal.
type journalID [16]byte

// journalHead is how a journal file begins.
type journalHead struct {
	id         journalID
	generation uint64
	before     int64 // where the frames of the generation before end, in the other file
}

var errJournalHead = errors.New("its head is damaged, or it is no journal")

func (h journalHead) encode() []byte {
	head := append(make([]byte, 0, journalHeadSize), journalMagic...)
	head = append(head, h.id[:]...)
	head = binary.BigEndian.AppendUint64(head, h.generation)
	head = binary.BigEndian.AppendUint64(head, uint64(h.before))
	head = binary.BigEndian.AppendUint32(head, crc32.Checksum(head, castagnoli))
	return head[:journalHeadSize]
}

// readJournalHead reads a head, and reports false for one that was never written.
func readJournalHead(data []byte) (h journalHead, written bool, err error) {
	if len(data) < journalHeadSize || bytes.Equal(data[:journalHeadSize], make([]byte, journalHeadSize)) {
		return journalHead{}, false, nil
	}
	rest := data[len(journalMagic):]
	copy(h.id[:], rest)
	rest = rest[len(h.id):]
	h.generation = binary.BigEndian.Uint64(rest)
	h.before = int64(binary.BigEndian.Uint64(rest[8:]))
	if !bytes.Equal(h.encode(), data[:journalHeadSize]) {
		return journalHead{}, false, errJournalHead
	}
	return h, true, nil
}

// frameSum is the checksum of a frame's entries at its place.
func frameSum(id journalID, generation uint64, at int64, entries []byte) uint32 {
	var place [len(id) + 20]byte
	copy(place[:], id[:])
	binary.BigEndian.PutUint64(place[len(id):], generation)
	binary.BigEndian.PutUint64(place[len(id)+8:], uint64(at))
	binary.BigEndian.PutUint32(place[len(id)+16:], uint32(len(entries)))
	return crc32.Update(crc32.Checksum(place[:], castagnoli), castagnoli, entries)
}

// sealFrame fills in the head of a frame, whose entries are there.
func sealFrame(frame []byte, id journalID, generation uint64, at int64) {
	entries := frame[frameHeadSize:]
	copy(frame, frameMagic)
	binary.BigEndian.PutUint32(frame[4:], uint32(len(entries)))
	binary.BigEndian.PutUint32(frame[8:], frameSum(id, generation, at, entries))
}

// readFrameHead returns the length and the checksum of the entries.
func readFrameHead(head []byte) (length int64, sum uint32, ok bool) {
	if len(head) < frameHeadSize || !bytes.Equal(head[:len(frameMagic)], frameMagic) {
		return 0, 0, false
	}
	return int64(binary.BigEndian.Uint32(head[4:])), binary.BigEndian.Uint32(head[8:]), true
}

// appendEntry adds an entry to a frame.
func appendEntry(frame []byte, key string, c boltChange) []byte {
	size := uint32(0)
	if !c.deleted {
		size = uint32(len(c.value)) + 1
	}
	frame = binary.BigEndian.AppendUint32(frame, c.expires)
	frame = binary.BigEndian.AppendUint16(frame, uint16(len(key)))
	frame = binary.BigEndian.AppendUint32(frame, size)
	return append(append(frame, key...), c.value...)
}

var errJournalEntry = errors.New("an entry makes no sense")

// readEntries calls each with the entries of a frame, and with the place of each value in it.
func readEntries(entries []byte, each func(key []byte, v boltVersion)) error {
	for at := 0; at < len(entries); {
		head := entries[at:]
		if len(head) < entryHeadSize {
			return errJournalEntry
		}
		keySize, size := int(binary.BigEndian.Uint16(head[4:])), int64(binary.BigEndian.Uint32(head[6:]))
		value := at + entryHeadSize + keySize
		if keySize == 0 || size > math.MaxInt32 || int64(len(entries)-value) < max(0, size-1) {
			return errJournalEntry
		}
		each(head[entryHeadSize:][:keySize], boltVersion{
			expires: binary.BigEndian.Uint32(head), at: int64(value), size: int32(size - 1),
		})
		at = value + int(max(0, size-1))
	}
	return nil
}
