// Users and their codes.

package wechattest

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"regexp"
	"time"
)

// codeLife is the lifetime of a code, of wx.login and of the phone button.
const codeLife = 5 * time.Minute

// User is one person in one mini program. Its exported fields never change.
type User struct {
	AppID   string
	OpenID  string
	UnionID string // empty unless the app is bound to the Open Platform

	person *person
	// The fields below are guarded by Server.mu.
	blocked     bool
	risk        int
	sessionKeys []string  // newest first, at most two
	seen        time.Time // when the user last did something; zero: never
}

// person is the WeChat account behind the users of several apps.
type person struct {
	name    string // empty: the ids are random
	unionID string
	users   map[string]*User // by AppID
}

type codeKind int

const (
	loginKind codeKind = iota
	phoneKind
	cloudKind
)

// code is a code or cloudID from wx.login or the phone button.
type code struct {
	value  string
	kind   codeKind
	user   *User
	made   time.Time
	used   bool
	key    string      // login: the session_key made with the code
	number phoneNumber // phone and cloud
}

// NewUser makes a person who uses the app. It panics for an unknown app.
func (s *Server) NewUser(appid string) *User {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.join(&person{unionID: openID(), users: make(map[string]*User)}, appid)
}

// NewUserNamed makes a person as NewUser does, with ids that depend on the name and the app alone.
// A fake that starts anew knows the accounts that the server under test has kept. Each name is for
// one call.
func (s *Server) NewUserNamed(name, appid string) *User {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.join(&person{name: name, unionID: openIDOf(name, ""), users: make(map[string]*User)}, appid)
}

// Same returns the same person in another app: another openid, and the same
// unionid if both apps are bound to the Open Platform.
func (s *Server) Same(u *User, appid string) *User {
	s.mu.Lock()
	defer s.mu.Unlock()
	if known, ok := u.person.users[appid]; ok {
		return known
	}
	return s.join(u.person, appid)
}

func (s *Server) join(p *person, appid string) *User {
	a, ok := s.apps[appid]
	if !ok {
		panic(fmt.Sprintf("wechattest: no app %q", appid))
	}
	id := openID()
	if p.name != "" {
		id = openIDOf(p.name, appid)
	}
	u := &User{AppID: appid, OpenID: id, person: p}
	if a.OpenPlatform {
		u.UnionID = p.unionID
	}
	p.users[appid] = u
	s.users[u.OpenID] = u
	return u
}

// Block makes the user one of high risk: logins answer 40226 from now on.
func (s *Server) Block(u *User) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u.blocked = true
}

// LoginCode does what wx.login does in the mini program. It makes a new
// session_key, which the server gets when it redeems the code.
func (s *Server) LoginCode(u *User) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.issue(&code{value: s.mark("0" + letters(31-markLength)), kind: loginKind, user: u, key: u.newSessionKey()})
}

// SessionKeys returns the user's valid session_key and the one before it, the
// key a server still holds when it missed the last wx.login.
func (s *Server) SessionKeys(u *User) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), u.sessionKeys...)
}

// PhoneCode does what the getPhoneNumber button does: the user agreed to hand
// out the number. Without a leading + it is one of China: "13800138000"; others
// are written "+852 91234567". It panics if ValidPhone says no.
func (s *Server) PhoneCode(u *User, phone string) string {
	number := mustParsePhone(phone)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.issue(&code{value: s.mark(hex.EncodeToString(random(32 - markLength/2))), kind: phoneKind, user: u, number: number})
}

// KeepCodes bounds the codes and cloudIDs the fake remembers; the oldest go. Zero, the
// default, means no bound: codes go five minutes after they were made.
func (s *Server) KeepCodes(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keep = n
}

// issue records a new code and drops those whose time is over: a code that
// expired, used or not, is as unknown as one that never was.
func (s *Server) issue(c *code) string {
	now := s.now()
	for len(s.codeLine) > 0 {
		oldest := s.codeLine[0]
		full := s.keep > 0 && len(s.codeLine) >= s.keep
		if !full && now.Before(oldest.made.Add(codeLife)) {
			break
		}
		s.codeLine[0] = nil
		s.codeLine = s.codeLine[1:]
		delete(s.codes, oldest.value)
	}
	c.made = now
	c.user.seen = now
	s.codes[c.value] = c
	s.codeLine = append(s.codeLine, c)
	return c.value
}

// liveCode finds a code of the kind that has not expired. It may be used.
func (s *Server) liveCode(value string, kind codeKind) (*code, bool) {
	c, ok := s.codes[value]
	if !ok || c.kind != kind || !s.now().Before(c.made.Add(codeLife)) {
		return nil, false
	}
	return c, true
}

// phoneNumber is a number as WeChat splits it.
type phoneNumber struct {
	country string
	pure    string
}

// phonePattern wants a space after the area code, since area codes have no fixed length.
var phonePattern = regexp.MustCompile(`^(?:\+([1-9][0-9]{0,3}) )?([0-9]{4,14})$`)

// ValidPhone reports whether PhoneCode takes the number.
func ValidPhone(phone string) bool {
	_, err := parsePhone(phone)
	return err == nil
}

func parsePhone(phone string) (phoneNumber, error) {
	m := phonePattern.FindStringSubmatch(phone)
	if m == nil {
		return phoneNumber{}, fmt.Errorf("phone %q is neither like 13800138000 nor like +852 91234567", phone)
	}
	if m[1] == "" {
		return phoneNumber{country: "86", pure: m[2]}, nil
	}
	return phoneNumber{country: m[1], pure: m[2]}, nil
}

func mustParsePhone(phone string) phoneNumber {
	number, err := parsePhone(phone)
	if err != nil {
		panic("wechattest: " + err.Error())
	}
	return number
}

// full is the number with the area code, which WeChat leaves away for China.
// Whether it writes a + in front is not documented; here it does not.
func (n phoneNumber) full() string {
	if n.country == "86" {
		return n.pure
	}
	return n.country + n.pure
}

// openID makes an identifier in the form of openids and unionids: 28 characters, the first an o.
func openID() string {
	return openIDFrom(random(21))
}

// openIDOf is the openid of a name in an app, and the unionid where no app is named.
func openIDOf(name, appid string) string {
	sum := sha256.Sum256([]byte(appid + "\x00" + name))
	return openIDFrom(sum[:])
}

func openIDFrom(b []byte) string {
	return "o" + base64.RawURLEncoding.EncodeToString(b)[:27]
}

// letters returns n random letters and digits.
func letters(n int) string {
	const alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	b := random(n)
	for i := range b {
		b[i] = alphabet[int(b[i])%len(alphabet)]
	}
	return string(b)
}

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return b
}
