// Refreshes, logouts, keys and discovery.

package wechatauth_test

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func (s *site) refresh(token string) answer {
	s.t.Helper()
	return s.do("POST", "/auth/refresh", "", object("refresh_token", token))
}

func TestRefreshRotates(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	alice := s.fake.NewUser(s.appID)
	first := s.login("code", s.fake.LoginCode(alice))
	want(t, first, 200, "")
	if got := first.field("refresh_expires_in"); got != 2592000.0 {
		t.Errorf("refresh_expires_in: got %v", got)
	}
	s.advance(time.Hour)
	want(t, s.do("GET", "/", first.text("access_token"), ""), 401, "token_expired")
	second := s.refresh(first.text("refresh_token"))
	want(t, second, 200, "")
	if second.text("refresh_token") == first.text("refresh_token") || second.text("user", "openid") != alice.OpenID || second.field("user", "new") != false {
		t.Errorf("got %s", second.body)
	}
	if a, b := claims(t, first.text("access_token")), claims(t, second.text("access_token")); a["sid"] != b["sid"] || a["jti"] == b["jti"] || b["unionid"] != alice.UnionID {
		t.Errorf("claims: got %v after %v", b, a)
	}
	if a := s.do("GET", "/", second.text("access_token"), ""); a.status != 200 {
		t.Errorf("new token: got %d %s", a.status, a.body)
	}
	want(t, s.refresh(second.text("refresh_token")), 200, "")
}

// Ten requests of a mini program find the token expired and refresh at once: none may log the user
// out.
// Threats: C19, C45.
func TestRefreshAtTheSameMomentGivesOneSuccessor(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	token := s.login("code", s.fake.LoginCode(s.fake.NewUser(s.appID))).text("refresh_token")
	answers := make([]answer, 50)
	var wg sync.WaitGroup
	for i := range answers {
		wg.Go(func() { answers[i] = s.do("POST", "/auth/refresh", "", object("refresh_token", token)) })
	}
	wg.Wait()
	for _, a := range answers {
		if a.status != 200 || a.text("refresh_token") != answers[0].text("refresh_token") {
			t.Errorf("got %d %s, want the successor %s", a.status, a.body, answers[0].text("refresh_token"))
		}
	}
	want(t, s.refresh(answers[0].text("refresh_token")), 200, "")
}

// A thief and the user both hold the token. Whoever comes second shows that there are two, and both
// lose it.
// Threats: T57, C18, C19.
func TestRefreshReuseEndsTheSession(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	stolen := s.login("code", s.fake.LoginCode(s.fake.NewUser(s.appID))).text("refresh_token")
	next := s.refresh(stolen)
	want(t, next, 200, "")
	s.advance(29 * time.Second)
	want(t, s.refresh(stolen), 200, "")
	s.advance(2 * time.Second)
	want(t, s.refresh(stolen), 401, "refresh_reused")
	want(t, s.do("GET", "/", next.text("access_token"), ""), 401, "session_revoked")
	want(t, s.refresh(next.text("refresh_token")), 401, "refresh_invalid")
}

// Threats: T59, C20, C21.
func TestRefreshTokensDie(t *testing.T) {
	t.Parallel()
	t.Run("unused", func(t *testing.T) {
		t.Parallel()
		s := newSite(t, "session {\nidle 2h\n}")
		token := s.login("code", s.fake.LoginCode(s.fake.NewUser(s.appID))).text("refresh_token")
		s.advance(2 * time.Hour)
		want(t, s.refresh(token), 401, "refresh_invalid")
	})
	t.Run("at the end of the session's life", func(t *testing.T) {
		t.Parallel()
		s := newSite(t, "session {\nidle 2h\nlifetime 3h\n}")
		a := s.login("code", s.fake.LoginCode(s.fake.NewUser(s.appID)))
		s.advance(90 * time.Minute)
		a = s.refresh(a.text("refresh_token"))
		if got := a.field("refresh_expires_in").(float64); got < 5390 || got > 5400 {
			t.Errorf("refresh_expires_in: got %v, want what is left of 3h", got)
		}
		s.advance(90 * time.Minute)
		want(t, s.refresh(a.text("refresh_token")), 401, "refresh_invalid")
	})
}

// Threats: T37.
func TestRefreshRefuses(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	a := s.login("code", s.fake.LoginCode(s.fake.NewUser(s.appID)))
	good := a.text("refresh_token")
	other := newSite(t)
	foreign := other.login("code", other.fake.LoginCode(other.fake.NewUser(other.appID))).text("refresh_token")
	for name, token := range map[string]string{
		"access token":      a.text("access_token"),
		"garbage":           "garbage",
		"changed secret":    good[:len(good)-8] + strings.Repeat("A", 8)[:8],
		"another site's":    foreign,
		"trailing bits":     good[:len(good)-1] + "_",
		"padding":           good + "=",
		"cut":               good[:len(good)-4],
		"another's session": foreign[:54] + good[54:],
	} {
		if got := s.refresh(token); got.status != 401 || !strings.HasPrefix(got.text("error"), "refresh_") {
			t.Errorf("%s: got %d %s", name, got.status, got.body)
		}
	}
	if a := other.refresh(foreign); a.status != 200 {
		t.Errorf("the other site's token was used up here: got %d %s", a.status, a.body)
	}
	want(t, s.refresh(""), 400, "invalid_request")
	want(t, s.do("POST", "/auth/refresh", "", `{"refresh_token":1}`), 400, "invalid_request")
	want(t, s.do("GET", "/", good, ""), 401, "token_invalid")
}

