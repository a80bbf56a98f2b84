// The hook at refresh: a ban and a change of roles arrive within one life of an access token.

package wechatauth_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestHookIsAskedAtRefresh(t *testing.T) {
	t.Parallel()
	b := newBackend(t, says(`{"allow":true,"claims":{"role":"admin"}}`))
	s := newSite(t, b.option())
	u := s.fake.NewUser(s.appID)
	a := s.login("code", s.fake.LoginCode(u), "phone_code", s.fake.PhoneCode(u, "13800138000"))
	want(t, a, 200, "")
	for _, row := range []struct{ name, answer, role string }{
		{"another role", `{"allow":true,"claims":{"role":"clerk"}}`, "clerk"},
		{"no claims", `{"allow":true}`, "<nil>"},
		{"a role again", `{"allow":true,"claims":{"role":"boss"}}`, "boss"},
		{"empty claims", `{"allow":true,"claims":{}}`, "<nil>"},
	} {
		b.then(says(row.answer))
		s.advance(time.Minute)
		a = s.refresh(a.text("refresh_token"))
		want(t, a, 200, "")
		if got := fmt.Sprint(claims(t, a.text("access_token"))["role"]); got != row.role {
			t.Errorf("%s: got role %s, want %s", row.name, got, row.role)
		}
		// The role is the session's from now on.
		edited := s.do("POST", "/auth/profile", a.text("access_token"), object("nickname", "n"))
		if got := fmt.Sprint(claims(t, edited.text("access_token"))["role"]); got != row.role {
			t.Errorf("%s: after a change of the profile: got role %s, want %s", row.name, got, row.role)
		}
	}
	asked := b.events()
	if got := asked[len(asked)-1]; got["event"] != "refresh" || got["openid"] != u.OpenID || got["phone"] != "13800138000" || got["new"] != false {
		t.Errorf("got question %v", got)
	}
}

// A banned user holds a refresh token for half a year.
// Threats: F06.
func TestHookEndsASessionAtRefresh(t *testing.T) {
	t.Parallel()
	b := newBackend(t, says(`{"allow":true}`))
	s := newSite(t, b.option())
	u := s.fake.NewUser(s.appID)
	a, other := s.login("code", s.fake.LoginCode(u)), s.login("code", s.fake.LoginCode(u))
	b.then(says(`{"allow":false,"reason":"账号已封禁"}`))
	refused := s.refresh(a.text("refresh_token"))
	want(t, refused, 403, "denied")
	if got := refused.text("error_description"); got != "账号已封禁" {
		t.Errorf("got %q, want the hook's reason", got)
	}
	want(t, s.do("GET", "/", a.text("access_token"), ""), 401, "session_revoked")
	b.then(says(`{"allow":true}`))
	want(t, s.refresh(a.text("refresh_token")), 401, "refresh_invalid")
	want(t, s.refresh(other.text("refresh_token")), 200, "") // that one was not asked about
}

// The hook is away: nobody is logged out for it.
func TestHookThatIsAwayAtRefresh(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		onError string
		status  int
		code    string
	}{
		"deny":  {"deny", 503, "hook_unavailable"},
		"allow": {"allow", 200, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBackend(t, says(`{"allow":true,"claims":{"role":"admin"}}`))
			s := newSite(t, b.option("on_error "+row.onError))
			a := s.login("code", s.fake.LoginCode(s.fake.NewUser(s.appID)))
			b.then(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
			got := s.refresh(a.text("refresh_token"))
			want(t, got, row.status, row.code)
			if row.status == 503 {
				if got.header.Get("Retry-After") == "" {
					t.Error("got no Retry-After")
				}
				if got := s.do("GET", "/", a.text("access_token"), "").status; got != 200 {
					t.Errorf("the access token: got %d, want 200", got)
				}
				b.then(says(`{"allow":true,"claims":{"role":"admin"}}`))
				s.advance(time.Minute) // past the grace time: the token was not spent
				got = s.refresh(a.text("refresh_token"))
				want(t, got, 200, "")
			}
			if role := claims(t, got.text("access_token"))["role"]; role != "admin" {
				t.Errorf("got role %v, want admin", role)
			}
		})
	}
}

