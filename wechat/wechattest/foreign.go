// Codes of WeChat itself, such as those of DevTools.

package wechattest

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
)

const (
	markLength    = 8
	foreignLength = 128 // WeChat's have 32 to 64
)

// AcceptAnyCode makes every code that the fake did not make one of this user, in the user's app: a
// code of wx.login logs the user in, and one of the phone button hands the number out, which is
// written as for PhoneCode. So WeChat DevTools, which gets its codes from WeChat, works with the
// fake. Such a code works once, as any other. What DevTools encrypts cannot be decrypted: WeChat
// keeps the key.
func (s *Server) AcceptAnyCode(u *User, phone string) {
	number := mustParsePhone(phone)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.apps[u.AppID].foreign = &foreign{user: u, number: number}
}

// foreign is the user of all codes that the fake did not make.
type foreign struct {
	user   *User
	number phoneNumber
}

// anyCode finds a code of the kind, or takes in one that the fake did not make, where that is
// switched on. The caller holds mu.
func (s *Server) anyCode(a *app, value string, kind codeKind) (*code, bool) {
	if c, ok := s.liveCode(value, kind); ok {
		return c, true
	}
	_, known := s.codes[value]
	if a.foreign == nil || known || s.marked(value) || !looksLikeCode(value) {
		return nil, false
	}
	c := &code{value: value, kind: kind, user: a.foreign.user, number: a.foreign.number}
	if kind == loginKind {
		c.key = a.foreign.user.newSessionKey()
	}
	s.issue(c)
	return c, true
}

// looksLikeCode keeps out what no button makes: a code pasted with its quotes is a mistake that
// has to show.
func looksLikeCode(value string) bool {
	if value == "" || len(value) > foreignLength {
		return false
	}
	for _, c := range []byte(value) {
		letter := 'a' <= c|0x20 && c|0x20 <= 'z'
		if !letter && (c < '0' || '9' < c) && c != '-' && c != '_' {
			return false
		}
	}
	return true
}

// mark ends a code of the fake, so that one that expired, and is not remembered, is told from a
// foreign one.
func (s *Server) mark(body string) string {
	mac := hmac.New(sha256.New, s.markKey)
	mac.Write([]byte(body))
	return body + hex.EncodeToString(mac.Sum(nil))[:markLength]
}

func (s *Server) marked(value string) bool {
	return len(value) > markLength && s.mark(value[:len(value)-markLength]) == value
}

// newSessionKey makes the key that replaces the user's current one. The caller holds Server.mu.
func (u *User) newSessionKey() string {
	key := base64.StdEncoding.EncodeToString(random(16))
	u.sessionKeys = append([]string{key}, u.sessionKeys...)
	u.sessionKeys = u.sessionKeys[:min(len(u.sessionKeys), 2)]
	return key
}
