package wechatauth

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"
	"golang.org/x/sync/singleflight"

	"github.com/caddy-wechat/wechatauth/wechat"
)

const (
	defaultTimeout     = 5 * time.Second
	defaultMaxInFlight = 256

	// flightCalls bounds an exchange that goes on after its client has left, in call timeouts: WeChat may
	// be asked for an access token, a session and a phone, each twice.
	flightCalls = 6
)

// app is one mini program at work. Sites that serve the same app in the same way share it, so they
// share its access token and never spend a code twice.
type app struct {
	id      string
	timeout time.Duration
	client  *wechat.Client
	seal    *keySeal
	flights singleflight.Group
	lease

	// complained has, by call, the errcode the operator was told about last: a broken configuration
	// fails every request, and one line says it.
	complained sync.Map
}

func (h *Handler) provisionApps(repl *caddy.Replacer) error {
	if len(h.Apps) == 0 {
		return errors.New("no mini program: write app <appid> <secret>")
	}
	cfg := wechat.Config{
		Timeout:     time.Duration(orDefault(h.Timeout, caddy.Duration(defaultTimeout))),
		MaxInFlight: orDefault(h.MaxInFlight, defaultMaxInFlight),
	}
	if cfg.Timeout < 0 || cfg.MaxInFlight < 0 {
		return errors.New("timeout and max_in_flight must be above zero")
	}
	for _, base := range h.API {
		resolved, err := resolve(repl, "api", base)
		if err != nil {
			return err
		}
		cfg.BaseURLs = append(cfg.BaseURLs, resolved)
	}
	h.apps = make(map[string]*app, len(h.Apps))
	for _, a := range h.Apps {
		if a == nil {
			return errors.New("an app is null")
		}
		if err := h.provisionApp(repl, a, cfg); err != nil {
			return err
		}
	}
	return nil
}

func (h *Handler) provisionApp(repl *caddy.Replacer, a *App, cfg wechat.Config) (err error) {
	if cfg.AppID, err = resolve(repl, "app", a.ID); err != nil {
		return err
	}
	cfg.Logger = slog.New(operatorLog{cfg.AppID})
	if h.apps[cfg.AppID] != nil {
		return fmt.Errorf("app %s is configured twice", cfg.AppID)
	}
	if a.Secret == "" {
		return fmt.Errorf("app %s has no secret: write app %s {env.WECHAT_SECRET}", a.ID, a.ID)
	}
	if cfg.Secret, err = resolve(repl, "secret of app "+a.ID, a.Secret); err != nil {
		return err
	}
	if cfg.TokenURL, err = a.tokenURL(repl); err != nil {
		return fmt.Errorf("access_token of app %s: %w", a.ID, err)
	}
	var signing any
	if cfg.Signing, signing, err = a.Signing.provision(repl); err != nil {
		return fmt.Errorf("signing of app %s: %w", a.ID, err)
	}
	dependsOn := []any{cfg.AppID, cfg.Secret, cfg.BaseURLs, cfg.Timeout, cfg.MaxInFlight, cfg.TokenURL, signing}
	h.apps[cfg.AppID], err = take(h, "app", dependsOn, func() (*app, error) { return newApp(cfg) })
	if err != nil {
		return fmt.Errorf("app %s: %w", a.ID, err)
	}
	return nil
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

func newApp(cfg wechat.Config) (*app, error) {
	// Sites whose apps differ in something else still share the access token.
	tokensKey := poolKey("tokens", []any{cfg.AppID, cfg.Secret, cfg.BaseURLs, cfg.TokenURL})
	tokens, _, err := pool.LoadOrNew(tokensKey, func() (caddy.Destructor, error) {
		made, err := wechat.NewTokens(cfg)
		return accessTokens{made}, err
	})
	if err != nil {
		return nil, err
	}
	release := func() { _, _ = pool.Delete(tokensKey) } // closing them can't fail
	cfg.Tokens = tokens.(accessTokens).Tokens
	client, err := wechat.New(cfg)
	if err != nil {
		release()
		return nil, err
	}
	seal, err := newKeySeal(cfg.Secret)
	if err != nil {
		release()
		return nil, err
	}
	closeAll := func() {
		client.Close()
		release()
	}
	return &app{id: cfg.AppID, timeout: cfg.Timeout, client: client, seal: seal, lease: lease{close: closeAll}}, nil
}

// accessTokens are pooled.
type accessTokens struct{ *wechat.Tokens }

// Destruct implements caddy.Destructor.
func (t accessTokens) Destruct() error {
	t.Close()
	return nil
}

func (h *Handler) appIDs() []string {
	ids := make([]string, 0, len(h.apps))
	for id := range h.apps {
		ids = append(ids, id)
	}
	sort.Strings(ids)
	return ids
}

// appOf decides which mini program a login is for: the one it names, else the one WeChat's client
// names in the Referer, else the only one. The Referer can be forged, so it only ever chooses; the
// code must still belong to the app.
func (h *Handler) appOf(named string, r *http.Request) (*app, error) {
	if named != "" {
		if a := h.apps[named]; a != nil {
			return a, nil
		}
		return nil, invalidRequest("appid is not one of this site's mini programs")
	}
	if a := h.apps[refererAppID(r.Referer())]; a != nil {
		return a, nil
	}
	if len(h.apps) == 1 {
		for _, a := range h.apps {
			return a, nil
		}
	}
	return nil, invalidRequest("this site serves several mini programs: send appid")
}

// refererAppID reads https://servicewechat.com/{appid}/{version}/page-frame.html.
func refererAppID(referer string) string {
	u, err := url.Parse(referer)
	if err != nil || u.Scheme != "https" || u.Host != "servicewechat.com" {
		return ""
	}
	id, _, _ := strings.Cut(strings.TrimPrefix(u.Path, "/"), "/")
	return id
}

// heed logs how a call went wrong. A broken configuration fails every request, so it is told once.
func (a *app) heed(call string, err error, logger *zap.Logger) {
	we := new(wechat.Error)
	if err == nil {
		a.complained.Delete(call)
		return
	}
	if !errors.As(err, &we) {
		return
	}
	switch we.Class {
	case wechat.ClassConfig:
		if told, _ := a.complained.Swap(call, we.Code); told != we.Code {
			logger.Error("WeChat refuses this configuration, the operator must act", zap.String("appid", a.id), zap.Error(err))
		}
	case wechat.ClassBusy, wechat.ClassToken, wechat.ClassUnavailable, wechat.ClassBadAnswer:
		logger.Warn("WeChat call failed", zap.String("appid", a.id), zap.Error(err))
	}
}
