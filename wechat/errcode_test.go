// WeChat's errcodes and their classes.

package wechat_test

import (
	"errors"
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-wechat/wechatauth/wechat"
)

func errcode(code any, errmsg string) answerFunc {
	return text(fmt.Sprintf(`{"errcode":%v,"errmsg":%q}`, code, errmsg))
}

func TestErrcodeDecidesTheClass(t *testing.T) {
	t.Parallel()

	const (
		code   = wechat.ClassCode
		config = wechat.ClassConfig
		quota  = wechat.ClassQuota
		stale  = wechat.ClassToken
	)
	// The same code means different things in different calls.
	tests := []struct {
		code                int
		login, phone, token wechat.Class
	}{
		{-1, wechat.ClassBusy, wechat.ClassBusy, wechat.ClassBusy},
		{40001, config, stale, config},
		{40002, config, config, config},
		{40003, config, code, config},
		{40013, config, code, config},
		{40014, config, stale, config},
		{40029, code, code, config},
		{40125, config, config, config},
		{40163, wechat.ClassCodeUsed, wechat.ClassCodeUsed, config},
		{40164, config, config, config},
		{40226, wechat.ClassBlocked, wechat.ClassBlocked, config},
		{40243, config, config, config},
		{41002, config, config, config},
		{41004, config, config, config},
		{41008, config, config, config},
		{42001, config, stale, config},
		{43002, config, config, config},
		{43104, config, code, config},
		{44991, quota, quota, quota},
		{45009, quota, quota, quota},
		{45011, quota, quota, quota},
		{47001, config, config, config},
		{48001, config, config, config},
		{48017, config, config, config},
		{50002, config, config, config},
		{50004, config, config, config},
		{50007, config, config, config},
		{89503, config, config, config},
		{89506, config, config, config},
		{89507, config, config, config},
		{123456, config, config, config},
		{-1000, config, config, config},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprint(tt.code), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				bad := errcode(tt.code, "some text, rid: 652d44d0-1d0af18b-5b069232")

				_, err := newClient(t, newFake().on(loginPath, bad)).Code2Session(t.Context(), testCode)
				checkRefusal(t, err, wechat.OpCode2Session, tt.code, tt.login)

				_, err = newClient(t, newFake().on(phonePath, bad)).PhoneNumber(t.Context(), testCode, testOpenID)
				checkRefusal(t, err, wechat.OpPhoneNumber, tt.code, tt.phone)

				_, err = newClient(t, newFake().on(tokenPath, bad)).PhoneNumber(t.Context(), testCode, testOpenID)
				checkRefusal(t, err, wechat.OpToken, tt.code, tt.token)
			})
		})
	}
}

func TestErrcodeDecidesTheClassOfBusinessCalls(t *testing.T) {
	t.Parallel()

	const (
		code   = wechat.ClassCode
		config = wechat.ClassConfig
		quota  = wechat.ClassQuota
		stale  = wechat.ClassToken
	)
	tests := []struct {
		code                   int
		session, cloudID, nick wechat.Class // 0: no error
	}{
		{-1, wechat.ClassBusy, wechat.ClassBusy, wechat.ClassBusy},
		{40001, stale, stale, stale},
		{40003, config, code, config},
		{40013, config, code, config},
		{40014, stale, stale, stale},
		{40097, config, code, config},
		{40129, config, config, config},
		{40164, config, config, config},
		{41001, config, config, config},
		{42001, stale, stale, stale},
		{43002, config, config, config},
		{43104, config, code, config},
		{44002, config, config, config},
		{44991, quota, quota, quota},
		{45009, quota, quota, quota},
		{45011, quota, quota, quota},
		{47001, config, config, config},
		{48001, config, config, config},
		{61010, config, config, wechat.ClassInactive},
		{87007, 0, config, config},
		{87008, config, config, config},
		{87009, 0, config, config},
		{87014, config, config, wechat.ClassContent},
		{123456, config, config, config},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprint(tt.code), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				bad := errcode(tt.code, "some text, rid: 652d44d0-1d0af18b-5b069232")

				valid, err := newClient(t, newFake().on(checkPath, bad)).CheckSession(t.Context(), testOpenID, testKey)
				if valid {
					t.Error("session_key: got valid, want not")
				}
				if tt.session != 0 {
					checkRefusal(t, err, wechat.OpCheckSession, tt.code, tt.session)
				} else if err != nil {
					t.Errorf("session_key: got error %v, want the plain answer that it is not valid", err)
				}

				_, err = newClient(t, newFake().on(cloudPath, bad)).PhoneFromCloudID(t.Context(), testCloud, testOpenID)
				checkRefusal(t, err, wechat.OpOpenData, tt.code, tt.cloudID)

				err = newClient(t, newFake().on(nickPath, bad)).CheckNickname(t.Context(), testOpenID, testName)
				checkRefusal(t, err, wechat.OpCheckNickname, tt.code, tt.nick)
			})
		})
	}
}

func checkRefusal(t *testing.T, err error, op string, code int, class wechat.Class) {
	t.Helper()
	e := asError(t, err)
	if e.Op != op || e.Code != code || e.Class != class {
		t.Errorf("got %s %d %v, want %s %d %v", e.Op, e.Code, e.Class, op, code, class)
	}
	if want := "652d44d0-1d0af18b-5b069232"; e.RID != want {
		t.Errorf("RID: got %q, want %q", e.RID, want)
	}
	if got := wechat.ClassOf(fmt.Errorf("login: %w", err)); got != class {
		t.Errorf("ClassOf a wrapped error: got %v, want %v", got, class)
	}
}

