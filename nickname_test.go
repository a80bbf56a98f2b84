// What may be a nickname.

package wechatauth_test

import (
	"image/color"
	"strings"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/wechat/wechattest"
)

func TestNicknames(t *testing.T) {
	t.Parallel()
	s := newSite(t, "limit profile off")
	token := s.token(s.fake.NewUser(s.appID))
	good := map[string]string{
		"a":                         "a",
		"  x y\t":                   "x y",
		"e\u0301":                   "\u00e9", // NFC
		strings.Repeat("昵", 32):     strings.Repeat("昵", 32),
		"👨‍👩‍👧":                     "👨‍👩‍👧",
		"<script>alert(1)</script>": "<script>alert(1)</script>"[:25],
		"שלום":                      "שלום",
		"a\"\\b":                    "a\"\\b",
		"❤️":                        "❤️",        // with a variation selector
		"क्\u200dष":                 "क्\u200dष", // with a joiner
		"می\u200cخواهم":             "می\u200cخواهم",
		"🏴\U000E0067\U000E0062\U000E0065\U000E006E\U000E0067\U000E007F": "🏴\U000E0067\U000E0062\U000E0065\U000E006E\U000E0067\U000E007F",
		"가\u3164나":     "가\u3164나",
		"\u2800\u28ff": "\u2800\u28ff", // Braille
		"\U0001FAEA":   "\U0001FAEA",   // an emoji that this program does not know yet
		"葛\U000E0100":  "葛\U000E0100",
	}
	for nickname, kept := range good {
		a := s.do("POST", "/auth/profile", token, object("nickname", nickname))
		want(t, a, 200, "")
		if got := a.text("user", "nickname"); got != kept {
			t.Errorf("%q: got %q, want %q", nickname, got, kept)
		}
	}
	for name, nickname := range map[string]string{
		"empty": "", "blank": " \u3000\t", "33 characters": strings.Repeat("昵", 33), "line break": "a\nb", "NUL": "a\x00b", "delete": "a\x7fb",
		"right to left override": "gpj.\u202e", "isolate": "a\u2066b", "right to left mark": "a\u200fb", "line separator": "a\u2028b",
		"byte order mark": "a\ufeffb", "nothing to see": "\u200d\u200b", "only a mark": "\u0301",
		"Hangul filler": "\u3164", "Hangul filler, halfwidth": "\uffa0", "Hangul choseong filler": "\u115f", "Hangul jungseong filler": "\u1160",
		"Braille blank": "\u2800\u2800", "fillers and joiners": "\u3164\u200d\ufe0f\u2800", "soft hyphen": "\u00ad", "grapheme joiner": "\u034f",
		"Khmer vowel": "\u17b4", "Mongolian selector": "\u180b\u180e", "word joiner": "\u2060", "invisible plus": "\u2064", "reserved ignorable": "\u2065\ufff0\U000E0FFF",
		"selectors": "\ufe0f\U000E0100", "tags": "\U000E0041\U000E007F", "musical": "\U0001D173\U0001D159", "object": "\ufffc", "shorthand": "\U0001BCA0",
		"blank hieroglyph": "\U00013441", "no character": "\uffff",
	} {
		if a := s.do("POST", "/auth/profile", token, object("nickname", nickname)); a.status != 400 || a.text("error") != "invalid_request" {
			t.Errorf("%s: got %d %s, want 400 invalid_request", name, a.status, a.body)
		}
	}
	for _, body := range []string{`{"nickname":7}`, `{"nickname":null}`, `{}`, `{"nickname":"a","nickname":"b"}`, "{\"nickname\":\"\xff\"}"} {
		want(t, s.do("POST", "/auth/profile", token, body), 400, "invalid_request")
	}

	// What WeChat gives for none changes nothing.
	want(t, s.do("POST", "/auth/profile", token, object("nickname", "小明")), 200, "")
	a := s.do("POST", "/auth/profile", token, object("nickname", "微信用户"))
	want(t, a, 200, "")
	if got := a.text("user", "nickname"); got != "小明" {
		t.Errorf("got %q, want the nickname that was there", got)
	}
}

func TestNicknameIsChecked(t *testing.T) {
	t.Parallel()
	s := newSite(t, "limit profile off", "profile {\ncheck on\n}")
	s.fake.Judge("赌博", "risky")
	s.fake.Judge("也许", "review")
	u := s.fake.NewUser(s.appID)
	token := s.token(u)
	want(t, s.do("POST", "/auth/profile", token, object("nickname", "小明")), 200, "")
	want(t, s.do("POST", "/auth/profile", token, object("nickname", "赌博王")), 403, "denied")
	want(t, s.do("POST", "/auth/profile", token, object("nickname", "也许")), 403, "denied")
	red := avatarOf(t, picture(t, 4, 4, color.White))
	want(t, s.upload(token, red, part{name: "nickname", content: []byte("赌博")}), 403, "denied")
	a := s.do("GET", "/auth/profile", token, "")
	if a.text("nickname") != "小明" || a.text("avatar") != "" {
		t.Errorf("got %s, want nothing of what was refused", a.body)
	}
	n := s.fake.Count(wechattest.CheckContent)
	want(t, s.do("POST", "/auth/profile", token, object("nickname", "微信用户")), 200, "")
	if s.fake.Count(wechattest.CheckContent) != n {
		t.Error("WeChat was asked about no nickname")
	}

	// The check is for users who were active in the last two hours.
	refresh := s.login("code", s.fake.LoginCode(u)).text("refresh_token")
	s.advance(3 * time.Hour)
	token = s.do("POST", "/auth/refresh", "", object("refresh_token", refresh)).text("access_token")
	a = s.do("POST", "/auth/profile", token, object("nickname", "小红"))
	want(t, a, 403, "denied")
	if a.field("errcode") != 61010.0 {
		t.Errorf("got %s, want errcode 61010", a.body)
	}
	want(t, s.do("POST", "/auth/profile", s.token(u), object("nickname", "小红")), 200, "")

	s.fake.Fail(wechattest.CheckContent, 2, wechattest.ErrCode(-1))
	want(t, s.do("POST", "/auth/profile", s.token(u), object("nickname", "小刚")), 503, "wechat_unavailable")
}
