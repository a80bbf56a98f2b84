// Attacks on the claims. Every token here is signed with the right key, as a
// second service that shares the key, or a bug in an issuer, would do it.

package jwt_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/caddy-wechat/wechatauth/jwt"
)

// Threats: T39, T40, T41, C05, C06, C07, C08, C15.
func TestClaimsAreChecked(t *testing.T) {
	t.Parallel()
	s := newSite(t, "HS256")
	wantAccepted(t, s.verifier, s.forge(t, s.header(), payload()))
	now := testNow.Unix()

	type row struct {
		name    string
		changes []string
	}
	tests := []row{
		{"other issuer", []string{"iss", `"other"`}},
		{"issuer in another case", []string{"iss", `"Wechat_Auth"`}},
		{"issuer with a slash", []string{"iss", `"wechat_auth/"`}},
		{"issuer array", []string{"iss", `["wechat_auth"]`}},
		{"other audience", []string{"aud", `"other"`}},
		{"audience array without ours", []string{"aud", `["x"]`}},
		{"empty audience array", []string{"aud", `[]`}},
		{"mixed audience array", []string{"aud", `["` + testAppID + `",1]`}},
		{"nested audience array", []string{"aud", `[["` + testAppID + `"]]`}},
		{"audience object", []string{"aud", `{"` + testAppID + `":true}`}},
		{"empty string in audience", []string{"aud", `["` + testAppID + `",""]`}},
		{"other app, its audience", []string{"appid", `"wxother"`, "aud", `"wxother"`}},
		{"other app, our audience", []string{"appid", `"wxother"`}},
		{"both apps in the audience", []string{"appid", `"wxother"`, "aud", `["wxother","` + testAppID + `"]`}},
		{"sub is not the openid", []string{"sub", `"oVictim"`}},
		{"openid is not the sub", []string{"openid", `"oVictim"`}},
		{"lifetime a second too long", []string{"exp", fmt.Sprint(now + 3601)}},
		{"lifetime of ages", []string{"exp", "9007199254740992"}},
		{"exp before iat", []string{"exp", fmt.Sprint(now - 1)}},
		{"exp at iat", []string{"exp", fmt.Sprint(now)}},
		{"iat ahead", []string{"iat", fmt.Sprint(now + 31)}},
		{"nbf ahead", []string{"nbf", fmt.Sprint(now + 31)}},
		{"backdated iat", []string{"iat", "0"}},
		{"unionid with a line break", []string{"unionid", `"u\r\nX-WX-OPENID: a"`}},
		{"unionid empty", []string{"unionid", `""`}},
		{"unionid number", []string{"unionid", `1`}},
		{"phone number", []string{"phone", `13800138000`}},
		{"phone null", []string{"phone", `null`}},
		{"phone with a line break", []string{"phone", `"138\n"`}},
		{"phone_number with DEL", []string{"phone_number", `"+86\u007f"`}},
		{"nickname with NUL", []string{"nickname", `"a\u0000b"`}},
		{"nickname with C1 control", []string{"nickname", `"a\u0085b"`}},
		{"nickname array", []string{"nickname", `["a"]`}},
		{"picture object", []string{"picture", `{}`}},
		{"verified as string", []string{"phone_number_verified", `"true"`}},
		{"verified as number", []string{"phone_number_verified", `1`}},
		{"verified null", []string{"phone_number_verified", `null`}},
	}

	for _, name := range []string{"exp", "iat", "nbf"} {
		for _, form := range []string{
			`"9999999999"`, `""`, `null`, `true`, `false`, `[]`, `{}`, `[1]`, `-1`, `-0`, `1.5`, fmt.Sprintf("%d.0", now),
			fmt.Sprintf("%d.5", now+600), `1e9`, `1E9`, `1e18`, `1e300`, `1e400`, `10000000000000000`, `9223372036854775807`,
			`9223372036854775808`, `18446744073709551616`, `9007199254740993`, `0x10`, `01`, `+1`, `1_000`, `NaN`, `Infinity`, `-Infinity`,
		} {
			tests = append(tests, row{name + " " + form, []string{name, form}})
		}
	}
	tests = append(tests, row{"no exp", []string{"exp", ""}}, row{"no iat", []string{"iat", ""}})
	for _, name := range []string{"iss", "sub", "aud", "jti", "sid", "appid", "openid"} {
		for _, form := range []string{"", `""`, `null`, `1`, `true`, `{}`, `[""]`, `"\u0000"`, `"a\nb"`} {
			tests = append(tests, row{name + " " + form, []string{name, form}})
		}
	}
	for _, name := range []string{"jti", "sid", "unionid"} {
		for _, form := range []string{`"a b"`, `"a.b"`, `"a/b"`, `"é"`, `"a%20"`, `"` + strings.Repeat("a", 129) + `"`} {
			tests = append(tests, row{name + " " + form, []string{name, form}})
		}
	}
	for _, form := range []string{`"a b"`, `"é"`, `"` + strings.Repeat("a", 300) + `"`, `1`} {
		tests = append(tests, row{"subject and openid " + form, []string{"sub", form, "openid", form}})
	}

	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			wantInvalid(t, s.verifier, s.forge(t, s.header(), payload(tt.changes...)))
		})
	}
}

