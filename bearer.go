package wechatauth

import (
	"errors"
	"fmt"
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
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
// take two different ones (RFC 6750 section 2). One from a cookie is refused where a page of another
// origin has the browser send it.
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
	ambient := false
	for _, place := range h.TokenFrom {
		before := len(found)
		found = place.appendTo(found, r)
		ambient = ambient || place.Cookie != "" && len(found) > before
	}
	switch {
	case len(found) == 0:
		return "", errTokenMissing
	case len(found) > 1:
		return "", errTwoTokens
	case ambient && h.crossSite(r):
		return "", errCrossSite
	}
	return found[0], nil
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

func (h *Handler) provisionTokenFrom(*caddy.Replacer) error {
	for i, t := range h.TokenFrom {
		if t == nil {
			return errors.New("a token_from is null")
		}
		if err := t.check(h.identity); err != nil {
			return fmt.Errorf("token_from %s: %w", t.name(), err)
		}
		if slices.ContainsFunc(h.TokenFrom[:i], func(other *TokenFrom) bool { return other.name() == t.name() }) {
			return fmt.Errorf("token_from %s: it is configured twice", t.name())
		}
	}
	return nil
}

// name is the place as it stands in a Caddyfile.
func (t *TokenFrom) name() string {
	switch {
	case t.Query != "":
		return "query " + t.Query
	case t.Cookie != "":
		return "cookie " + t.Cookie
	case t.Header == "":
		return "without a name"
	}
	return "header " + textproto.CanonicalMIMEHeaderKey(t.Header)
}

func (t *TokenFrom) check(id identity) error {
	given := 0
	for _, name := range []string{t.Query, t.Cookie, t.Header} {
		if name != "" {
			given++
		}
	}
	switch {
	case given != 1:
		return errors.New("it takes one of query, cookie and header, with a name")
	case t.Cookie != "" && !isCookieName(t.Cookie):
		return errors.New("no cookie can have this name")
	case t.Header == "":
		return nil
	case !isHeaderName(t.Header):
		return errors.New("a header's name is made of letters, digits and -")
	case textproto.CanonicalMIMEHeaderKey(t.Header) == "Authorization":
		return errors.New("this header is read anyway: leave the line out")
	case framingHeaders[textproto.CanonicalMIMEHeaderKey(t.Header)]:
		return errors.New("this header steers the connection, it can't carry a token")
	case id.reserved(t.Header):
		return errors.New("this header carries the identity to the upstream and is removed from what the client sends: take another")
	}
	return nil
}

func isCookieName(name string) bool {
	read, err := http.ParseCookie(name + "=x")
	return err == nil && len(read) == 1 && read[0].Name == name
}

// appendTo adds the tokens that stand in this place.
func (t *TokenFrom) appendTo(found []string, r *http.Request) []string {
	switch {
	case t.Header != "":
		for _, value := range r.Header.Values(t.Header) {
			if token, ok := bearerToken(value); ok {
				value = token
			}
			if value != "" { // what apps send before they have one
				found = append(found, value)
			}
		}
	case t.Cookie != "":
		for _, c := range r.CookiesNamed(t.Cookie) {
			found = append(found, c.Value)
		}
	default:
		for pair := range strings.SplitSeq(r.URL.RawQuery, "&") {
			if value, ok := t.queryValue(pair); ok {
				found = append(found, value)
			}
		}
	}
	return found
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
	if len(h.TokenFrom) == 0 {
		return
	}
	for _, place := range h.TokenFrom {
		place.hide(r)
	}
	// Error routes get the request back as it came (caddyhttp.Server), with this URL.
	if original, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request); ok && original.URL != nil {
		original.URL.RawQuery = r.URL.RawQuery
	}
}

func (t *TokenFrom) hide(r *http.Request) {
	switch {
	case t.Header != "":
		r.Header.Del(t.Header)
	case t.Cookie != "":
		t.hideCookie(r.Header)
	default:
		r.URL.RawQuery = without(r.URL.RawQuery, "&", func(pair string) bool {
			_, ok := t.queryValue(pair)
			return ok
		})
	}
}

func (t *TokenFrom) hideCookie(header http.Header) {
	var kept []string
	for _, line := range header["Cookie"] {
		line = without(line, ";", func(pair string) bool {
			name, _, _ := strings.Cut(pair, "=")
			return strings.TrimSpace(name) == t.Cookie
		})
		if strings.TrimSpace(line) != "" {
			kept = append(kept, strings.TrimSpace(line))
		}
	}
	if kept == nil {
		delete(header, "Cookie")
		return
	}
	header["Cookie"] = kept
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
