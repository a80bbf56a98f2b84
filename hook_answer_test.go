// Answers of hooks, and none.

package wechatauth_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// What a hook says besides yes and no is an error, and on_error decides.
func TestHookErrors(t *testing.T) {
	t.Parallel()
	elsewhere := newBackend(t, says(`{"allow":true,"claims":{"role":"admin"}}`))
	huge := `{"allow":true,"reason":"` + strings.Repeat("x", 70_000) + `"}`
	tests := []struct {
		name   string
		answer http.HandlerFunc
	}{
		{"status 500", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, `{"allow":true}`, 500) }},
		{"status 204", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }},
		{"redirect", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.url, http.StatusTemporaryRedirect)
		}},
		{"empty", says("")},
		{"not JSON", says("allow")},
		{"not an object", says("true")},
		{"no allow", says(`{"reason":"x"}`)},
		{"allow is text", says(`{"allow":"true"}`)},
		{"allow twice", says(`{"allow":true,"allow":true}`)},
		{"trailing data", says(`{"allow":true}{"allow":true}`)},
		{"byte order mark", says("\ufeff" + `{"allow":true}`)},
		{"Allow", says(`{"Allow":true}`)},
		{"status 401", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(401) }},
		{"allow is null", says(`{"allow":null}`)},
		{"claims are a list", says(`{"allow":true,"claims":["role"]}`)},
		{"claims are too large", says(`{"allow":true,"claims":{"a":"` + strings.Repeat("x", 5000) + `"}}`)},
		{"claims are too deep", says(`{"allow":true,"claims":{"a":` + strings.Repeat("[", 1000) + strings.Repeat("]", 1000) + `}}`)},
		{"too large", says(huge)},
		{"too slow", func(_ http.ResponseWriter, r *http.Request) {
			select {
			case <-r.Context().Done():
			case <-time.After(10 * time.Second):
			}
		}},
		{"cut off", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, `{"allow":true}`)
			panic(http.ErrAbortHandler)
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := newBackend(t, test.answer)
			denies, allows := newSite(t, b.option("timeout 300ms")), newSite(t, b.option("timeout 300ms", "on_error allow"))
			a := denies.login("code", denies.fake.LoginCode(denies.fake.NewUser(denies.appID)))
			want(t, a, 403, "denied")
			if strings.Contains(string(a.body), b.url) || strings.Contains(string(a.body), hookSecret) {
				t.Errorf("got %s, which tells about the hook", a.body)
			}
			a = allows.login("code", allows.fake.LoginCode(allows.fake.NewUser(allows.appID)))
			want(t, a, 200, "")
			if c := claims(t, a.text("access_token")); c["role"] != nil {
				t.Errorf("got claims %v, want none of a redirect's", c)
			}
		})
	}
	if n := len(elsewhere.events()); n != 0 {
		t.Errorf("a redirect was followed %d times", n)
	}
}

