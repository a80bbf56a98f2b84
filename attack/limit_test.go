// Rate limits, and users that share an address or a machine.

package attack_test

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/caddy-wechat/wechatauth/wechat/wechattest"
)

// GHSA-3h23-rrpc-3p87, CVE-2024-21494: a limit on addresses is useless against a client that may
// name its own. The address is Caddy's: the peer's, unless the peer is a trusted proxy.
// Threats: C43.
func TestLoginLimitIsOnTheRealAddress(t *testing.T) { // not parallel: it counts calls to WeChat
	r := caddyRig(t)
	calls := r.fake.Count(wechattest.Login)
	statuses := map[int]int{}
	for i := range 12 {
		fields := []string{
			fmt.Sprintf("X-Forwarded-For: 203.0.113.%d", i), fmt.Sprintf("X-Real-IP: 203.0.113.%d", i), fmt.Sprintf("Forwarded: for=203.0.113.%d", i),
			fmt.Sprintf("CF-Connecting-IP: 203.0.113.%d", i), fmt.Sprintf("True-Client-IP: 203.0.113.%d", i), fmt.Sprintf("X-Client-IP: 203.0.113.%d", i),
		}
		body := object("code", r.fake.LoginCode(r.fake.NewUser(rigAppB)))
		got := r.exchange(t, "limited", raw("POST /auth/login", append(fields, "Content-Length: "+itoa(len(body)))...)+body)
		statuses[got.status]++
		if got.status == 429 {
			wantRefused(t, got, 429, "rate_limited")
			if after, err := strconv.Atoi(got.header.Get("Retry-After")); err != nil || after < 1 {
				t.Errorf("Retry-After: got %q, want seconds", got.header.Get("Retry-After"))
			}
		}
	}
	// The test runs more than once in a process, and the limit remembers.
	if statuses[200] > 5 || statuses[200]+statuses[429] != 12 {
		t.Errorf("got statuses %v, want at most five 200 and 429 for the rest", statuses)
	}
	if got := r.fake.Count(wechattest.Login) - calls; got != statuses[200] {
		t.Errorf("calls to WeChat: got %d, want %d", got, statuses[200])
	}
}

// Behind a trusted proxy every client has a limit of its own; what a client writes before the
// proxy's entry does not count, and an IPv6 subscriber is one client.
// Threats: C43.
func TestLoginLimitBehindATrustedProxy(t *testing.T) {
	t.Parallel()
	r := caddyRig(t)
	run := r.cases.Add(1) // other addresses at each run
	net := fmt.Sprintf("10.%d.%d", run>>8&255, run&255)
	login := func(forwarded string) int {
		t.Helper()
		body := object("code", r.fake.LoginCode(r.fake.NewUser(rigAppB)))
		return r.exchange(t, "behind-proxy", raw("POST /auth/login", "X-Forwarded-For: "+forwarded, "Content-Length: "+itoa(len(body)))+body).status
	}
	for name, forwarded := range map[string]func(i int) string{
		"one address":           func(int) string { return net + ".1" },
		"forged entries before": func(i int) string { return fmt.Sprintf("203.0.113.%d, %s.2", i, net) },
		"one /64":               func(i int) string { return fmt.Sprintf("2001:db8:%x::%x:1", run, i) },
		"IPv4 in IPv6":          func(i int) string { return []string{"", "::ffff:"}[i%2] + net + ".3" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for i := range 6 {
				want := 200
				if i >= 4 {
					want = 429
				}
				if got := login(forwarded(i)); got != want {
					t.Errorf("login %d from %s: got %d, want %d", i, forwarded(i), got, want)
				}
			}
		})
	}
	for i := range 8 {
		if got := login(fmt.Sprintf("%s.1%d", net, i)); got != 200 {
			t.Errorf("login from an address of its own: got %d, want 200", got)
		}
	}
}

