// Calls with an access token.

package wechat_test

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-wechat/wechatauth/wechat"
)

// businessPaths are those of the calls with an access token.
var businessPaths = []string{phonePath, checkPath, cloudPath, nickPath}

func TestRefusedTokenIsRenewedOnce(t *testing.T) {
	t.Parallel()
	for _, path := range businessPaths {
		for _, code := range []int{40001, 40014, 42001} {
			good := newFake().answers[path][0]
			fake := newFake().on(path, errcode(code, ""), good)
			if err := callEither(t, newClient(t, fake), path); err != nil {
				t.Errorf("%s, %d once: got %v, want success", path, code, err)
			}
			if calls, tokens := fake.calls(path), fake.calls(tokenPath); calls != 2 || tokens != 2 {
				t.Errorf("%s, %d once: got %d calls, %d tokens, want 2, 2", path, code, calls, tokens)
			}

			fake = newFake().on(path, errcode(code, ""))
			err := callEither(t, newClient(t, fake), path)
			if got := asError(t, err).Class; got != wechat.ClassToken {
				t.Errorf("%s, always %d: got %v, want token", path, code, got)
			}
			if calls, tokens := fake.calls(path), fake.calls(tokenPath); calls != 2 || tokens != 2 {
				t.Errorf("%s, always %d: got %d calls, %d tokens, want 2, 2", path, code, calls, tokens)
			}
		}
	}
}

// A no that is none would log everybody out as soon as WeChat has a hiccup.
func TestCheckSessionTellsNoFromNoAnswer(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]answerFunc{
		"network": failure(timeoutError{}), "silence": silence, "quota": errcode(45011, ""), "token": errcode(42001, ""),
		"busy": errcode(-1, ""), "unknown": errcode(123456, ""), "garbage": text("garbage"), "empty object": text("{}"),
		"no token":  errcode(40164, ""),
		"code used": errcode(40163, ""), "code invalid": errcode(40029, ""),
	} {
		path := checkPath
		if name == "no token" {
			path = tokenPath
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				valid, err := newClient(t, newFake().on(path, answer)).CheckSession(t.Context(), testOpenID, testKey)
				if valid || err == nil {
					t.Errorf("got valid %t, error %v, want an error", valid, err)
				}
			})
		})
	}
}

func TestCheckSessionSends(t *testing.T) {
	t.Parallel()
	fake := newFake()
	valid, err := newClient(t, fake).CheckSession(t.Context(), testOpenID, "o0q0otL8aEzpcZL/FT9WsQ==")
	if !valid || err != nil {
		t.Errorf("got valid %t, error %v, want valid", valid, err)
	}
	r := fake.seen[1]
	want := "access_token=" + testToken + "&openid=" + testOpenID + "&sig_method=hmac_sha256" +
		"&signature=46e043c5525c2d817c44be603d30837a808a1d930d038f6fdc3e62a201fed128"
	if r.Method != http.MethodGet || r.URL.Path != checkPath || r.URL.RawQuery != want || fake.bodies[1] != "" {
		t.Errorf("got %s %s?%s, %d bytes, want GET %s?%s, none", r.Method, r.URL.Path, r.URL.RawQuery, len(fake.bodies[1]), checkPath, want)
	}
}

func TestCloudIDSends(t *testing.T) {
	t.Parallel()
	fake := newFake()
	if err := callEither(t, newClient(t, fake), cloudPath); err != nil {
		t.Fatal(err)
	}
	r := fake.seen[1]
	if want := "access_token=" + testToken + "&openid=" + testOpenID; r.Method != http.MethodPost || r.URL.RawQuery != want {
		t.Errorf("got %s ?%s, want POST ?%s", r.Method, r.URL.RawQuery, want)
	}
	if got, want := fake.bodies[1], `{"cloudid_list":["`+testCloud+`"]}`; got != want {
		t.Errorf("body: got %s, want %s", got, want)
	}
}

