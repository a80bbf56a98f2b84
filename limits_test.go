// Limits as a client sees them.

package wechatauth_test

import (
	"testing"
	"time"
)

// Threats: F17.
func TestOneSessionsRefreshesAreLimited(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	token := s.login("code", s.fake.LoginCode(s.fake.NewUser(s.appID))).text("refresh_token")
	for i := range 61 {
		a := s.refresh(token)
		switch {
		case i < 60:
			want(t, a, 200, "")
			token = a.text("refresh_token")
		case a.status != 429 || a.header.Get("Retry-After") == "":
			t.Errorf("got %d %s, want 429 with Retry-After", a.status, a.body)
		}
	}
	s.advance(time.Minute)
	want(t, s.refresh(token), 200, "") // nothing was lost
}
