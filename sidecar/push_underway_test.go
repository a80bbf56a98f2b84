// Consent taken back while a request of the user is under way, at another node.

package sidecar

import (
	"net/http"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/wechat"
	"github.com/caddy-wechat/wechatauth/wechat/wechattest"
)

// underWay sends a request that waits for WeChat's answer about a phone, pushes an event meanwhile
// at another node, and returns what the request was answered.
func (s *pushSite) underWay(event func() wechattest.PushMessage, request func() (int, map[string]any)) (int, map[string]any) {
	s.t.Helper()
	other := newPushSiteOn(s.t, s)
	asked := s.fake.Count(wechattest.Phone)
	s.fake.Fail(wechattest.Phone, 1, wechattest.Delay(300*time.Millisecond))
	type answered struct {
		status int
		answer map[string]any
	}
	done := make(chan answered, 1)
	go func() {
		status, answer := request()
		done <- answered{status, answer}
	}()
	for end := time.Now().Add(20 * time.Second); s.fake.Count(wechattest.Phone) == asked && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	select {
	case <-done:
		s.t.Fatal("the request was not under way any more")
	default:
	}
	other.wantSuccess("push", other.push(event()))
	got := <-done
	return got.status, got.answer
}

func TestALoginUnderWayBringsNoPhoneBack(t *testing.T) {
	t.Parallel()
	for name, known := range map[string]bool{"a user who is known": true, "a new user": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newPushSite(t)
			u := s.fake.NewUser(testAppID)
			if known {
				s.loginAs(u)
			}
			status, answer := s.underWay(
				func() wechattest.PushMessage { return s.fake.AuthorizationEvent(u, wechat.EventRevoke, "8") },
				func() (int, map[string]any) { return s.loginAs(u) })
			if status != http.StatusOK {
				t.Fatalf("got %d %v, want the login to stand", status, answer)
			}
			s.wantNoPhone(answer)
		})
	}
}

// wantNoPhone wants neither the profile nor the next token of a session to have a phone.
func (s *pushSite) wantNoPhone(login map[string]any) {
	s.t.Helper()
	if got := s.has(text(login, "access_token"), "/auth/avatar/none"); got != "" {
		s.t.Errorf("got %q in the profile, want nothing", got)
	}
	status, fresh := s.do("POST", "/auth/refresh", "", `{"refresh_token":"`+text(login, "refresh_token")+`"}`)
	if status != http.StatusOK || text(fresh, "user", "phone") != "" {
		s.t.Errorf("refresh: got %d %v, want no phone", status, fresh)
	}
}

func TestAPhoneUnderWayIsNotKept(t *testing.T) {
	t.Parallel()
	s := newPushSite(t)
	u := s.fake.NewUser(testAppID)
	_, login := s.do("POST", "/auth/login", "", `{"code":"`+s.fake.LoginCode(u)+`"}`)
	give := func() (int, map[string]any) {
		return s.do("POST", "/auth/phone", text(login, "access_token"), `{"code":"`+s.fake.PhoneCode(u, "13800138000")+`"}`)
	}
	s.underWay(func() wechattest.PushMessage { return s.fake.AuthorizationEvent(u, wechat.EventRevoke, "8") }, give)
	s.wantNoPhone(login)
	if status, answer := give(); status != http.StatusOK || text(answer, "user", "phone") == "" {
		t.Errorf("a new tap: got %d %v, want the phone", status, answer)
	}
}

func TestALoginUnderWayOutlivesNoCancellation(t *testing.T) {
	t.Parallel()
	s := newPushSite(t)
	u := s.fake.NewUser(testAppID)
	status, answer := s.underWay(
		func() wechattest.PushMessage { return s.fake.AuthorizationEvent(u, wechat.EventCancellation, "") },
		func() (int, map[string]any) { return s.loginAs(u) })
	if status != http.StatusUnauthorized || text(answer, "error") != "session_revoked" {
		t.Errorf("got %d %v, want 401 session_revoked", status, answer)
	}
}
