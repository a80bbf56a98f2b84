// Data encrypted with the user's session_key.

package wechattest

import (
	"bytes"
	"crypto/aes"
	"encoding/base64"
	"fmt"
	"strings"
)

// EncryptedPhone does what the getPhoneNumber button does beside giving a code: it returns the
// number encrypted with the user's current session_key. Phone numbers are written as for PhoneCode.
// It panics before the first LoginCode of the user, as there is no key yet.
func (s *Server) EncryptedPhone(u *User, phone string) (encryptedData, iv string) {
	number := mustParsePhone(phone)
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	u.seen = now
	// The order is that of WeChat.
	return s.encrypt(u, fmt.Sprintf(
		`{"phoneNumber":"%s","purePhoneNumber":"%s","countryCode":"%s","watermark":{"timestamp":%d,"appid":"%s"}}`,
		number.full(), number.pure, number.country, now.Unix(), u.AppID))
}

// EncryptedUserInfo does what wx.getUserProfile did, and in old base libraries does: the nickname
// is whatever the user likes. It panics before the first LoginCode of the user.
func (s *Server) EncryptedUserInfo(u *User, nickname string) (encryptedData, iv string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	u.seen = now
	return s.encrypt(u, fmt.Sprintf(
		`{"openId":"%s","nickName":%s,"gender":1,"language":"zh_CN","city":"Guangzhou","province":"Guangdong","country":"CN",`+
			`"avatarUrl":"https://wx.qlogo.cn/mmopen/vi_32/0","watermark":{"timestamp":%d,"appid":"%s"}}`,
		u.OpenID, quote(nickname), now.Unix(), u.AppID))
}

// EncryptedSteps does what wx.getWeRunData does: it returns the steps of the last days, encrypted
// with the user's current session_key. It panics before the first LoginCode of the user.
func (s *Server) EncryptedSteps(u *User, steps ...int) (encryptedData, iv string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	u.seen = now
	list := make([]string, len(steps))
	for i, n := range steps {
		day := now.AddDate(0, 0, i+1-len(steps)).Unix()
		list[i] = fmt.Sprintf(`{"timestamp":%d,"step":%d}`, day, n)
	}
	return s.encrypt(u, fmt.Sprintf(`{"stepInfoList":[%s],"watermark":{"timestamp":%d,"appid":"%s"}}`,
		strings.Join(list, ","), now.Unix(), u.AppID))
}

// Encrypt returns any text encrypted with the user's current session_key, for data that WeChat
// would not make. It panics before the first LoginCode of the user.
func (s *Server) Encrypt(u *User, text string) (encryptedData, iv string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.encrypt(u, text)
}

func (s *Server) encrypt(u *User, text string) (encryptedData, iv string) {
	if len(u.sessionKeys) == 0 {
		panic("wechattest: the user has no session_key before the first LoginCode")
	}
	key, err := base64.StdEncoding.DecodeString(u.sessionKeys[0])
	if err != nil {
		panic("wechattest: " + err.Error())
	}
	start := random(aes.BlockSize)
	return base64.StdEncoding.EncodeToString(encryptCBC(key, start, []byte(text))),
		base64.StdEncoding.EncodeToString(start)
}

// encryptCBC is AES in the mode CBC with the padding of PKCS #7, written out
// from their definitions.
func encryptCBC(key, iv, text []byte) []byte {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic("wechattest: " + err.Error())
	}
	missing := aes.BlockSize - len(text)%aes.BlockSize // 1 to 16
	text = append(bytes.Clone(text), bytes.Repeat([]byte{byte(missing)}, missing)...)

	before := iv
	for at := 0; at < len(text); at += aes.BlockSize {
		piece := text[at : at+aes.BlockSize]
		for i := range piece {
			piece[i] ^= before[i]
		}
		block.Encrypt(piece, piece)
		before = piece
	}
	return text
}

// quote writes a JSON string as WeChat does: letters of all languages as they are.
func quote(s string) string {
	return string(bytes.TrimSuffix(bytes.TrimPrefix(encode(map[string]any{"": s}), []byte(`{"":`)), []byte("}")))
}
