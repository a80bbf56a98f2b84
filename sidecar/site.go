// The site: the sidecar's own routes, and the guard before all others.

package sidecar

import (
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/caddy-wechat/wechatauth/session"
)

// Config holds the decisions of an operator for a site, placeholders and defaults resolved.
type Config struct {
	BasePath      string // below which the own routes live
	Token         TokenConfig
	Session       session.Policy
	Stale         time.Duration // how long a silent store is believed
	EncryptedData bool          // phones are also taken the old way
	Public        []*Paths
	Optional      []*Paths
	PhoneRequired []*Paths
	Headers       string // cloudrun or none
	ExtraHeaders  []*Header
	StripToken    bool // the client's access token does not reach the upstream
	TokenFrom     []*TokenFrom
	CORS          []string
	Service       ServiceConfig
	Push          map[string]PushConfig // by appid
	Risk          RiskConfig
	Profile       ProfileConfig
}

// Deps holds the parts that a site uses, alone or together with others.
type Deps struct {
	Apps          Apps
	Store         *StoreHandle
	Keys          Keys
	Verified      *TokenCache // nil: none
	Verifications *Verifications
	Hook          *Hook // nil: none
	Limits        Limits
	Storage       Storage       // for pictures
	Machine       func() string // a number that only this machine knows
	Server        Server
	Count         Count
	Trace         Trace
	Logger        *slog.Logger
	Now           func() time.Time // the clock of everything a site decides
}

// Limits are the limiters of a site; nil is no limit.
type Limits struct{ Login, Phone, Profile, Refresh, Service, KeyUses *Limiter }

// Site is a sidecar at work.
type Site struct {
	base     string
	routes   map[string]route
	guard    *guard
	auth     *authenticator
	identity identity
	cors     *cors // nil: off
	store    *StoreHandle
	server   Server
	failures failures
	tokens   *tokens
	logins   *logins
	profiles *profiles
	hooked   bool
	service  *service // nil: off
	pushes   *pushes  // nil: off

	published *published
}

// New returns a site. It makes no network call.
func New(cfg Config, deps Deps) (*Site, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	s := &Site{base: cfg.BasePath, store: deps.Store, server: deps.Server, failures: failures{deps.Logger, deps.Count}, hooked: deps.Hook != nil}
	s.tokens = newTokens(cfg, deps)
	var err error
	if s.identity, err = newSiteIdentity(cfg); err != nil {
		return nil, err
	}
	if err := checkTokenFrom(cfg.TokenFrom, s.identity); err != nil {
		return nil, err
	}
	if s.cors, err = newCORS(cfg, s.identity, deps.Logger); err != nil {
		return nil, err
	}
	s.auth = newAuthenticator(cfg, deps.Server, s.tokens, s.cors)
	if s.guard, err = newGuard(cfg, deps.Server, s.auth); err != nil {
		return nil, err
	}
	answers := answers{tokens: s.tokens, base: cfg.BasePath}
	mark := siteDigest(cfg, deps, s.tokens.mark)
	s.logins = newLogins(cfg, deps, s.auth, answers, mark)
	sessions := newSessions(cfg, deps, s.auth, answers, mark)
	if s.profiles, err = newProfiles(cfg, deps, s.auth, answers); err != nil {
		return nil, err
	}
	s.published = &published{
		apps: deps.Apps, tokens: s.tokens, auth: s.auth, identity: &s.identity, hook: deps.Hook, base: cfg.BasePath, alg: cfg.Token.Algorithm,
	}
	s.routes = routes(deps.Count, s.logins, sessions, s.profiles, s.published)
	if s.pushes, err = newPushes(cfg, deps, s.profiles.pictures); err != nil {
		return nil, err
	}
	if s.pushes != nil {
		s.routes[pushPath] = route{[]string{http.MethodGet, http.MethodPost}, s.pushes.push}
	}
	if s.service = newService(cfg, deps, s); s.service != nil {
		s.routes[servicePath] = route{nil, s.service.serve}
	}
	return s, nil
}

func (c *Config) check() error {
	if err := checkBasePath(c.BasePath); err != nil {
		return err
	}
	if err := c.Token.Check(); err != nil {
		return err
	}
	if err := c.Risk.Check(); err != nil {
		return err
	}
	return checkSession(c.Session, c.Stale)
}

