// The log of parts that outlive configurations.

package wechatauth

import (
	"context"
	"log/slog"
	"slices"
	"sync/atomic"
)

// newestLog belongs to the newest configuration.
var newestLog atomic.Pointer[slog.Logger]

// operatorLog is for what shared parts meet while no request waits: a host out of reach, a store
// that fails. They are pooled and outlive configurations, so it writes to the newest one's log.
var operatorLog = slog.New(newestHandler{})

// newestHandler is a slog.Handler of the newest configuration.
type newestHandler struct{ attrs []slog.Attr }

// Enabled implements slog.Handler.
func (newestHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return newestLog.Load().Handler().Enabled(ctx, level)
}

// Handle implements slog.Handler.
func (l newestHandler) Handle(ctx context.Context, r slog.Record) error {
	r.AddAttrs(l.attrs...)
	return newestLog.Load().Handler().Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (l newestHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return newestHandler{slices.Concat(l.attrs, attrs)}
}

// WithGroup implements slog.Handler. Nothing here logs groups: what one would hold stands beside
// the rest.
func (l newestHandler) WithGroup(string) slog.Handler { return l }