// Phone taps cost the owner money. The limit is the user's, over all sessions, addresses and
// ways, and what it refuses never reaches WeChat.
// Threats: T77, C41.
func TestPhoneLimitIsOnTheUser(t *testing.T) { // not parallel: it counts calls to WeChat
	r := caddyRig(t)
	u := r.fake.NewUser(rigAppB)
	var tokens []string
	for range 3 {
		// Site b has the same app, issuer and key, so its tokens count here.
		tokens = append(tokens, r.loginAs(t, "b", u).token)
	}
	r.loginWithPhone(t, "b", "13800138000") // renews the access token, should another test have let it expire
	calls := r.fake.Count(wechattest.Phone)
	statuses := map[int]int{}
	for i := range 9 {
		statuses[r.post(t, "limited", "/auth/phone", tokens[i%3], object("code", r.fake.PhoneCode(u, "13800138000")), "X-Forwarded-For", itoa(i)).status]++
	}
	if statuses[200] != 3 || statuses[429] != 6 || r.fake.Count(wechattest.Phone)-calls != 3 {
		t.Errorf("got statuses %v and %d calls, want three 200 and 429 for the rest", statuses, r.fake.Count(wechattest.Phone)-calls)
	}
}

// CVE-2021-32701: under load from many users, on several sites, nobody is taken for another.
// Threats: T86.
func TestUsersAreNeverMixedUp(t *testing.T) {
	t.Parallel()
	r := caddyRig(t)
	sites := []string{"main", "b", "strip", "hs", "both"}
	var users []rigUser
	var at []string
	for i := range 30 {
		site := sites[i%len(sites)]
		if i%3 == 0 {
			users = append(users, r.loginWithPhone(t, site, fmt.Sprintf("138001390%02d", i)))
		} else {
			users = append(users, r.login(t, site))
		}
		at = append(at, site)
	}
	var wg sync.WaitGroup
	for i, u := range users {
		wg.Go(func() {
			for n := range 30 {
				id := fmt.Sprintf("mix-%d-%d-%s", i, n, u.OpenID)
				token, status := u.token, "200"
				switch n % 5 {
				case 3:
					token, status = token[:len(token)-1], "401"
				case 4:
					token, status = users[(i+1)%len(users)].token, "" // may be good at this site, and then it is the other's
				}
				answers := r.pipeline(t, at[i], raw("GET /api", "Host: site.test", caseHeader+": "+id, bearer(token), "X-WX-OPENID: evil"))
				if len(answers) == 0 || status != "" && itoa(answers[0].status) != status {
					t.Errorf("got %d answers, want status %s", len(answers), status)
					continue
				}
				owner := u
				if n%5 == 4 {
					owner = users[(i+1)%len(users)]
				}
				for _, w := range r.upstream.requests(id) {
					openid, phone := strings.Join(w.get("X-WX-OPENID"), "+"), strings.Join(w.get("X-WX-PHONE"), "+")
					if want, _ := claims(t, owner.token)["phone"].(string); openid != owner.OpenID || phone != want {
						t.Errorf("got openid %s phone %s upstream, want %s %s", openid, phone, owner.OpenID, want)
					}
				}
			}
		})
	}
	wg.Wait()
}

// Each refresh is a write. Somebody with one token hammers, and is stopped before the store; nobody
// else is, and the token is still good for whoever has it.
// Threats: F17.
func TestRefreshesOfOneSessionAreLimited(t *testing.T) {
	t.Parallel()
	r := caddyRig(t)
	u, other := r.login(t, "main"), r.login(t, "main")
	token, refused := u.refreshToken(), 0
	for range 80 {
		a := r.refresh(t, "main", token)
		if a.status == 200 {
			token = a.text("refresh_token")
			continue
		}
		want(t, a, 429, "rate_limited")
		if refused++; a.header.Get("Retry-After") == "" {
			t.Error("got no Retry-After")
		}
	}
	if refused == 0 || refused > 20 { // sixty a minute; some come back while it runs
		t.Errorf("got %d refusals of 80, want about 20", refused)
	}
	want(t, r.refresh(t, "main", other.refreshToken()), 200, "")
	wantForwarded(t, r.exchange(t, "main", raw("GET /api", bearer(u.token))))
}
