// The user signature (用户态签名), as virtual payment checks it.

package wechattest

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
)

// Error codes of virtual payment: of its client calls, and of its server calls.
const (
	PaymentSignatureWrong = -15005
	PaymentKeyExpired     = -15007

	errPaymentSignature = 268490003
	errPaymentKey       = 268490009
)

// CheckPayment does what WeChat does with the signData and signature of wx.requestVirtualPayment:
// it returns 0 for a signature under the user's session_key, [PaymentKeyExpired] for one under the
// key before it, which the last wx.login ended, and [PaymentSignatureWrong] for all others. The
// second signature, paySig, has nothing to do with session_keys and is not looked at.
func (s *Server) CheckPayment(u *User, signData, signature string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch u.signedBy([]byte(signData), signature) {
	case 0:
		return 0
	case 1:
		return PaymentKeyExpired
	}
	return PaymentSignatureWrong
}

// signedBy returns the place among the user's session_keys of the one that made a signature, -1 if
// none did.
func (u *User) signedBy(data []byte, signature string) int {
	for i, key := range u.sessionKeys {
		mac := hmac.New(sha256.New, []byte(key)) // the base64 text, as it is
		mac.Write(data)
		if signature == hex.EncodeToString(mac.Sum(nil)) {
			return i
		}
	}
	return -1
}

// balance answers query_user_balance of virtual payment, as far as the user signature goes.
func (s *Server) balance(q *request) answer {
	if refusal := s.wantJSON(q); refusal != nil {
		return *refusal
	}
	a, refusal := s.checkToken(q)
	if refusal != nil {
		return *refusal
	}
	openid, _ := q.text("openid")
	u, refusal := s.userOf(a, openid)
	if refusal != nil {
		return *refusal
	}
	switch u.signedBy(q.body, q.query.Get("signature")) {
	case 0:
		return answer{body: map[string]any{"errcode": 0, "errmsg": "ok", "balance": 0}}
	case 1:
		return s.fail(errPaymentKey)
	}
	return s.fail(errPaymentSignature)
}
