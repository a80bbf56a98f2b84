// An example for the documentation.

package wechattest_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"

	"github.com/caddy-wechat/wechatauth/wechat/wechattest"
)

// Any client of WeChat's API can be tried against the fake, with the faults that WeChat has.
func Example() {
	fake := wechattest.New(wechattest.App{ID: "wx0123456789abcdef", Secret: "s3cret"})
	code := fake.LoginCode(fake.NewUser("wx0123456789abcdef"))
	login := func() string { // fake.Start serves the same at an address
		answer := httptest.NewRecorder()
		fake.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/sns/jscode2session?"+url.Values{
			"appid": {"wx0123456789abcdef"}, "secret": {"s3cret"}, "js_code": {code}, "grant_type": {"authorization_code"},
		}.Encode(), nil))
		return answer.Body.String()
	}

	fake.Fail("/sns/jscode2session", 1, wechattest.ErrCode(-1)) // busy, once
	login()
	login() // succeeds
	fmt.Println(login()[:len(`{"errcode":40163`)])

	for _, call := range fake.Calls() {
		fmt.Println(call.Number, call.Method, call.Endpoint, call.ErrCode)
	}
	// Output:
	// {"errcode":40163
	// 1 GET /sns/jscode2session -1
	// 2 GET /sns/jscode2session 0
	// 3 GET /sns/jscode2session 40163
}
