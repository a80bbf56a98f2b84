//go:build !linux

package session

import (
	"os"

	bolt "go.etcd.io/bbolt"
)

// forgetPages does something on Linux only, where servers and containers are.
func forgetPages(*bolt.DB, *bolt.Tx) {}

// syncData makes what was written to a file survive the death of the machine.
func syncData(f *os.File) error { return f.Sync() }

// unlockFile does something on Linux only; elsewhere the lock ends with the process.
func unlockFile(*os.File) {}
