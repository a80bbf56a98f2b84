// Fuzzing of accounts as a store over a DB keeps them.

package session_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"reflect"
	"testing"

	"github.com/caddy-wechat/wechatauth/session"
)

// FuzzAccountRecord: a record of any bytes is an error, or an account that a change writes and that
// is read again as the same; and what is dumped of it is restored elsewhere as the same.
func FuzzAccountRecord(f *testing.F) {
	tag := bob.Tag()
	sid := base64.RawURLEncoding.EncodeToString(append(tag[:], "0123456789abcdef01234567"...))
	for _, seed := range []string{
		`{"user":{"appid":"` + bob.AppID + `","openid":"` + bob.OpenID + `","phone":"13800138000","key":"AAAA","first_seen":"2026-11-22T08:00:00.123456789+08:00"},"generation":2,"last_login":"2026-11-22T08:00:00Z"}`,
		`{"user":{"appid":"` + bob.AppID + `","openid":"` + bob.OpenID + `"},"sessions":[{"sid":"` + sid + `","created":"2026-11-22T08:00:00Z","claims":{"a":[1,"\u2028"]},"salt":"AAAA","ended":2}]}`,
		`{"user":{"appid":"","openid":""},"ban":{"reason":"x","until":"9999-12-31T23:59:59-01:00"},"withdrawals":1}`, `{"generation":-1}`, `{"ban":{}}`, `{"sessions":[]}`, `{"sessions":null,"x":1}`,
		`{"user":{"nickname":"\ud83d\ude00","appid":"` + bob.AppID + `","openid":"` + bob.OpenID + `"},"last_login":"0000-01-01T00:00:00Z"}`, `{"user":{"appid":"` + bob.AppID + `","openid":"` + bob.OpenID + `"},"generation":1e2}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		s := session.NewKVStore(&mapDB{records: map[string]mapRecord{"a" + string(tag[:]): {value: value}}})
		first, err := s.Account(t.Context(), tag)
		if err != nil {
			if !errors.Is(err, session.ErrUnavailable) {
				t.Errorf("got %v, want %v", err, session.ErrUnavailable)
			}
			return
		}
		first.Ban = nil
		if err := s.Unban(t.Context(), tag, start); err != nil {
			t.Fatalf("got %v, want what was read written", err)
		}
		second, err := s.Account(t.Context(), tag)
		if err != nil || !sameAccount(t, first, second) {
			t.Errorf("got %+v %v, want %+v", second, err, first)
		}
		if second.User.UserID != bob && second.Generation == 0 && second.Withdrawals == 0 { // nothing that is worth moving
			return
		}
		other := session.NewKVStore(&mapDB{})
		err = s.Dump(t.Context(), func(part session.Dump) error { return other.Restore(t.Context(), part, start) })
		if err != nil {
			t.Fatalf("got %v, want the account moved", err)
		}
		if third, err := other.Account(t.Context(), tag); err != nil || !sameAccount(t, second, third) {
			t.Errorf("moved: got %+v %v, want %+v", third, err, second)
		}
	})
}

// sameAccount compares what can be seen of two accounts: a time may be written in another zone.
func sameAccount(t *testing.T, a, b session.Account) bool {
	t.Helper()
	var plain [2]any
	for i, account := range []session.Account{a, b} {
		text, err := json.Marshal(account)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(text, &plain[i]); err != nil {
			t.Fatal(err)
		}
	}
	return reflect.DeepEqual(plain[0], plain[1])
}