func TestCloudIDReads(t *testing.T) {
	t.Parallel()
	now := time.Unix(tapped+100, 0)
	phone := phoneObject(testAppID, now)
	quoted := func(s string) string { return `"` + strings.ReplaceAll(s, `"`, `\"`) + `"` }
	entry := func(id, data string) string { return `{"cloud_id":"` + id + `","json":` + data + `}` }
	list := func(entries ...string) string {
		return `{"errcode":0,"errmsg":"ok","data_list":[` + strings.Join(entries, ",") + `]}`
	}
	mine := entry(testCloud, `{"cloudID":"`+testCloud+`","data":`+phone+`}`)
	old := func(age time.Duration) string {
		return list(entry(testCloud, `{"data":`+phoneObject(testAppID, now.Add(-age))+`}`))
	}
	const code = wechat.ClassCode
	tests := []struct {
		name, body string
		want       wechat.Class // 0: the number
	}{
		{"object", list(mine), 0},
		{"string", list(entry(testCloud, quoted(`{"cloudID":"`+testCloud+`","data":`+phone+`}`))), 0},
		{"without cloudID inside", list(entry(testCloud, `{"data":`+phone+`}`)), 0},
		{"country code as number", strings.Replace(list(mine), `"86"`, `86`, 1), 0},
		{"among others", list(entry("other", `{"data":`+phoneObject("wxother", now)+`}`), mine), 0},
		{"5 minutes old", old(5 * time.Minute), 0},
		{"a little ahead", old(-time.Minute), 0},
		{"too old", old(5*time.Minute + time.Second), code},
		{"far ahead", old(-2 * time.Minute), code},
		{"no entry", list(), code},
		{"the entry of another", list(entry("other", `{"data":`+phone+`}`)), code},
		{"entry without cloud_id", list(`{"json":{"data":` + phone + `}}`), code},
		{"json absent", list(`{"cloud_id":"` + testCloud + `"}`), code},
		{"json null", list(entry(testCloud, `null`)), code},
		{"json empty", list(entry(testCloud, `""`)), code},
		{"json not JSON", list(entry(testCloud, `"expired"`)), code},
		{"json a number", list(entry(testCloud, `7`)), code},
		{"json of json", list(entry(testCloud, `"\"{}\""`)), code},
		{"error inside", list(entry(testCloud, `{"cloudID":"`+testCloud+`","errCode":-1,"errMsg":"expired"}`)), code},
		{"error inside, string", list(entry(testCloud, `"{\"errcode\":40097}"`)), code},
		{"data null", list(entry(testCloud, `{"data":null}`)), code},
		{"data a string", list(entry(testCloud, `{"data":"x"}`)), code},
		{"steps", list(entry(testCloud, `{"data":{"stepInfoList":[{"timestamp":1603641600,"step":1234}]}}`)), code},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			client := newClient(t, newFake().on(cloudPath, text(tt.body)), func(cfg *wechat.Config) {
				cfg.Now = func() time.Time { return now }
			})
			got, err := client.PhoneFromCloudID(t.Context(), testCloud, testOpenID)
			if wechat.ClassOf(err) != tt.want {
				t.Errorf("got %v, want class %v", err, tt.want)
			}
			if err == nil && got.E164() != "+86"+testNumber {
				t.Errorf("got %q, want the number", got.E164())
			}
		})
	}
}

func TestImpossibleArgumentsAreNotSent(t *testing.T) {
	t.Parallel()
	fake := newFake()
	client := newClient(t, fake)
	check := func(name string, err error, want wechat.Class) {
		t.Helper()
		if got := asError(t, err).Class; got != want {
			t.Errorf("%s: got %v, want %v", name, got, want)
		}
		if len(fake.seen) != 0 {
			t.Errorf("%s: got %d requests, want 0", name, len(fake.seen))
		}
	}
	for _, id := range []string{"", "a b", "a\n", "中", "a\x7f", strings.Repeat("c", 513)} {
		_, err := client.PhoneFromCloudID(t.Context(), id, testOpenID)
		check("cloudID "+id, err, wechat.ClassCode)
	}
	for _, name := range []string{"", "a\xff", "a\nb", "a\u0085b", "a\u2028b", "a\u2029b", "\x7f", strings.Repeat("名", 2501)} {
		check("nickname "+name, client.CheckNickname(t.Context(), testOpenID, name), wechat.ClassContent)
	}
	for _, openid := range []string{"", "a b", strings.Repeat("o", 129)} {
		_, err := client.PhoneFromCloudID(t.Context(), testCloud, openid)
		check("cloudID of "+openid, err, wechat.ClassConfig)
		_, err = client.CheckSession(t.Context(), openid, testKey)
		check("session_key of "+openid, err, wechat.ClassConfig)
		check("nickname of "+openid, client.CheckNickname(t.Context(), openid, testName), wechat.ClassConfig)
	}
	_, err := client.CheckSession(t.Context(), testOpenID, "")
	check("no session_key", err, wechat.ClassConfig)
}

func TestNicknameIsSentAsItIs(t *testing.T) {
	t.Parallel()
	for nickname, want := range map[string]string{
		"小明":                         `小明`,
		"<b>&'":                      `<b>&'`,
		`a"b\c`:                      `a\"b\\c`,
		`\u4e2d`:                     `\\u4e2d`,
		"👨‍👩‍👧":                      `👨‍👩‍👧`,
		strings.Repeat("名", 2500):    strings.Repeat("名", 2500),
		"\u202eright to left\u200b ": "\u202eright to left\u200b ",
	} {
		fake := newFake()
		if err := newClient(t, fake).CheckNickname(t.Context(), testOpenID, nickname); err != nil {
			t.Errorf("%s: got %v, want success", nickname, err)
		}
		want := `{"content":"` + want + `","version":2,"scene":1,"openid":"` + testOpenID + `"}`
		if got := fake.bodies[1]; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestNicknamePassesByItsResultAlone(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]wechat.Class{
		goodNick:                        0,
		`{"result":{"suggest":"pass"}}`: 0,
		`{"errcode":0,"errmsg":"ok","result":{"suggest":"risky","label":20001}}`:          wechat.ClassContent,
		`{"errcode":0,"errmsg":"ok","result":{"suggest":"review","label":100}}`:           wechat.ClassContent,
		`{"errcode":0,"errmsg":"ok"}`:                                                     wechat.ClassBadAnswer,
		`{"errcode":0,"errmsg":"ok","suggest":"pass"}`:                                    wechat.ClassBadAnswer,
		`{"errcode":0,"result":{},"detail":[{"errcode":0,"suggest":"pass","label":100}]}`: wechat.ClassBadAnswer,
		`{"errcode":61010,"result":{"suggest":"pass"}}`:                                   wechat.ClassInactive,
	} {
		err := newClient(t, newFake().on(nickPath, text(body))).CheckNickname(t.Context(), testOpenID, testName)
		if got := wechat.ClassOf(err); got != want {
			t.Errorf("%s: got %v, want %v", body, got, want)
		}
	}
}
