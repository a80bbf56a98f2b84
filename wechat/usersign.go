// The signature with a session_key, by which WeChat knows that a server acts for a user who is
// logged in.

package wechat

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
)

// SignUser returns WeChat's user signature (用户态签名) of data, in hex. Virtual payment and B2b payment
// ask for it beside their own. WeChat signs the bytes it gets, so data must be sent on as it is:
// JSON that is written anew has other bytes. The key of the HMAC is the base64 text of the
// session_key, not the bytes it stands for.
//
// https://developers.weixin.qq.com/miniprogram/dev/platform-capabilities/business-capabilities/virtual-payment.html (2.6)
func SignUser(sessionKey, data string) string {
	mac := hmac.New(sha256.New, []byte(sessionKey))
	mac.Write([]byte(data))
	return hex.EncodeToString(mac.Sum(nil))
}
