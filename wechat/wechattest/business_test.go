// Calls with an access token.

package wechattest_test

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/wechat/wechattest"
)

// withToken returns the call to an endpoint with a token of the app.
func withToken(t *testing.T, api, endpoint string, query url.Values) string {
	t.Helper()
	_, token, _ := strings.Cut(phoneURL(t, api, appID, secret), "access_token=")
	return api + endpoint + "?access_token=" + token + "&" + query.Encode()
}

func sign(key, text string) string {
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(text))
	return hex.EncodeToString(mac.Sum(nil))
}

func TestCheckSession(t *testing.T) {
	t.Parallel()
	fake, api := start(t)
	alice := fake.NewUser(appID)
	fake.LoginCode(alice)
	fake.LoginCode(alice)
	keys := fake.SessionKeys(alice)
	raw, err := base64.StdEncoding.DecodeString(keys[0])
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, openid, signature, method string
		want                            int
	}{
		{"current", alice.OpenID, sign(keys[0], ""), "hmac_sha256", 0},
		{"superseded", alice.OpenID, sign(keys[1], ""), "hmac_sha256", 87009},
		{"key decoded", alice.OpenID, sign(string(raw), ""), "hmac_sha256", 87009},
		{"something signed", alice.OpenID, sign(keys[0], "{}"), "hmac_sha256", 87009},
		{"no signature", alice.OpenID, "", "hmac_sha256", 87009},
		{"no method", alice.OpenID, sign(keys[0], ""), "", 87008},
		{"nobody", "oNobody", sign(keys[0], ""), "hmac_sha256", 40003},
		{"other app", fake.NewUser(other).OpenID, sign(keys[0], ""), "hmac_sha256", 43104},
		{"never logged in", fake.NewUser(appID).OpenID, sign(keys[0], ""), "hmac_sha256", 87007},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			query := url.Values{"openid": {tt.openid}, "signature": {tt.signature}, "sig_method": {tt.method}}
			wantErrcode(t, get(t, withToken(t, api, wechattest.CheckSession, query)), tt.want)
		})
	}
	wantErrcode(t, get(t, api+wechattest.CheckSession), 41001)
}

func TestOpenDataForms(t *testing.T) {
	t.Parallel()
	fake, api := start(t)
	alice := fake.NewUser(appID)
	target := withToken(t, api, wechattest.OpenData, url.Values{"openid": {alice.OpenID}})
	for _, objects := range []bool{false, true} {
		fake.OpenDataObjects(objects)
		id := fake.CloudID(alice, "+852 91234567")
		list := post(t, target, map[string]any{"cloudid_list": []string{id}})["data_list"].([]any)
		entry := list[0].(map[string]any)
		inner, isObject := entry["json"].(map[string]any)
		if isObject != objects {
			t.Errorf("json: got %T, want an object: %t", entry["json"], objects)
		}
		if text, ok := entry["json"].(string); ok {
			if err := json.Unmarshal([]byte(text), &inner); err != nil {
				t.Fatal(err)
			}
		}
		data, _ := inner["data"].(map[string]any)
		if entry["cloud_id"] != id || inner["cloudID"] != id || data["purePhoneNumber"] != "91234567" {
			t.Errorf("got %v, want the number of %s", entry, id)
		}
	}
}

func TestOpenDataOfBadCloudIDs(t *testing.T) {
	t.Parallel()
	fake, api := start(t)
	alice := fake.NewUser(appID)
	target := withToken(t, api, wechattest.OpenData, url.Values{"openid": {alice.OpenID}})
	late := fake.CloudID(alice, "13800138000")
	fake.Advance(5 * time.Minute)
	fresh := fake.CloudID(alice, "13800138000")

	bad := []string{
		late, "50_unknown", fake.CloudID(fake.NewUser(appID), "13900139000"), fake.PhoneCode(alice, "13800138000"), "",
	}
	for _, id := range bad {
		for range 3 { // the forms take turns
			answer := post(t, target, map[string]any{"cloudid_list": []string{id, fresh}})
			wantErrcode(t, answer, 0)
			text := fmt.Sprint(answer)
			if n := strings.Count(text, `"phoneNumber":"13800138000"`); n != 1 || strings.Contains(text, "13900139000") {
				t.Errorf("%q: got %s, want the number of the fresh one alone", id, text)
			}
		}
	}

	for body, want := range map[string]int{`{}`: 40097, `{"cloudid_list":[]}`: 40097, `{"cloudid_list":"x"}`: 40097, `{"cloudid_list":[7]}`: 47001} {
		wantErrcode(t, call(t, http.MethodPost, target, "application/json", body), want)
	}
	nobody := withToken(t, api, wechattest.OpenData, nil)
	wantErrcode(t, post(t, nobody, map[string]any{"cloudid_list": []string{fresh}}), 40003)
	wantErrcode(t, get(t, target), 43002)
}

