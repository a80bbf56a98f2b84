// The Caddyfile directive.

package wechatauth

import (
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-wechat/wechatauth/sidecar"
	"github.com/caddy-wechat/wechatauth/wechat"
)

func init() {
	httpcaddyfile.RegisterHandlerDirective("wechat_auth", parseCaddyfile)
	httpcaddyfile.RegisterDirectiveOrder("wechat_auth", httpcaddyfile.Before, "basic_auth")
}

func parseCaddyfile(helper httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	h := new(Handler)
	return h, h.UnmarshalCaddyfile(helper.Dispenser)
}

// UnmarshalCaddyfile reads the directive. Syntax:
//
//	wechat_auth [<matcher>] {
//	    app <appid> [<secret>] {
//	        secret       <secret>
//	        access_token stable|<url>
//	        signing {
//	            key                  <serial> <base64>
//	            private_key          <serial> <pem file>
//	            platform_certificate <serial> <pem file>
//	        }
//	        push {
//	            token            <secret>
//	            aes_key          <43 characters>
//	            previous_aes_key <43 characters>
//	            forward          <path>
//	        }
//	    }
//	    api            <base_url>...
//	    timeout        <duration>
//	    max_in_flight  <n>
//	    limit          login|phone|profile <n>/<duration>|off
//	    encrypted_data on|off
//	    base_path      <path>
//	    token {
//	        algorithm    <alg>
//	        key          <pem file | secret>
//	        previous_key <pem file | secret>
//	        issuer       <string>
//	        audience     <string>...
//	        rotate       <duration>
//	        ttl          <duration>
//	        phone        full|sealed
//	        remember     <size>|off
//	    }
//	    session {
//	        idle         <duration>
//	        lifetime     <duration>
//	        grace        <duration>
//	        max_per_user <n>
//	        stale        <duration>
//	    }
//	    store          sqlite [<file>]
//	    store          memory
//	    store          redis <url>... {
//	        seal_key     <secret>
//	        prefix       <string>
//	        wait_replicas <n>
//	    }
//	    public         [<METHOD>...] <path>...
//	    optional       [<METHOD>...] <path>...
//	    phone_required [<METHOD>...] <path>...
//	    headers        cloudrun|none
//	    header         <Name> <claim>
//	    authorization  keep|strip
//	    token_from     query|cookie|header <name>
//	    cors           <origin>...
//	    service {
//	        secret     <secret>
//	        api        <path>...
//	    }
//	    profile {
//	        max_upload <size>
//	        avatar     <pixels>
//	        check      on|off
//	    }
//	    hook <url> {
//	        secret     <secret>
//	        timeout    <duration>
//	        on_error   deny|allow
//	    }
//	    risk           deny <rank>
//	}
//
// app, platform_certificate, limit, public, optional, phone_required, header, token_from and
// previous_key may be repeated.
func (h *Handler) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the directive's name
	if d.NextArg() {
		return d.ArgErr()
	}
	return eachOption(d, h.unmarshalOption)
}

func (h *Handler) unmarshalOption(d *caddyfile.Dispenser) error {
	switch d.Val() {
	case "app":
		return h.unmarshalApp(d)
	case "api":
		return allArgs(d, &h.API)
	case "timeout":
		return durationArg(d, &h.Timeout)
	case "max_in_flight":
		return countArg(d, &h.MaxInFlight)
	case "limit":
		return h.Limits.unmarshal(d)
	case "encrypted_data":
		return switchArg(d, &h.EncryptedData)
	case "base_path":
		return oneArg(d, &h.BasePath)
	case "token":
		return h.Token.unmarshal(d)
	case "session":
		return h.Session.unmarshal(d)
	case "store":
		return h.unmarshalStore(d)
	case "public":
		return pathArgs(d, &h.Public)
	case "optional":
		return pathArgs(d, &h.Optional)
	case "phone_required":
		return pathArgs(d, &h.PhoneRequired)
	case "headers":
		return choiceArg(d, &h.Headers, "cloudrun", "none")
	case "header":
		return h.unmarshalHeader(d)
	case "authorization":
		return choiceArg(d, &h.Authorization, "keep", "strip")
	case "token_from":
		return h.unmarshalTokenFrom(d)
	case "cors":
		return allArgs(d, &h.CORS)
	case "service":
		h.Service = new(Service)
		return h.Service.unmarshal(d)
	case "profile":
		return h.Profile.unmarshal(d)
	case "hook":
		h.Hook = new(Hook)
		return h.Hook.unmarshal(d)
	case "risk":
		h.Risk = new(Risk)
		return h.Risk.unmarshal(d)
	}
	return d.Errf("unrecognized subdirective: %s", d.Val())
}

