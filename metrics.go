// The metrics.

package wechatauth

import (
	"errors"

	"github.com/caddyserver/caddy/v2"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/caddy-wechat/wechatauth/sidecar"
)

// metrics outlive a reload: Caddy makes a registry for each configuration, and they register anew.
var metrics = map[sidecar.Counter]prometheus.Counter{
	sidecar.RefreshReused:  counter("refresh_reused", "Sessions that ended because a spent refresh token was used again."),
	sidecar.StoreErrors:    counter("store_errors", "Requests refused because the session store failed."),
	sidecar.StoreFull:      counter("store_full", "Requests refused because the memory store was full."),
	sidecar.InternalErrors: counter("internal_errors", "Requests answered with 500 because of a fault in the module."),
}

func counter(name, help string) prometheus.Counter {
	return prometheus.NewCounter(prometheus.CounterOpts{Name: "caddy_wechat_auth_" + name + "_total", Help: help})
}

// count counts for all sites.
func count(what sidecar.Counter) { metrics[what].Inc() }

func registerMetrics(ctx caddy.Context) error {
	registry := ctx.GetMetricsRegistry()
	if registry == nil {
		return nil
	}
	for _, c := range metrics {
		var already prometheus.AlreadyRegisteredError
		if err := registry.Register(c); err != nil && !errors.As(err, &already) {
			return err
		}
	}
	return nil
}
