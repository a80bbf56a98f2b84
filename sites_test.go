// Two sites of one mini program on one store: what one grants is nothing at the other.

package wechatauth_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth"
	"github.com/caddy-wechat/wechatauth/session/redisstore/redistest"
	"github.com/caddy-wechat/wechatauth/wechat/wechattest"
)

const siteKey = "token {\nalgorithm HS256\nkey 9b1f0c5e7a3d48264f8e6d1b2c7a9053"

// The shop lets everybody in; the back office asks a hook. Both share mini program, store and key.
// Whoever is logged in at the one must not become anybody at the other.
// Threats: T58, F02.
func TestSessionsBelongToTheirSite(t *testing.T) {
	t.Parallel()
	crosses := map[string]bool{"refresh": true, "logout": true, "access token": true, "phone": true, "profile": true}
	onlyRefresh := map[string]bool{"refresh": true, "logout": true}
	for name, row := range map[string]struct {
		a, b    func(hook string) []string
		crosses map[string]bool // what of b is taken at a; never a replayed answer
	}{
		"issuer": {
			a: lines(siteKey + "\nissuer office\n}"), b: lines(siteKey + "\nissuer shop\n}"),
		},
		"audience": {
			a: lines(siteKey + "\naudience office\n}"), b: lines(siteKey + "\naudience shop\n}"),
		},
		"hook": {
			a: func(hook string) []string {
				return []string{siteKey + "\n}", "hook " + hook + " {\nsecret " + hookSecret + "\n}"}
			},
			b: lines(siteKey + "\n}"),
		},
		"algorithm": {
			a: lines("token {\nalgorithm ES256\n}"), b: lines("token {\nalgorithm EdDSA\n}"), crosses: onlyRefresh,
		},
		"ttl": {
			a: lines("token {\nttl 1h\n}"), b: lines("token {\nttl 2h\n}"), crosses: onlyRefresh,
		},
		"check": {
			a: lines(siteKey+"\n}", "profile {\ncheck on\n}"), b: lines(siteKey + "\n}"), crosses: crosses,
		},
	} {
		for kind, store := range map[string]func(*testing.T) string{
			"memory": func(*testing.T) string { return "store memory" },
			"sqlite": func(t *testing.T) string { t.Helper(); return "store sqlite " + t.TempDir() + "/sessions.db" },
			"redis":  func(t *testing.T) string { t.Helper(); return "store redis " + redistest.Start(t).URL },
		} {
			t.Run(name+" on "+kind, func(t *testing.T) {
				t.Parallel()
				hook := newBackend(t, says(`{"allow":true,"claims":{"role":"admin"}}`))
				shared := store(t)
				b := newSite(t, append(row.b(hook.url), shared)...)
				a := sibling(t, b, append(row.a(hook.url), shared)...)
				tryCrossing(t, a, b, row.crosses)
			})
		}
	}
}

func lines(of ...string) func(string) []string { return func(string) []string { return of } }

// tryCrossing uses at a everything that b gave.
func tryCrossing(t *testing.T, a, b *site, crosses map[string]bool) {
	t.Helper()
	alice := b.fake.NewUser(b.appID)
	login := func() answer {
		t.Helper()
		got := b.login("code", b.fake.LoginCode(alice))
		want(t, got, 200, "")
		return got
	}
	taken := func(what string, got answer, refused string) {
		t.Helper()
		if ok := got.status < 300; ok != crosses[what] || !ok && got.text("error") != refused {
			t.Errorf("%s: got %d %s, want taken %t or %s", what, got.status, got.body, crosses[what], refused)
		}
	}

	first := login()
	access, refresh := first.text("access_token"), first.text("refresh_token")
	taken("access token", a.do("GET", "/", access, ""), "token_invalid")
	taken("access token", a.do("GET", "/", access, ""), "token_invalid") // a remembered one, too
	taken("phone", a.do("POST", "/auth/phone", access, object("code", b.fake.PhoneCode(alice, "13800138000"))), "token_invalid")
	taken("profile", a.do("GET", "/auth/profile", access, ""), "token_invalid")
	taken("refresh", a.refresh(refresh), "refresh_invalid")
	if !crosses["refresh"] { // and it was not spent
		b.advance(time.Minute)
		want(t, b.refresh(refresh), 200, "")
	}

	second := login()
	taken("logout", a.do("POST", "/auth/logout", "", object("refresh_token", second.text("refresh_token"))), "refresh_invalid")
	if got := b.do("GET", "/", second.text("access_token"), "").status; (got == http.StatusOK) == crosses["logout"] {
		t.Errorf("after the logout: got %d at the site of the session", got)
	}

	// The answer to a login can be asked for again, there and nowhere else.
	code := b.fake.LoginCode(alice)
	want(t, b.login("code", code, "nonce", "n"), 200, "")
	want(t, a.login("code", code, "nonce", "n"), 401, "code_used")
	want(t, b.login("code", code, "nonce", "n"), 200, "")
}

// Two requests with one code at the same moment share one exchange; at two sites they don't share
// the answer.
func TestSharedExchangesAreOfOneSite(t *testing.T) {
	t.Parallel()
	b := newSite(t, siteKey+"\n}")
	hook := newBackend(t, says(`{"allow":false}`))
	a := sibling(t, b, siteKey+"\n}", hook.option())
	b.fake.Fail("/sns/jscode2session", 2, wechattest.Delay(200*time.Millisecond))
	code := b.fake.LoginCode(b.fake.NewUser(b.appID))
	got := make(chan answer)
	go func() { got <- b.login("code", code) }()
	if there := a.login("code", code); there.status == http.StatusOK {
		t.Errorf("got %s from the site whose hook says no", there.body)
	}
	<-got
}

// The memory of a store that keeps nothing ends with its process: a logout of before is not undone.
// Threats: F14.
func TestStoreMemoryRefusesTokensFromBeforeItsStart(t *testing.T) {
	t.Parallel()
	own := func(h *wechatauth.Handler) { h.StoreRaw = []byte(`{"type":"memory","max_mib":64}`) }
	lines := []string{siteKey + "\n}"}
	other := newSite(t)
	b := &site{t: t, appID: other.appID, fake: other.fake, api: other.api}
	b.start(lines, own)
	token := b.token(b.fake.NewUser(b.appID))
	if got := b.do("GET", "/", token, "").status; got != 200 {
		t.Fatalf("got %d", got)
	}
	if err := b.handler.Cleanup(); err != nil {
		t.Fatal(err)
	}
	after := &site{t: t, appID: b.appID, fake: b.fake, api: b.api}
	after.start(lines, own)
	if got := after.do("GET", "/", token, "").status; got != http.StatusUnauthorized {
		t.Errorf("got %d, want 401", got)
	}
}
