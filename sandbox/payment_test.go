// Payments and risky users of the sandbox.

package sandbox_test

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/caddy-wechat/wechatauth/wechat"
)

// A signature is good under the session_key of the last login code, and expired under the one
// before.
func TestPaymentChecksTheSignature(t *testing.T) {
	t.Parallel()
	h := oneApp(t)
	post := func(path, body string) (answer map[string]any) {
		w := serve(t, h, request(http.MethodPost, path, body))
		if w.Code != http.StatusOK {
			t.Fatalf("%s: got %d %s, want 200", path, w.Code, w.Body)
		}
		if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
			t.Fatal(err)
		}
		return answer
	}
	pay := func(signature string) any {
		return post("/sandbox/payments", `{"user":"alice","signData":"{\"a\": 1}","signature":"`+signature+`"}`)["errCode"]
	}
	code, _ := post("/sandbox/codes", `{"user":"alice","kind":"login"}`)["code"].(string)
	session := serve(t, h, request(http.MethodGet, "/sns/jscode2session?appid="+t.Name()+"&secret=s3cret&grant_type=authorization_code&js_code="+code, ""))
	var exchanged struct {
		SessionKey string `json:"session_key"`
	}
	if err := json.Unmarshal(session.Body.Bytes(), &exchanged); err != nil {
		t.Fatal(err)
	}
	good := wechat.SignUser(exchanged.SessionKey, `{"a": 1}`)
	for name, tt := range map[string]struct {
		signature string
		want      any
	}{"good": {good, 0.0}, "of other data": {wechat.SignUser(exchanged.SessionKey, `{"a":1}`), -15005.0}, "none": {"", -15005.0}} {
		if got := pay(tt.signature); got != tt.want {
			t.Errorf("%s: got %v, want %v", name, got, tt.want)
		}
	}
	post("/sandbox/codes", `{"user":"alice","kind":"login"}`)
	if got := pay(good); got != -15007.0 {
		t.Errorf("after the next wx.login: got %v, want -15007", got)
	}
}
