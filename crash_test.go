// Faults of this module itself.

package wechatauth_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/caddy-wechat/wechatauth"
)

// A shared exchange runs in a goroutine of its own, where nothing of net/http recovers: a fault
// there must cost its requests, and not the process with all sites.
// Threats: F18.
func TestPanicInSharedExchangeIsAnAnswer(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	code := s.fake.LoginCode(s.fake.NewUser(s.appID))
	before := wechatauth.InternalErrors(t)
	s.broken.Store(true)
	var group sync.WaitGroup
	for range 5 {
		group.Go(func() {
			a := s.login("code", code)
			want(t, a, http.StatusInternalServerError, "internal")
			if strings.Contains(string(a.body), "13800138000") || a.header.Get("Cache-Control") != "no-store" {
				t.Errorf("got %s and header %v", a.body, a.header)
			}
		})
	}
	group.Wait()
	if got := wechatauth.InternalErrors(t) - before; got != 5 {
		t.Errorf("got %v internal errors counted, want 5", got)
	}

	// Nothing is left locked.
	s.broken.Store(false)
	want(t, s.login("code", code), 200, "")
}
