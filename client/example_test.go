// An example for the documentation.

package client_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/caddy-wechat/wechatauth/client"
)

// A server can hand the script to those who build mini programs against it, in the version that fits.
func Example() {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /"+client.Name, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/javascript; charset=utf-8")
		_, _ = w.Write(client.Script)
	})

	answer := httptest.NewRecorder()
	mux.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/wechatauth.js", nil))
	fmt.Println(answer.Code, answer.Body.Len() == len(client.Script))
	// Output: 200 true
}
