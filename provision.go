// From what stands in a configuration to what the sidecar takes.

package wechatauth

import (
	"errors"
	"fmt"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"

	"github.com/caddy-wechat/wechatauth/session"
	"github.com/caddy-wechat/wechatauth/sidecar"
)

// provisioner provisions one handler.
type provisioner struct {
	h      *Handler
	ctx    caddy.Context
	repl   *caddy.Replacer
	opener *Opener
	cfg    sidecar.Config
	deps   sidecar.Deps
}

func newProvisioner(ctx caddy.Context, h *Handler) (*provisioner, error) {
	events, err := ctx.App("events")
	if err != nil {
		return nil, err
	}
	opener, err := ctx.App(openerID)
	if err != nil {
		return nil, err
	}
	p := &provisioner{h: h, ctx: ctx, repl: caddy.NewReplacer(), opener: opener.(*Opener)}
	p.deps = sidecar.Deps{
		Server: server{ctx, events.(*caddyevents.App)}, Storage: ctx.Storage(), Machine: machine,
		Logger: ctx.Slogger(), Count: count, Trace: trace, Verifications: verifications, Now: h.now,
	}
	if p.deps.Now == nil {
		p.deps.Now = time.Now
	}
	return p, nil
}

func (p *provisioner) resolve() (sidecar.Config, sidecar.Deps, error) {
	for _, step := range []func() error{
		p.basics, p.apps, p.store, p.hook, p.tokens, p.keys, p.remember, p.origins, p.service, p.limits,
	} {
		if err := step(); err != nil {
			return p.cfg, p.deps, err
		}
	}
	return p.cfg, p.deps, nil
}

// basics resolves what depends on nothing else.
func (p *provisioner) basics() (err error) {
	h := p.h
	p.cfg = sidecar.Config{
		EncryptedData: h.EncryptedData, Public: h.Public, Optional: h.Optional, PhoneRequired: h.PhoneRequired,
		Headers: orDefault(h.Headers, defaultHeaders), ExtraHeaders: h.ExtraHeaders, TokenFrom: h.TokenFrom,
		Session: session.Policy{
			Idle:       duration(h.Session.Idle, defaultIdle),
			Lifetime:   duration(h.Session.Lifetime, defaultLifetime),
			Grace:      duration(h.Session.Grace, defaultGrace),
			MaxPerUser: orDefault(h.Session.MaxPerUser, defaultMaxPerUser),
		},
		Stale: duration(h.Session.Stale, defaultStale),
		Profile: sidecar.ProfileConfig{
			MaxUpload:  orDefault(h.Profile.MaxUpload, defaultMaxUpload),
			UploadTime: uploadTime,
			Longest:    orDefault(h.Profile.Avatar, defaultAvatar),
			Check:      h.Profile.Check,
		},
	}
	if h.Risk != nil {
		if p.cfg.Risk.Deny = h.Risk.Deny; p.cfg.Risk.Deny == 0 {
			return errors.New("risk has no deny: write risk deny 4")
		}
	}
	switch orDefault(h.Authorization, "keep") {
	case "keep":
	case "strip":
		p.cfg.StripToken = true
	default:
		return fmt.Errorf("authorization %s: write keep or strip", h.Authorization)
	}
	p.cfg.BasePath, err = resolve(p.repl, "base_path", orDefault(h.BasePath, defaultBasePath))
	return err
}

func (p *provisioner) store() error {
	if p.h.StoreRaw == nil {
		p.h.StoreRaw = []byte(`{"type":"sqlite"}`)
	}
	module, err := p.ctx.LoadModule(p.h, "StoreRaw")
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	store, ok := module.(Store)
	if !ok {
		return errors.New("store: the module is no wechatauth.Store")
	}
	_, volatile := module.(volatileStore)
	id, ctx := store.Identity(), p.ctx
	p.deps.Store, err = acquire(p.h, "store", id, func() (*sidecar.StoreHandle, error) {
		return sidecar.NewStoreHandle(sidecar.StoreConfig{
			ID: id, Kind: storeKind(module), Volatile: volatile, Logger: operatorLog, Count: count, Trace: trace,
			Open: func() (session.Store, error) { return store.Open(ctx) },
		}), nil
	})
	if err != nil {
		return err
	}
	return p.opener.add(p.deps.Store.Open)
}

