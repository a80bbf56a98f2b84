// The check of a session_key.

package wechat

import (
	"context"
	"errors"
	"net/http"
	"net/url"
)

// CheckSession asks WeChat whether sessionKey is still the valid one of the user. A later wx.login
// may have replaced it, and WeChat gives it no expiry.
//
// No answer is not a no: a network failure, a quota or a refused access token is an error.
//
// https://developers.weixin.qq.com/miniprogram/dev/server/API/user-login/api_checksessionkey.html
func (c *Client) CheckSession(ctx context.Context, openid, sessionKey string) (valid bool, err error) {
	if err := checkOpenID(OpCheckSession, openid); err != nil {
		return false, err
	}
	if sessionKey == "" {
		return false, &Error{Op: OpCheckSession, Class: ClassConfig, Reason: "no session_key given; WeChat was not asked"}
	}

	a, err := c.business(ctx, request{
		op:     OpCheckSession,
		method: http.MethodGet,
		path:   "/wxa/checksession",
		query:  url.Values{"openid": {openid}, "signature": {SignUser(sessionKey, "")}, "sig_method": {"hmac_sha256"}},
	})
	switch e, refused := errors.AsType[*Error](err); {
	case refused && (e.Code == codeNoSession || e.Code == codeOtherSession):
		return false, nil
	case err != nil:
		return false, err
	case !a.has("errcode"):
		// Elsewhere a success may come without an errcode, but brings something else. Here "0" is
		// all that says yes.
		return false, badAnswer(OpCheckSession, "errcode is missing")
	}
	return true, nil
}
