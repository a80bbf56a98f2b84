// Faults of this module itself.

package wechatauth_test

import (
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth"
)

// A shared exchange runs in a goroutine of its own, where nothing of net/http recovers: a fault there must
// cost its requests, and not the process with all sites.
func TestPanicInSharedExchangeIsAnAnswer(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	code := s.fake.LoginCode(s.fake.NewUser(s.appID))
	before := wechatauth.InternalErrors(t)
	s.handler.SetNow(func() time.Time { panic("13800138000") })
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
	s.handler.SetNow(time.Now)
	want(t, s.login("code", code), 200, "")
}

// The cause names the place and quotes nothing that was worked on.
func TestPanicIsLoggedWithoutData(t *testing.T) {
	t.Parallel()
	for _, value := range []any{"13800138000", errors.New("13800138000"), struct{ phone string }{"13800138000"}} {
		if got := wechatauth.PanicText(value); strings.Contains(got, "13800138000") || !strings.Contains(got, "PanicText") {
			t.Errorf("got %s, want a stack without the value", got)
		}
	}
	var none map[string]int
	defer func() {
		if got := wechatauth.PanicText(recover()); !strings.Contains(got, "nil map") {
			t.Errorf("got %s, want the runtime's reason", got)
		}
	}()
	none["x"] = 1
}
