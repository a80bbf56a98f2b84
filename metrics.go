package wechatauth

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/caddy-wechat/wechatauth/session"
)

// metrics outlive a reload: Caddy makes a registry for each configuration, and they register anew.
var metrics = struct {
	reused         prometheus.Counter
	storeErrors    prometheus.Counter
	storeFull      prometheus.Counter
	internalErrors prometheus.Counter
}{
	prometheus.NewCounter(prometheus.CounterOpts{
		Name: "caddy_wechat_auth_refresh_reused_total",
		Help: "Sessions that ended because a spent refresh token was used again.",
	}),
	prometheus.NewCounter(prometheus.CounterOpts{
		Name: "caddy_wechat_auth_store_errors_total",
		Help: "Requests refused because the session store failed.",
	}),
	prometheus.NewCounter(prometheus.CounterOpts{
		Name: "caddy_wechat_auth_store_full_total",
		Help: "Requests refused because the memory store was full.",
	}),
	prometheus.NewCounter(prometheus.CounterOpts{
		Name: "caddy_wechat_auth_internal_errors_total",
		Help: "Requests answered with 500 because of a fault in the module.",
	}),
}

func registerMetrics(ctx caddy.Context) error {
	registry := ctx.GetMetricsRegistry()
	if registry == nil {
		return nil
	}
	for _, c := range []prometheus.Collector{metrics.reused, metrics.storeErrors, metrics.storeFull, metrics.internalErrors} {
		var already prometheus.AlreadyRegisteredError
		if err := registry.Register(c); err != nil && !errors.As(err, &already) {
			return err
		}
	}
	return nil
}

// provisionEvents finds Caddy's events app.
func (h *Handler) provisionEvents(ctx caddy.Context) error {
	app, err := ctx.App("events")
	if err != nil {
		return err
	}
	h.emit = func(name string, data map[string]any) { app.(*caddyevents.App).Emit(ctx, name, data) }
	return nil
}

var logKey = func() []byte {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	return key
}()

// hashForLog stands for a user in logs and events: the same within this process, and nobody's outside.
func hashForLog(user session.Tag) string {
	mac := hmac.New(sha256.New, logKey)
	mac.Write(user[:])
	return hex.EncodeToString(mac.Sum(nil)[:8])
}