func (h *Handler) unmarshalApp(d *caddyfile.Dispenser) error {
	a := new(App)
	h.Apps = append(h.Apps, a)
	switch args := d.RemainingArgs(); len(args) {
	case 2:
		a.ID, a.Secret = args[0], args[1]
	case 1:
		a.ID = args[0]
	default:
		return d.Err("app takes an appid and at most a secret: write app <appid> {env.WECHAT_SECRET}")
	}
	if err := eachOption(d, a.unmarshalOption); err != nil {
		return err
	}
	if a.Secret == "" {
		return d.Err("an app has no secret: write app <appid> {env.WECHAT_SECRET}")
	}
	return nil
}

func (a *App) unmarshalOption(d *caddyfile.Dispenser) error {
	switch d.Val() {
	case "secret":
		if a.Secret != "" {
			return d.Errf("the secret of %s was already given", a.name())
		}
		return oneArg(d, &a.Secret)
	case "access_token":
		if err := oneArg(d, &a.AccessToken); err != nil {
			return err
		}
		if t := a.AccessToken; t != "stable" && !strings.Contains(t, "://") && !strings.Contains(t, "{") {
			return d.Err("access_token: write stable, or the URL of a token server")
		}
		return nil
	case "signing":
		return a.unmarshalSigning(d)
	case "push":
		return a.unmarshalPush(d)
	}
	return d.Errf("unrecognized subdirective of app: %s", d.Val())
}

func (a *App) unmarshalSigning(d *caddyfile.Dispenser) error {
	if d.NextArg() {
		return d.ArgErr()
	}
	a.Signing = new(Signing)
	return eachOption(d, func(d *caddyfile.Dispenser) error {
		switch d.Val() {
		case "key":
			return keyArgs(d, &a.Signing.Key)
		case "private_key":
			return keyArgs(d, &a.Signing.PrivateKey)
		case "platform_certificate":
			a.Signing.PlatformCertificates = append(a.Signing.PlatformCertificates, SigningKey{})
			return keyArgs(d, &a.Signing.PlatformCertificates[len(a.Signing.PlatformCertificates)-1])
		}
		return d.Errf("unrecognized subdirective of signing: %s", d.Val())
	})
}

func keyArgs(d *caddyfile.Dispenser, key *SigningKey) error {
	if name := d.Val(); !d.AllArgs(&key.Serial, &key.Value) {
		return d.Errf("%s takes two arguments: write %s <serial> <value>", name, name)
	}
	return nil
}

func (t *Token) unmarshal(d *caddyfile.Dispenser) error {
	if d.NextArg() {
		return d.ArgErr()
	}
	return eachOption(d, t.unmarshalOption)
}

func (t *Token) unmarshalOption(d *caddyfile.Dispenser) error {
	switch d.Val() {
	case "algorithm":
		return oneArg(d, &t.Algorithm)
	case "key":
		return oneArg(d, &t.Key)
	case "previous_key":
		var key string
		if err := oneArg(d, &key); err != nil {
			return err
		}
		t.PreviousKeys = append(t.PreviousKeys, key)
		return nil
	case "issuer":
		return oneArg(d, &t.Issuer)
	case "audience":
		return allArgs(d, &t.Audience)
	case "rotate":
		return durationArg(d, &t.Rotate)
	case "ttl":
		return durationArg(d, &t.TTL)
	case "phone":
		return choiceArg(d, &t.Phone, "full", "sealed")
	case "remember":
		return sizeOrOff(d, &t.Remember)
	}
	return d.Errf("unrecognized subdirective of token: %s", d.Val())
}

func (s *Session) unmarshal(d *caddyfile.Dispenser) error {
	if d.NextArg() {
		return d.ArgErr()
	}
	return eachOption(d, s.unmarshalOption)
}

func (s *Session) unmarshalOption(d *caddyfile.Dispenser) error {
	switch d.Val() {
	case "idle":
		return durationArg(d, &s.Idle)
	case "lifetime":
		return durationArg(d, &s.Lifetime)
	case "grace":
		return durationArg(d, &s.Grace)
	case "max_per_user":
		return countArg(d, &s.MaxPerUser)
	case "stale":
		return durationArg(d, &s.Stale)
	}
	return d.Errf("unrecognized subdirective of session: %s", d.Val())
}

func (h *Handler) unmarshalStore(d *caddyfile.Dispenser) error {
	if !d.NextArg() {
		return d.ArgErr()
	}
	name := d.Val()
	id := storesNamespace + "." + name
	if _, err := caddy.GetModule(id); err != nil {
		return d.Errf("store %s: write sqlite, memory or redis", name)
	}
	store, err := caddyfile.UnmarshalModule(d, id)
	if err != nil {
		return err
	}
	h.StoreRaw = caddyconfig.JSONModuleObject(store, "type", name, nil)
	return nil
}

