// The wechat_sandbox directive.

package sandbox

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

func init() {
	httpcaddyfile.RegisterHandlerDirective("wechat_sandbox", parseCaddyfile)
	httpcaddyfile.RegisterDirectiveOrder("wechat_sandbox", httpcaddyfile.Before, "respond")
}

func parseCaddyfile(helper httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	h := new(Handler)
	if err := h.UnmarshalCaddyfile(helper.Dispenser); err != nil {
		return nil, err
	}
	return h, nil
}

// UnmarshalCaddyfile sets up the handler from Caddyfile tokens. Syntax:
//
//	wechat_sandbox [<matcher>] {
//		app <appid> <secret>
//		open_platform
//		accept_any_code
//		host <name>...
//		push <url> {
//			app     <appid>
//			token   <token>
//			aes_key <43 characters>
//			mode    secure|compatible|plain
//			format  json|xml
//		}
//		playground <site> {
//			admin <address>
//			hook_secret <secret>
//		}
//	}
//
// app is required and may be repeated for several mini programs. open_platform
// gives the users a unionid. accept_any_code takes the codes of WeChat DevTools as
// those of one user, named devtools. host names under which the sandbox answers,
// besides localhost and IP addresses; it may be repeated. push has the message push
// of an app, whose name may be left out if there is one; it may be repeated. playground serves
// a page to look at all of it, with the address of the site to use. admin is the address of
// Caddy's admin API, where the page finds sessions; hook_secret that of the site's hook, for
// which the page answers at /sandbox/hook.
func (h *Handler) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the directive's name
	if d.NextArg() {
		return d.ArgErr()
	}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		switch d.Val() {
		case "app":
			if err := h.unmarshalApp(d); err != nil {
				return err
			}
		case "open_platform":
			if err := unmarshalSwitch(d, &h.OpenPlatform); err != nil {
				return err
			}
		case "accept_any_code":
			if err := unmarshalSwitch(d, &h.AcceptAnyCode); err != nil {
				return err
			}
		case "host":
			names := d.RemainingArgs()
			if len(names) == 0 {
				return d.ArgErr()
			}
			h.Hosts = append(h.Hosts, names...)
		case "push":
			if err := h.unmarshalPush(d); err != nil {
				return err
			}
		case "playground":
			if err := h.unmarshalPlayground(d); err != nil {
				return err
			}
		default:
			return d.Errf("unrecognized subdirective: %s (want app, open_platform, accept_any_code, host, push or playground)", d.Val())
		}
	}
	return nil
}

func (h *Handler) unmarshalPlayground(d *caddyfile.Dispenser) error {
	if h.Playground != nil {
		return d.Err("playground already specified")
	}
	h.Playground = new(Playground)
	if !d.AllArgs(&h.Playground.Site) {
		return d.ArgErr()
	}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		var into *string
		switch d.Val() {
		case "admin":
			into = &h.Playground.Admin
		case "hook_secret":
			into = &h.Playground.HookSecret
		default:
			return d.Errf("unrecognized subdirective: %s (want admin or hook_secret)", d.Val())
		}
		if *into != "" {
			return d.Errf("%s already specified", d.Val())
		}
		if !d.AllArgs(into) {
			return d.ArgErr()
		}
	}
	return nil
}

// unmarshalSwitch reads an option that stands alone.
func unmarshalSwitch(d *caddyfile.Dispenser, into *bool) error {
	name := d.Val()
	if d.NextArg() {
		return d.ArgErr()
	}
	if *into {
		return d.Errf("%s already specified", name)
	}
	*into = true
	return nil
}

func (h *Handler) unmarshalApp(d *caddyfile.Dispenser) error {
	var a App
	if !d.AllArgs(&a.AppID, &a.Secret) {
		return d.ArgErr()
	}
	for _, known := range h.Apps {
		if known.AppID == a.AppID {
			return d.Errf("app %s already specified", a.AppID)
		}
	}
	h.Apps = append(h.Apps, a)
	return nil
}

// Interface guards
var (
	_ caddyfile.Unmarshaler = (*Handler)(nil)
)
