// The metrics: what is counted in the whole process, and the gauges of a configuration.

package wechatauth

import (
	"context"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/caddy-wechat/wechatauth/sidecar"
	"github.com/caddy-wechat/wechatauth/wechat"
)

const metricsPrefix = "caddy_wechat_auth_"

// Counters outlive a reload: each configuration has a registry, and they are registered there anew.
var (
	counters = map[sidecar.Counter]*prometheus.CounterVec{
		sidecar.Logins:          counter("logins_total", "Requests of the login route, by app and result.", "appid", "result"),
		sidecar.Phones:          counter("phones_total", "Exchanges for a phone number, by app, way and result. WeChat charges for way code.", "appid", "way", "result"),
		sidecar.Refreshes:       counter("refreshes_total", "Requests of the refresh route, by result.", "result"),
		sidecar.Logouts:         counter("logouts_total", "Requests of the logout route, by result.", "result"),
		sidecar.Refusals:        counter("refusals_total", "Requests refused, by the code of the error.", "code"),
		sidecar.StoreOperations: counter("store_operations_total", "Operations of the session store, by kind of store, operation and result.", "store", "op", "result"),
		sidecar.Limited:         counter("limited_total", "Requests beyond a limit of the configuration, by limit.", "limit"),
		sidecar.HookRequests:    counter("hook_requests_total", "Questions to the hook, by event and result.", "event", "result"),
		sidecar.Pushes:          counter("pushes_total", "Messages that WeChat pushed, by app and result.", "appid", "result"),
		sidecar.InternalErrors:  counter("internal_errors_total", "Faults of the module, in requests and in the background."),
	}
	wechatRequests = counter("wechat_requests_total", "Calls to WeChat, by API and class of the answer.", "api", "class")
	wechatDuration = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: metricsPrefix + "wechat_request_duration_seconds", Help: "Duration of the calls to WeChat, by API and class of the answer.",
		Buckets: []float64{.025, .05, .1, .25, .5, 1, 2.5, 5, 10},
	}, []string{"api", "class"})
	verifications  = new(sidecar.Verifications)
	verifiedTokens = []prometheus.Collector{verified("true", &verifications.Remembered), verified("false", &verifications.Verified)}
)

func counter(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: metricsPrefix + name, Help: help}, labels)
}

// verified reads a counter of the guard, which must not allocate.
func verified(hit string, count *atomic.Uint64) prometheus.Collector {
	return prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: metricsPrefix + "verified_tokens_total", ConstLabels: prometheus.Labels{"hit": hit},
		Help: "Access tokens found genuine, by whether their signature was remembered.",
	}, func() float64 { return float64(count.Load()) })
}

// A rate sees the first of something only if there was a zero before it.
func init() {
	for _, entry := range sidecar.Errors() {
		_, code, _ := strings.Cut(entry, " ")
		counters[sidecar.Refusals].WithLabelValues(code)
	}
	for _, limit := range []string{"login", "phone", "profile", "refresh", "service"} {
		counters[sidecar.Limited].WithLabelValues(limit)
	}
	counters[sidecar.InternalErrors].WithLabelValues()
}

// count counts for all sites.
func count(what sidecar.Counter, labels ...string) { counters[what].WithLabelValues(labels...).Inc() }

// observeWeChat counts and traces a call to WeChat.
func observeWeChat(ctx context.Context, api string, class wechat.Class, took time.Duration) {
	wechatRequests.WithLabelValues(api, class.String()).Inc()
	wechatDuration.WithLabelValues(api, class.String()).Observe(took.Seconds())
	trace(ctx, "wechat", api, class.String(), time.Now().Add(-took))
}

// collectors returns what goes on over reloads.
func collectors() []prometheus.Collector {
	all := append([]prometheus.Collector{wechatRequests, wechatDuration}, verifiedTokens...)
	for _, c := range counters {
		all = append(all, c)
	}
	return all
}

var (
	tokenAge      = gauge("token_age_seconds", "Age of WeChat's access token, by app.", "appid")
	storeUp       = gauge("store_up", "Whether the session store works, by kind of store.", "store")
	revocationLag = gauge("revocation_lag_seconds", "Time since the session store last reported its revocations, by kind of store.", "store")
)

func gauge(name, help, label string) *prometheus.Desc {
	return prometheus.NewDesc(metricsPrefix+name, help, []string{label}, nil)
}

// gauges are those of one configuration: what the next one lacks is reported no longer. Of several
// stores of a kind the worst one counts, and so does the oldest token of an app.
type gauges struct {
	mu     sync.Mutex // guards what follows
	stores []*sidecar.StoreHandle
	apps   []sidecar.Apps
}

func (g *gauges) add(store *sidecar.StoreHandle, apps sidecar.Apps) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.stores, g.apps = append(g.stores, store), append(g.apps, apps)
}

// Describe implements prometheus.Collector.
func (*gauges) Describe(to chan<- *prometheus.Desc) {
	to <- tokenAge
	to <- storeUp
	to <- revocationLag
}

// Collect implements prometheus.Collector.
func (g *gauges) Collect(to chan<- prometheus.Metric) {
	g.mu.Lock()
	defer g.mu.Unlock()
	up, lag, age := map[string]float64{}, map[string]float64{}, map[string]float64{}
	for _, store := range g.stores {
		health := store.Health()
		if before, known := up[health.Kind]; !known || before == 1 {
			up[health.Kind] = 0
			if health.Up {
				up[health.Kind] = 1
			}
		}
		lag[health.Kind] = max(lag[health.Kind], seconds(health.Lag))
	}
	for _, apps := range g.apps {
		for id, app := range apps {
			if took, ok := app.TokenAge(); ok {
				age[id] = max(age[id], took.Seconds())
			}
		}
	}
	for desc, values := range map[*prometheus.Desc]map[string]float64{tokenAge: age, storeUp: up, revocationLag: lag} {
		for label, value := range values {
			to <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, label)
		}
	}
}

// seconds returns a duration for a gauge; never is infinite.
func seconds(d time.Duration) float64 {
	if d == math.MaxInt64 {
		return math.Inf(1)
	}
	return d.Seconds()
}
