// The old way of the phone button.

package wechatauth_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/wechat/wechattest"
)

// encryptedFields returns the data of the old phone button, as JSON fields.
func encryptedFields(s *site, u *wechattest.User, phone string) []string {
	data, iv := s.fake.EncryptedPhone(u, phone)
	return []string{"encryptedData", data, "iv", iv}
}

func TestEncryptedDataIsOff(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	u := s.fake.NewUser(s.appID)
	token := s.token(u)
	a := s.do("POST", "/auth/phone", token, object(encryptedFields(s, u, "13800138000")...))
	want(t, a, 400, "invalid_request")
	if !strings.Contains(a.text("error_description"), "not switched on") {
		t.Errorf("got %s, want that it is not switched on", a.body)
	}
}

func TestPhoneByEncryptedData(t *testing.T) {
	t.Parallel()
	s := newSite(t, "encrypted_data on")
	u := s.fake.NewUser(s.appID)
	token := s.token(u)
	body := object(encryptedFields(s, u, "13800138000")...)
	a := s.do("POST", "/auth/phone", token, body)
	want(t, a, 200, "")
	if c := claims(t, a.text("access_token")); c["phone"] != "13800138000" || c["phone_number"] != "+8613800138000" {
		t.Errorf("got claims %v, want the phone", c)
	}
	// The same tap again is answered the same.
	if again := s.do("POST", "/auth/phone", token, body); string(again.body) != string(a.body) {
		t.Errorf("got %s, want the same answer again", again.body)
	}
	if n := s.fake.Count(wechattest.Phone); n != 0 {
		t.Errorf("WeChat was asked %d times for a code", n)
	}
	// As a client sends it that breaks lines.
	data, iv := s.fake.EncryptedPhone(u, "13900139000")
	broken := data[:30] + "\r\n  " + data[30:]
	a = s.do("POST", "/auth/phone", token, object("encryptedData", broken, "iv", iv))
	want(t, a, 200, "")
	if got := a.text("user", "phone"); got != "13900139000" {
		t.Errorf("got phone %q, want the newer one", got)
	}
}

func TestEncryptedDataAtLogin(t *testing.T) {
	t.Parallel()
	s := newSite(t, "encrypted_data on")
	u := s.fake.NewUser(s.appID)
	code := s.fake.LoginCode(u)
	a := s.login(append([]string{"code", code}, encryptedFields(s, u, "13800138000")...)...)
	want(t, a, 200, "")
	if got := a.text("user", "phone"); got != "13800138000" {
		t.Errorf("got phone %q: %s", got, a.body)
	}

	other := s.fake.NewUser(s.appID)
	s.token(other)
	a = s.login(append([]string{"code", s.fake.LoginCode(u)}, encryptedFields(s, other, "13900139000")...)...)
	want(t, a, 200, "")
	if got := a.text("phone_error", "error"); got != "session_key_stale" {
		t.Errorf("got phone_error %q, want session_key_stale: %s", got, a.body)
	}
	if got := a.text("user", "phone"); got != "13800138000" {
		t.Errorf("got phone %q, want the one known before", got)
	}
}

// The seed's warning: a wx.login between the tap and the request replaces the session_key. The key
// before serves ten minutes longer.
func TestPreviousSessionKey(t *testing.T) {
	t.Parallel()
	s := newSite(t, "encrypted_data on")
	u := s.fake.NewUser(s.appID)
	s.token(u)
	first := object(encryptedFields(s, u, "13800138000")...)
	token := s.token(u) // another login, another key
	want(t, s.do("POST", "/auth/phone", token, first), 200, "")

	s.advance(4 * time.Minute)
	old := object(encryptedFields(s, u, "13900139000")...)
	token = s.token(u)
	s.advance(4 * time.Minute)
	want(t, s.do("POST", "/auth/phone", token, old), 200, "")
	s.advance(10 * time.Minute)
	want(t, s.do("POST", "/auth/phone", token, old), 409, "session_key_stale")
}

