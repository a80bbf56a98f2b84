// The login code.

package wechat

import (
	"context"
	"net/http"
	"net/url"
	"strings"
)

// MaxCode bounds the length of a code. WeChat's have 32 to 64 characters.
const MaxCode = 128

// ValidCode reports whether a text may be a code of wx.login or of the phone button. Asking WeChat
// about any other is pointless.
func ValidCode(code string) bool {
	return code != "" && len(code) <= MaxCode && !strings.ContainsFunc(code, func(r rune) bool {
		return (r < '0' || '9' < r) && (r < 'A' || 'Z' < r) && (r < 'a' || 'z' < r) && r != '-' && r != '_'
	})
}

// Session identifies the user of a login code.
//
// Printing or logging it, in any way, shows none of its fields. SessionKey is left out of JSON,
// too: whoever has it can forge the data that the mini program encrypts, phone numbers included, so
// it must never travel.
type Session struct {
	redacted

	OpenID     string // the user, as this mini program knows them
	SessionKey string `json:"-"` // base64; empty when WeChat sent none
	UnionID    string // the user across the apps of one Open Platform account; empty when there is no such account
}

// Code2Session exchanges the code of wx.login. A code lives 5 minutes and works once.
//
// https://developers.weixin.qq.com/miniprogram/dev/server/API/user-login/api_code2session.html
func (c *Client) Code2Session(ctx context.Context, code string) (Session, error) {
	leave, err := c.enter(OpCode2Session)
	if err != nil {
		return Session{}, err
	}
	defer leave()
	if err := checkCode(OpCode2Session, code); err != nil {
		return Session{}, err
	}

	a, err := c.call(ctx, request{
		op:     OpCode2Session,
		method: http.MethodGet,
		path:   "/sns/jscode2session",
		// The parameters belong into the query; WeChat answers 41002 to a POST.
		query: url.Values{
			"appid":      {c.appID},
			"secret":     {c.secret},
			"js_code":    {code},
			"grant_type": {"authorization_code"},
		},
	})
	if err != nil {
		return Session{}, err
	}
	return parseSession(a)
}

// checkCode stops what cannot be a code before it fills a URL.
func checkCode(op, code string) error {
	if !ValidCode(code) {
		return &Error{Op: op, Class: ClassCode, Reason: "the code is empty, far too long, or holds strange characters; WeChat was not asked"}
	}
	return nil
}

// checkOpenID stops a call without a valid openid. WeChat checks less then: that is a bug of the
// calling program, not the client's fault.
func checkOpenID(op, openid string) error {
	if !ValidUserID(openid) {
		return &Error{Op: op, Class: ClassConfig, Reason: "no valid openid given; WeChat was not asked"}
	}
	return nil
}

func parseSession(a answer) (Session, error) {
	var s Session
	openID, ok := a.text("openid")
	if !ok || !ValidUserID(openID) {
		return Session{}, badAnswer(OpCode2Session, "openid is missing or malformed")
	}
	s.OpenID = openID

	if a.has("unionid") {
		s.UnionID, ok = a.text("unionid")
		if !ok || s.UnionID != "" && !ValidUserID(s.UnionID) {
			return Session{}, badAnswer(OpCode2Session, "unionid is malformed")
		}
	}
	if a.has("session_key") {
		s.SessionKey, ok = a.text("session_key")
		if !ok {
			return Session{}, badAnswer(OpCode2Session, "session_key is not a string")
		}
	}
	return s, nil
}
