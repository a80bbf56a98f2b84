// What the doctor sees in the configuration alone.

package wechatauth

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// caddyConfig is the part of Caddy's configuration that matters here.
type caddyConfig struct {
	Admin struct {
		Disabled bool   `json:"disabled"`
		Listen   string `json:"listen"`
	} `json:"admin"`
	Logging struct {
		Logs map[string]logConfig `json:"logs"`
	} `json:"logging"`
	Apps struct {
		HTTP struct {
			Servers map[string]*serverConfig `json:"servers"`
		} `json:"http"`
	} `json:"apps"`
}

type logConfig struct {
	Level   string   `json:"level"`
	Include []string `json:"include"`
	Exclude []string `json:"exclude"`
	Encoder struct {
		Format string                     `json:"format"`
		Fields map[string]json.RawMessage `json:"fields"`
	} `json:"encoder"`
}

type serverConfig struct {
	Listen []string      `json:"listen"`
	Routes []routeConfig `json:"routes"`
	Errors struct {
		Routes []routeConfig `json:"routes"`
	} `json:"errors"`
	TrustedProxies json.RawMessage `json:"trusted_proxies"`
	Strict         int             `json:"trusted_proxies_strict"`
	Logs           *struct {
		Credentials bool `json:"should_log_credentials"`
	} `json:"logs"`
}

type routeConfig struct {
	Match  []matchConfig     `json:"match"`
	Handle []json.RawMessage `json:"handle"`
}

type matchConfig struct {
	Host []string `json:"host"`
	Path []string `json:"path"`
}

type handlerConfig struct {
	Handler string        `json:"handler"`
	Routes  []routeConfig `json:"routes"`
	Strip   string        `json:"strip_path_prefix"`
	URI     string        `json:"uri"`
}

// readHandler reads a handler. One of a module that has other things by these names has none.
func readHandler(raw json.RawMessage) (h handlerConfig) {
	if json.Unmarshal(raw, &h) != nil {
		return handlerConfig{}
	}
	return h
}

// place is a wechat_auth with what stands before it.
type place struct {
	server  *serverConfig
	steps   []step
	handler *Handler
}

// step is a matcher that a request has to pass, or a prefix that is taken from its path.
type step struct {
	match []matchConfig
	strip string
}

func (c *caddyConfig) places() (all []place) {
	for _, server := range c.Apps.HTTP.Servers {
		if server != nil {
			all = append(all, server.places(server.Routes, nil)...)
		}
	}
	return all
}

func (s *serverConfig) places(routes []routeConfig, before []step) (all []place) {
	for _, route := range routes {
		steps := slices.Clone(before)
		if len(route.Match) > 0 {
			steps = append(steps, step{match: route.Match})
		}
		for _, raw := range route.Handle {
			h := readHandler(raw)
			switch handler := new(Handler); {
			case h.Handler == "wechat_auth" && json.Unmarshal(raw, handler) == nil:
				all = append(all, place{s, slices.Clone(steps), handler})
			case h.Handler == "rewrite" && h.Strip != "":
				steps = append(steps, step{strip: h.Strip})
				before = append(slices.Clone(before), step{strip: h.Strip}) // later routes see the rest
			default:
				all = append(all, s.places(h.Routes, steps)...)
			}
		}
	}
	return all
}

// leftOut returns the step that a request for a path, as wechat_auth sees it, does not come
// through, and the path as it is there; nil is none.
func leftOut(ctx context.Context, steps []step, path string) (*step, string) {
	for _, s := range slices.Backward(steps) {
		path = s.strip + path
	}
	for i, s := range steps {
		if s.strip != "" {
			path = strings.TrimPrefix(path, s.strip)
		} else if !slices.ContainsFunc(s.match, func(m matchConfig) bool { return m.passes(ctx, path) }) {
			return &steps[i], path
		}
	}
	return nil, ""
}

// patterns returns the paths that a step lets through.
func (s *step) patterns() (all []string) {
	for _, m := range s.match {
		all = append(all, m.Path...)
	}
	return all
}

func (m matchConfig) passes(ctx context.Context, path string) bool {
	if len(m.Path) == 0 {
		return true
	}
	r := &http.Request{Method: http.MethodPost, URL: &url.URL{Path: path}}
	matcher := make(caddyhttp.MatchPath, 0, len(m.Path))
	for _, pattern := range m.Path {
		matcher = append(matcher, strings.ToLower(pattern)) // as Caddy provisions it
	}
	passes, err := matcher.MatchWithError(r.WithContext(context.WithValue(ctx, caddy.ReplacerCtxKey, caddy.NewReplacer())))
	return passes || err != nil
}

// site checks what can be seen in the configuration of a site alone.
func (d *doctor) site(ctx context.Context, p place) {
	d.paths(ctx, p)
	d.forwards(ctx, p)
	d.addresses(p.handler)
	d.appIDs(p.handler)
}

