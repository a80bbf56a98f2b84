// The placeholders that say who a request is from.

package wechatauth

import (
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-wechat/wechatauth/jwt"
)

var placeholders = []string{
	"http.auth.user.id", "http.auth.user.openid", "http.auth.user.appid",
	"http.auth.user.unionid", "http.auth.user.phone", "http.auth.user.sid",
}

// errorPlaceholder has the code of a refusal.
const errorPlaceholder = "http.wechat_auth.error"

// forwarded is the identity attached to a request. Its placeholders are made when somebody asks for
// them: nobody does on nearly all requests, and to set six of them takes as long as to look up the
// token.
type forwarded struct{ claims *jwt.Claims }

// forwardedVar is the request variable that holds it, for a further handler on the same way.
const forwardedVar = "wechat_auth.forwarded"

func setPlaceholders(r *http.Request, c *jwt.Claims) {
	ctx := r.Context()
	repl, ok := ctx.Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	if !ok {
		return
	}
	for _, name := range placeholders {
		repl.Delete(name) // what other modules set before would be found first
	}
	if f, ok := caddyhttp.GetVar(ctx, forwardedVar).(*forwarded); ok {
		f.claims = c
		return
	}
	f := &forwarded{c}
	caddyhttp.SetVar(ctx, forwardedVar, f)
	repl.Map(f.value)
}

// value implements caddy.ReplacerFunc.
func (f *forwarded) value(placeholder string) (any, bool) {
	switch placeholder {
	case "http.auth.user.id", "http.auth.user.openid":
		return f.claims.OpenID, true
	case "http.auth.user.appid":
		return f.claims.AppID, true
	case "http.auth.user.unionid":
		return f.claims.UnionID, true
	case "http.auth.user.phone":
		return f.claims.Phone, true
	case "http.auth.user.sid":
		return f.claims.SID, true
	case errorPlaceholder:
		return "", true // what fails behind the guard has a page, too, and another reason
	}
	return nil, false
}
