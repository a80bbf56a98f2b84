// Metrics of sites that share a configuration.

package wechatauth_test

import (
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-wechat/wechatauth"
)

// ages returns the apps whose access token's age a configuration reports.
func ages(t *testing.T, ctx caddy.Context) (appids []string) {
	t.Helper()
	families, err := ctx.GetMetricsRegistry().Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() != "caddy_wechat_auth_token_age_seconds" {
			continue
		}
		for _, m := range family.GetMetric() {
			appids = append(appids, m.GetLabel()[0].GetValue())
		}
	}
	return appids
}

// Two sites of one configuration have the same app and the same kind of store: one series is that of
// both. A configuration without the app has none.
func TestGaugesOfAConfiguration(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.getPhone(t)
	with, without := newContext(t), newContext(t)
	for _, c := range []struct {
		ctx  caddy.Context
		apps []string
	}{{with, []string{s.appID, s.appID}}, {without, []string{"wxanother"}}} {
		for i, app := range c.apps {
			h := new(wechatauth.Handler)
			directive := "wechat_auth {\napp " + app + " " + testSecret + "\napi " + s.api + "\nstore memory\n"
			if i == 1 {
				directive += "max_in_flight 7\n"
			}
			if err := h.UnmarshalCaddyfile(caddyfile.NewTestDispenser(directive + "}")); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = h.Cleanup() })
			if err := h.Provision(c.ctx); err != nil {
				t.Fatal(err)
			}
		}
	}
	if got := ages(t, with); len(got) != 1 || got[0] != s.appID {
		t.Errorf("got ages of %v, want one of %s", got, s.appID)
	}
	if got := ages(t, without); len(got) != 0 {
		t.Errorf("got ages of %v in a configuration without the app", got)
	}
}

// getPhone makes an access token needed.
func (s *site) getPhone(t *testing.T) {
	t.Helper()
	u := s.fake.NewUser(s.appID)
	want(t, s.do("POST", "/auth/phone", s.token(u), object("code", s.fake.PhoneCode(u, "13800138000"))), 200, "")
}
