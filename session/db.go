// The DB contract: the short way to a Store of one process.

package session

import (
	"context"
	"time"
)

// DB is a transactional map of keys to values that expire: the short way to a [Store], by
// [NewKVStore].
//
// A key is at most 128 bytes of any content. A value may have 1 MiB. What a DB returns must be what
// was put under that very key. All methods may be called by many goroutines at once.
type DB interface {
	// View runs a function that only reads. What it sees is one state of the map.
	View(ctx context.Context, read func(Tx) error) error

	// Update runs a function that may write. Updates happen one after the other, or as if. If the
	// function returns an error, nothing is written, and Update returns it. The function may be run
	// more than once. When Update returns nil, what was written stays.
	Update(ctx context.Context, change func(Tx) error) error

	// Close ends the DB. Later calls return ErrClosed; a second Close does no harm.
	Close() error
}

// Tx is the map inside one View or Update, with what was written in this very Update.
type Tx interface {
	// Get returns a value, nil if there is none. It may return one past its time. The value must
	// not be changed and is valid until the function returns.
	Get(key []byte) ([]byte, error)

	// Put writes a value that may be dropped at a time; the zero time is never. The caller does not
	// change it afterwards.
	Put(key, value []byte, expires time.Time) error

	// Delete removes a value. Removing none is no error.
	Delete(key []byte) error

	// Scan calls each with all keys that begin with a prefix, in any order, until it returns an
	// error. It may pass values past their time. What it is given is valid until each returns, and
	// each must not write.
	Scan(prefix []byte, each func(key, value []byte) error) error
}
