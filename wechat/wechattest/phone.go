// getPhoneNumber.

package wechattest

import (
	"bytes"
	"net/http"
	"strconv"
)

// phone answers getPhoneNumber, see
// https://developers.weixin.qq.com/miniprogram/dev/server/API/user-info/phone-number/api_getphonenumber
func (s *Server) phone(q *request) answer {
	if q.http.Method != http.MethodPost {
		return s.fail(errPostRequired)
	}
	a, refusal := s.checkToken(q)
	if refusal != nil {
		return *refusal
	}
	if refusal := s.wantJSON(q); refusal != nil {
		return *refusal
	}
	if !s.quotas.take(s.now(), Phone, a.ID) {
		return s.fail(errMinuteQuota)
	}
	value, ok := q.text("code")
	openid, okID := q.text("openid")
	if !ok || !okID {
		return s.fail(errMalformedInput)
	}
	if value == "" {
		return s.fail(errCodeMissing)
	}

	c, ok := s.anyCode(a, value, phoneKind)
	if !ok || c.used {
		return s.fail(errInvalidCode)
	}
	if c.user.AppID != a.ID {
		return s.fail(errInvalidAppID)
	}
	if openid != "" && openid != c.user.OpenID {
		return s.fail(s.mismatch)
	}
	c.used = true

	return answer{body: map[string]any{
		"errcode":    0,
		"errmsg":     "ok",
		"phone_info": s.phoneInfo(c),
	}}
}

// phoneInfo describes the number that the user handed out with a code.
func (s *Server) phoneInfo(c *code) map[string]any {
	return map[string]any{
		"phoneNumber":     c.number.full(),
		"purePhoneNumber": c.number.pure,
		"countryCode":     s.countryCode(c.number.country),
		"watermark": map[string]any{
			"timestamp": c.made.Unix(), // when the user agreed, not when we asked
			"appid":     c.user.AppID,
		},
	}
}

// countryCode takes turns: real answers carry a string, the documentation's example a number.
func (s *Server) countryCode(country string) any {
	number, err := strconv.Atoi(country)
	if err != nil {
		panic("wechattest: " + err.Error()) // the pattern of phone numbers lets digits through only
	}
	return turn[any](&s.turns.countryCode, country, country, country, number)
}

// SetOpenIDMismatch sets the errcode for a phone code that belongs to another user than the openid
// sent with it. WeChat does not document it; the default is 40029.
func (s *Server) SetOpenIDMismatch(errcode int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mismatch = errcode
}

// wantJSON checks method and body of the calls that take a JSON object.
func (s *Server) wantJSON(q *request) *answer {
	var a answer
	switch {
	case q.http.Method != http.MethodPost:
		a = s.fail(errPostRequired)
	case len(bytes.TrimSpace(q.body)) == 0:
		a = s.fail(errEmptyBody)
	case q.json == nil:
		a = s.fail(errMalformedInput)
	default:
		return nil
	}
	return &a
}
