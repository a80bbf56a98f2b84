package session

import (
	"os"
	"syscall"
)

// BreakMerge makes each commit of bbolt fail until repair is called: its file can only be read. The lock
// stays with the file that it was taken for.
func (d *boltDB) BreakMerge() (repair func() error, err error) {
	d.merge.mu.Lock()
	defer d.merge.mu.Unlock()
	fd := int(d.file.Fd())
	good, err := syscall.Dup(fd)
	if err != nil {
		return nil, err
	}
	bad, err := os.Open(d.file.path)
	if err != nil {
		return nil, err
	}
	defer bad.Close()
	return func() error {
		d.merge.mu.Lock()
		defer d.merge.mu.Unlock()
		defer func() { _ = syscall.Close(good) }()
		return syscall.Dup3(good, fd, 0)
	}, syscall.Dup3(int(bad.Fd()), fd, 0)
}
