// The web pages of other origins: what they may read (CORS), and what they must not do with a user's cookie.

package wechatauth

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
)

// cors lets pages of the listed origins use the site.
type cors struct {
	origins     []string
	credentials bool // cookies come along
	reserved    func(header string) bool
	logger      *zap.Logger
	warned      sync.Once
}

func (h *Handler) provisionCORS(repl *caddy.Replacer) error {
	if len(h.CORS) == 0 {
		return nil
	}
	c := &cors{reserved: h.identity.reserved, logger: h.logger}
	for _, configured := range h.CORS {
		origin, err := resolve(repl, "cors", configured)
		if err != nil {
			return err
		}
		if err := checkOrigin(origin); err != nil {
			return fmt.Errorf("cors %s: %w", configured, err)
		}
		c.origins = append(c.origins, origin)
	}
	c.credentials = slices.ContainsFunc(h.TokenFrom, func(t *TokenFrom) bool { return t.Cookie != "" })
	h.cors = c
	return nil
}

// checkOrigin takes an origin only as browsers send it, for it is compared byte for byte.
func checkOrigin(origin string) error {
	if strings.Contains(origin, "*") {
		return errors.New("a page of any origin could then act for the user: name each origin, such as https://m.example.com")
	}
	if origin == "null" {
		return errors.New("any page can have the origin null, by a sandboxed frame: serve yours over http or https")
	}
	u, err := url.Parse(origin)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		return errors.New("write an origin: scheme, host and port if there is one, such as https://m.example.com or http://localhost:5173")
	}
	if escapeNonASCII(u.Host) != u.Host {
		return errors.New("browsers send such a name in its ASCII form, which begins with xn--: write that")
	}
	if sent := originOf(u); sent != origin {
		return fmt.Errorf("browsers send this origin as %s: write that", sent)
	}
	return nil
}

// originOf is the origin of a page, as browsers send it.
func originOf(u *url.URL) string {
	host := strings.ToLower(u.Hostname())
	if address, err := netip.ParseAddr(host); err == nil && address.Is6() {
		host = "[" + address.String() + "]"
	}
	if port := u.Port(); port != "" {
		host += ":" + port
	}
	return u.Scheme + "://" + withoutDefaultPort(u.Scheme, host)
}

func withoutDefaultPort(scheme, host string) string {
	if scheme == "https" {
		return strings.TrimSuffix(host, ":443")
	}
	return strings.TrimSuffix(host, ":80")
}

// lists tells whether the request comes from a page of a listed origin.
func (c *cors) lists(r *http.Request) bool {
	origin := r.Header["Origin"]
	return c != nil && len(origin) == 1 && slices.Contains(c.origins, origin[0])
}

const (
	// exposedHeaders are those that a client needs to act on a refusal.
	exposedHeaders = "Retry-After, WWW-Authenticate, X-Auth-Error"

	preflightMethods = "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"
	preflightHeaders = "authorization, content-type"

	// preflightAge is the longest that Chromium remembers a preflight's answer, in seconds.
	preflightAge = "7200"
)

// begin sets the headers of an answer, whoever is going to write it, and tells whether the request is a
// preflight: then they are all of the answer. The response writer is not wrapped for it, because a
// WebSocket or a stream of events needs the server's own.
func (c *cors) begin(header http.Header, r *http.Request) (preflight bool) {
	header.Add("Vary", "Origin") // also for a page that is not listed: a cache must not give it another's answer
	if !c.lists(r) {
		return false
	}
	header.Set("Access-Control-Allow-Origin", r.Header.Get("Origin"))
	if c.credentials {
		header.Set("Access-Control-Allow-Credentials", "true")
	}
	asked := r.Header["Access-Control-Request-Method"]
	if r.Method != http.MethodOptions || len(asked) == 0 {
		header.Set("Access-Control-Expose-Headers", exposedHeaders)
		return false
	}
	methods := preflightMethods
	if isMethod(asked[0]) && len(asked[0]) < 32 && !slices.Contains(strings.Split(methods, ", "), asked[0]) { // WebDAV's, for instance; the guard decides when the request itself comes
		methods += ", " + asked[0]
	}
	header.Set("Access-Control-Allow-Methods", methods)
	header.Set("Access-Control-Allow-Headers", c.allowedHeaders(r.Header["Access-Control-Request-Headers"]))
	header.Set("Access-Control-Max-Age", preflightAge)
	header.Add("Vary", "Access-Control-Request-Method, Access-Control-Request-Headers")
	return true
}

