// What stands in the sidecar's own answers besides what was asked for.

package attack_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Tokens, phones and refusals stay in no cache, are taken for nothing but JSON, and say nothing of
// the program or of what was sent.
// Threats: T87, C29, C30, C32, C51.
func TestOwnAnswers(t *testing.T) {
	t.Parallel()
	r := caddyRig(t)
	u := r.loginWithPhone(t, "main", "13800138066")
	const sent = `"><script>alert(1)</script>`
	inside := regexp.MustCompile(`(?i)<script|goroutine|panic|\.go:|golang|caddy|wechatauth|sqlite|redis|go-|runtime|127\.0\.0\.1|/tmp|main\.`)
	post := func(path, body string, fields ...string) string {
		return raw("POST "+path, append(fields, "Content-Length: "+itoa(len(body)))...) + body
	}
	for _, tt := range []struct {
		name, request string
		status        int
	}{
		{"login", post("/auth/login", object("code", r.fake.LoginCode(u.User))), 200},
		{"phone", post("/auth/phone", object("code", r.fake.PhoneCode(u.User, "13800138066")), bearer(u.token)), 200},
		{"refresh", post("/auth/refresh", object("refresh_token", r.login(t, "main").refreshToken())), 200},
		{"nickname", post("/auth/profile", object("nickname", "小明"), bearer(u.token)), 200},
		{"profile", raw("GET /auth/profile", bearer(u.token)), 200},
		{"verify", raw("GET /auth/verify", bearer(u.token)), 204},
		{"logout", post("/auth/logout", "", bearer(r.login(t, "main").token)), 204},
		{"code", post("/auth/login", object("code", sent)), 400},
		{"code unknown", post("/auth/login", object("code", "alert1alert1alert1")), 401},
		{"appid", post("/auth/login", object("code", "x", "appid", sent)), 400},
		{"not JSON", post("/auth/login", sent), 400},
		{"member", post("/auth/login", `{"`+strings.ReplaceAll(sent, `"`, `\"`)+`":1}`), 400},
		{"refresh token", post("/auth/refresh", object("refresh_token", sent)), 401},
		{"bearer", raw("GET /api", bearer(sent)), 401},
		{"bearer at a route", raw("GET /auth/profile", bearer(sent)), 401},
		{"scheme", raw("GET /api", "Authorization: "+sent), 401},
		{"path", raw("GET /auth/%22%3E%3Cscript%3E"), 404},
		{"query", raw("GET /auth/verify?phone=%22%3E%3Cscript%3E&%zz", bearer(u.token)), 400},
		{"method", raw("BREW /auth/login"), 405},
		{"picture", raw("GET /auth/avatar/%3Cscript%3E.jpg"), 404},
		{"nickname refused", post("/auth/profile", object("nickname", "\u0007"), bearer(u.token)), 400},
		{"Referer", post("/auth/login", object("code", "alert1alert1alert1"), "Referer: "+sent), 401},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := r.exchange(t, "main", tt.request)
			if got.status != tt.status {
				t.Fatalf("got %d %s, want %d", got.status, got.body, tt.status)
			}
			if got.header.Get("Cache-Control") != "no-store" {
				t.Errorf("Cache-Control: got %q, want no-store", got.header.Get("Cache-Control"))
			}
			if got.status == 204 {
				return
			}
			if c := got.header.Get("Content-Type"); c != "application/json; charset=utf-8" || got.header.Get("X-Content-Type-Options") != "nosniff" {
				t.Errorf("got %v, want application/json and nosniff", got.header)
			}
			if got.status < 400 {
				return
			}
			got.header.Del("Server")
			if found := inside.FindString(fmt.Sprint(got.header, string(got.body))); found != "" {
				t.Errorf("got %q in %v %s", found, got.header, got.body)
			}
			members, _ := got.field().(map[string]any)
			for name := range members {
				if !slices.Contains([]string{"error", "error_description", "errcode", "rid"}, name) {
					t.Errorf("got member %s in %s", name, got.body)
				}
			}
		})
	}
}
