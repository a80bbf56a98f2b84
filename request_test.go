// Bodies as clients send them.

package wechatauth_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/wechat/wechattest"
)

// curl -d sends JSON as a form, and libraries of mini programs say what they like. The body tells
// what it is.
func TestJSONIsReadWhateverItsContentType(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, contentType := range []string{"application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain", "image/jpeg", ";", ""} {
		code := s.fake.LoginCode(s.fake.NewUser(s.appID))
		want(t, s.do("POST", "/auth/login", "", "\r\n "+object("code", code), "Content-Type", contentType), 200, "")
		want(t, s.do("POST", "/auth/login", "", `{"code":1}`, "Content-Type", contentType), 400, "invalid_request")
	}
}

func TestDayQuotaIsRetriedAtMidnightInBeijing(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	u := s.fake.NewUser(s.appID)
	token := s.token(u)
	s.fake.Fail(wechattest.Phone, 1, wechattest.ErrCode(45009))
	a := s.phone(token, s.fake.PhoneCode(u, "13800138000"))
	want(t, a, 429, "rate_limited")
	midnight := time.Now().Add(8 * time.Hour).Truncate(24 * time.Hour).Add(16 * time.Hour)
	wanted := int(time.Until(midnight).Seconds())
	if got, err := strconv.Atoi(a.header.Get("Retry-After")); err != nil || got < wanted || got > wanted+60 {
		t.Errorf("Retry-After: got %q, want %d or a little more", a.header.Get("Retry-After"), wanted)
	}
}