// A hook that decided against a user was asked and did answer: on_error allow, which is for a hook
// that is away, must not let the user in because the answer is badly written.
// Threats: F05.
func TestHookSaysNoBadly(t *testing.T) {
	t.Parallel()
	status := func(code int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(code)
			_, _ = io.WriteString(w, body)
		}
	}
	tests := []struct {
		name   string
		answer http.HandlerFunc
	}{
		{"PHP's empty array", says(`{"allow":false,"claims":[]}`)},
		{"claims are a list", says(`{"allow":false,"claims":["role"]}`)},
		{"claims are text", says(`{"allow":false,"claims":"none"}`)},
		{"claims are too deep", says(`{"allow":false,"claims":{"a":` + strings.Repeat("[", 1000) + strings.Repeat("]", 1000) + `}}`)},
		{"reason is a number", says(`{"allow":false,"reason":7}`)},
		{"no and yes", says(`{"allow":false,"allow":true}`)},
		{"yes and no", says(`{"allow":true,"allow":false}`)},
		{"yes and No", says(`{"allow":true,"Allow":false}`)},
		{"capitals", says(`{"ALLOW":false}`)},
		{"text", says(`{"allow":"false"}`)},
		{"Python's", says(`{"allow": False}`)},
		{"zero", says(`{"allow":0}`)},
		{"a word", says(`{"allow":"deny"}`)},
		{"Python's object", says(`{'allow': False}`)},
		{"Python's object with text", says(`{'allow': 'no'}`)},
		{"a name without quotation marks", says(`{allow: false}`)},
		{"a form", says(`user=o1&allow=false`)},
		{"PHP's false as text", says(`{"allow":""}`)},
		{"escaped name", says(`{"\u0061llow":false,"claims":[1]}`)},
		{"byte order mark", says("\ufeff" + `{"allow":false}`)},
		{"trailing data", says(`{"allow":false}{"allow":true}`)},
		{"a warning in front", says("<br />Warning: x<br />" + `{"allow":false}`)},
		{"broken after", says(`{"allow":false,"reason":"a"b"}`)},
		{"not UTF-8", says("{\"allow\":false,\"reason\":\"\xff\"}")},
		{"in a wrapper", says(`{"code":0,"data":{"allow":false}}`)},
		{"too large", says(`{"allow":false,"reason":"` + strings.Repeat("x", 70_000) + `"}`)},
		{"cut off", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, `{"allow":false,`)
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}},
		{"status 403", status(403, "")},
		{"status 401 with a no", status(401, `{"allow":false}`)},
		{"status 500 with a no", status(500, `{"allow":false}`)},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, newBackend(t, test.answer).option("on_error allow"))
			want(t, s.login("code", s.fake.LoginCode(s.fake.NewUser(s.appID))), 403, "denied")
		})
	}
}

// What looks like a no in another place is none.
func TestHookSaysYes(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		`{"allow":true,"claims":[]}`,
		`{"allow":true,"claims":[ ]}`,
		`{"allow":true,"claims":{"allow":false}}`,
		`{"allow":true,"reason":"say \"allow\":false"}`,
		`{"allow":true,"reason":null,"data":{"allow":false}}`,
	} {
		s := newSite(t, newBackend(t, says(text)).option())
		a := s.login("code", s.fake.LoginCode(s.fake.NewUser(s.appID)))
		if want(t, a, 200, ""); a.status != 200 {
			t.Errorf("the answer was %s", text)
		}
	}
}

// An address with a user is sent as Basic authentication, and the password is what the placeholder
// stands for.
func TestHookWithPassword(t *testing.T) {
	t.Setenv("HOOK_PASSWORD", "p/w@#%2F:?")
	b := newBackend(t, func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		if user != "u" || password != "p/w@#%2F:?" {
			t.Errorf("got user %q, password %q", user, password)
		}
		says(`{"allow":true}`)(w, r)
	})
	b.url = strings.Replace(b.url, "http://", "http://u:{env.HOOK_PASSWORD}@", 1)
	s := newSite(t, b.option())
	want(t, s.login("code", s.fake.LoginCode(s.fake.NewUser(s.appID))), 200, "")
}

func TestHookAway(t *testing.T) {
	t.Parallel()
	s := newSite(t, "hook http://127.0.0.1:1/hook {\nsecret "+hookSecret+"\n}")
	want(t, s.login("code", s.fake.LoginCode(s.fake.NewUser(s.appID))), 403, "denied")
}

// A reason that could pose as something else in a terminal or an app is not passed on.
func TestHookReasonIsPlain(t *testing.T) {
	t.Parallel()
	for _, reason := range []string{"a\\nb", "a\\u202eb", strings.Repeat("x", 201)} {
		b := newBackend(t, says(`{"allow":false,"reason":"`+reason+`"}`))
		s := newSite(t, b.option())
		a := s.login("code", s.fake.LoginCode(s.fake.NewUser(s.appID)))
		want(t, a, 403, "denied")
		if strings.Contains(string(a.body), reason) {
			t.Errorf("got %s, want another description", a.body)
		}
	}
}