// Ten requests of a mini program find the token expired and refresh at once.
func TestHookIsAskedOnceForOneToken(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	b := newBackend(t, func(w http.ResponseWriter, r *http.Request) {
		if asked.Add(1) > 1 {
			time.Sleep(100 * time.Millisecond) //nolint:forbidigo // the hook takes its time
		}
		says(`{"allow":true}`)(w, r)
	})
	s := newSite(t, b.option())
	token := s.login("code", s.fake.LoginCode(s.fake.NewUser(s.appID))).text("refresh_token")
	var wg sync.WaitGroup
	next := make([]string, 10)
	for i := range next {
		wg.Go(func() { next[i] = s.refresh(token).text("refresh_token") })
	}
	wg.Wait()
	for _, got := range next {
		if got != next[0] || got == "" {
			t.Errorf("got successor %q, want %q", got, next[0])
		}
	}
	if got := asked.Load(); got > 3 {
		t.Errorf("got %d questions for ten refreshes at once, want about two", got)
	}
}

// A token that can't be used asks nobody anything.
func TestHookIsNotAskedForRubbish(t *testing.T) {
	t.Parallel()
	b := newBackend(t, says(`{"allow":true}`))
	s := newSite(t, b.option(), "session {\nidle 1h\n}")
	a := s.login("code", s.fake.LoginCode(s.fake.NewUser(s.appID)))
	asked := len(b.events())
	s.advance(2 * time.Hour)
	want(t, s.refresh(a.text("refresh_token")), 401, "refresh_invalid")
	want(t, s.refresh("rubbish"), 401, "refresh_invalid")
	if got := len(b.events()); got != asked {
		t.Errorf("got %d more questions, want none", got-asked)
	}
}

// A demoted clerk taps the phone button just before the refresh that takes the role away: WeChat
// and the hook take their time, and the answer must not bring the role back.
func TestPhoneUnderWayBringsNoRoleBack(t *testing.T) {
	t.Parallel()
	b := newBackend(t, says(`{"allow":true,"claims":{"role":"admin"}}`))
	s := newSite(t, b.option())
	u := s.fake.NewUser(s.appID)
	a := s.login("code", s.fake.LoginCode(u))
	want(t, a, 200, "")
	b.then(func(w http.ResponseWriter, r *http.Request) {
		b.then(says(`{"allow":true,"claims":{"role":"clerk"}}`))
		want(t, s.refresh(a.text("refresh_token")), 200, "") //nolint:contextcheck // a request of its own
		b.then(says(`{"allow":true,"claims":{"level":7}}`))
		says(`{"allow":true,"claims":{"level":7}}`)(w, r)
	})
	phone := s.do("POST", "/auth/phone", a.text("access_token"), object("code", s.fake.PhoneCode(u, "13800138000")))
	want(t, phone, 200, "")
	edited := s.do("POST", "/auth/profile", a.text("access_token"), object("nickname", "n"))
	want(t, edited, 200, "")
	for name, got := range map[string]answer{"the phone's answer": phone, "the session": edited} {
		if c := claims(t, got.text("access_token")); c["role"] != "clerk" || c["level"] != 7.0 || c["phone"] != "13800138000" {
			t.Errorf("%s: got %v, want role clerk, level 7 and the phone", name, c)
		}
	}
}

// Something between a hook and Caddy, a firewall or a server that restarts, ends connections that
// rest. That is not the hook's no: the question is asked again on a new one.
func TestHookIsAskedAgainWhenAConnectionFromBeforeIsDead(t *testing.T) {
	t.Parallel()
	type used struct{}
	var dead atomic.Int64
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !r.Context().Value(used{}).(*atomic.Bool).Swap(true) {
			_, _ = io.WriteString(w, `{"allow":true}`)
			return
		}
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		dead.Add(1)
		_ = conn.(*net.TCPConn).SetLinger(0) // it ends with a reset
		_ = conn.Close()
	}))
	server.Config.ConnContext = func(ctx context.Context, _ net.Conn) context.Context {
		return context.WithValue(ctx, used{}, new(atomic.Bool))
	}
	server.Start()
	t.Cleanup(server.Close)
	s := newSite(t, (&backend{url: server.URL}).option())
	u := s.fake.NewUser(s.appID)
	for range 3 {
		a := s.login("code", s.fake.LoginCode(u))
		want(t, a, 200, "")
		want(t, s.refresh(a.text("refresh_token")), 200, "")
	}
	if dead.Load() == 0 {
		t.Error("no connection was dead")
	}
}
