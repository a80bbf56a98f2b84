package session

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
)

// segmentGrowth is how much is written ahead of a segment's end. Where the file is there already, a sync
// has nothing to write but the frame.
const segmentGrowth = 1 << 20

// segment is one of the two files of a journal. What they hold is the matter of the generation that has
// it at the time.
type segment struct {
	path string
	file *os.File
	size int64 // of the file

	// What tests replace to have a disk that fails.
	write func(f *os.File, data []byte, at int64) error
	sync  func(f *os.File) error

	// Views that read here, and that another file has the place of this one, which the last of them
	// closes. Both are guarded by the overlay's lock.
	readers  int
	replaced bool
}

// openSegment opens a segment, or makes it if that is wanted.
func openSegment(path string, flag int) (*segment, error) {
	file, err := os.OpenFile(path, os.O_RDWR|flag, 0o600)
	if err != nil {
		return nil, fmt.Errorf("session: open the journal: %w", err)
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("session: %s is not a regular file", path)
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	_ = file.Chmod(0o600) // not all systems have modes
	return &segment{path: path, file: file, size: info.Size(), write: writeAt, sync: syncData}, nil
}

func writeAt(f *os.File, data []byte, at int64) error {
	_, err := f.WriteAt(data, at)
	return err
}

// head reads the segment's head.
func (s *segment) head() (h journalHead, written bool, err error) {
	data := make([]byte, journalHeadSize)
	n, err := s.file.ReadAt(data, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return journalHead{}, false, fmt.Errorf("session: read the journal: %w", err)
	}
	if h, written, err = readJournalHead(data[:n]); err != nil {
		return h, written, &journalDamage{s.path, err.Error()}
	}
	return h, written, nil
}

// append writes at a place and waits until it is on the disk. Where that fails, nobody knows what is
// there, so what was written is made unreadable as far as possible.
func (s *segment) append(data []byte, at int64) error {
	err := s.extend(at + int64(len(data)))
	if err == nil {
		err = s.write(s.file, data, at)
	}
	if err == nil {
		err = s.sync(s.file)
	}
	if err == nil {
		return nil
	}
	if s.write(s.file, make([]byte, min(journalHeadSize, len(data))), at) == nil {
		_ = s.sync(s.file) // nothing is lost without it: the caller has his error
	}
	return fmt.Errorf("session: write the journal: %w", err)
}

// extend writes zeros so that the file has room up to a place, and some more.
func (s *segment) extend(end int64) error {
	if end <= s.size {
		return nil
	}
	zeros := make([]byte, end-s.size+segmentGrowth)
	if err := s.write(s.file, zeros, s.size); err != nil {
		return err
	}
	s.size += int64(len(zeros))
	return nil
}

// value reads what an entry holds.
func (s *segment) value(v boltVersion) ([]byte, error) {
	value := make([]byte, v.size)
	if _, err := s.file.ReadAt(value, v.at); err != nil {
		return nil, fmt.Errorf("session: read the journal: %w", err)
	}
	return value, nil
}

// frame reads the frame at a place into a buffer, and returns its entries; nil is no frame.
func (s *segment) frame(id journalID, generation uint64, at int64, buffer []byte) (entries []byte, err error) {
	var head [frameHeadSize]byte
	if at+frameHeadSize > s.size {
		return nil, nil
	}
	if _, err := s.file.ReadAt(head[:], at); err != nil {
		return nil, fmt.Errorf("session: read the journal: %w", err)
	}
	length, sum, ok := readFrameHead(head[:])
	if !ok || length == 0 || at+frameHeadSize+length > s.size {
		return nil, nil
	}
	if int64(cap(buffer)) < length {
		buffer = make([]byte, length)
	}
	entries = buffer[:length]
	if _, err := s.file.ReadAt(entries, at+frameHeadSize); err != nil {
		return nil, fmt.Errorf("session: read the journal: %w", err)
	}
	if frameSum(id, generation, at, entries) != sum {
		return nil, nil
	}
	return entries, nil
}

// framesBehind tells whether there is a frame anywhere behind a place.
func (s *segment) framesBehind(id journalID, generation uint64, at int64) (bool, error) {
	window := make([]byte, 1<<20)
	var buffer []byte
	for at < s.size {
		n, err := s.file.ReadAt(window, at)
		if err != nil && !errors.Is(err, io.EOF) {
			return false, fmt.Errorf("session: read the journal: %w", err)
		}
		for from := 0; ; from++ {
			i := bytes.Index(window[from:n], frameMagic)
			if i < 0 {
				break
			}
			from += i
			entries, err := s.frame(id, generation, at+int64(from), buffer)
			if err != nil || entries != nil {
				return entries != nil, err
			}
		}
		// A magic may lie across the windows.
		at += max(1, int64(n-len(frameMagic)+1))
	}
	return false, nil
}

// replace puts a new, empty file in the segment's place, for a view still reads the old one.
func (s *segment) replace() (*segment, error) {
	fresh, err := openSegment(s.path+".new", os.O_CREATE|os.O_TRUNC)
	if err != nil {
		return nil, err
	}
	if err := os.Rename(fresh.path, s.path); err != nil {
		return nil, errors.Join(fmt.Errorf("session: replace the journal: %w", err), fresh.file.Close())
	}
	fresh.path, fresh.write, fresh.sync = s.path, s.write, s.sync
	return fresh, nil
}

// empty leaves nothing in the segment.
func (s *segment) empty() error {
	err := s.file.Truncate(0)
	if err == nil {
		s.size = 0
		err = s.sync(s.file)
	}
	if err != nil {
		return fmt.Errorf("session: empty the journal: %w", err)
	}
	return nil
}
