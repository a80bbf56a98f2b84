package wechatauth

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-wechat/wechatauth/jwt"
)

// ServeHTTP strips identity headers, answers preflights and the sidecar's own routes, and guards the rest.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	h.identity.strip(r)
	if h.cors != nil && h.cors.begin(w.Header(), r) {
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	if r.URL.Path == "" && r.URL.Opaque == "" {
		r.URL.Path = "/" // as the upstream will see it
	}
	raw, canonical := rawPath(r.URL)
	if h.owns(raw, canonical, r.URL.Path) {
		h.serveOwn(w, r, raw)
		return nil
	}
	claims, err := h.guard(r, raw, canonical)
	h.hideToken(r)
	if err != nil {
		return h.refuse(w, r, err)
	}
	h.identity.forward(r, claims)
	err = next.ServeHTTP(w, r)
	if h.cors != nil {
		h.cors.finish(w.Header())
	}
	return err
}

// guard decides whether the request may pass, and as whom: nil means as nobody.
func (h *Handler) guard(r *http.Request, raw string, canonical bool) (*jwt.Claims, error) {
	method := upstreamMethod(r)
	if strings.EqualFold(method, http.MethodConnect) || strings.EqualFold(method, http.MethodTrace) {
		return nil, methodNotAllowed(http.MethodDelete, http.MethodGet, http.MethodHead,
			http.MethodOptions, http.MethodPatch, http.MethodPost, http.MethodPut)
	}
	if !strings.HasPrefix(raw, "/") || r.URL.Opaque != "" {
		return nil, invalidRequest("the request target must be a path")
	}
	needsPhone, err := h.needsPhone(r, method, raw, canonical)
	if err != nil {
		return nil, err
	}
	if canonical && !needsPhone {
		if matchAny(h.public, method, raw) {
			return nil, nil
		}
		if matchAny(h.optional, method, raw) {
			return h.authenticateIfPresent(r)
		}
	}
	claims, err := h.authenticate(r)
	if err != nil {
		return nil, err
	}
	if needsPhone && claims.Phone == "" {
		return nil, errPhoneRequired
	}
	return claims, nil
}

// upstreamMethod is the method as the upstream will see it: the extended CONNECT that opens a WebSocket
// in HTTP/2 and HTTP/3 goes on as GET. A plain CONNECT is refused with TRACE: the one poisons the
// connections to the upstream, which users share, the other echoes credentials.
func upstreamMethod(r *http.Request) string {
	if r.Method != http.MethodConnect {
		return r.Method
	}
	if r.ProtoMajor == 2 && r.Header.Get(":protocol") == "websocket" || r.ProtoMajor == 3 && r.Proto == "websocket" {
		return http.MethodGet
	}
	return http.MethodConnect
}

func (h *Handler) needsPhone(r *http.Request, method, raw string, canonical bool) (bool, error) {
	for _, paths := range h.phoneOnly {
		if match, err := paths.match(r, method); match || err != nil {
			return match, err
		}
	}
	if canonical || len(h.phoneOnly) == 0 {
		return false, nil
	}
	all := readings(raw)
	return slices.ContainsFunc(h.phoneOnly, func(c closedPaths) bool { return c.matchAny(method, all) }), nil
}

func matchAny(open []openPaths, method, raw string) bool {
	for _, o := range open {
		if o.match(method, raw) {
			return true
		}
	}
	return false
}

const defaultBasePath = "/auth"

// route is one of the sidecar's own.
type route struct {
	methods []string // none means any
	handle  func(http.ResponseWriter, *http.Request) error
}

func (h *Handler) provisionRoutes(repl *caddy.Replacer) (err error) {
	base := orDefault(h.BasePath, defaultBasePath)
	if base, err = resolve(repl, "base_path", base); err != nil {
		return err
	}
	if err := checkBasePath(base); err != nil {
		return err
	}
	h.base = base
	h.routes = map[string]route{
		"/login":                 {[]string{http.MethodPost}, h.login},
		"/phone":                 {[]string{http.MethodPost}, h.phone},
		"/refresh":               {[]string{http.MethodPost}, h.refresh},
		"/logout":                {[]string{http.MethodPost}, h.logout},
		"/profile":               {[]string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodDelete}, h.profile},
		"/avatar/":               {[]string{http.MethodGet, http.MethodHead}, h.avatar},
		"/verify":                {nil, h.verify},
		"/.well-known/jwks.json": {[]string{http.MethodGet, http.MethodHead}, h.jwks},
	}
	return nil
}

func checkBasePath(base string) error {
	if !isCanonical(base) || strings.HasSuffix(base, "/") || strings.ContainsAny(base, "*?%") || escapeNonASCII(base) != base {
		return fmt.Errorf("base_path %s: write a plain path such as /auth, without a slash at its end", base)
	}
	return nil
}

// owns tells whether a path is below the base path, in whatever spelling an upstream could read it so.
func (h *Handler) owns(raw string, canonical bool, decoded string) bool {
	if h.below(raw) || h.below(decoded) {
		return true
	}
	return !canonical && h.below(caddyhttp.CleanPath(decoded, true))
}

func (h *Handler) below(path string) bool {
	rest, ok := strings.CutPrefix(path, h.base)
	return ok && (rest == "" || rest[0] == '/')
}

// serveOwn answers a request below the base path. Only the exact spelling of a route reaches it.
func (h *Handler) serveOwn(w http.ResponseWriter, r *http.Request, raw string) {
	name := strings.TrimPrefix(raw, h.base)
	switch {
	case strings.HasPrefix(name, "/avatar/"):
		name = "/avatar/"
	case strings.HasPrefix(name, "/verify/"): // Envoy appends the path that it asks about
		name = "/verify"
	}
	rt, ok := h.routes[name]
	if !ok || !h.below(raw) {
		h.writeError(w, errNotFound)
		return
	}
	leave, err := h.state.enter()
	if err == nil {
		defer leave()
		err = rt.serve(w, withMount(r, raw))
	}
	if err != nil {
		h.writeError(w, err)
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