// paths checks what depends on base_path.
func (d *doctor) paths(ctx context.Context, p place) {
	repl := caddy.NewReplacer()
	base, err := resolve(repl, "base_path", orDefault(p.handler.BasePath, defaultBasePath))
	if err != nil {
		return // Caddy does not start with it, and says why
	}
	d.done[checkMatcher] = true
	if by, path := leftOut(ctx, p.steps, base+"/login"); by != nil {
		below, _ := strings.CutSuffix(path, "/login")
		d.check(checkMatcher, levelError, true,
			"a matcher before wechat_auth leaves %s out, so nobody can log in: write @wechat path %s %s/* and match @wechat in its place, "+
				"or set base_path below what is matched", below, strings.Join(by.patterns(), " "), below)
	}
	for _, option := range []struct {
		name  string
		paths []*Paths
	}{{"public", p.handler.Public}, {"optional", p.handler.Optional}, {"phone_required", p.handler.PhoneRequired}} {
		for _, paths := range option.paths {
			if paths == nil {
				continue
			}
			for _, path := range paths.Paths {
				d.check(checkBelow, levelWarn, path == base || strings.HasPrefix(path, base+"/"),
					"%s %s has no effect: below %s wechat_auth answers itself, so take it out, or move that path of your backend", option.name, path, base)
			}
		}
	}
	d.done[checkBelow] = true
	issuer, err := resolve(repl, "issuer", orDefault(p.handler.Token.Issuer, defaultIssuer))
	if err == nil {
		d.check(checkDiscovery, levelWarn, strings.HasPrefix(issuer, "https://") && !strings.HasSuffix(issuer, base),
			"the issuer is an https URL that does not end in %s, so there is no .well-known/openid-configuration: "+
				"write issuer https://<your host>%s if a backend is to discover the keys", base, base)
	}
}

// forwards checks that a client can't reach the path of the pushes but through wechat_auth.
func (d *doctor) forwards(ctx context.Context, p place) {
	for _, a := range p.handler.Apps {
		if a == nil || a.Push == nil || a.Push.Forward == "" {
			continue
		}
		path, err := resolve(caddy.NewReplacer(), "forward", a.Push.Forward)
		if err != nil {
			continue // as above
		}
		by, left := leftOut(ctx, p.steps, path)
		d.check(checkMatcher, levelWarn, by != nil,
			"a matcher before wechat_auth leaves %s out, where forward sends pushes: a client that reaches it can pass as WeChat, "+
				"because nothing removes its X-WX-SOURCE; choose a forward path that is matched", left)
	}
}

// server checks the server that a site is on.
func (d *doctor) server(cfg caddyConfig, p place) {
	s := p.server
	d.check(checkProxies, levelWarn, len(s.TrustedProxies) > 0 && s.Strict == 0,
		"trusted_proxies without trusted_proxies_strict: clients can forge their address and so pass limit login; "+
			"add trusted_proxies_strict to the global option servers")
	d.done[checkAccessLog] = true
	if s.Logs == nil {
		return
	}
	d.check(checkAccessLog, levelWarn, s.Logs.Credentials,
		"log_credentials writes access tokens into the access log: take it out of the global option servers")
	d.check(checkAccessLog, levelWarn, slices.ContainsFunc(p.handler.Apps, func(a *App) bool { return a != nil && a.Push != nil }) && cfg.shows("request>uri"),
		"push, and an access log without a filter for request>uri: WeChat's query has the openid of a user; see docs/push.md for the filter")
	for _, from := range p.handler.TokenFrom {
		switch {
		case from == nil:
		case from.Query != "":
			d.check(checkAccessLog, levelWarn, cfg.shows("request>uri"),
				"token_from query %s, and an access log without a filter for request>uri: whoever reads it can use the tokens; "+
					"see docs/web.md for the filter", from.Query)
		case from.Header != "":
			name := http.CanonicalHeaderKey(from.Header)
			d.check(checkAccessLog, levelWarn, cfg.shows("request>headers>"+name),
				"token_from header %s, and an access log without a filter for request>headers>%s: whoever reads it can use the tokens; "+
					"see docs/web.md for the filter", from.Header, name)
		}
	}
}

// shows tells whether a field of requests stands in an access log as it is.
func (c caddyConfig) shows(field string) bool {
	const access = "http.log.access"
	logs := c.Logging.Logs
	if _, ok := logs["default"]; !ok && !slices.ContainsFunc(includes(logs), func(s string) bool { return strings.HasPrefix(s, access) }) {
		return true // all goes to Caddy's own default log
	}
	for _, log := range logs {
		about := func(names []string) bool {
			return slices.ContainsFunc(names, func(name string) bool {
				return strings.HasPrefix(name, access) || strings.HasPrefix(access, name+".")
			})
		}
		if len(log.Include) > 0 && !about(log.Include) || about(log.Exclude) {
			continue
		}
		if log.Encoder.Format != "filter" || !log.filters(field) {
			return true
		}
	}
	return false
}

func includes(logs map[string]logConfig) (all []string) {
	for _, log := range logs {
		all = append(all, log.Include...)
	}
	return all
}

// filters tells whether a log changes a field, or what the field stands in.
func (l logConfig) filters(field string) bool {
	for name := range l.Encoder.Fields {
		if strings.EqualFold(name, field) || strings.HasPrefix(strings.ToLower(field), strings.ToLower(name)+">") {
			return true
		}
	}
	return false
}
