// Spans of the calls to WeChat, the store and the hook.

package wechatauth

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	oteltrace "go.opentelemetry.io/otel/trace"
)

const tracerName = "github.com/caddy-wechat/wechatauth"

// trace adds a call that is over to the trace of its request, where Caddy's tracing directive made
// one that is recorded. The names are the program's own: a span has nothing of a user.
func trace(ctx context.Context, service, call, result string, began time.Time) {
	parent := oteltrace.SpanFromContext(ctx)
	if !parent.IsRecording() {
		return
	}
	_, span := parent.TracerProvider().Tracer(tracerName).Start(ctx, "wechat_auth "+service+" "+call,
		oteltrace.WithTimestamp(began), oteltrace.WithSpanKind(oteltrace.SpanKindClient),
		oteltrace.WithAttributes(attribute.String("wechat_auth.result", result)))
	span.End()
}
