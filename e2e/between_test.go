//go:build unix

// What happens between two requests that know nothing of each other, two stores, and two readers of
// one text.

package e2e_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/caddy-wechat/wechatauth/session/redisstore/redistest"
)

// A backend has one node sign while the user logs in at another, and WeChat replaces the session_key.
// A signature is one under a key of the user's, or there is none; and the next one is under the new
// key, whichever node made it.
func TestSignatureWhileTheUserLogsInElsewhere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	redis := redistest.Start(t)
	a, b := w.pair("store redis " + redis.URL + sealed + "\nservice {\nsecret " + serviceSecret + "\n}")
	alice := w.fake.NewUser(appID)
	a.login(alice)
	sign := func(n *node) answer {
		return n.send("POST", "/auth/service/sign", `{"openid":"`+alice.OpenID+`","data":"{}"}`, "Authorization", "Bearer "+serviceSecret)
	}
	signed := func(key string) string {
		mac := hmac.New(sha256.New, []byte(key))
		mac.Write([]byte("{}"))
		return hex.EncodeToString(mac.Sum(nil))
	}
	for range 5 {
		signatures := make([]answer, 6)
		together(len(signatures)+1, func(i int) {
			if i < len(signatures) {
				signatures[i] = sign(a)
			} else if got := b.tryLogin(alice); got.status != 200 {
				t.Errorf("login: got %s", got)
			}
		})
		for _, got := range signatures {
			genuine := slices.ContainsFunc(w.fake.SessionKeys(alice), func(key string) bool { return got.text("signature") == signed(key) })
			if !got.is(409, "session_key_stale") && (got.status != 200 || !genuine) {
				t.Errorf("sign: got %s, want a signature under a key of the user's, or 409", got)
			}
		}
		b.login(alice)
		if got := sign(a); got.status != 200 {
			t.Errorf("sign after the login: got %s, want 200", got)
		}
	}
}

// The service relays an answer of WeChat's that does not end, and the operator stops Caddy. It stops
// when its grace is over, and the backend does not take the half for the whole.
func TestCaddyStopsInTheMiddleOfARelayedAnswer(t *testing.T) {
	t.Parallel()
	ctx, end := context.WithCancel(t.Context())
	t.Cleanup(end)
	weChat := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/cgi-bin/") {
			_, _ = io.WriteString(out, `{"access_token":"token","expires_in":7200}`)
			return
		}
		out.Header().Set("Content-Type", "image/jpeg")
		for ctx.Err() == nil && r.Context().Err() == nil {
			_, _ = io.WriteString(out, "a part of a picture")
			_ = http.NewResponseController(out).Flush()
			pause()
		}
	}))
	t.Cleanup(weChat.Close)
	t.Cleanup(end) // before Close
	w := newWorld(t)
	w.api = weChat.URL
	n := w.newNode("service {\nsecret " + serviceSecret + "\napi /wxa/*\n}")
	n.start()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, n.url+"/auth/service/api/wxa/getwxacode", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+serviceSecret)
	res, err := n.http.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if _, err := io.ReadFull(res.Body, make([]byte, 50)); err != nil || res.StatusCode != 200 {
		t.Fatalf("got %d, %v, want the beginning of an answer", res.StatusCode, err)
	}
	start := time.Now()
	n.stop()
	if took := time.Since(start); took > 15*time.Second {
		t.Errorf("Caddy took %s to stop, and its grace is 5 s", took)
	}
	if _, err := io.Copy(io.Discard, res.Body); err == nil {
		t.Error("the half answer ended as if it were whole")
	}
}

// One app, two sites with stores of their own, one storage for pictures: erased in one, the user has
// the picture of the other.
// Threats: F13.
func TestPicturesOfTwoStoresOfOneApp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n, second := w.newNode("store sqlite"), w.newNode()
	n.more = second.server("store memory")
	n.start()
	alice := w.fake.NewUser(appID)
	kept, gone := n.login(alice), second.login(alice)
	path := n.upload(kept.access(), plainPNG(t, 20, 20)).text("user", "avatar")
	other := second.upload(gone.access(), plainPNG(t, 30, 30)).text("user", "avatar")
	if path == "" || other == "" {
		t.Fatal("there are no pictures")
	}
	want(t, "a new picture", second.upload(gone.access(), plainPNG(t, 31, 31)), 200, "")
	if got := n.get(path, ""); got.status != 200 {
		t.Errorf("the picture after the other store's was replaced: got %d, want 200", got.status)
	}
	want(t, "erase", second.erase(gone.access()), 204, "")
	if got := n.get(path, ""); got.status != 200 {
		t.Errorf("the picture after the other store's was erased: got %d, want 200", got.status)
	}
	want(t, "the other picture", second.get(other, ""), 404, "not_found")
}

// A hook gives a claim that steers terminals. The operator looks at the user, and the terminal does
// what the operator wants.
func TestTerminalsOfOperatorsAreNotSteered(t *testing.T) {
	t.Parallel()
	hook := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(out, `{"allow":true,"claims":{"role":"a`+"\u009b31m\u202e\u2028"+`b\u001b[2J"}}`)
	}))
	t.Cleanup(hook.Close)
	w := newWorld(t)
	n := w.newNode("hook " + hook.URL + " {\nsecret " + hookSecret + "\n}")
	n.start()
	alice := w.fake.NewUser(appID)
	n.login(alice)
	token := "e30." + base64.RawURLEncoding.EncodeToString([]byte(`{"role":"`+"\u009b31m\u202e"+`"}`)) + ".c2ln"
	inspected, err := n.command("wechat-auth", "inspect", token).Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, shown := range []string{
		n.wantOperation("role", "show", alice.OpenID), n.wantOperation("role", "show", alice.OpenID, "--json"), string(inspected),
	} {
		for _, c := range shown {
			if c != '\n' && (unicode.IsControl(c) || unicode.In(c, unicode.Zl, unicode.Zp, unicode.Bidi_Control)) {
				t.Errorf("the terminal gets %q", c)
			}
		}
	}
}
