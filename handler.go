// The handler, and what Caddy knows of a request.

package wechatauth

import (
	"net/http"
	"net/url"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-wechat/wechatauth/jwt"
	"github.com/caddy-wechat/wechatauth/sidecar"
)

// ServeHTTP strips identity headers, answers the sidecar's own routes, and guards the rest.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	return h.site.ServeHTTP(w, r, next)
}

// server is Caddy around a site.
type server struct {
	ctx    caddy.Context
	events *caddyevents.App
}

// ClientIP implements sidecar.Server.
func (server) ClientIP(r *http.Request) string {
	ip, _ := caddyhttp.GetVar(r.Context(), caddyhttp.ClientIPVarKey).(string)
	return ip
}

// BehindTrustedProxy implements sidecar.Server.
func (server) BehindTrustedProxy(r *http.Request) bool {
	trusted, _ := caddyhttp.GetVar(r.Context(), caddyhttp.TrustedProxyVarKey).(bool)
	return trusted
}

// OriginalURL implements sidecar.Server.
func (server) OriginalURL(r *http.Request) *url.URL {
	original, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request)
	if !ok {
		return nil
	}
	return original.URL
}

// MatchPaths implements sidecar.Server with Caddy's path matcher.
func (server) MatchPaths(patterns []string) (sidecar.PathMatcher, error) {
	match := caddyhttp.MatchPath(append([]string(nil), patterns...))
	if err := match.Provision(caddy.Context{}); err != nil {
		return nil, err
	}
	return match.MatchWithError, nil
}

// Identify implements sidecar.Server with placeholders.
func (server) Identify(r *http.Request, c *jwt.Claims) { setPlaceholders(r, c) }

// Refuse implements sidecar.Server: through the site's error routes if it has some, else in the
// sidecar's own JSON.
func (server) Refuse(w http.ResponseWriter, r *http.Request, e *sidecar.Error) error {
	if repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer); ok {
		repl.Set(errorPlaceholder, e.Code)
	}
	if !hasErrorRoutes(r) {
		e.Write(w)
		return nil
	}
	return caddyhttp.Error(e.Status(), e)
}

// Internal implements sidecar.Server: what Caddy's server adds to a request.
func (s server) Internal(seen *http.Request) func(http.ResponseWriter, *http.Request) *http.Request {
	srv, _ := seen.Context().Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	return internal(srv)
}

// Emit implements sidecar.Server.
func (s server) Emit(event string, data map[string]any) { s.events.Emit(s.ctx, event, data) }

// hasErrorRoutes reports whether handle_errors of this very site would see an error. Caddy keeps
// the error routes of all sites of a server in one list, each behind its site's host matcher;
// without a match the client would get an empty answer.
func hasErrorRoutes(r *http.Request) bool {
	server, ok := r.Context().Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	if !ok || server.Errors == nil {
		return false
	}
	for _, rt := range server.Errors.Routes {
		if match, err := rt.MatcherSets.AnyMatchWithError(r); match && err == nil {
			return true
		}
	}
	return false
}

// Interface guard
var _ sidecar.Server = server{}
