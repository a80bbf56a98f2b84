// getPhoneNumber.

package wechattest_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/wechat/wechattest"
)

// phoneURL gets a token of the app and returns the call to make with it.
func phoneURL(t *testing.T, api, appid, secret string) string {
	t.Helper()
	answer := post(t, api+wechattest.StableToken, map[string]any{
		"grant_type": "client_credential", "appid": appid, "secret": secret,
	})
	return api + wechattest.Phone + "?access_token=" + answer["access_token"].(string)
}

func TestPhoneNumberParts(t *testing.T) {
	t.Parallel()
	tests := []struct {
		phone               string
		full, pure, country string
	}{
		{"13800138000", "13800138000", "13800138000", "86"},
		{"+86 13800138000", "13800138000", "13800138000", "86"},
		{"+852 91234567", "85291234567", "91234567", "852"},
		{"+1 2025550143", "12025550143", "2025550143", "1"},
	}
	for _, tt := range tests {
		t.Run(tt.phone, func(t *testing.T) {
			t.Parallel()
			fake, api := start(t)
			target := phoneURL(t, api, appID, secret)
			code := fake.PhoneCode(fake.NewUser(appID), tt.phone)
			made := fake.Now().Unix()
			fake.Advance(time.Minute)

			info := post(t, target, map[string]any{"code": code})["phone_info"].(map[string]any)
			got := fmt.Sprintf("%v %v %v", info["phoneNumber"], info["purePhoneNumber"], info["countryCode"])
			if want := tt.full + " " + tt.pure + " " + tt.country; got != want {
				t.Errorf("number: got %q, want %q", got, want)
			}
			mark := info["watermark"].(map[string]any)
			if mark["appid"] != appID || mark["timestamp"] != float64(made) {
				t.Errorf("watermark: got %v, want %s and the time of the click, %d", mark, appID, made)
			}
		})
	}
}

func TestPhoneNumbersRefused(t *testing.T) {
	t.Parallel()
	for _, phone := range []string{"", "138 0013 8000", "+85291234567", "+0 123456", "abc", "１３８００１３８０００"} {
		if wechattest.ValidPhone(phone) {
			t.Errorf("ValidPhone(%q): got true, want false", phone)
		}
	}
}

func TestCountryCodeIsNowAndThenANumber(t *testing.T) {
	t.Parallel()
	fake, api := start(t)
	target := phoneURL(t, api, appID, secret)
	var got string
	for range 4 {
		code := fake.PhoneCode(fake.NewUser(appID), "13800138000")
		info := post(t, target, map[string]any{"code": code})["phone_info"].(map[string]any)
		got += fmt.Sprintf("%T ", info["countryCode"])
	}
	if want := "string string string float64 "; got != want {
		t.Errorf("types: got %q, want %q", got, want)
	}
}

func TestPhoneCodes(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		body func(*wechattest.Server) map[string]any
		want int
	}{
		{"fresh, no openid", func(s *wechattest.Server) map[string]any {
			return map[string]any{"code": s.PhoneCode(s.NewUser(appID), "13800138000")}
		}, 0},
		{"of the openid", func(s *wechattest.Server) map[string]any {
			u := s.NewUser(appID)
			return map[string]any{"code": s.PhoneCode(u, "13800138000"), "openid": u.OpenID}
		}, 0},
		{"of another openid", func(s *wechattest.Server) map[string]any {
			return map[string]any{"code": s.PhoneCode(s.NewUser(appID), "13800138000"), "openid": s.NewUser(appID).OpenID}
		}, 40029},
		{"of another openid, errcode set", func(s *wechattest.Server) map[string]any {
			s.SetOpenIDMismatch(40003)
			return map[string]any{"code": s.PhoneCode(s.NewUser(appID), "13800138000"), "openid": "oNobody"}
		}, 40003},
		{"of another app", func(s *wechattest.Server) map[string]any {
			return map[string]any{"code": s.PhoneCode(s.NewUser(other), "13800138000")}
		}, 40013},
		{"unknown", func(*wechattest.Server) map[string]any { return map[string]any{"code": "made up"} }, 40029},
		{"of wx.login", func(s *wechattest.Server) map[string]any {
			return map[string]any{"code": s.LoginCode(s.NewUser(appID))}
		}, 40029},
		{"expired", func(s *wechattest.Server) map[string]any {
			defer s.Advance(5 * time.Minute)
			return map[string]any{"code": s.PhoneCode(s.NewUser(appID), "13800138000")}
		}, 40029},
		{"missing", func(*wechattest.Server) map[string]any { return map[string]any{} }, 41008},
		{"a number", func(*wechattest.Server) map[string]any { return map[string]any{"code": 7} }, 47001},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			fake, api := start(t)
			target := phoneURL(t, api, appID, secret)
			wantErrcode(t, post(t, target, tt.body(fake)), tt.want)
		})
	}
}

func TestPhoneCodeWorksOnce(t *testing.T) {
	t.Parallel()
	fake, api := start(t)
	target := phoneURL(t, api, appID, secret)
	body := map[string]any{"code": fake.PhoneCode(fake.NewUser(appID), "13800138000")}
	body["openid"] = "oSomebodyElse"
	wantErrcode(t, post(t, target, body), 40029)
	delete(body, "openid")
	wantErrcode(t, post(t, target, body), 0) // a refused call does not spend it
	wantErrcode(t, post(t, target, body), 40029)
}

func TestPhoneRequests(t *testing.T) {
	t.Parallel()
	_, api := start(t)
	target := phoneURL(t, api, appID, secret)
	tests := []struct {
		name, method, target, body string
		want                       int
	}{
		{"GET", http.MethodGet, target, "", 43002},
		{"no token", http.MethodPost, api + wechattest.Phone, `{"code":"x"}`, 41001},
		{"unknown token", http.MethodPost, api + wechattest.Phone + "?access_token=x", `{"code":"x"}`, 40001},
		{"empty body", http.MethodPost, target, "", 44002},
		{"form body", http.MethodPost, target, "code=x", 47001},
		{"null", http.MethodPost, target, "null", 47001},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			wantErrcode(t, call(t, tt.method, tt.target, "application/json", tt.body), tt.want)
		})
	}
}

func TestPhoneQuotaSparesTheCode(t *testing.T) {
	t.Parallel()
	fake, api := start(t)
	target := phoneURL(t, api, appID, secret)
	fake.SetQuota(wechattest.Phone, 1)
	body := map[string]any{"code": fake.PhoneCode(fake.NewUser(appID), "13800138000")}
	wantErrcode(t, post(t, target, map[string]any{"code": "unknown"}), 40029)
	wantErrcode(t, post(t, target, body), 45011)
	fake.Advance(time.Minute)
	wantErrcode(t, post(t, target, body), 0)
}
