// What the doctor sees of secrets, WeChat and the store.

package wechatauth

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-wechat/wechatauth/session/redisstore"
	"github.com/caddy-wechat/wechatauth/sidecar"
	"github.com/caddy-wechat/wechatauth/wechat"
)

const (
	doctorTimeout  = 5 * time.Second  // of one question
	maxClockSkew   = 30 * time.Second // a signature may be no further off
	shortestSecret = 32
	fewCharacters  = 8 // 32 random hex digits have 8 different ones all but always
)

// doctorClient asks once and keeps no connection.
var doctorClient = &http.Client{
	Timeout:       doctorTimeout,
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	Transport:     &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true},
}

// secrets checks the secrets of a site and, with them, WeChat.
func (d *doctor) secrets(ctx context.Context, h *Handler) {
	repl := caddy.NewReplacer()
	cfg := wechat.Config{Timeout: doctorTimeout}
	for _, base := range h.API {
		if resolved, err := resolve(repl, "api", base); err == nil {
			cfg.BaseURLs = append(cfg.BaseURLs, resolved)
		}
	}
	d.clock(ctx, cfg.BaseURLs)
	for i, a := range h.Apps {
		if a == nil {
			continue
		}
		var err error
		name := appName(i)
		if cfg.AppID, err = resolve(repl, name, a.ID); err != nil {
			d.check(checkUnset, levelError, true, "%v: set it where Caddy runs", err)
			continue
		}
		if wechat.IsAppID(cfg.AppID) {
			name = "app " + cfg.AppID
		}
		cfg.Secret = d.secret(repl, "the secret of "+name, a.Secret)
		d.push(repl, name, a.Push)
		if cfg.TokenURL, err = a.tokenURL(repl); err != nil || cfg.Secret == "" {
			continue
		}
		d.fromFile(name, a.Secret, cfg)
		d.credentials(ctx, name, cfg)
	}
	if h.Hook != nil {
		d.secret(repl, "the hook's secret", h.Hook.Secret)
		d.hook(ctx, repl, h.Hook)
	}
	if h.Service != nil {
		d.secret(repl, "the service's secret", h.Service.Secret)
	}
	if strings.HasPrefix(h.Token.Algorithm, "HS") && h.Token.Key != "" {
		d.secret(repl, "the token's key", h.Token.Key)
		for _, key := range h.Token.PreviousKeys {
			d.secret(repl, "a previous_key", key)
		}
	}
}

// published are the secrets of Caddyfile.example. With those of the push anybody can have users
// deleted, and a backend that takes the hook's signature for proof believes anybody.
var published = []string{
	"sandbox-secret", "hook-secret-of-the-playground-alone",
	"ThePushTokenOfThePlaygroundAlone", "ThePushKeyOfThePlaygroundAlone0000000000000",
}

func (d *doctor) published(what, value string) {
	d.check(checkRepeated, levelError, slices.Contains(published, value),
		"%s is the one of Caddyfile.example, which everybody knows: make another", what)
}

// shortestPushToken is the length from which nobody guesses a Token: the console takes three
// characters, and with it anyone could try keys.
const shortestPushToken = 16

// push checks the secrets of a message push. WeChat makes the key, and the operator the token.
func (d *doctor) push(repl *caddy.Replacer, name string, p *Push) {
	if p == nil {
		return
	}
	d.secret(repl, "the push aes_key of "+name, p.AESKey)
	if p.PreviousAESKey != "" {
		d.secret(repl, "the push previous_aes_key of "+name, p.PreviousAESKey)
	}
	d.plainSecret("the push token of "+name, p.Token)
	token, err := resolve(repl, "the push token of "+name, p.Token)
	d.published("the push token of "+name, token)
	d.check(checkUnset, levelError, err != nil, "%v: set it where Caddy runs", err)
	d.check(checkShort, levelWarn, err == nil && len(token) < shortestPushToken,
		"the push token of %s has fewer than %d characters: make one by openssl rand -hex 16, here and in WeChat's console", name, shortestPushToken)
}