// Whatever is wrong, the answer is the same.
// Threats: T81, C48.
func TestEncryptedDataHasOneAnswer(t *testing.T) {
	t.Parallel()
	s := newSite(t, "encrypted_data on", "limit phone off")
	u, other := s.fake.NewUser(s.appID), s.fake.NewUser(s.appID)
	s.token(other)
	s.token(u)
	data, iv := s.fake.EncryptedPhone(u, "13800138000")
	otherData, otherIV := s.fake.EncryptedPhone(other, "13800138000")
	info, infoIV := s.fake.EncryptedUserInfo(u, "Band")
	encrypt := func(text string) [2]string {
		d, v := s.fake.Encrypt(u, text)
		return [2]string{d, v}
	}
	flipped := []byte(data)
	flipped[5] = map[bool]byte{true: 'B', false: 'A'}[flipped[5] == 'A']
	tests := map[string][2]string{
		"another user's":     {otherData, otherIV},
		"another iv":         {data, otherIV},
		"cut at a block":     {data[:64], iv},
		"a block in front":   {strings.Repeat("A", 64) + data, iv},
		"a few bits":         {string(flipped), iv},
		"user info":          {info, infoIV},
		"not JSON":           encrypt("hello"),
		"another app":        encrypt(fmt.Sprintf(`{"phoneNumber":"1","purePhoneNumber":"1","countryCode":"86","watermark":{"timestamp":%d,"appid":"wxother"}}`, time.Now().Unix())),
		"old":                encrypt(fmt.Sprintf(`{"phoneNumber":"13800138000","purePhoneNumber":"13800138000","countryCode":"86","watermark":{"timestamp":%d,"appid":%q}}`, time.Now().Add(-time.Hour).Unix(), s.appID)),
		"one field too many": encrypt(fmt.Sprintf(`{"phoneNumber":"13800138000","purePhoneNumber":"13800138000","countryCode":"86","admin":true,"watermark":{"timestamp":%d,"appid":%q}}`, time.Now().Unix(), s.appID)),
	}
	var first answer
	for name, test := range tests {
		// Few failures each, so that they do not add up: a user for each.
		v := s.fake.NewUser(s.appID)
		token := s.token(v)
		a := s.do("POST", "/auth/phone", token, object("encryptedData", test[0], "iv", test[1]))
		want(t, a, 409, "session_key_stale")
		if first.body == nil {
			first = a
		}
		if string(a.body) != string(first.body) || len(a.header) != len(first.header) {
			t.Errorf("%s: got %s, want the same as ever: %s", name, a.body, first.body)
		}
	}
	// And the user's own, who failed with nothing else.
	for _, name := range []string{"a few bits", "user info", "not JSON"} {
		want(t, s.do("POST", "/auth/phone", s.token(u), object("encryptedData", tests[name][0], "iv", tests[name][1])), 409, "session_key_stale")
	}
}

// What was damaged on its way, as by escaping for a URL, decrypts under no key: the client is told
// what is wrong with it, and its session does not end for it.
func TestDamagedEncryptedDataIsNoAttempt(t *testing.T) {
	t.Parallel()
	s := newSite(t, "encrypted_data on", "limit phone off")
	u := s.fake.NewUser(s.appID)
	token := s.token(u)
	data, iv := s.fake.EncryptedPhone(u, "13800138000")
	for name, test := range map[string][2]string{
		"escaped for a URL": {"A%2BA" + data[3:], strings.TrimSuffix(iv, "==") + "%3D%3D"},
		"escaped iv":        {data, strings.TrimSuffix(iv, "==") + "%3D%3D"},
		"URL-safe alphabet": {"-_" + data[2:], iv},
		"not base64":        {"%%%" + data, iv},
		"short iv":          {data, "AAAA"},
		"half a block":      {data[:len(data)-8], iv},
		"prefix aaaa":       {"aaaa" + data, iv},
		"empty data":        {" ", iv},
		"far too long":      {strings.Repeat("A", 8192), iv},
	} {
		a := s.do("POST", "/auth/phone", token, object("encryptedData", test[0], "iv", test[1]))
		want(t, a, 400, "invalid_request")
		if !strings.Contains(a.text("error_description"), "%2B") {
			t.Errorf("%s: got %s, want what is wrong", name, a.body)
		}
	}
	login := s.login("code", s.fake.LoginCode(u), "encryptedData", data+"%3D", "iv", iv)
	want(t, login, 200, "")
	if got := login.text("phone_error", "error"); got != "invalid_request" {
		t.Errorf("got phone_error %q at login, want invalid_request", got)
	}
	want(t, s.do("POST", "/auth/phone", token, object("encryptedData", data, "iv", iv)), 200, "")
}

