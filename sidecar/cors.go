// The web pages of other origins: what they may read (CORS).

package sidecar

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
)

// cors lets pages of the listed origins use the site.
type cors struct {
	origins     []string
	credentials bool // cookies come along
	reserved    func(header string) bool
	log         *slog.Logger
	warned      sync.Once
}

func newCORS(cfg Config, id identity, log *slog.Logger) (*cors, error) {
	if len(cfg.CORS) == 0 {
		return nil, nil
	}
	c := &cors{origins: cfg.CORS, reserved: id.reserved, log: log}
	c.credentials = slices.ContainsFunc(cfg.TokenFrom, func(t *TokenFrom) bool { return t.Cookie != "" })
	return c, nil
}

// CheckOrigin takes an origin only as browsers send it, for it is compared byte for byte.
func CheckOrigin(origin string) error {
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

// begin sets the headers of an answer, whoever is going to write it, and tells whether the request
// is a preflight: then they are all of the answer. The response writer is not wrapped for it,
// because a WebSocket or a stream of events needs the server's own.
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
	// WebDAV's, for instance; the guard decides when the request itself comes.
	if IsMethod(asked[0]) && len(asked[0]) < 32 && !slices.Contains(strings.Split(methods, ", "), asked[0]) {
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

// finish finds an upstream that answers CORS as well: browsers refuse two values, and it takes long
// to see why.
func (c *cors) finish(header http.Header) {
	if len(header["Access-Control-Allow-Origin"]) < 2 {
		return
	}
	c.warned.Do(func() {
		c.log.Warn("the upstream sets Access-Control-Allow-Origin, too, and browsers refuse two of them: " +
			"write header_down -Access-Control-Allow-* in reverse_proxy, or take cors out of wechat_auth")
	})
}
