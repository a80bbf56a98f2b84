//go:build unix

// A backend that needs WeChat's session_key and API, and has neither.

package e2e_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-wechat/wechatauth/internal/testkit"
	"github.com/caddy-wechat/wechatauth/wechat/wechattest"
)

const serviceSecret = "9b1de7c3f0a24586b7c8d9e0f1a2b3c4"

// The backends that the examples show sell a sword: WeChat takes both signatures, and after a
// wx.login that nobody told of the mini program logs in and orders again.
func TestPaymentExamples(t *testing.T) {
	t.Parallel()
	const appKey = "12345"
	for name, command := range map[string]func(t *testing.T) []string{
		"Go": func(t *testing.T) []string {
			t.Helper()
			file := filepath.Join(t.TempDir(), "payment")
			if out, err := exec.Command("go", "build", "-buildvcs=false", "-o", file, "../examples/payment").CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			return []string{file}
		},
		"Node": func(t *testing.T) []string {
			t.Helper()
			node, err := exec.LookPath("node")
			if err != nil {
				t.Fatal("there is no node here: bash scripts/needs.sh")
			}
			return []string{node, "../examples/payment/payment.mjs"}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			address := "127.0.0.1:" + testkit.FreePort(t)
			n := w.newNode("service {\nsecret " + serviceSecret + "\n}")
			n.backend = "handle /orders {\nreverse_proxy " + address + "\n}"
			n.start()
			program := command(t)
			runProgram(t, address, []string{
				"PAYMENT_ADDRESS=" + address, "SERVICE_URL=" + n.url + "/auth/service", "SERVICE_SECRET=" + serviceSecret, "OFFER_ID=1450001234",
				"APP_KEY=" + appKey,
			}, program[0], program[1:]...)
			alice := w.fake.NewUser(appID)
			login := n.login(alice)
			order := func() answer { return n.post("/orders?product=sword", login.access()) }

			bought := order()
			want(t, "an order", bought, 200, "")
			signData := bought.text("signData")
			if code := w.fake.CheckPayment(alice, signData, bought.text("signature")); code != 0 {
				t.Errorf("WeChat says %d of the user signature, want 0", code)
			}
			mac := hmac.New(sha256.New, []byte(appKey))
			mac.Write([]byte("requestVirtualPayment&" + signData))
			if got, want := bought.text("paySig"), hex.EncodeToString(mac.Sum(nil)); got != want {
				t.Errorf("paySig: got %s, want %s", got, want)
			}
			if !strings.Contains(signData, `"goodsPrice":600`) || !strings.Contains(signData, `"env":0`) {
				t.Errorf("signData: got %s, want the price as a number", signData)
			}

			code := w.fake.LoginCode(alice) // another page of the mini program called wx.login
			want(t, "with an old session_key", order(), 409, "session_key_stale")
			login = n.post("/auth/login", "", "code", code)
			bought = order()
			want(t, "after the login", bought, 200, "")
			if code := w.fake.CheckPayment(alice, bought.text("signData"), bought.text("signature")); code != 0 {
				t.Errorf("WeChat says %d of the user signature, want 0", code)
			}
			want(t, "nothing of that name", n.post("/orders?product=toString", login.access()), 404, "no such product")
		})
	}
}