// ServeHTTP strips identity headers, answers preflights and the sidecar's own routes, and guards
// the rest.
func (s *Site) ServeHTTP(w http.ResponseWriter, r *http.Request, next Handler) error {
	s.identity.strip(r)
	s.pushes.see(r, next)
	if r.URL.Path == "" && r.URL.Opaque == "" {
		r.URL.Path = "/" // as the upstream will see it
	}
	raw, canonical := rawPath(r.URL)
	if s.cors != nil && !s.service.owns(raw) && s.cors.begin(w.Header(), r) {
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	if s.owns(raw, canonical, r.URL.Path) {
		s.serveOwn(w, r, raw)
		return nil
	}
	claims, err := s.guard.decide(r, raw, canonical)
	s.auth.hide(r)
	if err != nil {
		return s.refuse(w, r, err)
	}
	if claims == nil {
		s.server.Identify(r, anonymous)
	} else {
		s.identity.set(r.Header, claims)
		s.server.Identify(r, claims)
	}
	err = next.ServeHTTP(w, r)
	if s.cors != nil {
		s.cors.finish(w.Header())
	}
	return err
}

// refuse answers a request that the guard does not let pass.
func (s *Site) refuse(w http.ResponseWriter, r *http.Request, err error) error {
	e := asError(err)
	s.failures.log(e)
	s.server.Identify(r, anonymous) // error pages show it empty
	e.setHeader(w.Header())
	return s.server.Refuse(w, r, e)
}

// route is one of the sidecar's own.
type route struct {
	methods []string // none means any
	handle  routeFunc
}

type routeFunc func(http.ResponseWriter, *http.Request) error

func routes(count Count, l *logins, s *sessions, p *profiles, k *published) map[string]route {
	post := []string{http.MethodPost}
	get := []string{http.MethodGet, http.MethodHead}
	all := map[string]route{
		"/login":                 {post, l.login},
		"/phone":                 {post, l.phone},
		"/refresh":               {post, count.counted(Refreshes, s.refresh)},
		"/logout":                {post, count.counted(Logouts, s.logout)},
		"/profile":               {[]string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodDelete}, p.profile},
		"/avatar/":               {get, p.avatar},
		"/verify":                {nil, k.verify},
		"/healthz":               {get, k.healthz},
		"/.well-known/jwks.json": {get, k.jwks},
	}
	if k.discoverable() {
		all["/.well-known/openid-configuration"] = route{get, k.discovery}
	}
	return all
}

// LogStart logs what is at work.
func (s *Site) LogStart() {
	build := CurrentBuild()
	s.failures.logger.Info("wechat_auth is at work", "version", build.Version, "commit", build.Commit, "apps", s.profiles.apps.IDs(),
		"store", s.store.kind, "routes", s.base+"/*", "hook", s.hooked)
}

// StartForwarding forwards what waits for the backend, through the handlers behind the site; prepare
// makes such a request one that came to the server. Without it that begins at the first request.
func (s *Site) StartForwarding(next Handler, prepare func(http.ResponseWriter, *http.Request) *http.Request) {
	if s.pushes != nil && s.pushes.forward != nil {
		s.pushes.forward.begin(&behind{next, prepare})
	}
}

// Close ends what the site does by itself. Requests under way go on.
func (s *Site) Close() {
	if s.pushes != nil {
		s.pushes.forward.close()
	}
}

// Routes returns the paths below the base path that the site answers.
func (s *Site) Routes() []string { return slices.Sorted(maps.Keys(s.routes)) }

func checkBasePath(base string) error {
	if !isCanonical(base) || strings.HasSuffix(base, "/") || strings.ContainsAny(base, "*?%") || escapeNonASCII(base) != base {
		return fmt.Errorf("base_path %s: write a plain path such as /auth, without a slash at its end", base)
	}
	return nil
}

// owns tells whether a path is below the base path, in whatever spelling an upstream could read it
// so.
func (s *Site) owns(raw string, canonical bool, decoded string) bool {
	if below(raw, s.base) || below(decoded, s.base) {
		return true
	}
	base := strings.ToLower(s.base) // as interpretations are
	return !canonical && slices.ContainsFunc(interpretations(raw), func(read string) bool { return below(read, base) })
}

func below(path, base string) bool {
	rest, ok := strings.CutPrefix(path, base)
	return ok && (rest == "" || rest[0] == '/')
}

// serveOwn answers a request below the base path. Only the exact spelling of a route reaches it.
func (s *Site) serveOwn(w http.ResponseWriter, r *http.Request, raw string) {
	name := strings.TrimPrefix(raw, s.base)
	switch {
	case strings.HasPrefix(name, "/avatar/"):
		name = "/avatar/"
	case strings.HasPrefix(name, "/verify/"): // Envoy appends the path that it asks about
		name = "/verify"
	case strings.HasPrefix(name, pushPath):
		name = pushPath
	case s.service.owns(raw):
		name = servicePath
	}
	rt, ok := s.routes[name]
	if !ok || !below(raw, s.base) {
		s.failures.write(w, errNotFound)
		return
	}
	release, err := s.store.retain()
	if err == nil {
		defer release()
		err = rt.serve(w, withMount(r, s.server.OriginalURL(r), raw))
	}
	if err != nil {
		s.failures.write(w, err)
	}
}

func (rt route) serve(w http.ResponseWriter, r *http.Request) error {
	if rt.methods != nil && !slices.Contains(rt.methods, r.Method) {
		return methodNotAllowed(rt.methods...)
	}
	reads := rt.methods == nil || r.Method == http.MethodGet || r.Method == http.MethodHead
	if !reads && isEarlyData(r) {
		return errTooEarly
	}
	return rt.handle(w, r)
}

// isEarlyData finds requests that an attacker can replay: TLS 1.3 early data, here or at the proxy
// in front (RFC 8470).
func isEarlyData(r *http.Request) bool {
	// Whatever the header says, a malformed one included, means 1.
	return r.TLS != nil && !r.TLS.HandshakeComplete || len(r.Header["Early-Data"]) > 0
}
