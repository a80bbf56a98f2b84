// The operator's door in Caddy's admin API.

package wechatauth

import (
	"net/http"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-wechat/wechatauth/sidecar"
)

func init() {
	caddy.RegisterModule(adminAPI{})
}

const adminPath = "/wechat_auth/"

// adminAPI answers the operator below /wechat_auth/ of Caddy's admin API. Caddy decides who may
// ask.
type adminAPI struct{}

// CaddyModule returns the Caddy module information.
func (adminAPI) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "admin.api.wechat_auth",
		New: func() caddy.Module { return new(adminAPI) },
	}
}

// Routes implements caddy.AdminRouter.
func (a *adminAPI) Routes() []caddy.AdminRoute {
	return []caddy.AdminRoute{{Pattern: adminPath, Handler: caddy.AdminHandlerFunc(a.serve)}}
}

// serve finds the sites at each request: Caddy starts its admin API before them, and a
// configuration that fails leaves the old ones at work.
func (*adminAPI) serve(w http.ResponseWriter, r *http.Request) error {
	ctx := caddy.ActiveContext()
	if ctx.Context == nil {
		return caddy.APIError{HTTPStatus: http.StatusServiceUnavailable, Message: "Caddy is starting; try again in a moment"}
	}
	var sites []*sidecar.Site
	if app, err := ctx.AppIfConfigured(openerID); err == nil {
		sites = app.(*Opener).all
	}
	if r.URL.Path == adminPath+"doctor" {
		return serveDoctor(w, r, sites)
	}
	http.StripPrefix(adminPath, sidecar.NewOperations(sites)).ServeHTTP(w, r)
	return nil
}

// Interface guard
var _ caddy.AdminRouter = (*adminAPI)(nil)