func (p *provisioner) hook() (err error) {
	h := p.h.Hook
	if h == nil {
		return nil
	}
	cfg := sidecar.HookConfig{Timeout: duration(h.Timeout, defaultHookTimeout)}
	if cfg.URL, err = resolveURL(p.repl, "hook", h.URL); err != nil {
		return err
	}
	if h.Secret == "" {
		return errors.New("hook has no secret: write secret {env.HOOK_SECRET}")
	}
	if cfg.Secret, err = resolve(p.repl, "hook secret", h.Secret); err != nil {
		return err
	}
	if err := cfg.Check(); err != nil {
		return err
	}
	switch orDefault(h.OnError, "deny") {
	case "deny":
	case "allow":
		cfg.AllowOnError = true
	default:
		return fmt.Errorf("hook on_error %s: write deny or allow", h.OnError)
	}
	p.deps.Hook, err = acquire(p.h, "hook", cfg, func() (*sidecar.Hook, error) { return sidecar.NewHook(cfg, operatorLog), nil })
	return err
}

func (p *provisioner) origins() error {
	for _, configured := range p.h.CORS {
		origin, err := resolve(p.repl, "cors", configured)
		if err != nil {
			return err
		}
		if err := sidecar.CheckOrigin(origin); err != nil {
			return fmt.Errorf("cors %s: %w", configured, err)
		}
		p.cfg.CORS = append(p.cfg.CORS, origin)
	}
	return nil
}

func (p *provisioner) service() (err error) {
	s := p.h.Service
	if s == nil {
		return nil
	}
	if s.Secret == "" {
		return errors.New("service has no secret: write secret {env.SERVICE_SECRET}")
	}
	if p.cfg.Service.Secret, err = resolve(p.repl, "service secret", s.Secret); err != nil {
		return err
	}
	p.cfg.Service.API = s.API
	return p.cfg.Service.Check()
}

func (p *provisioner) limits() error {
	l := &p.deps.Limits
	for _, limit := range []struct {
		kind       string
		configured *Rate
		fallback   Rate
		to         **sidecar.Limiter
	}{
		{"login", p.h.Limits.Login, defaultLoginRate, &l.Login},
		{"phone", p.h.Limits.Phone, defaultPhoneRate, &l.Phone},
		{"profile", p.h.Limits.Profile, defaultProfileRate, &l.Profile},
		{"refresh", nil, Rate{Events: sidecar.MaxRefreshes, Window: caddy.Duration(time.Minute)}, &l.Refresh},
		{"service", nil, Rate{Events: sidecar.MaxWrongSecrets, Window: caddy.Duration(time.Minute)}, &l.Service},
		{"session_key", nil, Rate{Events: sidecar.MaxKeyUses, Window: caddy.Duration(time.Minute)}, &l.KeyUses},
	} {
		rate := limit.fallback
		if limit.configured != nil {
			rate = *limit.configured
		}
		if rate.Events == 0 {
			continue
		}
		if rate.Events < 0 || rate.Window <= 0 {
			return fmt.Errorf("limit %s: write <n>/<duration>, such as 10/1m, or off", limit.kind)
		}
		var err error
		*limit.to, err = acquire(p.h, "limit", []any{limit.kind, rate, p.deps.Apps.IDs()}, func() (*sidecar.Limiter, error) {
			return sidecar.NewLimiter(rate.Events, time.Duration(rate.Window), func() { count(sidecar.Limited, limit.kind) }), nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// compareSites logs that two sites of a configuration share keys, issuer, audience and store, and
// yet ask different things of users: their sessions look alike to every backend that verifies
// tokens itself.
func (p *provisioner) compareSites() {
	accepts, asks := p.h.site.Accepts(), poolKey("asks", []any{p.h.Hook, p.h.Profile.Check})
	if other, ok := p.opener.sites[accepts]; !ok {
		p.opener.sites[accepts] = asks
	} else if other != asks {
		p.deps.Logger.Warn("two sites share apps, store and token block, but differ in hook or profile check: " +
			"a backend that verifies tokens can't tell their users apart; give each site an issuer of its own")
	}
}
