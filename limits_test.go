// Limits as a client sees them.

package wechatauth_test

import (
	"crypto/rand"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth"
)

// Somebody holds one token and hammers: what is refused costs the store no write.
func TestLimitsComeBeforeTheStore(t *testing.T) {
	t.Parallel()
	other := newSite(t)
	s := &site{t: t, appID: other.appID, fake: other.fake, api: other.api}
	s.start(nil, func(h *wechatauth.Handler) { h.StoreRaw = []byte(`{"type":"memory","max_mib":65}`) })
	token := s.token(s.fake.NewUser(s.appID))
	writes := s.handler.CountWrites()
	for range 50 {
		s.do("POST", "/auth/phone", token, object("code", "wrong-code-"+rand.Text()))
	}
	if got := writes.Load(); got > 0 {
		t.Errorf("got %d writes for 50 phone requests of which none succeeds, want 0", got)
	}
}

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