// allowedHeaders are those that the page asks for, without those that only this sidecar sets.
func (c *cors) allowedHeaders(asked []string) string {
	allowed := []string{preflightHeaders}
	for _, list := range asked {
		for name := range strings.SplitSeq(list, ",") {
			if name = strings.TrimSpace(name); isHeaderName(strings.ReplaceAll(name, "_", "-")) && !c.reserved(name) {
				allowed = append(allowed, name)
			}
		}
	}
	return strings.Join(allowed, ", ")
}

// finish finds an upstream that answers CORS as well: browsers refuse two values, and it takes long to see why.
func (c *cors) finish(header http.Header) {
	if len(header["Access-Control-Allow-Origin"]) < 2 {
		return
	}
	c.warned.Do(func() {
		c.logger.Warn("the upstream sets Access-Control-Allow-Origin, too, and browsers refuse two of them: " +
			"write header_down -Access-Control-Allow-* in reverse_proxy, or take cors out of wechat_auth")
	})
}

// crossSite tells whether a page of another origin made the browser send the request. A token in a cookie
// goes along with it, although the page never had the token (CSRF).
//
// A request with neither Origin nor Sec-Fetch-Site passes: it is no browser's. All of today's send Origin
// with every method but GET and HEAD and with every WebSocket, and no page can suppress it.
func (h *Handler) crossSite(r *http.Request) bool {
	safe := isSafe(r)
	if safe && !h.asksForAnother(r) || h.cors.lists(r) {
		return false
	}
	for _, origin := range r.Header["Origin"] {
		if !isOwnOrigin(r, origin) {
			return true
		}
	}
	return !safe && slices.ContainsFunc(r.Header["Sec-Fetch-Site"], func(site string) bool {
		return site != "same-origin" && site != "none"
	})
}

// isSafe tells whether a request changes nothing. A WebSocket's handshake is a GET, but whoever opens one
// can go on to do anything (cross-site WebSocket hijacking).
func isSafe(r *http.Request) bool {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return r.Header["Upgrade"] == nil
	}
	return false
}

// asksForAnother finds the questions of other servers: they come as GET, whatever the method of the
// request that they are about. It is no GET if it has an Origin.
func (h *Handler) asksForAnother(r *http.Request) bool {
	rest, own := strings.CutPrefix(r.URL.Path, h.base)
	return own && strings.HasPrefix(rest, "/verify")
}

// isOwnOrigin tells whether a page of this very site sent the request.
func isOwnOrigin(r *http.Request, origin string) bool {
	scheme, host, ok := strings.Cut(origin, "://")
	if !ok || scheme != "http" && scheme != "https" {
		return false // null
	}
	trusted, _ := caddyhttp.GetVar(r.Context(), caddyhttp.TrustedProxyVarKey).(bool)
	secure := r.TLS != nil || trusted && slices.Contains(forwardedValues(r, "X-Forwarded-Proto"), "https")
	// The other way round passes: a proxy in front may have ended TLS without being declared, and the https
	// page of a host is no less trusted than the http one.
	if secure && scheme == "http" {
		return false
	}
	same := func(own string) bool {
		return strings.EqualFold(withoutDefaultPort(scheme, own), withoutDefaultPort(scheme, host))
	}
	return same(r.Host) || trusted && slices.ContainsFunc(forwardedValues(r, "X-Forwarded-Host"), same)
}

// forwardedValues are what the proxies in front say, one after the other.
func forwardedValues(r *http.Request, name string) (values []string) {
	for _, line := range r.Header[name] {
		for value := range strings.SplitSeq(line, ",") {
			values = append(values, strings.TrimSpace(value))
		}
	}
	return values
}
