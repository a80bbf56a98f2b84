// Mistakes that a configuration can start with, logged when it is read.

package wechatauth

import (
	"bytes"
	"encoding/json"
	"log/slog"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/rewrite"
)

// warn logs what the doctor finds in the configuration of a site alone.
func (p *provisioner) warn() {
	d := newDoctor(nil)
	d.site(p.ctx, place{steps: stepsTo(p.ctx), handler: p.h})
	for _, f := range d.report().Findings {
		if f.Level != levelOK {
			p.deps.Logger.Warn(f.Text, slog.String("check", f.Name))
		}
	}
}

// stepsTo returns what a request passes on the way to the handler that is provisioned with ctx.
func stepsTo(ctx caddy.Context) (steps []step) {
	for _, module := range ctx.Modules() {
		switch m := module.(type) {
		case *caddyhttp.App:
			for _, server := range m.Servers {
				if server.Name() != "" { // its turn has come
					steps = append(steps, stepsUnderWay(server.Routes)...)
				}
			}
		case *caddyhttp.Subroute:
			steps = append(steps, stepsUnderWay(m.Routes)...)
		}
	}
	return steps
}

// stepsUnderWay returns the steps of a list of routes up to the one whose handlers are provisioned
// at the moment: the first that still has them as they are written.
func stepsUnderWay(routes caddyhttp.RouteList) (steps []step) {
	for _, route := range routes {
		if len(route.HandlersRaw) > 0 {
			return append(append(steps, matchers(route)...), strips(route.HandlersRaw)...)
		}
		for _, handler := range route.Handlers {
			if r, ok := handler.(*rewrite.Rewrite); ok && r.StripPathPrefix != "" {
				steps = append(steps, step{strip: r.StripPathPrefix})
			}
		}
	}
	return nil
}

func matchers(route caddyhttp.Route) []step {
	if len(route.MatcherSets) == 0 {
		return nil
	}
	var s step
	for _, set := range route.MatcherSets {
		var match matchConfig
		for _, matcher := range set {
			if paths, ok := matcher.(*caddyhttp.MatchPath); ok {
				match.Path = *paths
			}
		}
		s.match = append(s.match, match)
	}
	return []step{s}
}

// strips returns the prefixes that are taken away before the handlers that have wechat_auth.
func strips(handlers []json.RawMessage) (steps []step) {
	for _, raw := range handlers {
		if bytes.Contains(raw, []byte(`"wechat_auth"`)) {
			break
		}
		var h handlerConfig
		if json.Unmarshal(raw, &h) == nil && h.Handler == "rewrite" && h.Strip != "" {
			steps = append(steps, step{strip: h.Strip})
		}
	}
	return steps
}
