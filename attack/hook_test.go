// What the hook decides.

package attack_test

import (
	"io"
	"net/http"
	"testing"
)

// The hook's no counts, however it is written and whatever becomes of the hook later.
// Threats: F05, F06.
func TestHookSaysNo(t *testing.T) { // not parallel: it changes the hook's answer
	r := caddyRig(t)
	defer r.hook.then.Store(nil)
	says := func(body string) {
		r.hook.answer(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) })
	}
	for _, site := range []string{"lenient", "full"} {
		says(`{"allow":true}`)
		u := r.login(t, site)
		for _, no := range []string{`{"allow":false}`, `{"allow":false,"claims":[]}`, `{"claims":{"role":"admin"},"allow":false}`, `{"allow":false,"claims":{"openid":"oEvil"}}`} {
			says(no)
			code := r.fake.LoginCode(r.fake.NewUser(rigAppA))
			want(t, r.post(t, site, "/auth/login", "", object("code", code)), 403, "denied")
		}
		want(t, r.refresh(t, site, u.refreshToken()), 403, "denied")
		says(`{"allow":true}`)
		want(t, r.refresh(t, site, u.refreshToken()), 401, "refresh_invalid")
		wantRefused(t, r.exchange(t, site, raw("GET /api", bearer(u.token))), 401, "session_revoked")
	}
}