// A backend that was made for the open interface service of WeChat Cloud Run calls WeChat's name,
// over plain HTTP and without a token.
func TestOpenInterfaceServiceExample(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.newNode()
	site, door := testkit.FreePort(t), testkit.FreePort(t)
	n.more = adapted(t, "../examples/openapi/Caddyfile", map[string]string{
		"https://api.example.com {":                  "http://:" + site + " {",
		"http://api.weixin.qq.com {":                 "http://api.weixin.qq.com:" + door + " {",
		"http://api.example.com {":                   "http://api.example.com:" + door + " {",
		"app {env.WECHAT_APPID} {env.WECHAT_SECRET}": "app " + appID + " " + secret,
		"https://api2.weixin.qq.com":                 w.api,
		"secret {env.SERVICE_SECRET}":                "secret " + serviceSecret,
		"Bearer {env.SERVICE_SECRET}":                "Bearer " + serviceSecret,
	})
	n.start()
	users := newClient(t, "http://127.0.0.1:"+site)
	alice := w.fake.NewUser(appID)
	want(t, "login", users.post("/auth/login", "", "code", w.fake.LoginCode(alice)), 200, "")

	// As /etc/hosts leads it here.
	backend := client{"http://api.weixin.qq.com:" + door, &http.Client{Timeout: patience, Transport: &http.Transport{
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, "127.0.0.1:"+door)
		},
	}}}
	call := func(path, body string) answer {
		return backend.send("POST", path, body, "Content-Type", "application/json")
	}
	checked := call("/wxa/msg_sec_check?from_appid=", `{"content":"hello","version":2,"scene":2,"openid":"`+alice.OpenID+`"}`)
	if checked.status != 200 || !strings.Contains(checked.String(), `"suggest":"pass"`) {
		t.Errorf("msg_sec_check: got %s, want WeChat's answer", checked)
	}
	if got := call("/wxa/getwxacodeunlimit", `{"scene":"a"}`); got.status != 200 || len(got.body) < 100_000 {
		t.Errorf("getwxacodeunlimit: got status %d and %d bytes, want a picture", got.status, len(got.body))
	}
	for _, path := range []string{"/sns/jscode2session", "/cgi-bin/token", "/wxa/checksession", "/wxa/../cgi-bin/token", "/", "/auth/service/status"} {
		if got := call(path, "{}"); got.status != 404 {
			t.Errorf("%s: got %s, want 404", path, got)
		}
	}
	backend.url = "http://api.example.com:" + door // the door is not what people get who write http://
	backend.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	if got := call("/wxa/msg_sec_check", "{}"); got.status != 301 {
		t.Errorf("the site's name without TLS: got %s, want a redirect", got)
	}
	if got := users.send("POST", "/auth/service/api/wxa/msg_sec_check", "{}"); got.status != 401 {
		t.Errorf("from outside: got %s, want 401", got)
	}
	if got := w.fake.Count(wechattest.StableToken); got != 1 {
		t.Errorf("access tokens fetched: got %d, want 1", got)
	}
}

// The operator signs and decrypts by the command line, too.
func TestOperatorUsesWeChat(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.start("service {\nsecret " + serviceSecret + "\n}")
	alice := w.fake.NewUser(appID)
	n.login(alice)
	signature := strings.TrimSpace(n.wantOperation("", "sign", alice.OpenID, "--data", `{"a": 1}`))
	if code := w.fake.CheckPayment(alice, `{"a": 1}`, signature); code != 0 {
		t.Errorf("sign: WeChat says %d of %q, want 0", code, signature)
	}
	data, iv := w.fake.EncryptedSteps(alice, 12_000)
	n.wantOperation(`"step": 12000`, "decrypt", alice.OpenID, "--data", data, "--iv", iv)
	token := strings.TrimSpace(n.wantOperation("", "token"))
	if calls := w.fake.Calls(); calls[len(calls)-1].Query.Get("access_token") != token {
		t.Errorf("token: got %q, want that of the last call", token)
	}
	w.fake.LoginCode(alice)
	n.refused("session_key_stale", "sign", alice.OpenID, "--data", "x")
	n.refused("--data is empty", "sign", alice.OpenID, "--data", "")
	cmd := n.command("wechat-auth", "sign", alice.OpenID)
	cmd.Stdin = strings.NewReader("\xff") // JSON would make another character of it, with another signature
	if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), "no UTF-8") {
		t.Errorf("what is no UTF-8: got %s, error %v, want a refusal", out, err)
	}
}

// keygen makes keys that a configuration takes, and inspect shows a token of one.
func TestOperatorMakesAKeyAndLooksAtAToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.newNode()
	for _, alg := range []string{"ES256", "EdDSA", "HS256"} {
		made, err := n.command("wechat-auth", "keygen", alg).Output()
		if err != nil {
			t.Fatalf("%s: %v", alg, err)
		}
		key := strings.TrimSpace(string(made))
		if strings.HasPrefix(key, "-----") {
			key = writeFile(t, n.dir, alg+".pem", key+"\n")
		}
		n.lines = []string{"token {\nalgorithm " + alg + "\nkey " + key + "\n}"}
		n.start()
		alice := w.fake.NewUser(appID)
		login := n.login(alice)
		want(t, alg, n.get("/", login.access()), 200, "")
		cmd := n.command("wechat-auth", "inspect", "-")
		cmd.Stdin = strings.NewReader("Bearer " + login.access() + "\n")
		shown, err := cmd.CombinedOutput()
		for _, part := range []string{`"alg": "` + alg + `"`, alice.OpenID, "was not verified", "expires at"} {
			if err != nil || !strings.Contains(string(shown), part) {
				t.Errorf("%s: inspect: got %s, error %v, want %s", alg, shown, err, part)
			}
		}
		n.stop()
	}
}
