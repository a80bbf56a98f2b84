// The spans of a request's calls.

package wechatauth_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

// Behind a traced request, the calls to WeChat, the store and the hook are its children, and have
// nothing of the user.
func TestCallsAreSpans(t *testing.T) {
	t.Parallel()
	b := newBackend(t, says(`{"allow":true}`))
	s := newSite(t, b.option())
	u := s.fake.NewUser(s.appID)
	recorder := tracetest.NewSpanRecorder()
	tracer := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder)).Tracer("test")
	code, phone := s.fake.LoginCode(u), s.fake.PhoneCode(u, "13800138000")
	ctx, root := tracer.Start(t.Context(), "request")
	r := httptest.NewRequest(http.MethodPost, "/auth/login", strings.NewReader(object("code", code, "phone_code", phone))).WithContext(ctx)
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	s.serve(w, r)
	root.End()
	if w.Code != 200 {
		t.Fatalf("got %d %s, want 200", w.Code, w.Body)
	}

	var names []string
	for _, span := range recorder.Ended() {
		names = append(names, span.Name())
		if span.Name() != "request" && span.Parent().SpanID() != root.SpanContext().SpanID() {
			t.Errorf("%s is no child of the request", span.Name())
		}
		text := fmt.Sprint(span.Name(), span.Attributes(), span.Events(), span.Status())
		for _, private := range []string{u.OpenID, u.UnionID, "13800138000", code, phone, testSecret, hookSecret, b.url} {
			if strings.Contains(text, private) {
				t.Errorf("%s is in %s", private, text)
			}
		}
	}
	for _, want := range []string{
		"wechat_auth wechat jscode2session", "wechat_auth wechat getuserphonenumber", "wechat_auth store login", "wechat_auth hook login",
	} {
		if !slices.Contains(names, want) {
			t.Errorf("got spans %q, want %s", names, want)
		}
	}
}
