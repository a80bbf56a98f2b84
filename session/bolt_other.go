//go:build !linux

package session

import (
	"os"

	bolt "go.etcd.io/bbolt"
)

// forgetPages does something on Linux only, where servers and containers are.
func forgetPages(*bolt.DB, *bolt.Tx) {}

// unlockFile does something on Linux only; elsewhere the lock ends with the process.
func unlockFile(*os.File) {}
