// What is counted in the whole process, for the operator's metrics.

package sidecar

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"

	"github.com/caddy-wechat/wechatauth/session"
)

// Counter names something that is counted in the whole process.
type Counter int

// What is counted, and the labels that go with it. All values of labels are from the configuration
// or from this program: nothing that a client sends becomes one.
const (
	Logins          Counter = iota // requests of the login route that name an app: appid, result
	Phones                         // exchanges for a phone number: appid, way, result
	Refreshes                      // requests of the refresh route: result
	Logouts                        // requests of the logout route: result
	Refusals                       // answers that are errors, the guard's included: code
	StoreOperations                // store, operation, result
	Limited                        // events beyond a limit: limit
	HookRequests                   // event, result
	Pushes                         // messages that WeChat pushed: appid, result
	InternalErrors                 // faults of this program, in requests and in the background
)

// Count adds one to a counter, under the labels that it has.
type Count func(c Counter, labels ...string)

// Verifications counts the access tokens that were found genuine. It costs the guard no allocation.
type Verifications struct {
	Remembered atomic.Uint64 // found in the memory of verified tokens
	Verified   atomic.Uint64 // by their signature
}

// counted is a route whose requests are counted by their result.
func (count Count) counted(c Counter, handle routeFunc) routeFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		err := handle(w, r)
		count(c, result(err))
		return err
	}
}

// result is the label of what became of a request: ok, canceled by the client, or the error's code.
func result(err error) string {
	switch {
	case err == nil, errors.Is(err, session.ErrCursor): // which is the caller's mistake
		return "ok"
	case errors.Is(err, context.Canceled):
		return "canceled"
	}
	return asError(err).Code
}

// storeResult is the label of what became of an operation of a store.
func storeResult(err error) string {
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, session.ErrEnded): // the store works, and says so
		return "ended"
	case errors.Is(err, session.ErrFull):
		return "full"
	case errors.Is(err, context.Canceled) && !errors.Is(err, session.ErrUnavailable):
		return "canceled"
	}
	return "failed"
}
