// What the doctor sees of AppIDs, and of the addresses that secrets are sent to.

package wechatauth

import (
	"fmt"
	"net/netip"
	"net/url"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-wechat/wechatauth/wechat"
)

// appIDs checks the form of each AppID. What has none is not repeated: it may be a secret in the
// wrong place.
func (d *doctor) appIDs(h *Handler) {
	repl := caddy.NewReplacer()
	for i, a := range h.Apps {
		if a == nil {
			continue
		}
		id, err := resolve(repl, "app", a.ID)
		if err != nil {
			continue
		}
		d.check(checkAppID, levelError, !wechat.IsAppID(id),
			"the appid of %s is not wx and 16 hex digits: copy it from the mini program's console (开发管理, 开发设置); appid first, then the secret", appName(i))
	}
}

// appName names an app where the AppID may be none.
func appName(i int) string { return fmt.Sprintf("app %d", i+1) }

// addresses checks that what others must not read crosses no public network in clear.
func (d *doctor) addresses(h *Handler) {
	repl := caddy.NewReplacer()
	d.done[checkAPI] = true
	for _, base := range h.API {
		address, err := resolve(repl, "api", base)
		d.check(checkUnset, levelError, err != nil, "%v: set it where Caddy runs", err)
		d.plain("api", "AppSecrets", address)
	}
	for _, a := range h.Apps {
		if a == nil {
			continue
		}
		if address, err := a.tokenURL(repl); err == nil {
			d.plain("access_token", "the access token", address)
		}
	}
	if h.Hook != nil {
		if address, err := resolveURL(repl, "hook", h.Hook.URL); err == nil {
			d.plain("hook", "openids and phone numbers", address)
		}
	}
}

func (d *doctor) plain(option, what, address string) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" {
		return
	}
	d.check(checkAPI, levelError, !isPrivate(u.Hostname()),
		"%s http://%s sends %s over the internet in clear: write https://", option, u.Host, what)
}

// isPrivate reports whether a host is this machine or can only be in a network of the operator's
// own: its name has no dot, or an ending that the internet does not have.
func isPrivate(host string) bool {
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.IsLoopback() || ip.IsPrivate() || ip.IsLinkLocalUnicast()
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	for _, ending := range []string{".localhost", ".local", ".internal", ".lan", ".home.arpa"} {
		if strings.HasSuffix(host, ending) {
			return true
		}
	}
	return !strings.Contains(host, ".")
}
