// Sessions: what ends, what outlives its end, and what stands in for something else.

package attack_test

import (
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"
)

func (r *rig) refresh(t *testing.T, site, token string) answer {
	t.Helper()
	return r.post(t, site, r.base(site)+"/refresh", "", object("refresh_token", token))
}

func (u rigUser) refreshToken() string { return answer{body: u.body}.text("refresh_token") }

// An access token is good for requests, a refresh token for the next one, and neither gets through
// the other's door, however it is sent.
// Threats: T37, C11.
func TestTokensDoNotStandInForEachOther(t *testing.T) {
	t.Parallel()
	r := caddyRig(t)
	u := r.login(t, "main")
	for _, line := range []string{"GET /api", "GET /optional/x", "GET /auth/verify", "GET /auth/profile", "POST /auth/phone", "POST /auth/logout"} {
		wantInvalid(t, r.exchange(t, "main", raw(line, bearer(u.refreshToken()))))
	}
	for _, token := range []string{u.token, "Bearer " + u.refreshToken(), u.OpenID, "null", u.refreshToken() + "=", u.refreshToken()[1:]} {
		want(t, r.refresh(t, "main", token), 401, "refresh_invalid")
	}
	for _, body := range []string{"", "{}", `{"refresh_token":""}`, `{"refresh_token":["` + u.refreshToken() + `"]}`, object("token", u.refreshToken())} {
		want(t, r.post(t, "main", "/auth/refresh", u.token, body), 400, "invalid_request")
	}
	want(t, r.refresh(t, "main", u.refreshToken()), 200, "") // none of it has ended the session
}

// The user logs out on a phone that was stolen. The thief goes on with the token that the site
// remembers as verified, with another text of the same token, and with the refresh token.
// Threats: T53, T54, T55, T56, T61, C35.
func TestNothingOutlivesTheLogout(t *testing.T) {
	t.Parallel()
	r := caddyRig(t)
	u := r.login(t, "main")
	for range 2 { // it is remembered from here on
		wantForwarded(t, r.exchange(t, "main", raw("GET /api", bearer(u.token))))
	}
	if a := r.post(t, "main", "/auth/logout", u.token, ""); a.status != 204 {
		t.Fatalf("logout: got %d %s, want 204", a.status, a.body)
	}
	for _, line := range []string{"GET /api", "GET /optional/x", "GET /auth/verify", "GET /auth/profile", "POST /auth/phone"} {
		wantRefused(t, r.exchange(t, "main", raw(line, bearer(u.token))), 401, "session_revoked")
	}
	for i, other := range twins(u.token) {
		if got := r.exchange(t, "main", raw("GET /api", bearer(other))); got.status != 401 || len(got.reached) > 0 {
			t.Errorf("text %d of the token: got %d %s, want 401", i, got.status, got.body)
		}
	}
	want(t, r.refresh(t, "main", u.refreshToken()), 401, "refresh_invalid")

	// Again is as good, and says nothing more.
	for _, body := range []string{"", object("refresh_token", u.refreshToken())} {
		if a := r.post(t, "main", "/auth/logout", u.token, body); a.status != 204 || len(a.body) > 0 {
			t.Errorf("logout again: got %d %s, want 204", a.status, a.body)
		}
	}
}

// twins are texts that a lax decoder reads as the same token: the last character of a part carries
// bits that belong to no byte.
func twins(token string) (all []string) {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	parts := strings.Split(token, ".")
	for i, part := range parts {
		end := len(part) - 1
		for bit := 1; bit < 16; bit++ {
			changed := append([]string(nil), parts...)
			changed[i] = part[:end] + string(alphabet[strings.IndexByte(alphabet, part[end])^bit])
			all = append(all, strings.Join(changed, "."))
		}
	}
	return append(all, token+"=", token+"==")
}

// A logout that is answered with success has ended something; what ends nothing is not.
// Threats: T54, F03.
func TestLogoutThatEndsNothingIsNoSuccess(t *testing.T) {
	t.Parallel()
	r := caddyRig(t)
	alice := r.fake.NewUser(rigAppA)
	lost, kept, foreign := r.loginAs(t, "main", alice), r.loginAs(t, "main", alice), r.loginAs(t, "issuer", alice)
	if a := r.post(t, "main", "/auth/logout", lost.token, ""); a.status != 204 {
		t.Fatalf("logout: got %d %s, want 204", a.status, a.body)
	}
	for _, all := range []string{"true", "false"} {
		body := func(token string) string { return `{"all":` + all + `,"refresh_token":"` + token + `"}` }
		want(t, r.post(t, "main", "/auth/logout", "", body("rubbish")), 400, "invalid_request")
		want(t, r.post(t, "main", "/auth/logout", "", body(foreign.refreshToken())), 401, "refresh_invalid")
	}
	want(t, r.post(t, "main", "/auth/logout", lost.token, `{"all":true}`), 401, "session_revoked")
	want(t, r.post(t, "main", "/auth/logout", "", `{"all":true,"refresh_token":"`+lost.refreshToken()+`"}`), 401, "refresh_invalid")
	wantForwarded(t, r.exchange(t, "main", raw("GET /api", bearer(kept.token))))
	wantForwarded(t, r.exchange(t, "issuer", raw("GET /api", bearer(foreign.token))))
}

