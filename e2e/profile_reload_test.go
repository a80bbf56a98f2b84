//go:build unix

// Reloads during uploads and hook calls.

package e2e_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/wechat/wechattest"
)

// visits is clients that log in, upload a picture and tap the phone button, while WeChat and the
// hook take their time. Every outcome but "well" is a fault.
func (n *node) visits(clients int, picture []byte) *load {
	return newLoad(clients, func() string {
		alice := n.fake.NewUser(appID)
		login := n.post("/auth/login", "", "code", n.fake.LoginCode(alice), "nonce", "n")
		if login.status != 200 {
			return "login: " + login.String()
		}
		edited := n.upload(login.access(), picture)
		if edited.status != 200 || edited.text("user", "avatar") == "" {
			return "upload: " + edited.String()
		}
		phone := n.phone(alice, login)
		if phone.status != 200 || phone.text("user", "phone") != "13800138000" || phone.text("user", "avatar") != edited.text("user", "avatar") {
			return "phone: " + phone.String()
		}
		if got := n.get("/", phone.access()); string(got.body) != "role=clerk" {
			return "claims of the hook: " + got.String()
		}
		if got := n.get(edited.text("user", "avatar"), ""); got.status != 200 {
			return "picture: " + got.String()
		}
		if got := n.get("/auth/profile", login.access()); got.text("phone") != "13800138000" {
			return "profile: " + got.String()
		}
		return "well"
	})
}

// A reload, with all that it has to keep: signing, a hook, uploads.
// Threats: T85.
func TestReloadUnderUploadsAndHooks(t *testing.T) {
	w := newSigned(t)
	hook := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		pause()
		_, _ = io.WriteString(out, `{"allow":true,"claims":{"role":"clerk"}}`)
	}))
	t.Cleanup(hook.Close)
	w.fake.Fail(wechattest.Phone, -1, wechattest.Delay(20*time.Millisecond))
	app := w.app(w.fake.PlatformCertificate())
	lines := func(i int) []string {
		return []string{
			app, "limit profile off", "encrypted_data on", "header X-User-Role role", fmt.Sprintf("profile {\ncheck on\navatar %d\n}", 64+i%3),
			fmt.Sprintf("hook %s {\nsecret %s\ntimeout %ds\n}", hook.URL, hookSecret, 10+i%2),
		}
	}
	n := w.newNode(lines(0)...).patient()
	n.echo = "role={http.request.header.X-User-Role}"
	n.start()
	reload := func(i int) {
		t.Helper()
		n.lines = lines(i)
		if a := n.reload(n.config()); a.status != 200 {
			t.Fatalf("reload: got %s", a)
		}
	}
	for i := range 5 {
		reload(i)
	}
	goroutines, files := n.goroutines(), n.files()
	visits := n.visits(3, plainPNG(t, 200, 100))
	for i := range 100 {
		reload(i)
		if i%4 == 0 {
			visits.goesOn(t)
		}
	}
	visits.allWell(t)
	reload(99)
	// Some connections to WeChat and the hook are kept; Caddy looks after a lock for five seconds
	// more.
	eventually(t, "goroutines and files end", func() bool { return n.goroutines() <= goroutines+16 && n.files() <= files+8 })
	t.Logf("goroutines: %d, then %d; files: %d, then %d", goroutines, n.goroutines(), files, n.files())
	if v := w.fake.Violations(); len(v) > 0 {
		t.Errorf("against the protocol: %q", v)
	}
}
