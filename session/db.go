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

	// Scan calls each with the keys that begin with a prefix and are not before from, in their
	// order, until it returns an error. It may pass values past their time. What it is given is
	// valid until each returns, and each must not write. So it is with the methods below.
	Scan(prefix, from []byte, each func(key, value []byte) error) error

	// Mark gives marks to the record of a key in place of those it has. Put keeps them; they go
	// with the record. Without a record it does nothing.
	Mark(key []byte, m Marks) error

	// Newest passes the records with an Order from the highest on, those of one Order from the last
	// key on, beginning after one of this Order and key. Its time must not grow with the records
	// that it does not pass, where there may be many.
	Newest(order int64, key []byte, each func(order int64, key []byte) error) error

	// Labeled passes the keys after one that have a label, in their order. Its time is as that of
	// Newest.
	Labeled(label string, after []byte, each func(key []byte) error) error

	// Totals returns how many records have an Order, and the sum of their Weights.
	Totals() (records, weight int64, err error)
}

// Marks find a record by other than its key. Zero fields are none.
type Marks struct {
	Order  int64     // by which Newest passes records, the highest first
	Weight int64     // only counts with an Order
	Labels [2]string // of at most 32 bytes, of any content
}
