// The mini programs of a configuration.

package wechatauth

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-wechat/wechatauth/sidecar"
	"github.com/caddy-wechat/wechatauth/wechat"
)

func (p *provisioner) apps() error {
	h := p.h
	if len(h.Apps) == 0 {
		return errors.New("no mini program: write app <appid> <secret>")
	}
	cfg := wechat.Config{
		Timeout:     duration(h.Timeout, defaultTimeout),
		MaxInFlight: orDefault(h.MaxInFlight, defaultMaxInFlight),
	}
	if cfg.Timeout < 0 || cfg.MaxInFlight < 0 {
		return errors.New("timeout and max_in_flight must be above zero")
	}
	for _, base := range h.API {
		resolved, err := resolve(p.repl, "api", base)
		if err != nil {
			return err
		}
		cfg.BaseURLs = append(cfg.BaseURLs, resolved)
	}
	p.deps.Apps = make(sidecar.Apps, len(h.Apps))
	for _, a := range h.Apps {
		if a == nil {
			return errors.New("an app is null")
		}
		if err := p.app(a, cfg); err != nil {
			return err
		}
	}
	return nil
}

func (p *provisioner) app(a *App, cfg wechat.Config) (err error) {
	if cfg.AppID, err = resolve(p.repl, "app", a.ID); err != nil {
		return err
	}
	cfg.Observe = observeWeChat
	cfg.Logger = operatorLog.With(slog.String("appid", cfg.AppID))
	if p.deps.Apps[cfg.AppID] != nil {
		return fmt.Errorf("app %s is configured twice", cfg.AppID)
	}
	if a.Secret == "" {
		return errors.New("an app has no secret: write app <appid> {env.WECHAT_SECRET}")
	}
	if cfg.Secret, err = resolve(p.repl, "secret of "+a.name(), a.Secret); err != nil {
		return err
	}
	if cfg.TokenURL, err = a.tokenURL(p.repl); err != nil {
		return fmt.Errorf("access_token of %s: %w", a.name(), err)
	}
	var signing any
	if cfg.Signing, signing, err = a.Signing.provision(p.repl); err != nil {
		return fmt.Errorf("signing of %s: %w", a.name(), err)
	}
	if err := p.push(a, cfg.AppID); err != nil {
		return fmt.Errorf("push of app %s: %w", a.ID, err)
	}
	dependsOn := []any{cfg.AppID, cfg.Secret, cfg.BaseURLs, cfg.Timeout, cfg.MaxInFlight, cfg.TokenURL, signing}
	p.deps.Apps[cfg.AppID], err = acquire(p.h, "app", dependsOn, func() (*sidecar.App, error) { return newApp(cfg) })
	if err != nil {
		return fmt.Errorf("%s: %w", a.name(), err)
	}
	return nil
}

// name is the app in errors. What may be a secret in the wrong place is not repeated.
func (a *App) name() string {
	if wechat.IsAppSecret(a.ID) {
		return "an app"
	}
	return "app " + a.ID
}

// tokenURL is the address of the central token server; "" is WeChat itself.
func (a *App) tokenURL(repl *caddy.Replacer) (string, error) {
	if orDefault(a.AccessToken, "stable") == "stable" {
		return "", nil
	}
	// An address may hold a password, so it is not repeated.
	address, err := resolveURL(repl, "url", a.AccessToken)
	if err == nil && !strings.HasPrefix(address, "http://") && !strings.HasPrefix(address, "https://") {
		err = errors.New("write stable, or the http:// or https:// address of a token server")
	}
	return address, err
}

func newApp(cfg wechat.Config) (*sidecar.App, error) {
	// Sites whose apps differ in something else still share the access token.
	key := tokensKey(cfg)
	tokens, err := load(key, func() (accessTokens, error) {
		made, err := wechat.NewTokens(cfg)
		return accessTokens{made}, err
	})
	if err != nil {
		return nil, err
	}
	cfg.Tokens = tokens.Tokens
	release := func() { _, _ = pool.Delete(key) } // closing them can't fail
	app, err := sidecar.NewApp(cfg, release)
	if err != nil {
		release()
	}
	return app, err
}

// tokensKey is the key of an app's access tokens in the pool.
func tokensKey(cfg wechat.Config) string {
	return poolKey("tokens", []any{cfg.AppID, cfg.Secret, cfg.BaseURLs, cfg.TokenURL})
}

// accessTokens are pooled.
type accessTokens struct{ *wechat.Tokens }

// Close implements io.Closer.
func (t accessTokens) Close() error {
	t.Tokens.Close()
	return nil
}
