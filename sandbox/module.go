// Package sandbox serves a fake of the WeChat server API inside Caddy, so that
// a mini program backend can be tried without a WeChat account:
//
//	:8090 {
//		wechat_sandbox {
//			app wx0123456789abcdef s3cret
//		}
//	}
//
// Anyone who reaches it can log in as anyone. It is for tests and
// development only; no production build should import it.
package sandbox

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/caddy-wechat/wechatauth/wechat/wechattest"
)

func init() {
	caddy.RegisterModule(Handler{})
}

// Handler lets anybody log in as anybody: it is a fake WeChat server, for tests
// and development only, and must never be reachable from the internet.
//
// It answers the calls a backend makes to `api.weixin.qq.com`, for apps and users that exist only
// here: `/sns/jscode2session`, `/cgi-bin/token`, `/cgi-bin/stable_token`,
// `/wxa/business/getuserphonenumber`, `/wxa/checksession`, `/wxa/getopendata`,
// `/wxa/msg_sec_check`, `/wxa/getuserriskrank`, `/wxa/getwxacodeunlimit` and
// `/xpay/query_user_balance`. Two more routes stand in for the WeChat app on the phone. `POST
// /sandbox/users` makes a user: `{"name": "alice"}`. `POST /sandbox/codes` does what wx.login or
// the phone button does: `{"user": "alice", "kind": "login"}`, or `{"user": "alice", "kind":
// "phone", "phone": "13800138000"}`. Instead of a phone code it gives the older `encryptedData` and
// `iv` with the kind `encryptedData`, made with the session_key of the user's last login code, and
// a `cloudID` with the kind `cloudID`. With several apps both routes take an `appid`. All other
// paths go to the next handler.
//
// The content check finds every text risky that contains the word `risky`, and
// wants a person to look at those with the word `review`; others pass. A user
// whose name has the word `risky` has the highest risk rank, others the lowest.
// `POST /sandbox/payments` does what wx.requestVirtualPayment does with the user
// signature: `{"user": "alice", "signData": "…", "signature": "…"}`.
//
// Callers with an address that is not loopback, link-local or private are
// refused with 403, and so is every request that was forwarded for one. There
// is no switch to allow them. Requests for a name that is neither localhost nor
// one of the hosts are refused, too, and those of web pages of other origins.
//
// Users, codes and tokens live in memory. They survive a config reload that
// leaves the apps as they are, and are shared by all handlers of the same apps.
// A name has the same openid after a restart, so its account is found again.
type Handler struct {
	// The mini programs of the fake. At least one is required.
	Apps []App `json:"apps,omitempty"`

	// Bind all apps to one WeChat Open Platform account: a user then has a
	// unionid, the same in every app. Default: false.
	OpenPlatform bool `json:"open_platform,omitempty"`

	// Take every code that the sandbox did not make as one of the user named
	// `devtools`, whose phone is 13900139000: the codes of WeChat DevTools, which
	// come from WeChat, then log in without an account. What DevTools encrypts
	// (`encryptedData`) cannot be read: WeChat keeps the key. Default: false.
	AcceptAnyCode bool `json:"accept_any_code,omitempty"`

	// Names under which the sandbox answers, besides localhost and IP
	// addresses: for containers that know it by a name. Default: none.
	Hosts []string `json:"hosts,omitempty"`

	// The message pushes of apps, which `POST /sandbox/pushes` sends: `{"user": "alice",
	// "event": "user_authorization_revoke", "revoke_info": "8"}`, or `{"user": "alice",
	// "message": "hi"}`. Default: none.
	Pushes []Push `json:"pushes,omitempty"`

	// Serve a page to look at all of it, at /playground/. Default: none.
	Playground *Playground `json:"playground,omitempty"`

	consoles   map[string]wechattest.PushConsole // Pushes, by appid
	names      []string                          // Hosts, without placeholders and in small letters
	key        string                            // in the pool; empty: nothing acquired
	state      *state
	playground *playground // nil: none
	logger     *zap.Logger
}

// App is a mini program of the fake.
type App struct {
	// The AppID, by which the backend under test names the app. Placeholders
	// such as `{env.WECHAT_APPID}` are resolved when the config is loaded.
	AppID string `json:"appid,omitempty"`

	// The AppSecret the backend has to send. It protects nothing but should
	// not be the real one. Placeholders are resolved like those of the AppID.
	Secret string `json:"secret,omitempty"`
}

