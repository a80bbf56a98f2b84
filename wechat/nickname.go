// The content check of a nickname.

package wechat

import (
	"context"
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxContent is WeChat's limit, in characters.
const maxContent = 2500

// Of the fields of WeChat's content check these two never change here.
const (
	checkVersion = 2 // version 1 is no longer updated
	checkScene   = 1 // a profile
)

// CheckNickname asks WeChat's content check about a nickname. Only a nil error means that it
// passed: [ClassContent] says that WeChat finds it risky or wants a person to look at it,
// [ClassInactive] that it was not looked at.
//
// https://developers.weixin.qq.com/miniprogram/dev/server/API/sec-center/sec-check/api_msgseccheck.html
func (c *Client) CheckNickname(ctx context.Context, openid, nickname string) error {
	if err := checkOpenID(OpCheckNickname, openid); err != nil {
		return err
	}
	if !checkable(nickname) {
		return badContent("the nickname is empty, too long, or holds control characters; WeChat was not asked")
	}
	body, err := encode(struct {
		Content string `json:"content"`
		Version int    `json:"version"`
		Scene   int    `json:"scene"`
		OpenID  string `json:"openid"`
	}{nickname, checkVersion, checkScene, openid})
	if err != nil {
		return unavailable(OpCheckNickname, "the request could not be made")
	}

	a, err := c.business(ctx, request{
		op:     OpCheckNickname,
		method: http.MethodPost,
		path:   "/wxa/msg_sec_check",
		body:   body,

		signable: true,
	})
	if err != nil {
		return err
	}
	// Errcode 0 says that WeChat has looked, not what it saw.
	result, ok := a.object("result")
	if !ok {
		return badAnswer(OpCheckNickname, "result is missing")
	}
	switch suggest, _ := result.text("suggest"); suggest {
	case "pass":
		return nil
	case "risky":
		return badContent("WeChat finds the nickname risky")
	case "review":
		return badContent("WeChat wants a person to look at the nickname")
	}
	return badAnswer(OpCheckNickname, "suggest is missing or unknown")
}

// checkable reports whether WeChat's check takes the text, and gets it as it is: control characters
// and U+2028 and U+2029 are what encode escapes.
func checkable(text string) bool {
	return text != "" && utf8.ValidString(text) && utf8.RuneCountInString(text) <= maxContent &&
		!strings.ContainsFunc(text, func(r rune) bool { return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' })
}

func badContent(reason string) *Error {
	return &Error{Op: OpCheckNickname, Class: ClassContent, Reason: reason}
}
