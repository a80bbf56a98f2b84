// checkSessionKey.

package wechattest

import "net/http"

// checkSession answers checkSessionKey, see
// https://developers.weixin.qq.com/miniprogram/dev/server/API/user-login/api_checksessionkey
func (s *Server) checkSession(q *request) answer {
	if q.http.Method != http.MethodGet {
		return s.fail(errInvalidArgs) // the parameters are looked for in the query
	}
	a, refusal := s.checkToken(q)
	if refusal != nil {
		return *refusal
	}
	if !s.quotas.take(s.now(), CheckSession, a.ID) {
		return s.fail(errMinuteQuota)
	}
	u, refusal := s.userOf(a, q.query.Get("openid"))
	if refusal != nil {
		return *refusal
	}
	if q.query.Get("sig_method") != "hmac_sha256" {
		return s.fail(errSigMethod)
	}
	if len(u.sessionKeys) == 0 {
		return s.fail(errNoSessionKey)
	}
	if u.signedBy(nil, q.query.Get("signature")) != 0 {
		return s.fail(errSignature)
	}
	return answer{body: map[string]any{"errcode": 0, "errmsg": "ok"}}
}

// userOf finds the user that a call to an app names.
func (s *Server) userOf(a *app, openid string) (*User, *answer) {
	u, ok := s.users[openid]
	switch {
	case !ok:
		refusal := s.fail(errInvalidOpenID)
		return nil, &refusal
	case u.AppID != a.ID:
		refusal := s.fail(errOtherApp)
		return nil, &refusal
	}
	return u, nil
}
