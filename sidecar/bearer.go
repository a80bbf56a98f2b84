// The access token of a request: where it may stand, and who it belongs to.

package sidecar

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/caddy-wechat/wechatauth/jwt"
)

// authenticator finds and verifies the access token of a request.
type authenticator struct {
	tokens *tokens
	from   []*TokenFrom
	strip  bool // the token goes no further
	cors   *cors
	base   string
	server Server
}

func newAuthenticator(cfg Config, server Server, t *tokens, c *cors) *authenticator {
	return &authenticator{tokens: t, from: cfg.TokenFrom, strip: cfg.StripToken, cors: c, base: cfg.BasePath, server: server}
}

// authenticate verifies the request's access token and that its session goes on.
func (a *authenticator) authenticate(r *http.Request) (*jwt.Claims, error) {
	token, err := a.find(r)
	if err != nil {
		return nil, err
	}
	if isCrowded(r.Header) {
		return nil, errCrowded
	}
	return a.tokens.authenticate(token)
}

// maxHeaderLines bounds the header of a request that is to carry an identity. Some servers read the
// first so many lines and leave the rest out without a word, and X-Wx-… comes last, for Go sorts: to
// them the user would be nobody, or be without a phone. Lua in nginx reads 100 lines, Node 1000; those
// of the identity and of proxies come on top. Apache, Tomcat and gunicorn refuse more than 100.
const maxHeaderLines = 80

func isCrowded(header http.Header) bool {
	if len(header) > maxHeaderLines {
		return true
	}
	lines := 0
	for _, values := range header {
		lines += len(values)
	}
	return lines > maxHeaderLines
}

// ifPresent is authenticate, except that a request without a token is anonymous.
func (a *authenticator) ifPresent(r *http.Request) (*jwt.Claims, error) {
	claims, err := a.authenticate(r)
	if errors.Is(err, errTokenMissing) {
		return nil, nil
	}
	return claims, err
}

// find returns the request's only access token. Two of them are refused, for two readers could take
// two different ones (RFC 6750 section 2). One from a cookie is refused where a page of another
// origin has the browser send it.
func (a *authenticator) find(r *http.Request) (string, error) {
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
	for _, place := range a.from {
		before := len(found)
		found = place.appendTo(found, r)
		ambient = ambient || place.Cookie != "" && len(found) > before
	}
	switch {
	case len(found) == 0:
		return "", errTokenMissing
	case len(found) > 1:
		return "", errTwoTokens
	case ambient && a.crossSite(r):
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

// hide takes the client's access token out of the request, from wherever it may stand.
func (a *authenticator) hide(r *http.Request) {
	if !a.strip {
		return
	}
	if slices.ContainsFunc(r.Header["Authorization"], hasBearer) {
		delete(r.Header, "Authorization")
	}
	if len(a.from) == 0 {
		return
	}
	for _, place := range a.from {
		place.hide(r)
	}
	// Error routes get the request back as it came, with this URL.
	if original := a.server.OriginalURL(r); original != nil {
		original.RawQuery = r.URL.RawQuery
	}
}
