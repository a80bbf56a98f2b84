// Package wechatauth is a reverse-proxy auth sidecar for WeChat mini programs, as one Caddy
// directive.
//
// The handler answers the login and phone routes itself, performs the exchanges with WeChat, issues
// JWTs that carry openid and phone, and forwards authenticated requests to any upstream. The
// upstream knows nothing of WeChat: it reads headers, or verifies a JWT with the published keys.
package wechatauth

import (
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-wechat/wechatauth/sidecar"
)

func init() {
	caddy.RegisterModule(Handler{})
}

// Handler logs WeChat mini program users in and guards the handlers behind it.
//
// Everything below `base_path` is answered here. Every other request needs a valid access token
// unless its path is named `public` or `optional`. Identity headers sent by the client are removed
// from every request; on authenticated ones the headers of WeChat Cloud Run are set instead
// (`X-WX-OPENID`, `X-WX-APPID`, `X-WX-UNIONID`, `X-WX-SOURCE`), and `X-WX-PHONE`.
//
// Placeholders set on authenticated requests: `{http.auth.user.id}` and `{http.auth.user.openid}`
// (the openid), `{http.auth.user.appid}`, `{http.auth.user.unionid}`, `{http.auth.user.phone}` and
// `{http.auth.user.sid}`. A refused request has its error code in `{http.wechat_auth.error}`, which
// is empty on others.
type Handler struct {
	// The mini programs served here. At least one.
	Apps []*App `json:"apps,omitempty"`

	// Base URLs of WeChat's API, tried in order when the network fails.
	// Default: `https://api.weixin.qq.com` and `https://api2.weixin.qq.com`.
	API []string `json:"api,omitempty"`

	// Time limit of one call to WeChat. Default: 5s.
	Timeout caddy.Duration `json:"timeout,omitempty"`

	// Calls to WeChat under way at once, per app. A further one is refused with 503. Default: 256.
	MaxInFlight int `json:"max_in_flight,omitempty"`

	// Limits on how often WeChat is asked.
	Limits Limits `json:"limit,omitzero"`

	// Whether phones are also taken as `encryptedData` and `iv`, the way of base libraries below
	// 2.21.2. It is AES-CBC without a signature, so leave it off unless old clients still need it.
	// Default: false.
	EncryptedData bool `json:"encrypted_data,omitempty"`

	// The path below which the sidecar's own routes live. Nothing below it reaches the upstream.
	// Default: `/auth`.
	BasePath string `json:"base_path,omitempty"`

	// The access tokens.
	Token Token `json:"token,omitzero"`

	// How long users stay logged in.
	Session Session `json:"session,omitzero"`

	// Where sessions, users and automatic keys are kept. Default: `sqlite`, a file in Caddy's data
	// directory.
	StoreRaw json.RawMessage `json:"store,omitempty" caddy:"namespace=http.handlers.wechat_auth.stores inline_key=type"`

	// Requests that need no token. No identity is forwarded with them, even when they carry one.
	// The path is compared byte for byte as it is sent, so only canonical paths are ever public.
	Public []*Paths `json:"public,omitempty"`

	// Requests that are forwarded with identity when they carry a valid token and anonymously when
	// they carry none. A bad token is still refused.
	Optional []*Paths `json:"optional,omitempty"`

	// Requests that need a token with a phone number; others get 403 `phone_required`. It wins over
	// `public` and `optional`, and matches as widely as Caddy's own path matcher does.
	PhoneRequired []*Paths `json:"phone_required,omitempty"`

	// The set of identity headers for the upstream: `cloudrun` (the names of WeChat Cloud Run) or
	// `none`. Default: `cloudrun`.
	Headers string `json:"headers,omitempty"`

	// More headers for the upstream.
	ExtraHeaders []*Header `json:"header,omitempty"`

	// Whether the client's access token reaches the upstream: `keep` or `strip`. Default: `keep`.
	Authorization string `json:"authorization,omitempty"`

	// Further places where the access token may be. A request has one token, in one place. Default:
	// the Authorization header alone.
	TokenFrom []*TokenFrom `json:"token_from,omitempty"`

	// The origins whose web pages may use the site, such as `https://m.example.com`: their
	// preflights are answered, and they can read all answers and refusals. Default: only the site's
	// own.
	CORS []string `json:"cors,omitempty"`

	// The door for a backend to the operations of the admin API. Default: none.
	Service *Service `json:"service,omitempty"`

	// Nicknames and avatars.
	Profile Profile `json:"profile,omitzero"`

	// A backend that is asked at login, phone and refresh. Default: everybody may log in.
	Hook *Hook `json:"hook,omitempty"`

	// What WeChat's risk rank of a user is good for. Default: WeChat is not asked.
	Risk *Risk `json:"risk,omitempty"`

	site     *sidecar.Site
	acquired []string         // keys of the shared parts that are in use
	now      func() time.Time // nil: the machine's clock
}

