// WeChat refuses, is slow, says nonsense, and is asked too often.

package attack_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/wechat/wechattest"
)

// What WeChat answers decides the status, never more calls than one repeat, and nothing of the
// answer gets to the client. A redirect would take AppSecret and code along.
// Threats: T68, T69, T70, T71, T76, T78, T80, C42, C50.
func TestWeChatsRefusals(t *testing.T) { // not parallel: it makes the fake WeChat fail and counts its calls
	r := caddyRig(t)
	canary, err := listenWire()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(canary.close)
	for _, tt := range []struct {
		name   string
		fault  wechattest.Fault
		login  string // "status error"
		phone  string
		calls  int // of one login
		phones int // of one phone
	}{
		{"invalid code", wechattest.ErrCode(40029), "401 code_invalid", "401 code_invalid", 1, 1},
		{"used code", wechattest.ErrCode(40163), "401 code_used", "401 code_used", 1, 1},
		{"another app's code", wechattest.ErrCode(40013), "502 wechat_misconfigured", "401 code_invalid", 1, 1},
		{"high risk", wechattest.ErrCode(40226), "403 user_blocked", "", 1, 0},
		{"quota of a minute", wechattest.ErrCode(45011), "429 rate_limited", "429 rate_limited", 1, 1},
		{"address not allowed", wechattest.ErrCode(40164), "502 wechat_misconfigured", "502 wechat_misconfigured", 1, 1},
		{"busy", wechattest.ErrCode(-1), "503 wechat_unavailable", "503 wechat_unavailable", 2, 2},
		{"token refused", wechattest.ErrCode(42001), "", "503 wechat_unavailable", 0, 2},
		{"redirect", wechattest.Redirect("http://" + canary.addr + "/x"), "502 wechat_bad_answer", "502 wechat_bad_answer", 1, 1},
		{"50 MB", wechattest.Huge(), "502 wechat_bad_answer", "502 wechat_bad_answer", 1, 1},
		{"HTML", wechattest.Raw(200, "text/html", "<html>"), "502 wechat_bad_answer", "502 wechat_bad_answer", 1, 1},
		{"cut off", wechattest.Truncate(), "502 wechat_bad_answer", "502 wechat_bad_answer", 1, 1},
		{"no answer", wechattest.Hang(), "503 wechat_unavailable", "503 wechat_unavailable", 1, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			u := r.loginWithPhone(t, "brief", "13800138000")
			try := func(endpoint, path, token, code, want string, calls int) {
				if want == "" {
					return
				}
				r.fake.Fail(endpoint, -1, tt.fault)
				defer r.fake.ClearFaults()
				before, began := r.fake.Count(endpoint), time.Now()
				a := r.post(t, "brief", path, token, object("code", code))
				if got := itoa(a.status) + " " + a.text("error"); got != want {
					t.Errorf("%s: got %s, want %s: %s", path, got, want, a.body)
				}
				if got := r.fake.Count(endpoint) - before; got != calls {
					t.Errorf("%s: got %d calls to WeChat, want %d", path, got, calls)
				}
				if took := time.Since(began); took > 3*time.Second { // 500 ms a call, and the pauses
					t.Errorf("%s: got an answer after %s, want one in time", path, took)
				}
				if after := a.header.Get("Retry-After"); (after != "") != (a.status == 429 || a.status == 503) {
					t.Errorf("%s: Retry-After: got %q with %d", path, after, a.status)
				}
				if strings.Contains(string(a.body), "errmsg") || a.header.Get("Location") != "" {
					t.Errorf("%s: the client gets what WeChat said: %v %s", path, a.header, a.body)
				}
			}
			try(wechattest.Login, "/auth/login", "", r.fake.LoginCode(r.fake.NewUser(rigAppA)), tt.login, tt.calls)
			tokens := r.fake.Count(wechattest.StableToken)
			try(wechattest.Phone, "/auth/phone", u.token, r.fake.PhoneCode(u.User, "13900139000"), tt.phone, tt.phones)
			if got := r.fake.Count(wechattest.StableToken) - tokens; got > 1 {
				t.Errorf("got %d calls for an access token, want one at most", got)
			}
			// What was refused changes nothing.
			if a := r.loginAs(t, "brief", u.User); (answer{body: a.body}).text("user", "phone") != "13800138000" {
				t.Errorf("the phone of before: got %s", a.body)
			}
		})
	}
	if hits := len(canary.requests("")); hits > 0 {
		t.Errorf("the redirect was followed: got %d requests", hits)
	}
}