// secret checks a secret and returns its value, "" where it has none.
func (d *doctor) secret(repl *caddy.Replacer, what, configured string) string {
	if configured == "" {
		d.check(checkUnset, levelError, true, "%s is missing: write it as {env.NAME} or {file./path}", what)
		return ""
	}
	d.plainSecret(what, configured)
	value, err := resolve(repl, what, configured)
	d.check(checkUnset, levelError, err != nil, "%v: set it where Caddy runs", err)
	if err != nil {
		return ""
	}
	d.published(what, value)
	different := map[rune]bool{}
	for _, c := range value {
		different[c] = true
	}
	d.check(checkShort, levelError, len(value) < shortestSecret,
		"%s has fewer than %d characters: copy all of it, or make one by openssl rand -hex 32", what, shortestSecret)
	d.check(checkRepeated, levelError, len(different) < fewCharacters,
		"%s repeats a few characters, so it is easy to guess or a dummy: copy the real one, or make one by openssl rand -hex 32", what)
	if other, known := d.secretOf[value]; known {
		d.check(checkRepeated, levelError, other != what, "%s is also %s, so who is given one has both: make another by openssl rand -hex 32", what, other)
	} else {
		d.secretOf[value] = what
	}
	return value
}

// fromFile checks whether the running Caddy has the secret that is in the file now.
func (d *doctor) fromFile(name, configured string, cfg wechat.Config) {
	if !strings.Contains(configured, "{file.") {
		return
	}
	_, inUse := pool.References(tokensKey(cfg))
	d.check(checkFileSecret, levelWarn, d.running() && !inUse,
		"the secret file of %s has changed since Caddy read it, and a plain reload does not read it again: run caddy reload --force", name)
}

// clock compares this machine's clock with the Date of the first host that answers.
func (d *doctor) clock(ctx context.Context, bases []string) {
	if len(bases) == 0 {
		bases = wechat.DefaultBaseURLs()
	}
	for _, base := range bases {
		req, err := http.NewRequestWithContext(ctx, http.MethodHead, base, http.NoBody)
		if err != nil {
			continue
		}
		res, err := doctorClient.Do(req)
		if err != nil {
			continue
		}
		_ = res.Body.Close() // HEAD has none
		date, err := http.ParseTime(res.Header.Get("Date"))
		if err != nil {
			continue
		}
		skew := d.now().Sub(date).Round(time.Second)
		d.check(checkClock, levelError, skew.Abs() > maxClockSkew,
			"this machine's clock is %s off WeChat's, so tokens and signatures are dated wrong: set it by NTP (timedatectl set-ntp true)", skew)
		return
	}
}

// hook asks the hook's server for a header: whatever it answers, it is there.
func (d *doctor) hook(ctx context.Context, repl *caddy.Replacer, h *Hook) {
	address, err := resolveURL(repl, "hook", h.URL)
	if err != nil {
		return // Caddy does not start with it, and says why
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, address, http.NoBody)
	if err != nil {
		return
	}
	res, err := doctorClient.Do(req)
	if err == nil {
		_ = res.Body.Close() // HEAD has none
	}
	d.check(checkHook, levelError, err != nil, "the hook's server %s does not answer, and %s: start it, or correct the address",
		req.URL.Host, map[bool]string{true: "users are let in without it", false: "nobody can log in"}[h.OnError == "allow"])
}

// credentials asks for an access token, as the first phone does.
func (d *doctor) credentials(ctx context.Context, name string, cfg wechat.Config) {
	tokens, err := wechat.NewTokens(cfg)
	if err == nil {
		defer tokens.Close()
		ctx, cancel := context.WithTimeout(ctx, 2*doctorTimeout)
		defer cancel()
		err = tokens.Check(ctx)
	}
	refusal := new(wechat.Error)
	advice := "look the code up in WeChat's list of return codes"
	switch {
	case !errors.As(err, &refusal):
		advice = "correct the app"
	case refusal.IP != "":
		advice = "allow the address " + refusal.IP + " in the mini program's console (开发管理, 开发设置, IP白名单)"
	case refusal.Class == wechat.ClassUnavailable:
		advice = "let this machine reach WeChat's API: look at DNS, firewall and proxy"
	case refusal.Code == 40013:
		advice = "copy the AppID from the mini program's console"
	case refusal.Code == 40001, refusal.Code == 40125:
		advice = "copy the AppSecret from the mini program's console, or reset it there"
	case refusal.Class == wechat.ClassQuota, refusal.Class == wechat.ClassBusy:
		advice = "try again later"
	}
	d.check(checkCredentials, levelError, err != nil, "%s: %v: %s", name, err, advice)
}

