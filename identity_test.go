package wechatauth

import (
	"net/http"
	"strings"
	"testing"
)

func TestHeaderValue(t *testing.T) {
	t.Parallel()
	for value, want := range map[any]string{
		"plain":     "plain",
		"张三":        "%E5%BC%A0%E4%B8%89",
		"a\r\nX: y": "a%0D%0AX:%20y",
		"100%":      "100%25",
		"":          "",
		int64(12):   "12",
		true:        "true",
	} {
		if got := headerValue(value); got != want {
			t.Errorf("%v: got %q, want %q", value, got, want)
		}
	}
	if got := headerValue([]any{"a", 1}); got != `["a",1]` {
		t.Errorf("list: got %q", got)
	}
}

func TestHeaderNamesThatServersReadTwoWaysAreRefused(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"", "X_User", "X.User", "X User", "X-Üser", "X:User", "Connection", "content-length", "AUTHORIZATION"} {
		if _, err := newIdentity("", []*Header{{Name: name, Claim: "openid"}}); err == nil {
			t.Errorf("%q: got no error", name)
		}
	}
	id, err := newIdentity("", []*Header{{Name: "x-user-id", Claim: "openid"}})
	if err != nil || id.extra[0].Name != "X-User-Id" {
		t.Errorf("got %v, %v, want the canonical name", id.extra, err)
	}
}

// Whatever the client calls its header, no upstream may read it as one of ours.
func FuzzHeaderFold(f *testing.F) {
	for _, seed := range []string{"X-WX-OPENID", "x_wx_openid", "X.Wx-Phone", "X-User-Id", "X_USER.ID", "X-Wx", "Connection"} {
		f.Add(seed, "v")
	}
	id, err := newIdentity("", []*Header{{Name: "X-User-Id", Claim: "openid"}})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, name, value string) {
		r := &http.Request{
			Header:  http.Header{name: {value, "second"}, "Connection": {"close, " + name, name}},
			Trailer: http.Header{name: {value}},
		}
		id.strip(r)
		folded := strings.NewReplacer("_", "-", ".", "-").Replace(strings.ToLower(name))
		if !strings.HasPrefix(folded, "x-wx-") && folded != "x-user-id" {
			return
		}
		if r.Header[name] != nil || r.Trailer[name] != nil {
			t.Errorf("%q survived", name)
		}
		if strings.Contains(strings.Join(r.Header["Connection"], ","), strings.TrimSpace(name)) {
			t.Errorf("Connection still names %q: %q", name, r.Header["Connection"])
		}
	})
}
