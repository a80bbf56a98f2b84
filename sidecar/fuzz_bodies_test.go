// Fuzzing of request bodies, import lines and queries.

package sidecar

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/caddy-wechat/wechatauth/wechat/wechattest"
)

// plainObject reads one JSON object with the standard library, and reports false for what two readers
// could see differently: a name twice at any depth, bytes that are no UTF-8, half a character, anything
// after the object.
func plainObject(text []byte) (object map[string]any, ok bool) {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	value, err := plainValue(dec)
	object, isObject := value.(map[string]any)
	if _, end := dec.Token(); err != nil || !isObject || end != io.EOF || !utf8.Valid(text) {
		return nil, false
	}
	return object, !halfCharacter(text)
}

var errTwice = errors.New("a name twice")

func plainValue(dec *json.Decoder) (any, error) {
	token, err := dec.Token()
	if err != nil {
		return nil, err
	}
	switch token {
	case json.Delim('{'):
		object := map[string]any{}
		for dec.More() {
			name, err := dec.Token()
			if err != nil {
				return nil, err
			}
			if _, ok := object[name.(string)]; ok {
				return nil, errTwice
			}
			if object[name.(string)], err = plainValue(dec); err != nil {
				return nil, err
			}
		}
		_, err = dec.Token()
		return object, err
	case json.Delim('['):
		list := []any{}
		for dec.More() {
			value, err := plainValue(dec)
			if err != nil {
				return nil, err
			}
			list = append(list, value)
		}
		_, err = dec.Token()
		return list, err
	}
	return token, nil
}

// halfCharacter reports a \u escape of one half of a character: the standard library makes U+FFFD of it.
func halfCharacter(text []byte) bool {
	var given, read strings.Builder
	for _, r := range string(text) {
		given.WriteRune(r)
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	for {
		token, err := dec.Token()
		if err != nil {
			break
		}
		if s, ok := token.(string); ok {
			read.WriteString(s)
		}
	}
	escaped := strings.Count(strings.ToLower(given.String()), `\ufffd`)
	return strings.Count(read.String(), "\ufffd") > strings.Count(given.String(), "\ufffd")+escaped
}

// FuzzBody holds the readers of bodies to what the standard library reads.
func FuzzBody(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"code":"a"}`, ` {"a":{"b":[1,null,true,1.5e3]}}` + "\n", `{"a":1,"a":1}`, `{"a":1,"A":1}`, `{"a":{"b":1,"b":2}}`, `{"a":1}x`, `[]`, `null`,
		`{"a":"` + "\xff" + `"}`, `{"a":"\ud800"}`, `{"a":"\ud83d\ude00"}`, `{"a":"\ufffd"}`, `{"\u0061":1,"a":2}`, "\ufeff{}", `{"a":01}`, `{"a":1,}`, `{"a":"` + "\x01" + `"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		want, ok := plainObject(body)
		got, err := parseFields(body)
		if (err == nil) != ok {
			t.Fatalf("got %v, and the standard library: one reading: %t", err, ok)
		}
		if err != nil {
			if asError(err).status != 400 {
				t.Errorf("got %v, want 400", err)
			}
			return
		}
		if !slices.Equal(slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want))) {
			t.Fatalf("got %q, want %v", got, want)
		}
		for name, value := range want {
			text, err := got.text(name)
			if s, isText := value.(string); isText != (err == nil) || isText && s != text {
				t.Errorf("%q: got %q %v, want %#v", name, text, err, value)
			}
			flag, err := got.flag(name)
			if b, isFlag := value.(bool); isFlag != (err == nil) || b != flag {
				t.Errorf("%q: got %t %v, want %#v", name, flag, err, value)
			}
		}
	})
}

// stubWeChat refuses every code, and keeps what it was asked.
type stubWeChat struct{ loginCode, phoneCode, phoneOpenID, path string }

func (s *stubWeChat) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	s.path = r.URL.EscapedPath()
	switch r.URL.Path {
	case "/cgi-bin/stable_token":
		_, _ = io.WriteString(w, `{"access_token":"x","expires_in":7200}`)
		return
	case "/sns/jscode2session":
		s.loginCode = r.URL.Query().Get("js_code")
	default:
		var body struct{ Code, OpenID string }
		_ = json.NewDecoder(r.Body).Decode(&body)
		s.phoneCode, s.phoneOpenID = body.Code, body.OpenID
	}
	_, _ = io.WriteString(w, `{"errcode":40029,"errmsg":"invalid code"}`)
}

