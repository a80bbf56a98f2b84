// What the doctor sees of ways in which secrets, personal data and protected files get out.

package wechatauth

import (
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
)

// leaks checks what surrounds a site.
func (d *doctor) leaks(cfg caddyConfig, p place) {
	d.admin(cfg)
	d.check(checkDebugLog, levelWarn, cfg.logsAtDebug("http.handlers.reverse_proxy"),
		"the log is at level DEBUG: reverse_proxy writes openid and phone number of each request into it, and Caddy each secret "+
			"that stands in the configuration; take out the global option debug")
	d.check(checkErrorFiles, levelWarn, servesFiles(p.server.Errors.Routes, false),
		"handle_errors has a file_server without a rewrite before it: to a request that wechat_auth refuses it sends the protected file, "+
			"with status 401; rewrite to an error page first")
	repl := caddy.NewReplacer()
	for _, key := range append([]string{p.handler.Token.Key}, p.handler.Token.PreviousKeys...) {
		d.keyFile(repl, "token", key)
	}
	for _, a := range p.handler.Apps {
		if a != nil && a.Signing != nil {
			d.keyFile(repl, "signing", a.Signing.PrivateKey.Value)
		}
	}
}

// admin checks who can reach the admin API.
func (d *doctor) admin(cfg caddyConfig) {
	listen := caddy.NewReplacer().ReplaceKnown(cfg.Admin.Listen, "")
	address, err := caddy.ParseNetworkAddress(orDefault(listen, caddy.DefaultAdminListen))
	if err != nil {
		return // Caddy does not start with it, and says why
	}
	ip, err := netip.ParseAddr(address.Host)
	local := address.IsUnixNetwork() || address.IsFdNetwork() || address.Host == "localhost" || err == nil && ip.IsLoopback()
	d.check(checkAdmin, levelWarn, !cfg.Admin.Disabled && !local,
		"the admin API listens on %s: whoever reaches it sees and changes the users and the configuration; "+
			"write admin localhost:2019, a Unix socket, or admin off", address)
}

// keyFile checks who can read a file with a private key.
func (d *doctor) keyFile(repl *caddy.Replacer, option, text string) {
	if !fileName.MatchString(text) {
		return // a secret, which is not to be looked for on the disk
	}
	name, err := repl.ReplaceOrErr(text, true, true)
	if err != nil || strings.Contains(name, "-----BEGIN") {
		return
	}
	info, err := os.Stat(name)
	if err != nil {
		return // Caddy does not start with it, and says why
	}
	d.check(checkKeyFile, levelError, readableByAll(info),
		"every user of this machine can read %s of %s, and sign with it: chmod 640 it, or 600", text, option)
}

// plainSecret checks that a secret stands in no configuration.
func (d *doctor) plainSecret(what, configured string) {
	d.check(checkPlainSecret, levelWarn, !strings.Contains(configured, "{"),
		"%s stands in the configuration as text, which the admin API and the autosaved configuration show: write {env.NAME} or "+
			"{file./path} ({$NAME} is replaced by its value too early)", what)
}

// logsAtDebug reports whether what a logger says at level DEBUG is written.
func (c caddyConfig) logsAtDebug(logger string) bool {
	for _, log := range c.Logging.Logs {
		about := func(name string) bool { return name == logger || strings.HasPrefix(logger, name+".") }
		if strings.EqualFold(log.Level, "debug") && (len(log.Include) == 0 || slices.ContainsFunc(log.Include, about)) &&
			!slices.ContainsFunc(log.Exclude, about) {
			return true
		}
	}
	return false
}

// servesFiles reports whether routes have a file server for a path that was not rewritten.
func servesFiles(routes []routeConfig, rewritten bool) bool {
	for _, route := range routes {
		for _, raw := range route.Handle {
			switch h := readHandler(raw); {
			case h.Handler == "rewrite" && h.URI != "":
				rewritten = true
			case h.Handler == "file_server" && !rewritten, servesFiles(h.Routes, rewritten):
				return true
			}
		}
	}
	return false
}
