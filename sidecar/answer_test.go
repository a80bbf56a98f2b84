// What tokens say of a user.

package sidecar

import (
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/session"
)

// A number that was imported may be known without ever having been proven here.
func TestAPhoneIsVerifiedIfWeChatGaveIt(t *testing.T) {
	t.Parallel()
	s := newTestSite(t)
	a := answers{tokens: s.tokens, base: "/auth"}
	id := session.UserID{AppID: testAppID, OpenID: "o1"}
	for name, test := range map[string]struct {
		user session.User
		want bool
	}{
		"none":     {session.User{UserID: id}, false},
		"known":    {session.User{UserID: id, Phone: "13800138000", PhoneNumber: "+8613800138000"}, false},
		"verified": {session.User{UserID: id, Phone: "13800138000", PhoneNumber: "+8613800138000", PhoneVerified: time.Now()}, true},
	} {
		made, _ := session.New(id, s.tokens.mark, time.Now())
		got, err := a.token(t.Context(), test.user, made.SID, nil, false)
		if err != nil {
			t.Fatal(err)
		}
		claims, err := s.tokens.verify(got.AccessToken)
		if err != nil || claims.PhoneNumberVerified != test.want || claims.Phone != test.user.Phone {
			t.Errorf("%s: got %+v, %v, want verified %t", name, claims, err, test.want)
		}
	}
}
