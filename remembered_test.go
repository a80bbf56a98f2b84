// Remembered tokens, as clients see them.

package wechatauth_test

import (
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	gojwt "github.com/golang-jwt/jwt/v5"
)

// A remembered token ends with its session, and with all sessions of its user.
// Threats: T61.
func TestRememberedTokenEndsWithItsSession(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	alice, bob := s.fake.NewUser(s.appID), s.fake.NewUser(s.appID)
	one, two, three, other := s.token(alice), s.token(alice), s.token(alice), s.token(bob)
	for _, token := range []string{one, two, three, other} {
		if a := s.do("GET", "/", token, ""); a.status != 200 {
			t.Fatalf("got %d, want 200", a.status)
		}
	}
	if a := s.do("POST", "/auth/logout", one, ""); a.status != 204 {
		t.Fatalf("logout: got %d %s", a.status, a.body)
	}
	want(t, s.do("GET", "/", one, ""), 401, "session_revoked")
	if a := s.do("GET", "/", two, ""); a.status != 200 {
		t.Errorf("another session: got %d", a.status)
	}
	if a := s.do("POST", "/auth/logout", two, `{"all":true}`); a.status != 204 {
		t.Fatalf("logout of all: got %d %s", a.status, a.body)
	}
	want(t, s.do("GET", "/", two, ""), 401, "session_revoked")
	want(t, s.do("GET", "/", three, ""), 401, "session_revoked")
	if a := s.do("GET", "/", other, ""); a.status != 200 || s.last().Header.Get("X-Wx-Openid") != bob.OpenID {
		t.Errorf("another user: got %d", a.status)
	}
}

// A second signature of the same claims is a token of its own, verified as such.
func TestRememberedTwin(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	alice := s.fake.NewUser(s.appID)
	token := s.token(alice)
	if a := s.do("GET", "/", token, ""); a.status != 200 {
		t.Fatalf("got %d", a.status)
	}
	twin := twinOf(t, token)
	if a := s.do("POST", "/auth/logout", token, ""); a.status != 204 {
		t.Fatalf("logout: got %d", a.status)
	}
	want(t, s.do("GET", "/", twin, ""), 401, "session_revoked")
}

// twinOf returns a P-256 token with the other of the two signatures that verify.
func twinOf(t *testing.T, token string) string {
	t.Helper()
	cut := strings.LastIndex(token, ".") + 1
	sig, err := gojwt.NewParser().DecodeSegment(token[cut:])
	if err != nil {
		t.Fatal(err)
	}
	order, _ := new(big.Int).SetString("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551", 16)
	order.Sub(order, new(big.Int).SetBytes(sig[32:])).FillBytes(sig[32:])
	return token[:cut] + (&gojwt.Token{}).EncodeSegment(sig)
}

// A reload leaves nothing running and nothing taken.
func TestMemoryEndsWithItsSite(t *testing.T) {
	const key = "4pDrEP1sxH2rBqJSdk0wqQzvTn8mYcL7pD2sA9fK6jW3eR5tY8uI1oP4"
	once := func(t *testing.T) {
		t.Helper()
		s := provision(t, "wechat_auth {\napp wx0000000000000001 "+testSecret+"\nstore memory\ntoken {\nremember 3MiB\nkey "+key+"\nalgorithm HS256\n}\n}")
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("Authorization", "Bearer x.y.z")
		w := httptest.NewRecorder()
		r = caddyhttp.PrepareRequest(r, caddy.NewReplacer(), w, &caddyhttp.Server{})
		if err := s.ServeHTTP(w, r, nil); err != nil || w.Code != http.StatusUnauthorized {
			t.Errorf("got %d, %v", w.Code, err)
		}
	}
	t.Run("warm", once)
	before := runtime.NumGoroutine()
	for i := range 100 {
		t.Run(fmt.Sprint(i), once)
	}
	for end := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > before; runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatalf("got %d goroutines, want %d", runtime.NumGoroutine(), before)
		}
	}
}
