// The guard: which requests need a token, and which need one with a phone.

package sidecar

import (
	"net/http"
	"slices"
	"strings"

	"github.com/caddy-wechat/wechatauth/jwt"
)

// guard decides about the requests that are not the sidecar's own.
type guard struct {
	public   []exactPaths
	optional []exactPaths
	phone    []widePaths
	auth     *authenticator
}

func newGuard(cfg Config, server Server, auth *authenticator) (g *guard, err error) {
	g = &guard{auth: auth}
	if g.public, err = newExactPaths("public", cfg.Public); err != nil {
		return nil, err
	}
	if g.optional, err = newExactPaths("optional", cfg.Optional); err != nil {
		return nil, err
	}
	g.phone, err = newWidePaths("phone_required", cfg.PhoneRequired, server.MatchPaths)
	return g, err
}

// decide returns whether the request may pass, and as whom: nil means anonymously.
func (g *guard) decide(r *http.Request, raw string, canonical bool) (*jwt.Claims, error) {
	method := upstreamMethod(r)
	if strings.EqualFold(method, http.MethodConnect) || strings.EqualFold(method, http.MethodTrace) {
		return nil, methodNotAllowed(http.MethodDelete, http.MethodGet, http.MethodHead,
			http.MethodOptions, http.MethodPatch, http.MethodPost, http.MethodPut)
	}
	if !strings.HasPrefix(raw, "/") || r.URL.Opaque != "" {
		return nil, invalidRequest("the request target must be a path")
	}
	needsPhone, err := g.needsPhone(r, method, raw, canonical)
	if err != nil {
		return nil, err
	}
	if canonical && !needsPhone {
		if matchAny(g.public, method, raw) {
			return nil, nil
		}
		if matchAny(g.optional, method, raw) {
			return g.auth.ifPresent(r)
		}
	}
	claims, err := g.auth.authenticate(r)
	if err != nil {
		return nil, err
	}
	if needsPhone && claims.Phone == "" {
		return nil, errPhoneRequired
	}
	return claims, nil
}

// upstreamMethod is the method as the upstream will see it: the extended CONNECT that opens a
// WebSocket in HTTP/2 and HTTP/3 goes on as GET. A plain CONNECT is refused with TRACE: the one
// poisons the connections to the upstream, which users share, the other echoes credentials.
func upstreamMethod(r *http.Request) string {
	if r.Method != http.MethodConnect {
		return r.Method
	}
	if r.ProtoMajor == 2 && r.Header.Get(":protocol") == "websocket" || r.ProtoMajor == 3 && r.Proto == "websocket" {
		return http.MethodGet
	}
	return http.MethodConnect
}

func (g *guard) needsPhone(r *http.Request, method, raw string, canonical bool) (bool, error) {
	for _, paths := range g.phone {
		if match, err := paths.match(r, method); match || err != nil {
			return match, err
		}
	}
	if len(g.phone) == 0 || canonical && withoutLooseEnds(r.URL.Path) == r.URL.Path {
		return false, nil
	}
	all := interpretations(raw)
	return slices.ContainsFunc(g.phone, func(c widePaths) bool { return c.matchAny(method, all) }), nil
}

func matchAny(open []exactPaths, method, raw string) bool {
	for _, o := range open {
		if o.match(method, raw) {
			return true
		}
	}
	return false
}