func (l *Limits) unmarshal(d *caddyfile.Dispenser) error {
	var kind, text string
	if !d.AllArgs(&kind, &text) {
		return d.ArgErr()
	}
	limit := map[string]**Rate{"login": &l.Login, "phone": &l.Phone, "profile": &l.Profile}[kind]
	if limit == nil {
		return d.Errf("limit %s: write login, phone or profile", kind)
	}
	if *limit != nil {
		return d.Errf("limit %s was already given", kind)
	}
	*limit = new(Rate)
	if text == "off" {
		return nil
	}
	events, window, _ := strings.Cut(text, "/")
	n, err := strconv.Atoi(events)
	duration, err2 := caddy.ParseDuration(window)
	if err != nil || err2 != nil || n <= 0 || duration <= 0 {
		return d.Errf("limit %s %s: write <n>/<duration>, such as 10/1m, or off", kind, text)
	}
	**limit = Rate{Events: n, Window: caddy.Duration(duration)}
	return nil
}

func (h *Handler) unmarshalHeader(d *caddyfile.Dispenser) error {
	extra := new(Header)
	if !d.AllArgs(&extra.Name, &extra.Claim) {
		return d.ArgErr()
	}
	h.ExtraHeaders = append(h.ExtraHeaders, extra)
	// Whether it clashes with the headers that are set anyway is only known when all is read.
	if err := sidecar.CheckHeaders("none", h.ExtraHeaders); err != nil {
		return d.WrapErr(err)
	}
	return nil
}

func (h *Handler) unmarshalTokenFrom(d *caddyfile.Dispenser) error {
	var place, name string
	if !d.AllArgs(&place, &name) {
		return d.ArgErr()
	}
	switch place {
	case "query":
		h.TokenFrom = append(h.TokenFrom, &TokenFrom{Query: name})
	case "cookie":
		h.TokenFrom = append(h.TokenFrom, &TokenFrom{Cookie: name})
	case "header":
		h.TokenFrom = append(h.TokenFrom, &TokenFrom{Header: name})
	default:
		return d.Errf("token_from %s: write query, cookie or header", place)
	}
	return nil
}

func (s *Service) unmarshal(d *caddyfile.Dispenser) error {
	if d.NextArg() {
		return d.Err("service takes a block: write secret {env.SERVICE_SECRET} in it") // what was written may be the secret
	}
	err := eachOption(d, func(d *caddyfile.Dispenser) error {
		switch d.Val() {
		case "secret":
			return oneArg(d, &s.Secret)
		case "api":
			return allArgs(d, &s.API)
		}
		return d.Err("unrecognized subdirective of service: write secret {env.SERVICE_SECRET}") // as above
	})
	if err == nil && s.Secret == "" {
		err = d.Err("service has no secret: write secret {env.SERVICE_SECRET}")
	}
	return err
}

func (r *Risk) unmarshal(d *caddyfile.Dispenser) error {
	var what, rank string
	if !d.AllArgs(&what, &rank) || what != "deny" {
		return d.Err("write risk deny <rank>")
	}
	var err error
	if r.Deny, err = strconv.Atoi(rank); err != nil || r.Deny < 1 || r.Deny > wechat.MaxRisk {
		return d.Errf("risk deny %s: write a rank from 1 to %d", rank, wechat.MaxRisk)
	}
	return nil
}

func (p *Profile) unmarshal(d *caddyfile.Dispenser) error {
	if d.NextArg() {
		return d.ArgErr()
	}
	return eachOption(d, func(d *caddyfile.Dispenser) error {
		switch d.Val() {
		case "max_upload":
			return sizeArg(d, &p.MaxUpload)
		case "avatar":
			return countArg(d, &p.Avatar)
		case "check":
			return switchArg(d, &p.Check)
		}
		return d.Errf("unrecognized subdirective of profile: %s", d.Val())
	})
}

func (k *Hook) unmarshal(d *caddyfile.Dispenser) error {
	if err := oneArg(d, &k.URL); err != nil {
		return err
	}
	return eachOption(d, func(d *caddyfile.Dispenser) error {
		switch d.Val() {
		case "secret":
			return oneArg(d, &k.Secret)
		case "timeout":
			return durationArg(d, &k.Timeout)
		case "on_error":
			return choiceArg(d, &k.OnError, "deny", "allow")
		}
		return d.Errf("unrecognized subdirective of hook: %s", d.Val())
	})
}

// Interface guard
var _ caddyfile.Unmarshaler = (*Handler)(nil)
