// The bound to local clients.

package sandbox

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
)

// local reports whether a request comes from this machine or its network. The
// sandbox on a public address, by a mistaken listener or a tunnel, would let
// the internet log in as anybody; a warning in the log is read too late.
//
// A tunnel or proxy makes every caller look local, so the addresses it names
// count as well. Those headers can be forged, but only towards a refusal.
func local(r *http.Request) bool {
	if !localPeer(r.RemoteAddr) {
		return false
	}
	if ip, ok := caddyhttp.GetVar(r.Context(), caddyhttp.ClientIPVarKey).(string); ok && ip != "" && !localIP(ip) {
		return false
	}
	for _, name := range []string{"X-Forwarded-For", "X-Real-Ip"} {
		for _, list := range r.Header.Values(name) {
			for ip := range strings.SplitSeq(list, ",") {
				if !localIP(strings.TrimSpace(ip)) {
					return false
				}
			}
		}
	}
	return true
}

// localPeer judges the other end of the connection. Unix sockets have no address, or @.
func localPeer(addr string) bool {
	if addr == "" || addr == "@" {
		return true
	}
	host, _, err := net.SplitHostPort(addr)
	return err == nil && localIP(host)
}

// localIP leaves out 100.64.0.0/10, from which load balancers of large clouds
// forward the requests of the internet.
func localIP(s string) bool {
	ip, err := netip.ParseAddr(s)
	if err != nil {
		return false
	}
	ip = ip.Unmap()
	return ip.IsLoopback() || ip.IsPrivate() || ip.IsLinkLocalUnicast()
}

// named reports whether the request is for a name that leads here by the operator's will. A web
// page can make its own name lead to 127.0.0.1 (DNS rebinding) and then read the answers; it cannot
// do so with these.
func (h *Handler) named(r *http.Request) bool {
	host := strings.ToLower(hostname(r.Host))
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	host = strings.TrimSuffix(host, ".")
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || slices.Contains(h.names, host)
}

// hostname cuts the port off, and the brackets of an IPv6 address.
func hostname(host string) string {
	if name, port, err := net.SplitHostPort(host); err == nil && strings.Trim(port, "0123456789") == "" {
		return name
	}
	return strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
}

// ownOrigin reports whether no web page sent the request, or one of this very host. Others cannot
// read the answer, but what they post would be done.
func ownOrigin(r *http.Request) bool {
	for _, origin := range r.Header.Values("Origin") {
		u, err := url.Parse(origin)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || !strings.EqualFold(u.Host, r.Host) {
			return false
		}
	}
	return true
}

// refusal returns why a request is not answered, "" if it is.
func (h *Handler) refusal(r *http.Request) (code, description string) {
	switch {
	case !local(r):
		return "public_address", "the WeChat sandbox answers loopback and private addresses only"
	case !h.named(r):
		return "unknown_host", "the WeChat sandbox answers under localhost and IP addresses; name others with the host option of wechat_sandbox"
	case !ownOrigin(r):
		return "foreign_origin", "the WeChat sandbox does not answer web pages of other origins; leave out the Origin header, or ask from a server"
	}
	return "", ""
}

// refuse answers a request that must not reach the sandbox. Only the first is logged as a warning,
// so that a scan does not fill the log.
func (h *Handler) refuse(w http.ResponseWriter, r *http.Request, code, description string) {
	level := zap.DebugLevel
	if h.state.refused.CompareAndSwap(false, true) {
		level = zap.WarnLevel
	}
	if c := h.logger.Check(level, "wechat_sandbox refused a request"); c != nil {
		c.Write(zap.String("reason", code), zap.String("remote_addr", r.RemoteAddr), zap.String("host", r.Host), zap.String("path", r.URL.Path))
	}
	writeError(w, http.StatusForbidden, code, description)
}