// App is one mini program.
type App struct {
	// The AppID. Placeholders are allowed.
	ID string `json:"id"`

	// The AppSecret. Write it as a placeholder, `{env.WECHAT_SECRET}` or
	// `{file./run/secrets/wechat}`, so that it stands in no configuration file and not in the admin
	// API.
	Secret string `json:"secret,omitempty"`

	// Where the access token for WeChat's API comes from: `stable` (WeChat's stable_token), or the
	// URL of a central token server, which answers a GET with
	// `{"access_token":"…","expires_in":7200}`. Tokens of the two kinds do not invalidate each
	// other. Default: `stable`.
	AccessToken string `json:"access_token,omitempty"`

	// WeChat's server API signature. Configure it here once it is switched on in the mini program's
	// console. Default: calls are plain.
	Signing *Signing `json:"signing,omitempty"`

	// WeChat's message push. Default: not taken.
	Push *Push `json:"push,omitempty"`
}

// Signing signs and encrypts the calls to WeChat that support it. Each key has a number in WeChat's
// console.
type Signing struct {
	// The symmetric key (对称密钥), AES-256.
	Key SigningKey `json:"key"`

	// The private key (非对称密钥), RSA; the console has its public half.
	PrivateKey SigningKey `json:"private_key"`

	// The platform certificates (平台证书) that WeChat signs its answers with: one, and two while
	// WeChat changes it.
	PlatformCertificates []SigningKey `json:"platform_certificates,omitempty"`
}

// SigningKey is a key with its number.
type SigningKey struct {
	// The number, as WeChat's console shows it.
	Serial string `json:"serial"`

	// The symmetric key in base64, or the name of a PEM file. Placeholders are allowed: write
	// secrets as one.
	Value string `json:"value"`
}

// Limits protect WeChat's quotas and the paid phone taps.
type Limits struct {
	// Logins for each client address (IPv6: each /64), counted before WeChat is called. Default:
	// 600 in 1m.
	Login *Rate `json:"login,omitempty"`

	// Phone exchanges for each user. Default: 10 in 1m.
	Phone *Rate `json:"phone,omitempty"`

	// Changes of the profile for each user. Default: 10 in 1m.
	Profile *Rate `json:"profile,omitempty"`
}

// Rate is a number of events in a window; they come back evenly over the window.
type Rate struct {
	// Number of events. 0 means no limit.
	Events int `json:"events,omitempty"`

	// The window.
	Window caddy.Duration `json:"window,omitempty"`
}

// Token says how access tokens are made.
type Token struct {
	// The signing algorithm: ES256, ES384, ES512, EdDSA, RS256, RS384, RS512, PS256, PS384, PS512,
	// HS256, HS384 or HS512. Default: ES256.
	Algorithm string `json:"algorithm,omitempty"`

	// The signing key: a PEM file or, for HS256 and kin, a secret at least as long as the hash.
	// Placeholders are allowed, also one that yields the PEM text itself. Default: made by the
	// sidecar, kept in the store, published before use and rotated.
	Key string `json:"key,omitempty"`

	// Keys that are still accepted and published, but sign no more.
	PreviousKeys []string `json:"previous_keys,omitempty"`

	// How long an automatic key signs before the next one takes over. Default: 30d.
	Rotate caddy.Duration `json:"rotate,omitempty"`

	// The `iss` claim. Default: `wechat_auth`. An https URL that ends in the base path also turns
	// `.well-known/openid-configuration` on.
	Issuer string `json:"issuer,omitempty"`

	// The `aud` claim. Default: the appid of the user.
	Audience []string `json:"audience,omitempty"`

	// How long an access token lives, in whole seconds. Default: 1h.
	TTL caddy.Duration `json:"ttl,omitempty"`

	// Memory for tokens that were verified, in bytes, so that not every request costs a signature;
	// expiry, key and session are checked each time all the same. 32 MiB hold some 100,000 tokens;
	// 8 MiB are taken at the start. Sites with the same size and ttl share them. -1: none. Default:
	// 32MiB.
	Remember int64 `json:"remember,omitempty"`

	// How a phone number stands in a token: `full`, or `sealed` (encrypted, so that only the
	// sidecar reads it; the headers carry it whole). A JWT is signed, not secret: whoever holds one
	// can read it. Default: `full`.
	Phone string `json:"phone,omitempty"`
}