func TestCheckContent(t *testing.T) {
	t.Parallel()
	fake, api := start(t)
	target := withToken(t, api, wechattest.CheckContent, nil)
	alice := fake.NewUser(appID)
	fake.LoginCode(alice)
	fake.Judge("坏", "risky")
	fake.Judge("odd", "review")
	fake.Judge("good", "risky")
	fake.Judge("good", "")
	tests := []struct {
		name, body string
		errcode    int
		suggest    any
	}{
		{"pass", `{"content":"good","version":2,"scene":1,"openid":"%s"}`, 0, "pass"},
		{"risky", `{"content":"a 坏 b","version":2,"scene":1,"openid":"%s"}`, 0, "risky"},
		{"review", `{"content":"odd","version":2,"scene":4,"openid":"%s"}`, 0, "review"},
		{"the worst counts", `{"content":"odd 坏 odd","version":2,"scene":2,"openid":"%s"}`, 0, "risky"},
		{"no content", `{"version":2,"scene":1,"openid":"%s"}`, 47001, nil},
		{"content a number", `{"content":1,"version":2,"scene":1,"openid":"%s"}`, 47001, nil},
		{"too long", `{"content":"` + strings.Repeat("字", 2501) + `","version":2,"scene":1,"openid":"%s"}`, 47001, nil},
		{"version 1", `{"content":"good","openid":"%s"}`, 47001, nil},
		{"scene 5", `{"content":"good","version":2,"scene":5,"openid":"%s"}`, 40129, nil},
		{"no scene", `{"content":"good","version":2,"openid":"%s"}`, 40129, nil},
		{"nobody", `{"content":"good","version":2,"scene":1,"openid":"x%s"}`, 40003, nil},
	}
	for _, tt := range tests {
		answer := call(t, http.MethodPost, target, "application/json", fmt.Sprintf(tt.body, alice.OpenID))
		wantErrcode(t, answer, tt.errcode)
		result, _ := answer["result"].(map[string]any)
		if result["suggest"] != tt.suggest {
			t.Errorf("%s: got %v, want %v", tt.name, result["suggest"], tt.suggest)
		}
	}
}

func TestOnlyActiveUsersAreChecked(t *testing.T) {
	t.Parallel()
	fake, api := start(t)
	alice := fake.NewUser(appID)
	check := func(want int) {
		t.Helper()
		target := withToken(t, api, wechattest.CheckContent, nil)
		wantErrcode(t, post(t, target, map[string]any{"content": "x", "version": 2, "scene": 1, "openid": alice.OpenID}), want)
	}
	check(61010)
	for _, act := range []func(){
		func() { fake.LoginCode(alice) },
		func() { fake.PhoneCode(alice, "13800138000") },
		func() { fake.CloudID(alice, "13800138000") },
		func() { fake.EncryptedPhone(alice, "13800138000") },
	} {
		act()
		fake.Advance(2*time.Hour - time.Second)
		check(0)
		fake.Advance(time.Second)
		check(61010)
	}
}

// decrypt reverses the encryption with the standard library.
func decrypt(t *testing.T, key, data, iv string) string {
	t.Helper()
	var raw [3][]byte
	for i, s := range []string{key, data, iv} {
		b, err := base64.StdEncoding.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		raw[i] = b
	}
	block, err := aes.NewCipher(raw[0])
	if err != nil {
		t.Fatal(err)
	}
	text := raw[1]
	cipher.NewCBCDecrypter(block, raw[2]).CryptBlocks(text, text)
	pad := int(text[len(text)-1])
	if pad < 1 || pad > 16 || strings.Count(string(text[len(text)-pad:]), string(rune(pad))) != pad {
		t.Fatalf("padding: got %x", text[len(text)-16:])
	}
	return string(text[:len(text)-pad])
}

func TestEncrypted(t *testing.T) {
	t.Parallel()
	fake, _ := start(t)
	alice := fake.NewUser(appID)
	fake.LoginCode(alice)
	fake.LoginCode(alice)
	key := fake.SessionKeys(alice)[0]
	stamp := fake.Now().Unix()

	data, iv := fake.EncryptedPhone(alice, "+852 91234567")
	want := fmt.Sprintf(`{"phoneNumber":"85291234567","purePhoneNumber":"91234567","countryCode":"852",`+
		`"watermark":{"timestamp":%d,"appid":"%s"}}`, stamp, appID)
	if got := decrypt(t, key, data, iv); got != want {
		t.Errorf("phone: got %s, want %s", got, want)
	}
	if _, again := fake.EncryptedPhone(alice, "+852 91234567"); again == iv {
		t.Error("iv: got the same twice, want another each time")
	}

	data, iv = fake.EncryptedUserInfo(alice, "小\"明\\")
	if got := decrypt(t, key, data, iv); !json.Valid([]byte(got)) || !strings.Contains(got, `"nickName":"小\"明\\"`) {
		t.Errorf("user info: got %s, want JSON with the nickname", got)
	}
	for n := range 40 {
		text := strings.Repeat("x", n)
		data, iv := fake.Encrypt(alice, text)
		if got := decrypt(t, key, data, iv); got != text {
			t.Errorf("%d bytes: got %q back", n, got)
		}
	}
}

func TestNothingIsEncryptedBeforeALogin(t *testing.T) {
	t.Parallel()
	fake, _ := start(t)
	defer func() {
		if recover() == nil {
			t.Error("got no panic, want one")
		}
	}()
	fake.EncryptedPhone(fake.NewUser(appID), "13800138000")
}

func TestQuotasOfBusinessCalls(t *testing.T) {
	t.Parallel()
	fake, api := start(t)
	for _, endpoint := range []string{wechattest.CheckSession, wechattest.OpenData, wechattest.CheckContent} {
		fake.SetQuota(endpoint, 1)
		target := withToken(t, api, endpoint, nil)
		ask := func() map[string]any {
			if endpoint == wechattest.CheckSession {
				return get(t, target)
			}
			return post(t, target, map[string]any{})
		}
		if got := errcode(ask()); got == 45011 {
			t.Errorf("%s, first: got 45011, want another", endpoint)
		}
		wantErrcode(t, ask(), 45011)
	}
}
