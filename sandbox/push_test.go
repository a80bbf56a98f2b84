// The sandbox's message push.

package sandbox_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-wechat/wechatauth/sandbox"
	"github.com/caddy-wechat/wechatauth/wechat"
)

const (
	pushToken  = "pushT0ken"
	pushAESKey = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"
)

// receiver takes pushes, and refuses some at first.
type receiver struct {
	t       *testing.T
	refuses int32
	asked   atomic.Int32
	pushed  chan wechat.Push
}

func (s *receiver) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.asked.Add(1) <= s.refuses {
		http.Error(w, "no", http.StatusServiceUnavailable)
		return
	}
	open, err := wechat.NewPushReceiver(wechat.PushConfig{AppID: s.t.Name(), Token: pushToken, AESKey: pushAESKey})
	if err != nil {
		s.t.Error(err)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		s.t.Error(err)
	}
	push, err := open.Open(r.URL.Query(), body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusUnauthorized)
		return
	}
	s.pushed <- push
	_, _ = io.WriteString(w, "success")
}

func pushing(t *testing.T, refuses int32, change func(*sandbox.Push)) (*sandbox.Handler, *receiver) {
	t.Helper()
	backend := &receiver{t: t, refuses: refuses, pushed: make(chan wechat.Push, 1)}
	server := httptest.NewServer(backend)
	t.Cleanup(server.Close)
	p := sandbox.Push{URL: server.URL + "/auth/push/x", Token: pushToken, AESKey: pushAESKey}
	if change != nil {
		change(&p)
	}
	return provision(t, &sandbox.Handler{Apps: []sandbox.App{{AppID: t.Name(), Secret: "s3cret"}}, Pushes: []sandbox.Push{p}}), backend
}

func TestPushesAreSentAsWeChatDoes(t *testing.T) {
	t.Parallel()
	h, backend := pushing(t, 2, nil)
	user := serve(t, h, request("POST", "/sandbox/users", `{"name":"alice"}`))
	w := serve(t, h, request("POST", "/sandbox/pushes", `{"user":"alice","event":"user_authorization_revoke","revoke_info":"8"}`))
	if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), `"tries":3`) {
		t.Errorf("got %d %s, want success at the third try", w.Code, w.Body)
	}
	push := <-backend.pushed
	if push.Event() != wechat.EventRevoke || push.Text("RevokeInfo") != "8" || push.OpenID() == "" || !strings.Contains(user.Body.String(), push.OpenID()) {
		t.Errorf("got %s of %s with %s, want the revocation of %s", push.Event(), push.OpenID(), push.Text("RevokeInfo"), user.Body)
	}
}

func TestPushesInXMLAndInTheCompatibleMode(t *testing.T) {
	t.Parallel()
	h, backend := pushing(t, 0, func(p *sandbox.Push) { p.Mode, p.Format = "compatible", "xml" })
	w := serve(t, h, request("POST", "/sandbox/pushes", `{"user":"alice","message":"你好 <b>"}`))
	if w.Code != http.StatusOK {
		t.Fatalf("got %d %s, want 200", w.Code, w.Body)
	}
	if push := <-backend.pushed; push.Kind() != "text" || push.Text("Content") != "你好 <b>" {
		t.Errorf("got %s %s, want the message", push.Kind(), push.Text("Content"))
	}
}

func TestPushesThatFail(t *testing.T) {
	t.Parallel()
	plain, _ := pushing(t, 0, func(p *sandbox.Push) { p.Mode = "plain" })
	event := `{"user":"alice","event":"user_authorization_revoke","revoke_info":"8"}`
	if w := serve(t, plain, request("POST", "/sandbox/pushes", event)); w.Code != http.StatusBadGateway || !strings.Contains(w.Body.String(), "401") {
		t.Errorf("plain: got %d %s, want 502 with the receiver's answer", w.Code, w.Body)
	}
	none := provision(t, &sandbox.Handler{Apps: []sandbox.App{{AppID: t.Name() + "none", Secret: "s3cret"}}})
	for body, h := range map[string]*sandbox.Handler{
		event:                                    none,
		`{"user":"a"}`:                           plain,
		`{"event":"x"}`:                          plain,
		`{"user":"a","event":"x","message":"y"}`: plain,
	} {
		if w := serve(t, h, request("POST", "/sandbox/pushes", body)); w.Code != http.StatusBadRequest {
			t.Errorf("%s: got %d %s, want 400", body, w.Code, w.Body)
		}
	}
}

// The sandbox must not be made to send requests to the internet.
func TestPushesStayInTheNetwork(t *testing.T) {
	t.Parallel()
	for i, address := range []string{"http://93.184.216.34/", "http://[2001:db8::1]/", "http://100.64.0.1:1/"} {
		h := provision(t, &sandbox.Handler{
			Apps:   []sandbox.App{{AppID: t.Name() + string(rune('a'+i)), Secret: "s3cret"}},
			Pushes: []sandbox.Push{{URL: address, Token: pushToken, AESKey: pushAESKey}},
		})
		w := serve(t, h, request("POST", "/sandbox/pushes", `{"user":"alice","message":"x"}`))
		if w.Code != http.StatusBadGateway || !strings.Contains(w.Body.String(), "loopback and private addresses only") {
			t.Errorf("%s: got %d %s, want it refused", address, w.Code, w.Body)
		}
	}
}

func TestPushesInACaddyfile(t *testing.T) {
	t.Parallel()
	good := "push http://localhost:1/x {\napp a\ntoken t\naes_key k\nmode plain\nformat xml\n}"
	h := new(sandbox.Handler)
	if err := h.UnmarshalCaddyfile(caddyfile.NewTestDispenser("wechat_sandbox {\napp a s\n" + good + "\n}")); err != nil {
		t.Fatal(err)
	}
	want := sandbox.Push{AppID: "a", URL: "http://localhost:1/x", Token: "t", AESKey: "k", Mode: "plain", Format: "xml"}
	if len(h.Pushes) != 1 || h.Pushes[0] != want {
		t.Errorf("got %+v, want %+v", h.Pushes, want)
	}
	for _, bad := range []string{"push", "push a b", "push a {\ntoken\n}", "push a {\ntoken x\ntoken y\n}", "push a {\nsecret x\n}"} {
		if err := new(sandbox.Handler).UnmarshalCaddyfile(caddyfile.NewTestDispenser("wechat_sandbox {\napp a s\n" + bad + "\n}")); err == nil {
			t.Errorf("%q: got no error, want one", bad)
		}
	}
}