// store checks the store of a site.
func (d *doctor) store(ctx context.Context, h *Handler) {
	var kind struct {
		Type string `json:"type"`
	}
	raw := h.StoreRaw
	if raw == nil {
		raw = []byte(`{"type":"sqlite"}`)
	}
	if json.Unmarshal(raw, &kind) != nil {
		return // Caddy does not start with it, and says why
	}
	switch kind.Type {
	case "redis":
		d.redis(ctx, raw)
	case "sqlite":
		d.sqlite(ctx, raw)
	}
}

// stores asks the stores at work.
func (d *doctor) stores(ctx context.Context) {
	if !d.running() {
		return
	}
	d.done[checkStore] = true
	ctx, cancel := context.WithTimeout(ctx, doctorTimeout)
	defer cancel()
	for _, name := range sidecar.NewOperations(d.sites).Failing(ctx) {
		d.check(checkStore, levelError, true, "the %s store fails: the log says why", name)
	}
}

func (d *doctor) redis(ctx context.Context, raw []byte) {
	store := new(RedisStore)
	if json.Unmarshal(raw, store) != nil {
		return
	}
	if store.SealKey != "" {
		d.secret(caddy.NewReplacer(), "seal_key", store.SealKey)
	}
	provision, cancel := caddy.NewContext(caddy.Context{Context: ctx})
	defer cancel()
	if err := store.Provision(provision); err != nil {
		d.check(checkStore, levelError, true, "%v", err)
		return
	}
	store.config.Logger = slog.New(slog.DiscardHandler)
	opened, err := redisstore.New(store.config)
	if err != nil {
		d.check(checkStore, levelError, true, "%v", err)
		return
	}
	defer func() { _ = opened.Close() }() // nothing was written
	_, err = opened.Stats(ctx)
	d.check(checkStore, levelError, err != nil, "Redis does not answer as it should: %v", err)
	if err != nil {
		return
	}
	policy := redisstore.EvictionPolicy(ctx, opened)
	if policy == "" {
		return // it does not report its settings
	}
	d.check(checkEvicts, levelError, policy != "noeviction",
		"Redis has maxmemory-policy %s: when it is full, users are logged out and revocations are dropped at random; "+
			"set maxmemory-policy noeviction", policy)
}

func (d *doctor) sqlite(ctx context.Context, raw []byte) {
	store := new(SQLiteStore)
	if json.Unmarshal(raw, store) != nil {
		return
	}
	provision, cancel := caddy.NewContext(caddy.Context{Context: ctx})
	defer cancel()
	if err := store.Provision(provision); err != nil {
		d.check(checkStore, levelError, true, "%v", err)
		return
	}
	info, err := os.Stat(store.File)
	if errors.Is(err, os.ErrNotExist) && !d.running() {
		return // it will be made
	}
	if err != nil {
		why := err
		if pathError := new(os.PathError); errors.As(err, &pathError) {
			why = pathError.Err
		}
		d.check(checkFile, levelError, true, "the SQLite file %s: %v; let Caddy's user reach it, and restart Caddy if it was removed", store.File, why)
		return
	}
	others, owner := fileRights(info)
	d.check(checkFile, levelError, others, "other users of this machine can read or write %s, with phone numbers in it: chmod 600 it", store.File)
	d.check(checkFile, levelWarn, d.running() && !owner, "%s belongs to another user than the one Caddy runs as: chown it", store.File)
}
