// What is traced: calls to the store and the hook.

package sidecar

import (
	"context"
	"time"
)

// Trace gets each call to the store and the hook when it is over, for the trace of its request. The
// name of the call and its result are this program's own.
type Trace func(ctx context.Context, service, call, result string, began time.Time)
