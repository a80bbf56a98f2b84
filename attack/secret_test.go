// Secrets of the profile and of the hook in logs and answers.

package attack_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/caddy-wechat/wechatauth/wechat/wechattest"
)

const (
	rigHookSecret = "d05b6f0e83a24c19b7e1902c55f8a3d4"
	rigHookPath   = "/hook-4c1e9a7730"
)

// rigHook is the hook of site full. It lets everybody in unless a test that is not parallel says
// otherwise.
type rigHook struct {
	url  string
	then atomic.Pointer[http.HandlerFunc]
}

func (h *rigHook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if then := h.then.Load(); then != nil {
		(*then)(w, r)
		return
	}
	_, _ = io.WriteString(w, `{"allow":true,"claims":{"role":"clerk"}}`)
}

func (h *rigHook) answer(then http.HandlerFunc) { h.then.Store(&then) }

// The same of what came with the profile, the hook and the older ways to the
// phone.
// Threats: T72, T88, T89.
func TestNothingSecretOfProfileAndHookIsLoggedOrTold(t *testing.T) { // not parallel: it makes the fake WeChat and the hook fail
	r := caddyRig(t)
	s := newSecretive(t, r, "full")
	encrypted := func(u rigUser, phone string) []string {
		data, iv := r.fake.EncryptedPhone(u.User, phone)
		return []string{"encryptedData", s.add("encryptedData", data), "iv", s.add("iv", iv)}
	}

	// Everything succeeds.
	alice, bob := s.login(), s.login()
	good := encrypted(alice, rigPhone)
	s.proof(alice, 200, good...)
	s.proof(alice, 200, "cloudID", s.add("cloudID", r.fake.CloudID(alice.User, rigPhone)))
	s.told(r.post(t, "full", "/auth/login", "", object(append([]string{"code", s.code(bob)}, encrypted(bob, rigPhone)...)...)))
	s.told(r.profile(t, "full", alice.token, filePart("avatar", "x.png", plainPNG(t, 30, 20)), textPart("nickname", s.add("nickname", "夜航的灯塔守望者"))))

	// The client errs.
	s.proof(bob, 409, good...)
	s.proof(bob, 409, "encryptedData", s.add("encryptedData", strings.Repeat("A", 64)+good[1]), "iv", good[3])
	s.proof(bob, 400, "encryptedData", s.add("encryptedData", "AAAA"+good[1]), "iv", good[3])
	s.proof(bob, 400, "encryptedData", good[1][:64], "iv", s.add("iv", "bm9pdm5vaXZub2l2"))
	s.proof(alice, 401, "cloudID", s.add("cloudID", r.fake.CloudID(bob.User, rigPhone)))
	s.proof(alice, 400, "cloudID", s.add("cloudID", "50_cloud\nlevel=error cloud"))
	r.fake.Judge("白鲸赌坊", "risky")
	s.told(r.profile(t, "full", alice.token, textPart("nickname", s.add("nickname", "白鲸赌坊老板"))))
	r.fake.Judge("白鲸赌坊", "")
	s.told(r.profile(t, "full", alice.token, textPart("nickname", s.add("nickname", "a\x07level=error"))))
	s.told(r.profile(t, "full", alice.token, filePart("avatar", s.add("file name", "../../etc/caddy-rig-passwd"), []byte("<script>"+s.add("file", "alert(rig)")+"</script>"))))

	// The hook errs, and says what is its own.
	for _, then := range []http.HandlerFunc{
		func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"allow":false}`) },
		func(w http.ResponseWriter, r *http.Request) { // an echo, as frameworks make of what they can't handle
			w.WriteHeader(500)
			_, _ = io.Copy(w, r.Body)
		},
		func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) },
		func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/"+rigHookSecret, http.StatusFound) },
		func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body) // before its end Go does not see that the caller is gone
			<-r.Context().Done()
		},
	} {
		r.hook.answer(then)
		s.told(r.post(t, "full", "/auth/login", "", object("code", s.code(alice))))
		s.told(r.post(t, "full", "/auth/login", "", object("code", s.code(bob), "phone_code", s.phoneCode(bob, rigPhone))))
		s.proof(alice, 403, "code", s.phoneCode(alice, rigPhone))
	}
	r.hook.then.Store(nil)

	// WeChat errs, in the calls that are new.
	for _, fault := range []wechattest.Fault{
		wechattest.ErrCode(-1), wechattest.ErrCode(61010), wechattest.ErrCode(40164), wechattest.ErrCode(48001), wechattest.ErrCode(87009), wechattest.Cut(),
		wechattest.Raw(200, "application/json", `{"errcode":40013,"errmsg":"`+rigSecret+` nick"}`), wechattest.Redirect("http://127.0.0.1:1/?secret=" + rigSecret),
	} {
		for _, endpoint := range []string{wechattest.OpenData, wechattest.CheckContent, wechattest.CheckSession} {
			r.fake.Fail(endpoint, 3, fault)
		}
		u := s.login()
		s.told(r.post(t, "full", "/auth/phone", u.token, object("cloudID", s.add("cloudID", r.fake.CloudID(u.User, rigPhone)))))
		s.told(r.profile(t, "full", u.token, textPart("nickname", s.add("nickname", "月光下的旅人"))))
		s.proof(u, 409, "encryptedData", good[1], "iv", good[3])
		r.fake.ClearFaults()
	}

	// The user goes. The picture's address is known to whoever saw it.
	a := r.do(t, "full", http.MethodDelete, "/auth/profile", alice.token)
	want(t, a, 204, "")
	s.told(a)
	s.told(r.do(t, "full", http.MethodGet, "/auth/profile", alice.token))

	metrics := r.do(t, "full", http.MethodGet, "/metrics", "")
	if !bytes.Contains(metrics.body, []byte("caddy_wechat_auth_")) {
		t.Fatalf("got %d %.200s, want the module's metrics", metrics.status, metrics.body)
	}
	s.told(metrics)
	s.check()
}

// The hook's question holds no more than it should, and its signature nothing of the secret.
func TestHookIsToldNoMoreThanItNeeds(t *testing.T) { // not parallel: the hook is shared
	r := caddyRig(t)
	var asked atomic.Pointer[string]
	r.hook.answer(func(w http.ResponseWriter, q *http.Request) {
		body, _ := io.ReadAll(q.Body)
		text := fmt.Sprint(q.Method, q.URL, q.Header, string(body))
		asked.Store(&text)
		_, _ = io.WriteString(w, `{"allow":true}`)
	})
	defer r.hook.then.Store(nil)
	u := rigUser{User: r.fake.NewUser(rigAppA)}
	code, tap := r.fake.LoginCode(u.User), r.fake.PhoneCode(u.User, rigPhone)
	a := r.post(t, "full", "/auth/login", "", object("code", code, "phone_code", tap, "nonce", "rig-nonce"), "X-Forwarded-For", "203.0.113.9", "Cookie", "c=rig-cookie")
	want(t, a, 200, "")
	text := *asked.Load()
	secrets := append([]string{code, tap, "rig-nonce", "rig-cookie", "203.0.113.9", rigSecret, rigHookSecret}, r.fake.SessionKeys(u.User)...)
	for _, secret := range secrets {
		if strings.Contains(text, secret) {
			t.Errorf("the hook was told %s: %s", secret, text)
		}
	}
	_, object, _ := strings.Cut(text, "]{")
	var event map[string]any
	if err := json.Unmarshal([]byte("{"+object), &event); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	if event["openid"] != u.OpenID || event["phone"] != rigPhone || event["client_ip"] != "127.0.0.1" {
		t.Errorf("got %v, want openid, phone and the address of the connection", event)
	}
}