// Whoever may ask often enough can decrypt and encrypt without the key (a padding oracle). Five
// failures end the session, and in this hour the key is not tried again in another.
// Threats: T81.
func TestAttackPaddingOracle(t *testing.T) {
	t.Parallel()
	s := newSite(t, "encrypted_data on", "limit phone off", "limit login off")
	u := s.fake.NewUser(s.appID)
	token := s.token(u)
	good, exhausted := object(encryptedFields(s, u, "13800138000")...), s.fake.SessionKeys(u)[0]
	for range 5 {
		data, iv := s.fake.EncryptedPhone(u, "13800138000")
		want(t, s.do("POST", "/auth/phone", token, object("encryptedData", data[:64], "iv", iv)), 409, "session_key_stale")
	}
	want(t, s.do("POST", "/auth/phone", token, good), 401, "session_revoked")
	want(t, s.do("GET", "/api", token, ""), 401, "session_revoked")

	// A login that brings a new key helps; the old key, which still serves as the one before, stays
	// dead.
	for range 3 {
		token = s.token(u)
		want(t, s.do("POST", "/auth/phone", token, good), 409, "session_key_stale")
		want(t, s.do("GET", "/api", token, ""), 200, "")
		if key := s.fake.SessionKeys(u)[0]; key == exhausted {
			t.Fatal("the fake gave the same key again")
		}
	}
	want(t, s.do("POST", "/auth/phone", token, object(encryptedFields(s, u, "13800138000")...)), 200, "")
}

// The same attack, all at once: no more than five are decrypted.
func TestAttackPaddingOracleAtOnce(t *testing.T) {
	t.Parallel()
	s := newSite(t, "encrypted_data on", "limit phone off")
	u := s.fake.NewUser(s.appID)
	token := s.token(u)
	var wg sync.WaitGroup
	for i := range 40 {
		wg.Go(func() {
			data, iv := s.fake.EncryptedPhone(u, fmt.Sprintf("138001380%02d", i))
			a := s.do("POST", "/auth/phone", token, object("encryptedData", data[:64], "iv", iv))
			if a.status != 409 && a.status != 401 {
				t.Errorf("got %d: %s", a.status, a.body)
			}
		})
	}
	wg.Wait()
	if n := s.fake.Count(wechattest.CheckSession); n > 5 {
		t.Errorf("WeChat was asked %d times about the key: so many attempts were made, want 5", n)
	}
	want(t, s.do("GET", "/api", token, ""), 401, "session_revoked")
}

// Where WeChat says that the key is stale, the user is not to blame: no failure counts, and the key
// goes.
func TestStaleSessionKeyIsNobodysFault(t *testing.T) {
	t.Parallel()
	s := newSite(t, "encrypted_data on", "limit phone off")
	u := s.fake.NewUser(s.appID)
	token := s.token(u)
	for range 8 {
		s.fake.LoginCode(u) // the client calls wx.login and does not log in here
		want(t, s.do("POST", "/auth/phone", token, object(encryptedFields(s, u, "13800138000")...)), 409, "session_key_stale")
	}
	if n := s.fake.Count(wechattest.CheckSession); n != 1 {
		t.Errorf("WeChat was asked %d times, want once: then the key was gone", n)
	}
	want(t, s.do("GET", "/api", token, ""), 200, "")
	token = s.token(u)
	want(t, s.do("POST", "/auth/phone", token, object(encryptedFields(s, u, "13800138000")...)), 200, "")
}

func TestPhoneByCloudID(t *testing.T) {
	t.Parallel()
	for _, objects := range []bool{true, false} {
		s := newSite(t)
		s.fake.OpenDataObjects(objects)
		u := s.fake.NewUser(s.appID)
		token := s.token(u)
		id := s.fake.CloudID(u, "13800138000")
		a := s.do("POST", "/auth/phone", token, object("cloudID", id))
		want(t, a, 200, "")
		if got := a.text("user", "phone"); got != "13800138000" {
			t.Errorf("got phone %q", got)
		}
		again := s.do("POST", "/auth/phone", token, object("cloudID", id))
		if string(again.body) != string(a.body) {
			t.Errorf("got %s, want the same answer again", again.body)
		}
		other := s.token(s.fake.NewUser(s.appID))
		want(t, s.do("POST", "/auth/phone", other, object("cloudID", id)), 401, "code_invalid")
		late := s.fake.CloudID(u, "13900139000")
		s.advance(6 * time.Minute)
		want(t, s.do("POST", "/auth/phone", token, object("cloudID", late)), 401, "code_invalid")
		for _, bad := range []string{"a b", "x\n", strings.Repeat("x", 600)} {
			want(t, s.do("POST", "/auth/phone", token, object("cloudID", bad)), 400, "invalid_request")
		}
	}
}

// A client may send all that the button gave it. The code decides.
func TestCodeGoesFirst(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	u := s.fake.NewUser(s.appID)
	token := s.token(u)
	fields := append(encryptedFields(s, u, "13900139000"), "cloudID", s.fake.CloudID(u, "13700137000"), "code", s.fake.PhoneCode(u, "13800138000"))
	a := s.do("POST", "/auth/phone", token, object(fields...))
	want(t, a, 200, "")
	if got := a.text("user", "phone"); got != "13800138000" {
		t.Errorf("got phone %q, want that of the code", got)
	}
}