// Threats: T53, T54, T55.
func TestLogout(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	alice := s.fake.NewUser(s.appID)
	var logins []answer
	for range 4 {
		logins = append(logins, s.login("code", s.fake.LoginCode(alice)))
	}
	dead := func(i int) {
		t.Helper()
		want(t, s.do("GET", "/", logins[i].text("access_token"), ""), 401, "session_revoked")
		want(t, s.do("POST", "/auth/phone", logins[i].text("access_token"), `{"code":"x"}`), 401, "session_revoked")
		want(t, s.refresh(logins[i].text("refresh_token")), 401, "refresh_invalid")
	}
	alive := func(i int) {
		t.Helper()
		if a := s.do("GET", "/", logins[i].text("access_token"), ""); a.status != 200 {
			t.Fatalf("session %d: got %d %s", i, a.status, a.body)
		}
	}
	logout := func(a answer) {
		t.Helper()
		if a.status != 204 || len(a.body) > 0 || a.header.Get("Cache-Control") != "no-store" {
			t.Fatalf("logout: got %d %q %v", a.status, a.body, a.header)
		}
	}
	alive(0)
	for range 2 { // again is as good
		logout(s.do("POST", "/auth/logout", logins[0].text("access_token"), ""))
		dead(0)
	}
	alive(1)
	for range 2 {
		logout(s.do("POST", "/auth/logout", "", object("refresh_token", logins[1].text("refresh_token"))))
		dead(1)
	}
	alive(2)
	alive(3)
	logout(s.do("POST", "/auth/logout", logins[2].text("access_token"), `{"all":true}`))
	dead(2)
	dead(3)
	again := s.login("code", s.fake.LoginCode(alice))
	if a := s.do("GET", "/", again.text("access_token"), ""); a.status != 200 {
		t.Errorf("login after logout of all: got %d %s", a.status, a.body)
	}
	want(t, s.do("POST", "/auth/logout", "", ""), 401, "token_missing")
	want(t, s.do("POST", "/auth/logout", "garbage", ""), 401, "token_invalid")
	want(t, s.do("POST", "/auth/logout", again.text("access_token"), `{"all":"yes"}`), 400, "invalid_request")
	want(t, s.do("GET", "/auth/logout", "", ""), 405, "method_not_allowed")
}

func TestMaxPerUserEndsTheOldest(t *testing.T) {
	t.Parallel()
	s := newSite(t, "session {\nmax_per_user 2\n}")
	alice := s.fake.NewUser(s.appID)
	var tokens []string
	for range 3 {
		tokens = append(tokens, s.token(alice))
	}
	want(t, s.do("GET", "/", tokens[0], ""), 401, "session_revoked")
	for _, token := range tokens[1:] {
		if a := s.do("GET", "/", token, ""); a.status != 200 {
			t.Errorf("got %d %s", a.status, a.body)
		}
	}
}

func TestUnionIDThatAppearsLaterIsKept(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	alice := s.fake.NewUser(s.appID)
	first := s.login("code", s.fake.LoginCode(alice))
	if a := s.refresh(first.text("refresh_token")); a.text("user", "unionid") != alice.UnionID {
		t.Errorf("after refresh: got %s", a.body)
	}
}

func TestDiscovery(t *testing.T) {
	t.Parallel()
	const path = "/auth/.well-known/openid-configuration"
	s := newSite(t, "token {\nissuer https://api.example.com/auth\n}")
	a := s.do("GET", path, "", "")
	if a.status != 200 || a.text("issuer") != "https://api.example.com/auth" || a.text("jwks_uri") != "https://api.example.com/auth/.well-known/jwks.json" {
		t.Errorf("got %d %s", a.status, a.body)
	}
	for _, claim := range []string{"nickname", "picture", "phone", "exp"} {
		if supported, _ := a.field("claims_supported").([]any); !slices.Contains(supported, any(claim)) || slices.Contains(supported, any("nbf")) {
			t.Errorf("got %v, want %s among them and no nbf", supported, claim)
		}
	}
	sealed := newSite(t, "token {\nphone sealed\nissuer https://api.example.com/auth\n}").do("GET", path, "", "")
	supported, _ := sealed.field("claims_supported").([]any)
	if !slices.Contains(supported, any("phone_sealed")) || slices.Contains(supported, any("phone")) || slices.Contains(supported, any("phone_number")) {
		t.Errorf("phone sealed: got %v, want phone_sealed in place of phone and phone_number", supported)
	}
	for _, issuer := range []string{"http://api.example.com/auth", "https://api.example.com/", "wechat"} {
		s := newSite(t, "token {\nissuer "+issuer+"\n}")
		want(t, s.do("GET", path, "", ""), 404, "not_found")
	}
}

func TestLogoutTakesAnEmptyBodyOfUnknownLength(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	req, err := http.NewRequestWithContext(t.Context(), "POST", s.url+"/auth/logout", io.MultiReader(strings.NewReader("")))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+s.token(s.fake.NewUser(s.appID)))
	if a := send(t, http.DefaultClient, req); a.status != 204 {
		t.Errorf("got %d %s", a.status, a.body)
	}
}