// Session says how long users stay logged in.
type Session struct {
	// A refresh token that is not used this long dies. Default: 30d.
	Idle caddy.Duration `json:"idle,omitempty"`

	// A session never outlives this. Default: 180d.
	Lifetime caddy.Duration `json:"lifetime,omitempty"`

	// The refresh token spent last still gets the same successor this long, for clients that lost
	// the answer or asked twice at once. Used later, it ends the session: somebody has a copy.
	// Default: 30s.
	Grace caddy.Duration `json:"grace,omitempty"`

	// Sessions of one user; the oldest goes. Default: 20.
	MaxPerUser int `json:"max_per_user,omitempty"`

	// While the store is away, requests are served on the last known revocations this long, then
	// refused with 503. Default: 10m.
	Stale caddy.Duration `json:"stale,omitempty"`
}

// The rules about requests are the sidecar's own.
type (
	// Paths names requests by path and, if given, by method.
	Paths = sidecar.Paths

	// Header is one more header for the upstream, removed from what the client sends.
	Header = sidecar.Header

	// TokenFrom is a further place for the access token.
	TokenFrom = sidecar.TokenFrom
)

// Profile says what nicknames and avatars are taken.
type Profile struct {
	// The largest picture that is taken, in bytes. Default: 4 MB.
	MaxUpload int64 `json:"max_upload,omitempty"`

	// The longest side of an avatar in pixels; larger pictures are scaled down. Default: 512.
	Avatar int `json:"avatar,omitempty"`

	// Whether WeChat's content check (msgSecCheck) has to pass a nickname. Default: false.
	Check bool `json:"check,omitempty"`
}

// Service is a door for a backend of yours: below `service/` in the base path it sees and changes
// the users of this site, as the operator does by the admin API, has data signed with a user's
// session_key, and calls WeChat's API. The session_keys are kept for that, sealed with the
// AppSecret.
type Service struct {
	// A secret of at least 32 characters, which the backend sends as `Authorization: Bearer`. Write
	// it as a placeholder.
	Secret string `json:"secret,omitempty"`

	// Paths of WeChat's API that the backend may call below `service/api`, with the mini program's
	// access token added: `/wxa/msg_sec_check`, or `/wxa/*` for all below. Logins (`/sns/*`) and
	// calls for tokens never are. Default: none.
	API []string `json:"api,omitempty"`
}

// Hook is a backend that is asked at login, phone and refresh. It may deny, and it may give claims
// to the tokens. Sessions belong to the hook's address: another one logs everybody out.
type Hook struct {
	// The address. Only status 200 is an answer; redirects are not followed.
	URL string `json:"url"`

	// A secret of at least 32 characters. The question's HMAC-SHA256 is sent as `X-Signature:
	// sha256=<hex>`. Write it as a placeholder.
	Secret string `json:"secret,omitempty"`

	// How long to wait for the answer. Default: 2s.
	Timeout caddy.Duration `json:"timeout,omitempty"`

	// What happens to a user when the hook does not answer: `deny` (at refresh 503, the session
	// stays as it is) or `allow` (at refresh with the claims as they were). Default: `deny`.
	OnError string `json:"on_error,omitempty"`
}

// Risk has WeChat asked for a user's risk rank (getuserriskrank) at login and phone, with the
// client's address. The rank goes to the hook and into the claim `risk_rank`. Open 用户风控 in WeChat's
// console (安全中心) before: an app without it (errcode 48001) is logged once, and not asked for until
// Caddy starts again. While WeChat gives no rank, users get in without one.
type Risk struct {
	// The lowest rank that is kept out with 403 `denied`: from 1 to 4. WeChat advises to keep out 4,
	// and to limit 3.
	Deny int `json:"deny,omitempty"`
}

// CaddyModule returns the Caddy module information.
func (Handler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.wechat_auth",
		New: func() caddy.Module { return new(Handler) },
	}
}

// Provision resolves placeholders, sets defaults and acquires the shared parts. It makes no network
// call.
func (h *Handler) Provision(ctx caddy.Context) error {
	newestLog.Store(ctx.Slogger())
	p, err := newProvisioner(ctx, h)
	if err != nil {
		return err
	}
	cfg, deps, err := p.resolve()
	if err != nil {
		return err
	}
	if h.site, err = sidecar.New(cfg, deps); err != nil {
		return err
	}
	p.compareSites()
	p.warn()
	p.opener.gauges.add(deps.Store, deps.Apps)
	p.opener.all = append(p.opener.all, h.site)
	p.opener.handlers = append(p.opener.handlers, h)
	return nil
}

// Cleanup releases exactly what Provision acquired, also when Provision failed half-way.
func (h *Handler) Cleanup() error {
	var errs []error
	for _, key := range slices.Backward(h.acquired) { // what was acquired later may use what was acquired before
		_, err := pool.Delete(key)
		errs = append(errs, err)
	}
	h.acquired = nil
	if h.site != nil {
		h.site.Close()
	}
	return errors.Join(errs...)
}

// Interface guards
var (
	_ caddy.Provisioner           = (*Handler)(nil)
	_ caddy.CleanerUpper          = (*Handler)(nil)
	_ caddyhttp.MiddlewareHandler = (*Handler)(nil)
)
