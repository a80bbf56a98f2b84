package wechatauth

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-wechat/wechatauth/jwt"
	"github.com/caddy-wechat/wechatauth/session"
)

// authenticate verifies the request's access token and that its session goes on.
func (h *Handler) authenticate(r *http.Request) (*jwt.Claims, error) {
	token, err := h.findToken(r)
	if err != nil {
		return nil, err
	}
	claims, err := h.verifyToken(token)
	if err != nil {
		return nil, err
	}
	revoked, err := h.state.revoked(session.SID(claims.SID), h.stale)
	if err != nil {
		return nil, err
	}
	if revoked {
		return nil, errSessionRevoked
	}
	return claims, nil
}

// authenticateIfPresent is authenticate, except that a request without a token is nobody's.
func (h *Handler) authenticateIfPresent(r *http.Request) (*jwt.Claims, error) {
	claims, err := h.authenticate(r)
	if errors.Is(err, errTokenMissing) {
		return nil, nil
	}
	return claims, err
}

// findToken returns the request's only access token. Two of them are refused, for two readers could
// take two different ones (RFC 6750 section 2).
func (h *Handler) findToken(r *http.Request) (string, error) {
	found := make([]string, 0, 2) // on the stack
	authorization := r.Header["Authorization"]
	if len(authorization) > 1 {
		return "", errTwoTokens
	}
	for _, value := range authorization {
		token, ok := bearerToken(value)
		switch {
		case !ok && hasBearer(value), ok && strings.Contains(token, ",") && !strings.HasPrefix(token, "{"):
			return "", errTwoTokens // a list; a JWT in JSON is one token, if not one we take
		case ok:
			found = append(found, token)
		}
	}
	if h.TokenFrom != nil {
		found = append(found, h.TokenFrom.find(r)...)
	}
	switch len(found) {
	case 0:
		return "", errTokenMissing
	case 1:
		return found[0], nil
	}
	return "", errTwoTokens
}

// bearerToken returns what follows the Bearer scheme, in any case and after any number of spaces.
func bearerToken(authorization string) (string, bool) {
	scheme, token, _ := strings.Cut(authorization, " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return "", false
	}
	return strings.TrimLeft(token, " "), true
}

// hasBearer tells whether there is a bearer token anywhere in a list of credentials.
func hasBearer(authorization string) bool {
	for part := range strings.SplitSeq(authorization, ",") {
		if _, ok := bearerToken(strings.TrimSpace(part)); ok {
			return true
		}
	}
	return false
}

func (t *TokenFrom) find(r *http.Request) (tokens []string) {
	if t.Cookie != "" {
		for _, c := range r.CookiesNamed(t.Cookie) {
			tokens = append(tokens, c.Value)
		}
		return tokens
	}
	for pair := range strings.SplitSeq(r.URL.RawQuery, "&") {
		if value, ok := t.queryValue(pair); ok {
			tokens = append(tokens, value)
		}
	}
	return tokens
}

func (t *TokenFrom) queryValue(pair string) (string, bool) {
	key, value, _ := strings.Cut(pair, "=")
	if key, err := url.QueryUnescape(key); err != nil || key != t.Query {
		return "", false
	}
	token, err := url.QueryUnescape(value)
	if err != nil {
		return value, true // not a token, whatever it is
	}
	return token, true
}

// hideToken takes the client's access token out of the request, from wherever it may stand.
func (h *Handler) hideToken(r *http.Request) {
	if h.Authorization != "strip" {
		return
	}
	if slices.ContainsFunc(r.Header["Authorization"], hasBearer) {
		delete(r.Header, "Authorization")
	}
	if h.TokenFrom == nil {
		return
	}
	h.TokenFrom.hide(r)
	// Error routes get the request back as it came (caddyhttp.Server), with this URL.
	if original, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request); ok && original.URL != nil {
		original.URL.RawQuery = r.URL.RawQuery
	}
}

func (t *TokenFrom) hide(r *http.Request) {
	if t.Query != "" {
		r.URL.RawQuery = without(r.URL.RawQuery, "&", func(pair string) bool {
			_, ok := t.queryValue(pair)
			return ok
		})
		return
	}
	var kept []string
	for _, line := range r.Header["Cookie"] {
		line = without(line, ";", func(pair string) bool {
			name, _, _ := strings.Cut(pair, "=")
			return strings.TrimSpace(name) == t.Cookie
		})
		if strings.TrimSpace(line) != "" {
			kept = append(kept, strings.TrimSpace(line))
		}
	}
	if kept == nil {
		delete(r.Header, "Cookie")
		return
	}
	r.Header["Cookie"] = kept
}

// without drops the parts of a list that are to be hidden and leaves the others byte for byte.
func without(list, separator string, hidden func(part string) bool) string {
	var kept []string
	for part := range strings.SplitSeq(list, separator) {
		if !hidden(part) {
			kept = append(kept, part)
		}
	}
	return strings.Join(kept, separator)
}
