package sandbox

import (
	"net"
	"net/http"
	"net/netip"
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

// localPeer judges the other end of the connection. Unix sockets have no
// address, or @.
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

// refuse answers a public caller. Only the first is logged as a warning, so
// that a scan does not fill the log.
func (h *Handler) refuse(w http.ResponseWriter, r *http.Request) {
	level := zap.DebugLevel
	if h.state.refused.CompareAndSwap(false, true) {
		level = zap.WarnLevel
	}
	if c := h.logger.Check(level, "wechat_sandbox is reachable from a public address; refused"); c != nil {
		c.Write(zap.String("remote_addr", r.RemoteAddr), zap.String("path", r.URL.Path))
	}
	writeError(w, http.StatusForbidden, "public_address",
		"the WeChat sandbox answers loopback and private addresses only")
}
