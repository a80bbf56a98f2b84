// The line that says where the playground is.

package sandbox

import (
	"context"
	"net"
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
)

const (
	announceAfter = 300 * time.Millisecond // Caddy has a few more lines to print when it has started
	announceTries = 20
)

// announce has the address of the page logged when Caddy has started, once for each state.
func (g *playground) announce(ctx caddy.Context, server *caddyhttp.Server) error {
	if server == nil {
		return nil
	}
	app, err := ctx.App("events")
	if err != nil {
		return err
	}
	return app.(*caddyevents.App).On("started", onEvent(func() {
		if len(server.Listeners()) > 0 && g.state.announced.CompareAndSwap(false, true) {
			go g.announceTo(ctx, pageURL(server))
		}
	}))
}

// onEvent is a function that handles an event.
type onEvent func()

// Handle implements caddyevents.Handler.
func (f onEvent) Handle(context.Context, caddy.Event) error {
	f()
	return nil
}

// announceTo logs the address once the page is there.
func (g *playground) announceTo(ctx context.Context, address string) {
	for range announceTries {
		select {
		case <-time.After(announceAfter):
		case <-ctx.Done():
			return
		}
		if g.serves(ctx, address) {
			g.logger.Info("open the playground in a browser: " + address)
			return
		}
	}
	g.logger.Warn("the playground does not answer at its own address", zap.String("url", address))
}

func (g *playground) serves(ctx context.Context, address string) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return false
	}
	res, err := g.client.Do(req)
	if err != nil {
		return false
	}
	_ = res.Body.Close()
	return res.StatusCode == http.StatusOK
}

// pageURL is the address of the page for a browser on this machine.
func pageURL(server *caddyhttp.Server) string {
	scheme := "http://"
	if len(server.TLSConnPolicies) > 0 {
		scheme = "https://"
	}
	host, port, err := net.SplitHostPort(server.Listeners()[0].Addr().String())
	if err != nil {
		return scheme + "localhost" + pagePath // a socket, with a proxy before it
	}
	if ip := net.ParseIP(host); ip == nil || ip.IsLoopback() || ip.IsUnspecified() {
		host = "localhost"
	}
	return scheme + net.JoinHostPort(host, port) + pagePath
}

// loopbackOnly reports whether nothing but this machine reaches a server.
func loopbackOnly(server *caddyhttp.Server) bool {
	if server == nil || len(server.Listen) == 0 {
		return false
	}
	for _, listen := range server.Listen {
		address, err := caddy.ParseNetworkAddress(listen)
		if err != nil {
			return false
		}
		ip := net.ParseIP(address.Host)
		if !address.IsUnixNetwork() && address.Host != "localhost" && (ip == nil || !ip.IsLoopback()) {
			return false
		}
	}
	return true
}

// Interface guard
var _ caddyevents.Handler = onEvent(nil)
