// What pages of other origins must not do with a user's cookie.

package sidecar

import (
	"net/http"
	"slices"
	"strings"
)

// crossSite tells whether a page of another origin made the browser send the request. A token in a
// cookie goes along with it, although the page never had the token (CSRF).
//
// A request with neither Origin nor Sec-Fetch-Site passes: it is no browser's. All of today's send
// Origin with every method but GET and HEAD and with every WebSocket, and no page can suppress it.
func (a *authenticator) crossSite(r *http.Request) bool {
	safe := isSafe(r)
	if safe && !a.asksForAnother(r) || a.cors.lists(r) {
		return false
	}
	for _, origin := range r.Header["Origin"] {
		if !a.isOwnOrigin(r, origin) {
			return true
		}
	}
	return !safe && slices.ContainsFunc(r.Header["Sec-Fetch-Site"], func(site string) bool {
		return site != "same-origin" && site != "none"
	})
}

// isSafe tells whether a request changes nothing. A WebSocket's handshake is a GET, but whoever
// opens one can go on to do anything (cross-site WebSocket hijacking).
func isSafe(r *http.Request) bool {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return r.Header["Upgrade"] == nil
	}
	return false
}

// asksForAnother finds the questions of other servers: they come as GET, whatever the method of the
// request that they are about. It is no GET if it has an Origin.
func (a *authenticator) asksForAnother(r *http.Request) bool {
	rest, own := strings.CutPrefix(r.URL.Path, a.base)
	return own && strings.HasPrefix(rest, "/verify")
}

// isOwnOrigin tells whether a page of this very site sent the request.
func (a *authenticator) isOwnOrigin(r *http.Request, origin string) bool {
	scheme, host, ok := strings.Cut(origin, "://")
	if !ok || scheme != "http" && scheme != "https" {
		return false // null
	}
	trusted := a.server.BehindTrustedProxy(r)
	secure := r.TLS != nil || trusted && slices.Contains(forwardedValues(r, "X-Forwarded-Proto"), "https")
	// The other way round passes: a proxy in front may have ended TLS without being declared, and
	// the https page of a host is no less trusted than the http one.
	if secure && scheme == "http" {
		return false
	}
	same := func(own string) bool {
		return strings.EqualFold(withoutDefaultPort(scheme, own), withoutDefaultPort(scheme, host))
	}
	return same(r.Host) || trusted && slices.ContainsFunc(forwardedValues(r, "X-Forwarded-Host"), same)
}

// forwardedValues returns the values of a header that each proxy in front adds to.
func forwardedValues(r *http.Request, name string) (values []string) {
	for _, line := range r.Header[name] {
		for value := range strings.SplitSeq(line, ",") {
			values = append(values, strings.TrimSpace(value))
		}
	}
	return values
}