// Twenty requests of a mini program refresh with one token at once and get one successor; within the
// grace time a lost answer can be asked for again. The thief comes later, and then both have
// nothing.
// Threats: T57, C17, C18, C19, C45.
func TestStolenRefreshTokenEndsTheSession(t *testing.T) {
	t.Parallel()
	r := caddyRig(t)
	u := r.login(t, "brief")
	answers := make([]answer, 20)
	var wg sync.WaitGroup
	for i := range answers {
		wg.Go(func() { answers[i] = r.refresh(t, "brief", u.refreshToken()) })
	}
	wg.Wait()
	next := answers[0]
	for _, a := range answers {
		if a.status != 200 || a.text("refresh_token") != next.text("refresh_token") || a.text("refresh_token") == u.refreshToken() {
			t.Fatalf("got %d %s, want the one successor", a.status, a.body)
		}
	}
	spent := time.Now()
	var late answer
	for late.status != 401 {
		if late = r.refresh(t, "brief", u.refreshToken()); time.Since(spent) > 3*time.Second {
			t.Fatalf("got %d %s after the grace time, want 401", late.status, late.body)
		}
		<-time.After(100 * time.Millisecond) // one session may be refreshed 60 times a minute
	}
	want(t, late, 401, "refresh_reused")
	want(t, r.refresh(t, "brief", next.text("refresh_token")), 401, "refresh_invalid")
	if got := r.exchange(t, "brief", raw("GET /api", bearer(next.text("access_token")))); got.status != 401 || len(got.reached) > 0 {
		t.Errorf("the successor's access token: got %d %s, want 401", got.status, got.body)
	}
}

// A token is remembered as verified, and asked for until it is too old; a session is refreshed all
// the time, and ends all the same.
// Threats: T59, T60, T62, C20, C21.
func TestNothingOutlivesItsTime(t *testing.T) {
	t.Parallel()
	r := caddyRig(t)
	t.Run("token", func(t *testing.T) {
		t.Parallel()
		u := r.login(t, "brief")
		expiry := time.Unix(int64(claims(t, u.token)["exp"].(float64)), 0)
		for asked := time.Now(); ; asked = time.Now() {
			got := r.exchange(t, "brief", raw("GET /api", bearer(u.token)))
			if got.status == 401 {
				wantRefused(t, got, 401, "token_expired")
				return
			}
			if wantForwarded(t, got); !asked.Before(expiry) {
				t.Fatalf("asked at %s, want a refusal from %s on", asked, expiry)
			}
			<-time.After(100 * time.Millisecond)
		}
	})
	t.Run("session in use", func(t *testing.T) {
		t.Parallel()
		a := answer{body: r.login(t, "brief").body}
		for start := time.Now(); ; {
			next := r.refresh(t, "brief", a.text("refresh_token"))
			if next.status == 401 {
				want(t, next, 401, "refresh_invalid")
				return
			}
			if want(t, next, 200, ""); time.Since(start) > 8*time.Second {
				t.Fatal("the session outlives its lifetime")
			}
			a = next
			<-time.After(500 * time.Millisecond)
		}
	})
	t.Run("session not in use", func(t *testing.T) {
		t.Parallel()
		u := r.login(t, "brief")
		left := answer{body: u.body}.field("refresh_expires_in").(float64)
		if left > 4 {
			t.Fatalf("refresh_expires_in: got %v, want 4 at most", left)
		}
		<-time.After(time.Duration(left)*time.Second + 500*time.Millisecond)
		want(t, r.refresh(t, "brief", u.refreshToken()), 401, "refresh_invalid")
	})
}

// A refresh token counts at the site that gave it, is not spent by another, and takes no claim of a
// hook along. These sites share mini program, store and, but for issuer and audience, the key.
// Threats: T58, F02.
func TestRefreshTokensOfOtherSites(t *testing.T) {
	t.Parallel()
	r := caddyRig(t)
	sites := []string{"main", "b", "audience", "issuer", "full"}
	for _, from := range sites {
		u := r.login(t, from)
		for _, to := range sites {
			if from != to {
				want(t, r.refresh(t, to, u.refreshToken()), 401, "refresh_invalid")
			}
		}
		a := r.refresh(t, from, u.refreshToken())
		want(t, a, 200, "")
		if role := claims(t, a.text("access_token"))["role"]; (role != nil) != (from == "full") {
			t.Errorf("%s: role: got %v, want it where the hook gives one alone", from, role)
		}
	}
}

// What a fresh token says, and that no two logins share anything that could be guessed.
// Threats: T66, C31, C33, C34, C52.
func TestFreshTokens(t *testing.T) {
	t.Parallel()
	r := caddyRig(t)
	alice := r.fake.NewUser(rigAppA)
	seen := map[string]bool{}
	var first rigUser
	for i := range 50 {
		u := alice
		if i >= 15 { // no more than max_per_user, for sessions beyond it end
			u = r.fake.NewUser(rigAppA)
		}
		login := r.loginAs(t, "main", u)
		if i == 0 {
			first = login
		}
		c := claims(t, login.token)
		for _, id := range []string{c["jti"].(string), c["sid"].(string), login.refreshToken()} {
			if len(id) < 22 || seen[id] {
				t.Errorf("got %q, want 22 characters or more that were never seen", id)
			}
			seen[id] = true
		}
		var head map[string]any
		if err := json.Unmarshal([]byte(unbase64(t, strings.Split(login.token, ".")[0])), &head); err != nil {
			t.Fatal(err)
		}
		if len(head) != 3 || head["alg"] != "ES256" || head["typ"] != "JWT" || head["kid"] == "" {
			t.Errorf("header: got %v, want alg, kid and typ", head)
		}
		for _, name := range []string{"iss", "sub", "aud", "exp", "iat", "jti", "sid", "appid", "openid", "unionid"} {
			if c[name] == nil {
				t.Errorf("claims: got %v, want %s among them", c, name)
			}
		}
		if len(c) != 10 {
			t.Errorf("claims: got %v, want ten for a user without phone, name and picture", c)
		}
	}
	// A login ends no other: people have several devices.
	wantForwarded(t, r.exchange(t, "main", raw("GET /api", bearer(first.token))))
}
