package wechatauth

import (
	"context"
	"log/slog"
	"sync/atomic"
)

// newestLog belongs to the newest configuration.
var newestLog atomic.Pointer[slog.Logger]

// operatorLog is where an app's client tells what no request waits for: a host out of reach, a platform
// certificate about to end. Clients are pooled and outlive configurations, so it writes to the newest one's log.
type operatorLog struct{ appID string }

// Enabled implements slog.Handler.
func (l operatorLog) Enabled(ctx context.Context, level slog.Level) bool {
	return newestLog.Load().Handler().Enabled(ctx, level)
}

// Handle implements slog.Handler.
func (l operatorLog) Handle(ctx context.Context, r slog.Record) error {
	r.AddAttrs(slog.String("appid", l.appID))
	return newestLog.Load().Handler().Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (l operatorLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	return newestLog.Load().Handler().WithAttrs(append(attrs, slog.String("appid", l.appID)))
}

// WithGroup implements slog.Handler.
func (l operatorLog) WithGroup(name string) slog.Handler {
	return newestLog.Load().Handler().WithGroup(name)
}