func TestClaimsThatFit(t *testing.T) {
	t.Parallel()
	s := newSite(t, "HS256")
	now := testNow.Unix()
	tests := []struct {
		name    string
		changes []string
	}{
		{"audience array", []string{"aud", `["x","` + testAppID + `"]`}},
		{"clock of the issuer ahead", []string{"iat", fmt.Sprint(now + 30), "nbf", ""}},
		{"no nbf", []string{"nbf", ""}},
		{"nbf of another issuer, its clock ahead", []string{"nbf", fmt.Sprint(now + 30)}},
		{"longest lifetime", []string{"exp", fmt.Sprint(now + 3600)}},
		{"about to expire", []string{"iat", fmt.Sprint(now - 600), "exp", fmt.Sprint(now + 1)}},
		{"long openid", []string{"sub", `"` + strings.Repeat("o", 128) + `"`, "openid", `"` + strings.Repeat("o", 128) + `"`}},
		{"escaped openid", []string{"openid", `"\u006f` + testOpenID[1:] + `"`}},
		{"emoji as surrogates", []string{"nickname", `"\ud83d\ude00"`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			wantAccepted(t, s.verifier, s.forge(t, s.header(), payload(tt.changes...)))
		})
	}
}

// TestPayloadHasOneReading: two readers of one payload must not see two users,
// two lifetimes or two types.
// Threats: T43.
func TestPayloadHasOneReading(t *testing.T) {
	t.Parallel()
	s := newSite(t, "HS256")
	good := payload()
	with := func(member string) string { return strings.TrimSuffix(good, "}") + "," + member + "}" }
	front := func(member string) string { return strings.Replace(good, "{", "{"+member+",", 1) }

	tests := []struct{ name, payload string }{
		{"exp twice, old first", front(`"exp":1`)},
		{"exp twice, late last", with(`"exp":9999999999`)},
		{"openid twice", with(`"openid":"oVictim"`)},
		{"same value twice", with(`"sid":"` + testSID + `"`)},
		{"twice, once escaped", with(`"\u006fpenid":"oVictim"`)},
		{"unknown twice", with(`"role":"user","role":"admin"`)},
		{"twice in depth", with(`"x":{"y":[{"a":1,"a":2}]}`)},
		{"EXP beside exp", with(`"EXP":9999999999`)},
		{"OpenID beside openid", front(`"OpenID":"oVictim"`)},
		{"long s in sub", with(`"ſub":"oVictim"`)},
		{"Phone", with(`"Phone":"13900139000"`)},
		{"EXP instead of exp", strings.Replace(good, `"exp"`, `"EXP"`, 1)},
		{"Appid instead of appid", strings.Replace(good, `"appid"`, `"Appid"`, 1)},
		{"trailing object", good + `{}`},
		{"trailing NUL", good + "\x00"},
		{"trailing bracket", good + `}`},
		{"trailing comma", strings.TrimSuffix(good, "}") + ",}"},
		{"byte order mark", "\ufeff" + good},
		{"UTF-16", utf16LE(good)},
		{"invalid UTF-8 in a value", with("\"nickname\":\"a\xffb\"")},
		{"invalid UTF-8 in a name", with("\"a\xc0\xaf\":1")},
		{"overlong UTF-8", with("\"nickname\":\"\xc0\x80\"")},
		{"UTF-8 surrogate", with("\"nickname\":\"\xed\xa0\x80\"")},
		{"lone high surrogate", with(`"nickname":"\ud83d"`)},
		{"lone low surrogate", with(`"nickname":"\ude00"`)},
		{"two high surrogates", with(`"nickname":"\ud83d\ud83d"`)},
		{"raw control character", with("\"note\":\"a\nb\"")},
		{"nested too deep", with(`"x":` + strings.Repeat("[", 16) + strings.Repeat("]", 16))},
		{"nested very deep", with(`"x":` + strings.Repeat("[", 2500))},
		{"array", "[" + good + "]"},
		{"string", `"` + testOpenID + `"`},
		{"nested token", s.forge(t, s.header(), good)},
		{"null", "null"},
		{"empty object", "{}"},
		{"not JSON", "iss=wechat_auth"},
		{"single quotes", strings.ReplaceAll(good, `"`, `'`)},
		{"comment", strings.TrimSuffix(good, "}") + "/**/}"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			wantInvalid(t, s.verifier, s.forge(t, s.header(), tt.payload))
		})
	}
	wantAccepted(t, s.verifier, s.forge(t, s.header(), with(`"x":`+strings.Repeat("[", 15)+strings.Repeat("]", 15))))
}

