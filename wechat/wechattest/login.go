// code2Session.

package wechattest

import (
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
)

// login answers code2Session, see
// https://developers.weixin.qq.com/miniprogram/dev/server/API/user-login/api_code2session
func (s *Server) login(q *request) answer {
	if q.http.Method != http.MethodGet {
		return s.fail(errAppIDMissing) // a POST is told so, the parameters being looked for in the query
	}
	a, refusal := s.authenticate(q, q.query.Get("appid"), q.query.Get("secret"))
	if refusal != nil {
		return *refusal
	}
	value := q.query.Get("js_code")
	if value == "" {
		return s.fail(errCodeMissing)
	}
	if q.query.Get("grant_type") != "authorization_code" {
		return s.fail(errGrantType)
	}

	c, ok := s.anyCode(a, value, loginKind)
	if !ok || c.user.AppID != a.ID {
		return s.fail(errInvalidCode)
	}
	if !s.quotas.take(s.now(), Login, c.user.OpenID) {
		return s.fail(errMinuteQuota)
	}
	if c.used {
		return s.fail(errCodeUsed)
	}
	if c.user.blocked {
		return s.fail(errCodeBlocked)
	}
	c.used = true

	body := map[string]any{"openid": c.user.OpenID, "session_key": c.key}
	if c.user.UnionID != "" {
		body["unionid"] = c.user.UnionID
	}
	return answer{body: body}
}

// authenticate checks the AppID and AppSecret of a call, and where it comes
// from. The whitelist comes before the secret: it shields it from guessing.
func (s *Server) authenticate(q *request, appid, secret string) (*app, *answer) {
	refuse := func(code int) (*app, *answer) {
		a := s.fail(code)
		return nil, &a
	}
	if appid == "" {
		return refuse(errAppIDMissing)
	}
	if secret == "" {
		return refuse(errSecretMissing)
	}
	a, ok := s.apps[appid]
	if !ok {
		return refuse(errInvalidAppID)
	}
	if ip := callerIP(q.http); len(a.AllowIPs) > 0 && !slices.Contains(a.AllowIPs, ip) {
		refusal := s.ipRefused(ip)
		return nil, &refusal
	}
	if secret != a.Secret {
		return refuse(errInvalidSecret)
	}
	return a, nil
}

// ipRefused has the one message operators need to read, so its form is fixed.
func (s *Server) ipRefused(ip string) answer {
	v6 := ip
	if !strings.Contains(ip, ":") {
		v6 = "::ffff:" + ip
	}
	msg := fmt.Sprintf("invalid ip %s ipv6 %s, not in whitelist rid: %s", ip, v6, s.rid())
	return answer{code: errIPNotAllowed, body: map[string]any{"errcode": errIPNotAllowed, "errmsg": msg}}
}

func callerIP(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}
