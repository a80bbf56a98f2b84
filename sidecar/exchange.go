// Exchanges with WeChat that requests share.

package sidecar

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
)

// exchanges are the exchanges with WeChat and the hook that requests share.
type exchanges struct {
	store *StoreHandle
	hook  *Hook
}

// shared runs an exchange that all requests with the same key share. It does not end with the
// request that started it, only with the app's time limit.
func shared[T any](
	ctx context.Context, x exchanges, a *App, key string, exchange func(context.Context) (T, error),
) (T, error) {
	var none T
	result := a.exchanges.DoChan(key, func() (answer any, err error) {
		// The exchange has a goroutine of its own, where a panic would end the process.
		defer func() {
			if p := recover(); p != nil {
				answer, err = none, withCause(errInternal, panicError(p))
			}
		}()
		for _, part := range []*refCount{&x.store.refCount, &a.refCount} {
			release, err := part.retain()
			if err != nil {
				return none, err
			}
			defer release()
		}
		detached, cancel := context.WithTimeout(context.WithoutCancel(ctx), exchangeCalls*a.timeout+x.hook.timeLimit())
		defer cancel()
		return exchange(detached)
	})
	select {
	case r := <-result:
		return r.Val.(T), r.Err
	case <-ctx.Done():
		return none, withCause(errUnavailable, ctx.Err()) // nobody reads it
	}
}

// recovered calls a function and returns its panic as an error.
func recovered(f func()) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = panicError(p)
		}
	}()
	f()
	return nil
}

// panicError is a panic for the log. The runtime's own texts hold no data; others may quote what
// the program worked on.
func panicError(p any) error {
	what := fmt.Sprintf("%T", p)
	if text, ok := p.(runtime.Error); ok {
		what = text.Error()
	}
	return fmt.Errorf("panic: %s\n%s", what, debug.Stack())
}