// TestExpiredIsOnlySaidOfVerifiedTokens: golang-jwt v4 could answer "expired"
// and "bad signature" at once, and callers that looked for the first accepted
// a forgery (CVE-2024-51744). "Expired" is also a proof that the rest is right.
// Threats: T51.
func TestExpiredIsOnlySaidOfVerifiedTokens(t *testing.T) {
	t.Parallel()
	s, other := newSite(t, "ES256"), siteWithKey(t, freshKey(t, "ES256"))
	old := func(changes ...string) string {
		return payload(append([]string{"iat", "1000", "nbf", "1000", "exp", "1600"}, changes...)...)
	}
	_, err := s.verifier.Verify(s.forge(t, s.header(), old()))
	if !errors.Is(err, jwt.ErrExpired) || errors.Is(err, jwt.ErrInvalid) {
		t.Fatalf("got %v, want ErrExpired", err)
	}

	for name, token := range map[string]string{
		"other key":         other.forge(t, s.header(), old()),
		"other issuer":      s.forge(t, s.header(), old("iss", `"x"`)),
		"other app":         s.forge(t, s.header(), old("appid", `"x"`)),
		"lifetime too long": s.forge(t, s.header(), old("exp", "9999")),
		"bad phone":         s.forge(t, s.header(), old("phone", "1")),
		"no sid":            s.forge(t, s.header(), old("sid", "")),
		"unknown header":    s.forge(t, strings.Replace(s.header(), "{", `{"x":1,`, 1), old()),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantInvalid(t, s.verifier, token)
		})
	}
}

// An empty configuration must not mean "anything goes".
func TestEmptyVerifierAcceptsNothing(t *testing.T) {
	t.Parallel()
	s := newSite(t, "HS256")
	token := s.issue(t)
	for name, change := range map[string]func(*jwt.Verifier){
		"no apps":     func(v *jwt.Verifier) { v.AppIDs = nil },
		"no issuer":   func(v *jwt.Verifier) { v.Issuer = "" },
		"no lifetime": func(v *jwt.Verifier) { v.TTL = 0 },
		"no ring":     func(v *jwt.Verifier) { v.Ring = nil },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := *s.verifier
			change(&v)
			wantInvalid(t, &v, token)
		})
	}
	wantInvalid(t, new(jwt.Verifier), token)
}

func TestUnknownClaimsGoToExtra(t *testing.T) {
	t.Parallel()
	s := newSite(t, "HS256")
	got := wantAccepted(t, s.verifier, s.forge(t, s.header(), payload(
		"role", `"admin"`, "big", `12345678901234567890`, "list", `[1,{"a":null}]`, "expires", `true`, "", `"empty"`)))
	want := map[string]any{
		"role": "admin", "big": json.Number("12345678901234567890"), "expires": true, "": "empty",
		"list": []any{json.Number("1"), map[string]any{"a": nil}},
	}
	if !reflect.DeepEqual(got.Extra, want) {
		t.Errorf("got %v, want %v", got.Extra, want)
	}
}
