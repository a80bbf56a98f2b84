// The server around a site: what only it knows of a request, and what it does with a decision.

package sidecar

import (
	"net/http"
	"net/url"

	"github.com/caddy-wechat/wechatauth/jwt"
)

// Server is the HTTP server around a site.
type Server interface {
	// ClientIP returns the address of the client, which a trusted proxy may have named.
	ClientIP(r *http.Request) string

	// BehindTrustedProxy reports whether a proxy that may be believed sent the request.
	BehindTrustedProxy(r *http.Request) bool

	// OriginalURL returns the URL as the client sent it, before the server rewrote it; nil if it is
	// not known. It may be changed.
	OriginalURL(r *http.Request) *url.URL

	// MatchPaths returns a matcher of path patterns that matches as widely as the server's own.
	MatchPaths(patterns []string) (PathMatcher, error)

	// Identify tells other modules as whom the request is forwarded. The claims of an anonymous one
	// are empty.
	Identify(r *http.Request, c *jwt.Claims)

	// Refuse answers a request that the guard does not let pass. The error's headers are already
	// set.
	Refuse(w http.ResponseWriter, r *http.Request, e *Error) error

	// Internal returns what makes requests of this program's own ready for the handlers that
	// this one came to.
	Internal(r *http.Request) func(http.ResponseWriter, *http.Request) *http.Request

	// Emit publishes an event.
	Emit(event string, data map[string]any)
}

// PathMatcher reports whether the path of a request matches.
type PathMatcher func(*http.Request) (bool, error)

// Handler is the next handler after a site.
type Handler interface {
	ServeHTTP(http.ResponseWriter, *http.Request) error
}
