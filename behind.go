// What stands behind a site, for requests of its own that no client's came before.

package wechatauth

import (
	"net/http"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-wechat/wechatauth/jwt"
)

// internal returns what makes a request of this program's own one that came to a server.
func internal(srv *caddyhttp.Server) func(http.ResponseWriter, *http.Request) *http.Request {
	return func(w http.ResponseWriter, r *http.Request) *http.Request {
		if srv == nil {
			return r
		}
		r = caddyhttp.PrepareRequest(r, caddy.NewReplacer(), w, srv)
		setPlaceholders(r, new(jwt.Claims))
		return r
	}
}

// startForwarding has sites forward what waited for their backend since the last run. A site that
// is not found, as in a named route, begins at its first request.
func (o *Opener) startForwarding() {
	app, err := o.ctx.AppIfConfigured("http")
	if err != nil { // there is none, and so no site
		return
	}
	for _, srv := range app.(*caddyhttp.App).Servers {
		for _, h := range o.handlers {
			if next, ok := behind(srv.Routes, h, nothing); ok {
				h.site.StartForwarding(next, internal(srv))
			}
		}
	}
}

var nothing = caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error { return nil })

// behind returns the handlers that follow one in a list of routes, as Caddy chains them.
func behind(routes caddyhttp.RouteList, h *Handler, next caddyhttp.Handler) (caddyhttp.Handler, bool) {
	for i, route := range routes {
		after := caddyhttp.Handler(nothing)
		if !route.Terminal {
			rest := slices.DeleteFunc(slices.Clone(routes[i+1:]), func(r caddyhttp.Route) bool {
				return route.Group != "" && r.Group == route.Group // only one of a group is for a request
			})
			after = rest.Compile(next)
		}
		for _, handler := range slices.Backward(route.Handlers) {
			if handler == caddyhttp.MiddlewareHandler(h) {
				return after, true
			}
			if inner, ok := handler.(*caddyhttp.Subroute); ok {
				if found, ok := behind(inner.Routes, h, after); ok {
					return found, true
				}
			}
			after = caddyhttp.HandlerFunc(chained(handler, after))
		}
	}
	return nil, false
}

func chained(handler caddyhttp.MiddlewareHandler, next caddyhttp.Handler) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error { return handler.ServeHTTP(w, r, next) }
}