func TestErrcodeMayBeAString(t *testing.T) {
	t.Parallel()
	client := newClient(t, newFake().on(loginPath, errcode(`"40029"`, "")))
	_, err := client.Code2Session(t.Context(), testCode)
	if e := asError(t, err); e.Code != 40029 || e.Class != wechat.ClassCode {
		t.Errorf("got %d %v, want 40029 code", e.Code, e.Class)
	}
}

func TestErrcodeWinsOverFields(t *testing.T) {
	t.Parallel()
	client := newClient(t, newFake().on(loginPath, text(`{"openid":"`+testOpenID+`","errcode":40226}`)))
	session, err := client.Code2Session(t.Context(), testCode)
	if wechat.ClassOf(err) != wechat.ClassBlocked || session != (wechat.Session{}) {
		t.Errorf("got class %v, session filled: %t, want blocked and none", wechat.ClassOf(err), session != wechat.Session{})
	}
}

func TestErrmsgGivesOnlyIDAndAddress(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		code    int
		errmsg  string
		rid, ip string
	}{
		{"comma", 40029, "invalid code, rid: 652d44d0-1d0af18b-5b069232", "652d44d0-1d0af18b-5b069232", ""},
		{"no comma", 40013, "invalid appid rid: 608d5803-66b84dfc-005383b1", "608d5803-66b84dfc-005383b1", ""},
		{"hint", 40029, "invalid code hint: [WiEBWV0sf-Te2URA] rid: 66165fe0-612cb3df-20194ddf", "66165fe0-612cb3df-20194ddf", ""},
		{"old request id", 40029, "hints: [ req_id: uhJDVZyFe-YZguHA ]", "", ""},
		{"rid of another shape", 40029, "rid: 652d44d0-1d0af18b-5b06923Z", "", ""},
		{
			"address twice", 40164,
			"invalid ip 116.25.45.231 ipv6 ::ffff:116.25.45.231, not in whitelist rid: 608d5803-66b84dfc-005383b1",
			"608d5803-66b84dfc-005383b1", "116.25.45.231",
		},
		{"IPv6", 40164, "invalid ip 2001:db8::1, not in whitelist", "", "2001:db8::1"},
		{"mapped", 40164, "invalid ip ::ffff:116.25.45.231, not in whitelist", "", "116.25.45.231"},
		{"no address", 40164, "invalid ip 999.1.1.1, not in whitelist", "", ""},
		{"address with another code", 40029, "invalid ip 116.25.45.231", "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			client := newClient(t, newFake().on(loginPath, errcode(tt.code, tt.errmsg)))
			_, err := client.Code2Session(t.Context(), testCode)
			if e := asError(t, err); e.RID != tt.rid || e.IP != tt.ip {
				t.Errorf("got rid %q, IP %q, want %q, %q", e.RID, e.IP, tt.rid, tt.ip)
			}
		})
	}
}

func TestErrorTellsTheOperatorWhatToDo(t *testing.T) {
	t.Parallel()
	fake := newFake().on(loginPath, errcode(40164, "invalid ip 1.2.3.4, not in whitelist rid: 608d5803-66b84dfc-005383b1"))
	_, err := newClient(t, fake).Code2Session(t.Context(), testCode)
	want := "wechat: jscode2session: errcode 40164: the IP whitelist is on and this server's address is not in it; " +
		"add it in the console (开发管理, 开发设置): 1.2.3.4 (rid 608d5803-66b84dfc-005383b1)"
	if err.Error() != want {
		t.Errorf("got %q, want %q", err, want)
	}
}

func TestClassOfStrangersIsZero(t *testing.T) {
	t.Parallel()
	for _, err := range []error{nil, errors.New("x"), http.ErrAbortHandler} {
		if got := wechat.ClassOf(err); got != 0 {
			t.Errorf("ClassOf(%v): got %v, want none", err, got)
		}
	}
}

// The quota of the day comes back at midnight in Beijing: to try again after a minute is in vain
// all day.
func TestDayQuotaSaysWhenItComesBack(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		now  string
		code int
		want time.Duration
	}{
		{"2026-11-29T15:59:30Z", 45009, 30 * time.Second},
		{"2026-11-29T16:00:00Z", 45009, 24 * time.Hour},
		{"2026-12-31T22:00:00+08:00", 45009, 2 * time.Hour},
		{"2026-11-29T15:59:30Z", 45011, 0},
		{"2026-11-29T15:59:30Z", 44991, 0},
	} {
		now, err := time.Parse(time.RFC3339, tt.now)
		if err != nil {
			t.Fatal(err)
		}
		client := newClient(t, newFake().on(phonePath, errcode(tt.code, "")), func(cfg *wechat.Config) { cfg.Now = func() time.Time { return now } })
		_, err = client.PhoneNumber(t.Context(), testCode, testOpenID)
		if e := new(wechat.Error); !errors.As(err, &e) || e.RetryAfter != tt.want {
			t.Errorf("%d at %s: got %v, want to retry after %s", tt.code, tt.now, err, tt.want)
		}
	}
}