// CaddyModule returns the Caddy module information.
func (Handler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.wechat_sandbox",
		New: func() caddy.Module { return new(Handler) },
	}
}

// Provision resolves the apps and takes their fake from the pool.
func (h *Handler) Provision(ctx caddy.Context) error {
	h.logger = ctx.Logger()
	apps, err := h.resolve()
	if err != nil {
		return err
	}
	if err := h.resolveHosts(); err != nil {
		return err
	}
	if err := h.resolvePushes(apps); err != nil {
		return err
	}
	if err := h.acquire(apps); err != nil {
		return err
	}
	server, _ := ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	if h.Playground != nil {
		if h.playground, err = h.Playground.open(h.state, len(h.Pushes) > 0, h.logger); err != nil {
			return err
		}
		if err := h.playground.announce(ctx, server); err != nil {
			return err
		}
	}
	level := zap.WarnLevel
	if loopbackOnly(server) {
		level = zap.InfoLevel
	}
	h.logger.Log(level, "wechat_sandbox lets anybody log in as anybody; use it for tests and development only and never expose it",
		zap.Int("apps", len(apps)))
	if h.AcceptAnyCode {
		h.logger.Warn("accept_any_code: whatever looks like a code logs in, all as one user; leave it out unless WeChat DevTools is what logs in",
			zap.String("user", devTools))
	}
	return nil
}

// resolve returns the apps with their placeholders replaced. The config itself
// stays as written: it can be read at the admin endpoint.
func (h *Handler) resolve() ([]App, error) {
	if len(h.Apps) == 0 {
		return nil, fmt.Errorf("no app: write at least one line like: app wx0123456789abcdef s3cret")
	}
	repl := caddy.NewReplacer()
	seen := make(map[string]bool, len(h.Apps))
	apps := make([]App, 0, len(h.Apps))
	for i, a := range h.Apps {
		appid, err := repl.ReplaceOrErr(a.AppID, true, true)
		if err != nil {
			return nil, fmt.Errorf("appid of app %d: %w", i+1, err)
		}
		secret, err := repl.ReplaceOrErr(a.Secret, true, true)
		if err != nil {
			return nil, fmt.Errorf("secret of app %d: %w", i+1, err)
		}
		if appid == "" || secret == "" {
			return nil, fmt.Errorf("app %d: appid and secret must not be empty", i+1)
		}
		if seen[appid] {
			return nil, fmt.Errorf("app %s is given twice", appid)
		}
		seen[appid] = true
		apps = append(apps, App{AppID: appid, Secret: secret})
	}
	return apps, nil
}

func (h *Handler) resolveHosts() error {
	repl := caddy.NewReplacer()
	for _, host := range h.Hosts {
		name, err := repl.ReplaceOrErr(host, true, true)
		if err != nil {
			return fmt.Errorf("host: %w", err)
		}
		if strings.ContainsAny(name, ":/*@ ") || name == "" {
			return fmt.Errorf("host %q: write a name alone, without scheme, port or wildcard", name)
		}
		h.names = append(h.names, strings.ToLower(strings.TrimSuffix(name, ".")))
	}
	return nil
}

// Cleanup gives the fake back. It also runs after a Provision that failed half
// way, which took nothing, and must not give back what others still use.
func (h *Handler) Cleanup() error {
	if h.key == "" {
		return nil
	}
	key := h.key
	h.key = ""
	_, err := pool.Delete(key)
	return err
}

// ServeHTTP answers the routes of the sandbox and leaves the rest to next.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	route, ok := h.route(r.URL.Path)
	if !ok {
		return next.ServeHTTP(w, r)
	}
	if code, description := h.refusal(r); code != "" {
		h.refuse(w, r, code, description)
		return nil
	}
	route(w, r)
	return nil
}

// Interface guards
var (
	_ caddy.Module                = (*Handler)(nil)
	_ caddy.Provisioner           = (*Handler)(nil)
	_ caddy.CleanerUpper          = (*Handler)(nil)
	_ caddyhttp.MiddlewareHandler = (*Handler)(nil)
)
