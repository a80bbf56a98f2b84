// Access tokens.

package wechattest_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/wechat/wechattest"
)

// tokens asks for access tokens of one app and tries them.
type tokens struct {
	t    *testing.T
	fake *wechattest.Server
	api  string
}

func startTokens(t *testing.T) tokens {
	t.Helper()
	fake, api := start(t)
	return tokens{t, fake, api}
}

func (k tokens) stable(force bool) (token string, seconds float64) {
	k.t.Helper()
	return k.granted(post(k.t, k.api+wechattest.StableToken, map[string]any{
		"grant_type": "client_credential", "appid": appID, "secret": secret, "force_refresh": force,
	}))
}

func (k tokens) plain() (token string, seconds float64) {
	k.t.Helper()
	return k.granted(get(k.t, k.api+wechattest.Token+"?grant_type=client_credential&appid="+appID+"&secret="+secret))
}

func (k tokens) granted(answer map[string]any) (token string, seconds float64) {
	k.t.Helper()
	wantErrcode(k.t, answer, 0)
	if _, found := answer["errcode"]; found {
		k.t.Error("errcode: got one, want none on success")
	}
	return answer["access_token"].(string), answer["expires_in"].(float64)
}

// try returns the errcode of a phone call; 40029 means the token was good.
func (k tokens) try(token string) int {
	k.t.Helper()
	return errcode(post(k.t, k.api+wechattest.Phone+"?access_token="+token, map[string]any{"code": "unknown"}))
}

func (k tokens) want(token string, want int) {
	k.t.Helper()
	if got := k.try(token); got != want {
		k.t.Errorf("errcode with the token: got %d, want %d", got, want)
	}
}

const good = 40029 // the token passed, the made-up code did not

func TestStableTokenIsTheSameUntilItsLastFiveMinutes(t *testing.T) {
	t.Parallel()
	k := startTokens(t)
	first, seconds := k.stable(false)
	if seconds != 7200 {
		t.Errorf("expires_in: got %v, want 7200", seconds)
	}
	k.fake.Advance(7200*time.Second - 300*time.Second)
	again, seconds := k.stable(false)
	if again != first || seconds != 300 {
		t.Errorf("re-read: got the same %t and %v seconds, want the same with 300", again == first, seconds)
	}

	k.fake.Advance(time.Second)
	second, seconds := k.stable(false)
	if second == first || seconds != 7200 {
		t.Errorf("in the last five minutes: got the same %t and %v seconds, want a new one with 7200", second == first, seconds)
	}
	k.want(first, good)
	k.want(second, good)

	k.fake.Advance(299 * time.Second)
	k.want(first, 42001)
	k.want(second, good)
}

func TestForcedRefreshKillsAtOnce(t *testing.T) {
	t.Parallel()
	k := startTokens(t)
	first, _ := k.stable(false)
	second, _ := k.stable(true)
	if first == second {
		t.Fatal("forced refresh: got the same token, want another")
	}
	k.want(first, 40001)
	k.want(second, good)

	k.fake.Advance(29 * time.Second)
	if third, seconds := k.stable(true); third != second || seconds != 7171 {
		t.Errorf("within 30 s: got another token or %v seconds, want the same with 7171", seconds)
	}
	k.fake.Advance(time.Second)
	if third, _ := k.stable(true); third == second {
		t.Error("after 30 s: got the same token, want another")
	}
}

func TestForcedRefreshTwentyADay(t *testing.T) {
	t.Parallel()
	k := startTokens(t)
	for range 20 {
		k.stable(true)
		k.fake.Advance(30 * time.Second)
	}
	body := map[string]any{"grant_type": "client_credential", "appid": appID, "secret": secret, "force_refresh": true}
	wantErrcode(t, post(t, k.api+wechattest.StableToken, body), 45009)
	k.stable(false) // the normal mode goes on
	k.fake.Advance(24 * time.Hour)
	k.stable(true)
}

