//go:build unix

// Caddy's tracing directive with its real exporter.

package e2e_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	trace "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// spanReceiver takes spans as OTLP over HTTP, as an OpenTelemetry collector does.
type spanReceiver struct {
	url   string
	mu    sync.Mutex
	spans []*trace.Span
	raw   []byte
	err   error
}

func newSpanReceiver(t *testing.T) *spanReceiver {
	t.Helper()
	r := new(spanReceiver)
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	r.url = server.URL
	return r
}

func (r *spanReceiver) ServeHTTP(_ http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	var export collector.ExportTraceServiceRequest
	if err == nil {
		err = proto.Unmarshal(body, &export)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		r.err = err
	}
	r.raw = append(r.raw, body...)
	for _, resource := range export.GetResourceSpans() {
		for _, scope := range resource.GetScopeSpans() {
			r.spans = append(r.spans, scope.GetSpans()...)
		}
	}
}

// children returns the names of the spans below those of a name, sorted.
func (r *spanReceiver) children(of string) (names []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, parent := range r.spans {
		for _, span := range r.spans {
			if parent.GetName() == of && bytes.Equal(span.GetParentSpanId(), parent.GetSpanId()) &&
				bytes.Equal(span.GetTraceId(), parent.GetTraceId()) {
				names = append(names, span.GetName())
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Behind Caddy's tracing, the calls to WeChat, the store and the hook are children of the request's
// span, and what leaves Caddy has nothing of a user, not even what the client sent.
func TestSpansLeaveCaddyWithoutPersonalData(t *testing.T) {
	receiver := newSpanReceiver(t)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
	t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"allow":true}`)
	}))
	t.Cleanup(hook.Close)
	w := newWorld(t)
	n := w.newNode("hook "+hook.URL+" {\nsecret "+hookSecret+"\n}", "token_from query t")
	n.backend = "tracing {\nspan request\n}"
	n.start()

	const phone = "13800138000"
	u := w.fake.NewUser(appID)
	code, phoneCode := w.fake.LoginCode(u), w.fake.PhoneCode(u, phone)
	login := n.post("/auth/login", "", "code", code, "phone_code", phoneCode)
	want(t, "login", login, 200, "")
	next := n.refresh(login.refresh())
	want(t, "refresh", next, 200, "")
	if got := n.get("/?t="+next.access(), ""); got.status != 200 {
		t.Errorf("a request with a token in the query: got %s, want 200", got)
	}
	want(t, "logout", n.logout(next.access()), 204, "")

	for _, name := range []string{
		"wechat_auth hook login", "wechat_auth hook refresh", "wechat_auth store login", "wechat_auth store refresh",
		"wechat_auth wechat getuserphonenumber", "wechat_auth wechat jscode2session",
	} {
		eventually(t, name+" below the request's span", func() bool { return slices.Contains(receiver.children("request"), name) })
	}
	n.stop() // which sends what is left
	receiver.mu.Lock()
	defer receiver.mu.Unlock()
	if receiver.err != nil {
		t.Errorf("got %v, want OTLP", receiver.err)
	}
	for what, private := range map[string]string{
		"the openid": u.OpenID, "the phone": phone, "the code": code, "the phone code": phoneCode, "the AppSecret": secret,
		"the hook's secret": hookSecret, "the hook's address": strings.TrimPrefix(hook.URL, "http://"),
		"an access token": next.access(), "a refresh token": login.refresh(),
	} {
		if bytes.Contains(receiver.raw, []byte(private)) {
			t.Errorf("%s is in what leaves Caddy", what)
		}
	}
}
