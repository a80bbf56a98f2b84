// Planned faults.

package wechattest_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/wechat/wechattest"
)

// do makes a login call that may go wrong, and reads the whole answer.
func do(t *testing.T, target string) (status int, body []byte, err error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, target, nil)
	if err != nil {
		t.Fatal(err)
	}
	// A connection of its own: the transport retries a broken reused one.
	client := http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	body, err = io.ReadAll(resp.Body)
	return resp.StatusCode, body, err
}

func TestFaultsHappenSoManyTimesInOrder(t *testing.T) {
	t.Parallel()
	fake, api := start(t)
	target := loginURL(api, appID, secret, "unknown")
	fake.Fail(wechattest.Login, 2, wechattest.ErrCode(-1))
	fake.Fail(wechattest.Any, 1, wechattest.ErrCode(45011))
	fake.Fail(wechattest.Phone, 1, wechattest.ErrCode(40001)) // not for this endpoint
	for _, want := range []int{-1, -1, 45011, 40029} {
		wantErrcode(t, get(t, target), want)
	}
	fake.Fail(wechattest.Any, -1, wechattest.ErrCode(89503))
	for range 3 {
		wantErrcode(t, get(t, target), 89503)
	}
	fake.ClearFaults()
	wantErrcode(t, get(t, target), 40029)

	calls := fake.Calls()
	if !calls[0].Fault || calls[0].ErrCode != -1 || calls[3].Fault {
		t.Errorf("record: got %+v and %+v", calls[0], calls[3])
	}
}

func TestFaultBeforeOrAfterTheWork(t *testing.T) {
	t.Parallel()
	fake, api := start(t)
	target := loginURL(api, appID, secret, fake.LoginCode(fake.NewUser(appID)))
	fake.Fail(wechattest.Login, 1, wechattest.ErrCode(-1))
	wantErrcode(t, get(t, target), -1)
	fake.Fail(wechattest.Login, 1, wechattest.ErrCode(-1).AfterWork())
	wantErrcode(t, get(t, target), -1)
	wantErrcode(t, get(t, target), 40163) // the second spent the code, the first did not
}

func TestHangEndsWithTheCaller(t *testing.T) {
	t.Parallel()
	fake, api := start(t)
	fake.Fail(wechattest.Login, 1, wechattest.Hang())
	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, api+wechattest.Login, nil)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() {
		_, err := http.DefaultClient.Do(req) //nolint:bodyclose // there is no answer
		done <- err
	}()
	if err := fake.Wait(t.Context(), wechattest.Login, 1); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("error: got %v, want %v", err, context.Canceled)
	}
}

func TestHangEndsWithClose(t *testing.T) {
	t.Parallel()
	fake, api := start(t)
	fake.Fail(wechattest.Login, -1, wechattest.Hang())
	done := make(chan error)
	go func() {
		_, _, err := do(t, api+wechattest.Login)
		done <- err
	}()
	if err := fake.Wait(t.Context(), wechattest.Login, 1); err != nil {
		t.Fatal(err)
	}
	fake.Close()
	fake.Close()
	if err := <-done; err == nil {
		t.Error("error: got none, want a cut connection")
	}
}

func TestWaitEndsWithItsContext(t *testing.T) {
	t.Parallel()
	fake, _ := start(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := fake.Wait(ctx, wechattest.Any, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("error: got %v, want %v", err, context.Canceled)
	}
}

func TestDelay(t *testing.T) {
	t.Parallel()
	fake, api := start(t)
	code := fake.LoginCode(fake.NewUser(appID))
	fake.Fail(wechattest.Login, 1, wechattest.Delay(20*time.Millisecond))
	before := time.Now()
	wantErrcode(t, get(t, loginURL(api, appID, secret, code)), 0)
	if took := time.Since(before); took < 20*time.Millisecond {
		t.Errorf("answer after %v, want 20ms at least", took)
	}
}

func TestBrokenAnswers(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		fault  wechattest.Fault
		status int
		body   func(string) bool
		broken bool
	}{
		{
			name: "cut", fault: wechattest.Cut(), status: 200, broken: true,
			body: func(b string) bool { return strings.HasPrefix(b, `{"openid"`) && !strings.HasSuffix(b, "}") },
		},
		{
			name: "truncate", fault: wechattest.Truncate(), status: 200,
			body: func(b string) bool { return strings.HasPrefix(b, `{"openid"`) && !strings.HasSuffix(b, "}") },
		},
		{
			name: "huge", fault: wechattest.Huge(), status: 200,
			body: func(b string) bool { return len(b) >= 50<<20 },
		},
		{
			name: "redirect", fault: wechattest.Redirect("https://example.com/"), status: 307,
			body: func(b string) bool { return b == "" },
		},
		{
			name: "html", fault: wechattest.Raw(502, "text/html", "<h1>Bad Gateway</h1>"), status: 502,
			body: func(b string) bool { return b == "<h1>Bad Gateway</h1>" },
		},
		{
			name: "empty", fault: wechattest.Raw(200, "text/html; charset=gbk", ""), status: 200,
			body: func(b string) bool { return b == "" },
		},
		{
			name: "no openid", fault: wechattest.Edit(func(b map[string]any) { delete(b, "openid") }), status: 200,
			body: func(b string) bool { return strings.HasPrefix(b, `{"session_key"`) },
		},
		{
			name: "openid a number", fault: wechattest.Edit(func(b map[string]any) { b["openid"] = 7 }), status: 200,
			body: func(b string) bool { return strings.HasPrefix(b, `{"openid":7,`) },
		},
		{
			name: "raw UTF-8", fault: wechattest.Edit(func(b map[string]any) { b["openid"] = "微信<&>" }), status: 200,
			body: func(b string) bool { return strings.HasPrefix(b, `{"openid":"微信<&>",`) },
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			fake, api := start(t)
			fake.Fail(wechattest.Login, 1, tt.fault)
			status, body, err := do(t, loginURL(api, appID, secret, fake.LoginCode(fake.NewUser(appID))))
			if (err != nil) != tt.broken {
				t.Fatalf("error: got %v, want one: %t", err, tt.broken)
			}
			if status != tt.status {
				t.Errorf("status: got %d, want %d", status, tt.status)
			}
			if !tt.body(string(body)) {
				t.Errorf("body: got %.80q…", body)
			}
		})
	}
}