// A code is worth one session, and nobody without a session costs a call.
// Threats: T67, T74, C23.
func TestCodesWorkOnce(t *testing.T) { // not parallel: it counts calls to WeChat
	r := caddyRig(t)
	u := r.login(t, "main")
	before := r.fake.Count(wechattest.Any)
	code, phone := r.fake.LoginCode(u.User), r.fake.PhoneCode(u.User, "13800138000")
	want(t, r.post(t, "main", "/auth/phone", "", object("code", phone)), 401, "token_missing")
	want(t, r.post(t, "main", "/auth/phone", u.token+"x", object("code", phone)), 401, "token_invalid")
	if got := r.fake.Count(wechattest.Any) - before; got != 0 {
		t.Errorf("calls to WeChat without a token: got %d, want none", got)
	}
	want(t, r.post(t, "main", "/auth/login", "", object("code", code)), 200, "")
	for _, body := range []string{object("code", code), object("code", code, "nonce", "n"), object("code", code, "appid", rigAppA)} {
		want(t, r.post(t, "main", "/auth/login", "", body), 401, "code_used")
	}
	if got := r.fake.Count(wechattest.Any) - before; got != 1 {
		t.Errorf("calls to WeChat for one code: got %d, want 1", got)
	}
	// At the next site with the same app it is used as well.
	want(t, r.post(t, "strip", "/auth/login", "", object("code", code)), 401, "code_used")
}

// The access token ends while a whole town taps. WeChat is asked for one.
// Threats: T79.
func TestStampedeForTheAccessToken(t *testing.T) { // not parallel: it counts calls to WeChat
	r := caddyRig(t)
	users, codes := make([]rigUser, 100), make([]string, 100)
	for i := range users {
		users[i] = r.login(t, "main")
		codes[i] = r.fake.PhoneCode(users[i].User, "13800138000")
	}
	r.fake.ExpireTokens()
	before := r.fake.Count(wechattest.StableToken)
	flood(len(users), func(i int) {
		if a := r.post(t, "main", "/auth/phone", users[i].token, object("code", codes[i])); a.status != 200 {
			t.Errorf("got %d %s, want 200", a.status, a.body)
		}
	})
	if got := r.fake.Count(wechattest.StableToken) - before; got != 1 {
		t.Errorf("calls for an access token: got %d, want 1", got)
	}
}

// Whether an openid is known is the user's own business: the answers have the same form, and say it
// to nobody who is not that user.
// Threats: T82.
func TestAnswersShowNobodyWhoIsKnown(t *testing.T) {
	t.Parallel()
	r := caddyRig(t)
	known := r.login(t, "main")
	again, fresh := r.loginAs(t, "main", known.User), r.login(t, "main")
	fields := func(u rigUser) []string {
		all := answer{body: u.body}
		var names []string
		for _, path := range [][]string{nil, {"user"}} {
			object, _ := all.field(path...).(map[string]any)
			names = slices.AppendSeq(names, maps.Keys(object))
		}
		return slices.Sorted(slices.Values(names))
	}
	if a, b := fields(again), fields(fresh); !slices.Equal(a, b) {
		t.Errorf("got fields %v for a known user and %v for a new one, want the same", a, b)
	}
	// One who has only the openid or the phone of another gets the same refusals for all of them.
	for _, openid := range []string{known.OpenID, "oNobodyNobodyNobodyNobodyNo"} {
		want(t, r.post(t, "main", "/auth/login", "", object("code", openid)), 401, "code_invalid")
		wantRefused(t, r.exchange(t, "main", raw("GET /auth/profile", "X-WX-OPENID: "+openid)), 401, "token_missing")
		wantRefused(t, r.exchange(t, "main", raw("GET /auth/users/"+rigAppA+"/"+openid, bearer(fresh.token))), 404, "not_found")
	}
}

// encryptedData is off unless a site says so; where it is on, all that fails has one answer.
// Threats: T81, C48.
func TestEncryptedDataIsOffOrHasOneAnswer(t *testing.T) {
	t.Parallel()
	r := caddyRig(t)
	u := r.login(t, "main")
	data, iv := r.fake.EncryptedPhone(u.User, "13800138000")
	a := r.post(t, "main", "/auth/phone", u.token, object("encryptedData", data, "iv", iv))
	if want(t, a, 400, "invalid_request"); !strings.Contains(a.text("error_description"), "not switched on") {
		t.Errorf("got %s, want that it is off", a.body)
	}

	v := r.login(t, "full")
	other, otherIV := r.fake.EncryptedPhone(r.login(t, "full").User, "13900139000")
	name, nameIV := r.fake.EncryptedUserInfo(v.User, "x")
	mine, mineIV := r.fake.EncryptedPhone(v.User, "13800138000")
	var first answer
	for i, try := range [][2]string{
		{other, otherIV}, // another user's key
		{name, nameIV},   // another kind of text under the right key
		{mine, otherIV},  // the first block rewritten
		{mine[:len(mine)-len(mine)%64] + strings.Repeat("A", 64), mineIV}, // another padding
	} {
		a := r.post(t, "full", "/auth/phone", v.token, object("encryptedData", try[0], "iv", try[1]))
		want(t, a, 409, "session_key_stale")
		if first.body == nil {
			first = a
		}
		if string(a.body) != string(first.body) {
			t.Errorf("try %d: got %s, want %s as before", i, a.body, first.body)
		}
	}
}
