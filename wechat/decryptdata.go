// Open data other than phones: steps, groups and the like, encrypted with the user's session_key.

package wechat

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
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
	if info.has("phonenumber") || info.has("purephonenumber") {
		return nil, ErrPhoneData
	}
	return text, nil
}

func parseOpenData(text []byte, appID string, now time.Time) (answer, bool) {
	if !utf8.Valid(text) { // which encoding/json would mend
		return nil, false
	}
	info, ok := parseFolded(text)
	if !ok {
		return nil, false
	}
	mark, _ := parseFolded(info["watermark"])
	owner, _ := mark.text("appid")
	at, ok := mark.integer("timestamp")
	return info, ok && owner == appID && fresh(time.Unix(at, 0), now)
}

// parseFolded is parseObject for what a backend reads after us: names are in lower case, as some
// readers compare them, and none comes twice, of which some take the first and some the last.
func parseFolded(text []byte) (answer, bool) {
	dec := json.NewDecoder(bytes.NewReader(text))
	if token, err := dec.Token(); err != nil || token != json.Delim('{') {
		return nil, false
	}
	a := answer{}
	for dec.More() {
		token, err := dec.Token()
		name, ok := token.(string)
		if err != nil || !ok {
			return nil, false
		}
		name = strings.ToLower(strings.ToUpper(name)) // as strings.EqualFold
		var value json.RawMessage
		if a[name] != nil || dec.Decode(&value) != nil {
			return nil, false
		}
		a[name] = value
	}
	if _, err := dec.Token(); err != nil {
		return nil, false
	}
	_, err := dec.Token()
	return a, errors.Is(err, io.EOF)
}