// Whatever body a route gets, the answer is one of the contract's. What is acted upon has one reading,
// and WeChat gets just the code that is in it, with the openid of the session.
// Threats: T73, T75, T83.
func FuzzRouteBody(f *testing.F) {
	targets := []string{"login", "phone", "refresh", "logout", "profile", "service/sign", "service/decrypt", "service/users/-/U/ban", "service/users/-/U/logout", "service/pushes"}
	types := []string{"application/json", "", "application/x-www-form-urlencoded", "text/plain", "multipart/form-data; boundary=b", "image/png"}
	for _, seed := range []string{
		`{"code":"0a1b2c3d4e5f","nonce":"n","appid":"` + testAppID + `"}`, `{"code":"a","code":"b"}`, `{"code":"a","Code":"b"}`, `{"code":"../x"}`, `{"code":["a"]}`,
		`{"code":"a","openid":"oEvil"}`, `{"cloudID":"36_a_b"}`, `{"encryptedData":"AAAAAAAAAAAAAAAAAAAAAA==","iv":"AAAAAAAAAAAAAAAAAAAAAA=="}`, `{"refresh_token":"REFRESH"}`,
		`{"refresh_token":"REFRESH","all":true}`, `{"all":1}`, `{"all":null}`, ``, `{}`, `null`, `code=a`, `{"nickname":"\u202e小明"}`, `{"nickname":"\ud83d"}`,
		`{"openid":"U","data":"{}"}`, `{"openid":"U","data":"{}","appid":"-"}`, `{"openid":"U","encryptedData":"AAAA","iv":"AAAA"}`, `{"reason":"spam","until":"2099-01-31T08:00:00+08:00"}`,
		`{"sid":"x"}`, `{"id":"x"}`, "--b\r\nContent-Disposition: form-data; name=\"nickname\"\r\n\r\nx\r\n--b--\r\n",
	} {
		for i := range targets {
			f.Add(uint8(i), uint8(len(seed)%2), []byte(seed))
		}
		f.Add(uint8(4), uint8(4), []byte(seed))
	}
	known := newTestSite(f, withService, func(cfg *Config, _ *Deps) { cfg.EncryptedData = true })
	var alice *wechattest.User
	var access string
	var fill *strings.Replacer
	login := func(tb testing.TB) {
		tb.Helper()
		alice = known.fake.NewUser(testAppID) // for WeChat limits logins of one
		status, answer := known.in(tb).loginAs(alice)
		if status != 200 {
			tb.Fatalf("login: got %d %v", status, answer)
		}
		access = text(answer, "access_token")
		fill = strings.NewReplacer("REFRESH", text(answer, "refresh_token"), `"U"`, `"`+alice.OpenID+`"`)
	}
	login(f)
	stub := new(stubWeChat)
	s := known.sibling(f, withWeChat(f, started(f, stub)))
	f.Fuzz(func(t *testing.T, target, contentType uint8, sent []byte) {
		name := targets[int(target)%len(targets)]
		body := fill.Replace(string(sent))
		r := httptest.NewRequest("POST", "/auth/"+strings.Replace(name, "U", alice.OpenID, 1), strings.NewReader(body))
		if strings.HasSuffix(name, "/ban") {
			r.Method = "PUT"
		}
		r.Header.Set("Content-Type", types[int(contentType)%len(types)])
		r.Header.Set("Authorization", "Bearer "+access)
		if strings.HasPrefix(name, "service/") {
			r.Header.Set("Authorization", "Bearer "+testServiceSecret)
		}
		*stub = stubWeChat{}
		w := httptest.NewRecorder()
		s.in(t).serve(w, r)
		var answer map[string]any
		if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil && w.Code != 204 {
			t.Errorf("got %d %q, want JSON", w.Code, w.Body)
		}
		if w.Code >= 500 || w.Code >= 400 && (text(answer, "error") == "" || text(answer, "error_description") == "") {
			t.Errorf("%s: got %d %s, want a refusal of the contract", name, w.Code, w.Body)
		}
		object, ok := plainObject([]byte(body))
		optional := name == "logout" || strings.HasPrefix(name, "service/users/")
		isForm := contentType%6 == 4 && name == "profile"
		refused := w.Code == 400 || w.Code == 413 || w.Code == 415 || name == "service/sign" && w.Code == 404 || w.Code == 429
		if !ok && !refused && !isForm && (body != "" || !optional) {
			t.Errorf("%s: got %d %s for %q, which has no one reading", name, w.Code, w.Body, body)
		}
		if code := stub.loginCode; code != "" && (object["code"] != code || !isCode(code)) {
			t.Errorf("WeChat got the code %q, want %v", code, object["code"])
		}
		if code := stub.phoneCode; code != "" && (object["code"] != code || !isCode(code) || stub.phoneOpenID != alice.OpenID) {
			t.Errorf("WeChat got the code %q of %q, want %v of %q", code, stub.phoneOpenID, object["code"], alice.OpenID)
		}
		// The session may have ended; five failures of decryption end one, too.
		if w.Code < 300 && name != "profile" || w.Code == 409 {
			login(t)
		}
	})
}

// started serves a handler until the test ends.
func started(tb testing.TB, server http.Handler) (address string) {
	tb.Helper()
	s := httptest.NewServer(server)
	tb.Cleanup(s.Close)
	return s.URL
}

var isCode = regexp.MustCompile(`^[A-Za-z0-9_-]{1,128}$`).MatchString
