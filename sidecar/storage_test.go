// Caddy's storage as the tests of pictures need it.

package sidecar

import (
	"context"
	"fmt"
	"io/fs"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/certmagic"
)

// faultyStorage is file storage that fails on demand, by the name of the method.
type faultyStorage struct {
	certmagic.FileStorage

	mu     sync.Mutex
	faults map[string]error
	calls  []string
}

func newFaultyStorage(t testing.TB) *faultyStorage {
	t.Helper()
	return &faultyStorage{FileStorage: certmagic.FileStorage{Path: t.TempDir()}, faults: map[string]error{}}
}

func (s *faultyStorage) call(ctx context.Context, method, key string) error {
	if _, ok := ctx.Deadline(); !ok {
		return fmt.Errorf("%s %s has no deadline", method, key)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, method+" "+key)
	return s.faults[method]
}

func (s *faultyStorage) fail(method string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults[method] = err
}

func (s *faultyStorage) Store(ctx context.Context, key string, value []byte) error {
	if err := s.call(ctx, "Store", key); err != nil {
		return err
	}
	return s.FileStorage.Store(ctx, key, value)
}

func (s *faultyStorage) Load(ctx context.Context, key string) ([]byte, error) {
	if err := s.call(ctx, "Load", key); err != nil {
		return nil, err
	}
	return s.FileStorage.Load(ctx, key)
}

func (s *faultyStorage) Delete(ctx context.Context, key string) error {
	if err := s.call(ctx, "Delete", key); err != nil {
		return err
	}
	return s.FileStorage.Delete(ctx, key)
}

func (s *faultyStorage) List(ctx context.Context, path string, recursive bool) ([]string, error) {
	if err := s.call(ctx, "List", path); err != nil {
		return nil, err
	}
	return s.FileStorage.List(ctx, path, recursive)
}

func (s *faultyStorage) Lock(ctx context.Context, name string) error {
	if err := s.call(ctx, "Lock", name); err != nil {
		return err
	}
	return s.FileStorage.Lock(ctx, name)
}

func (s *faultyStorage) Unlock(ctx context.Context, name string) error {
	if err := s.call(ctx, "Unlock", name); err != nil {
		return err
	}
	return s.FileStorage.Unlock(ctx, name)
}

// deadline is the test's context as the storage expects it.
func deadline(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// pictureFiles lists the files below the pictures' folder.
func pictureFiles(t *testing.T, s *faultyStorage) (files []string) {
	t.Helper()
	err := filepath.WalkDir(s.Filename(avatarFolder), func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}
