// Open data other than phones: steps, groups and the like, encrypted with the user's session_key.

package wechat

import (
	"bytes"
	"encoding/json"
	"errors"
	"time"
	"unicode/utf8"
)

// ErrPhoneData is the error of [DecryptData] for a phone number, which has a stricter reader.
var ErrPhoneData = errors.New("wechat: this is a phone number; DecryptPhone reads those")

// DecryptData reads what a mini program got encrypted: steps (wx.getWeRunData), a group
// (wx.getGroupEnterInfo, wx.getShareInfo) and the like, but no phone. It returns the JSON object as
// WeChat wrote it, with fields that are not known today.
//
// The encryption has no MAC, see [DecryptPhone]. Whoever owns the data can change its first 16
// bytes, and can cut blocks out at the price of garbage, which no JSON survives unless it falls
// into a text. So the object proves what WeChat said about a user to other users, but hardly to the
// user: what is worth money should come by cloudID.
//
// It must be of this mini program and not older than 5 minutes. Otherwise the error is
// [ErrDecrypt], whatever the reason.
//
// https://developers.weixin.qq.com/miniprogram/dev/framework/open-ability/signature.html
func DecryptData(sessionKey, encryptedData, iv, appID string, now time.Time) (json.RawMessage, error) {
	text, err := decrypt(sessionKey, encryptedData, iv)

	// Also after a wrong padding, so that it takes no less time than a wrong text.
	info, ok := parseOpenData(text, appID, now)
	if err != nil || !ok {
		return nil, ErrDecrypt
	}
	if info.has("phoneNumber") || info.has("purePhoneNumber") {
		return nil, ErrPhoneData
	}
	return text, nil
}

func parseOpenData(text []byte, appID string, now time.Time) (answer, bool) {
	// encoding/json would take the last of two, and mend what is no UTF-8.
	if bytes.Count(text, []byte(`"watermark"`)) != 1 || !utf8.Valid(text) {
		return nil, false
	}
	info, ok := parseObject(text)
	if !ok {
		return nil, false
	}
	mark, _ := info.object("watermark")
	owner, _ := mark.text("appid")
	at, ok := mark.integer("timestamp")
	return info, ok && owner == appID && fresh(time.Unix(at, 0), now)
}