func TestPlainTokenReplacesTheOneBefore(t *testing.T) {
	t.Parallel()
	k := startTokens(t)
	first, _ := k.plain()
	second, seconds := k.plain()
	if first == second || seconds != 7200 {
		t.Errorf("second call: got the same %t and %v seconds, want another with 7200", first == second, seconds)
	}
	k.fake.Advance(5*time.Minute - time.Nanosecond)
	k.want(first, good)
	k.fake.Advance(time.Nanosecond)
	k.want(first, 40001)
	k.want(second, good)
	k.fake.Advance(2 * time.Hour)
	k.want(second, 42001)
}

func TestTokenEndpointsAreIsolated(t *testing.T) {
	t.Parallel()
	k := startTokens(t)
	stable, _ := k.stable(false)
	plain, _ := k.plain()
	k.plain()
	forced, _ := k.stable(true)
	k.want(plain, good)
	k.want(stable, 40001)
	k.plain()
	k.fake.Advance(5 * time.Minute)
	k.want(forced, good)
}

func TestTokensGoneByOrder(t *testing.T) {
	t.Parallel()
	k := startTokens(t)
	token, _ := k.stable(false)
	k.fake.ExpireTokens()
	k.want(token, 42001)
	token, _ = k.stable(false)
	k.want(token, good)
	k.fake.RevokeTokens()
	k.want(token, 40001)
	token, _ = k.stable(false)
	k.want(token, good)
}

func TestStableTokenRequests(t *testing.T) {
	t.Parallel()
	const rest = `"grant_type":"client_credential"`
	tests := []struct {
		name   string
		method string
		body   string
		want   int
	}{
		{"GET", http.MethodGet, "", 43002},
		{"empty", http.MethodPost, "", 44002},
		{"form", http.MethodPost, "grant_type=client_credential&appid=" + appID, 47001},
		{"array", http.MethodPost, `[]`, 47001},
		{"appid a number", http.MethodPost, `{` + rest + `,"appid":1,"secret":"s3cret"}`, 47001},
		{"force_refresh a string", http.MethodPost, `{` + rest + `,"appid":"` + appID + `","secret":"s3cret","force_refresh":"true"}`, 47001},
		{"no grant type", http.MethodPost, `{"appid":"` + appID + `","secret":"s3cret"}`, 40002},
		{"no appid", http.MethodPost, `{` + rest + `,"secret":"s3cret"}`, 41002},
		{"no secret", http.MethodPost, `{` + rest + `,"appid":"` + appID + `"}`, 41004},
		{"unknown appid", http.MethodPost, `{` + rest + `,"appid":"wxnobody","secret":"s3cret"}`, 40013},
		{"wrong secret", http.MethodPost, `{` + rest + `,"appid":"` + appID + `","secret":"no"}`, 40125},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, api := start(t)
			wantErrcode(t, call(t, tt.method, api+wechattest.StableToken, "application/json", tt.body), tt.want)
		})
	}
}

func TestPlainTokenRequests(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		query string
		want  int
	}{
		{"no grant type", "?appid=" + appID + "&secret=s3cret", 40002},
		{"no appid", "?grant_type=client_credential&secret=s3cret", 41002},
		{"no secret", "?grant_type=client_credential&appid=" + appID, 41004},
		{"wrong secret", "?grant_type=client_credential&secret=no&appid=" + appID, 40125},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, api := start(t)
			wantErrcode(t, get(t, api+wechattest.Token+tt.query), tt.want)
		})
	}
}

func TestTokenQuotaIsPerApp(t *testing.T) {
	t.Parallel()
	k := startTokens(t)
	k.fake.SetQuota(wechattest.StableToken, 1)
	k.stable(false)
	body := map[string]any{"grant_type": "client_credential", "appid": appID, "secret": secret}
	wantErrcode(t, post(t, k.api+wechattest.StableToken, body), 45011)
	body["appid"], body["secret"] = other, "other"
	wantErrcode(t, post(t, k.api+wechattest.StableToken, body), 0)
}
