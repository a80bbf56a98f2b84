// What tests see of a handler.

package wechatauth

import (
	"context"
	"fmt"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/caddy-wechat/wechatauth/sidecar"
)

// SetNow gives a handler another clock. Call it before Provision.
func (h *Handler) SetNow(now func() time.Time) { h.now = now }

// Routes are the paths that a handler answers below its base path.
func Routes(h *Handler) []string { return h.site.Routes() }

// Placeholders are the names of all placeholders.
var Placeholders = append(slices.Clone(placeholders), errorPlaceholder)

// MetricNames returns the names of all metrics.
func MetricNames(t *testing.T) (names []string) {
	t.Helper()
	descs := make(chan *prometheus.Desc, 100)
	for _, c := range append(collectors(), new(gauges)) {
		c.Describe(descs)
	}
	close(descs)
	for desc := range descs {
		var name string
		if _, err := fmt.Sscanf(desc.String(), "Desc{fqName: %q", &name); err != nil {
			t.Fatalf("%s: %v", desc, err)
		}
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// InternalErrors is the number of answers with status 500.
func InternalErrors(t *testing.T) float64 {
	t.Helper()
	var m dto.Metric
	if err := counters[sidecar.InternalErrors].WithLabelValues().Write(&m); err != nil {
		t.Fatal(err)
	}
	return m.GetCounter().GetValue()
}

// Defaults are the default values of options, as one writes them, by block and name.
func Defaults() map[string]string {
	defaults := map[string]string{}
	for name, value := range map[string]any{
		"wechat_auth base_path": defaultBasePath, "wechat_auth timeout": defaultTimeout,
		"wechat_auth max_in_flight": defaultMaxInFlight, "wechat_auth headers": defaultHeaders,
		"wechat_auth encrypted_data": "off", "wechat_auth authorization": "keep",
		"token algorithm": defaultAlgorithm, "token issuer": defaultIssuer, "token ttl": defaultTTL, "token rotate": defaultRotate,
		"session idle": defaultIdle, "session lifetime": defaultLifetime, "session grace": defaultGrace,
		"session max_per_user": defaultMaxPerUser, "session stale": defaultStale,
		"profile avatar": defaultAvatar, "hook timeout": defaultHookTimeout,
	} {
		if d, ok := value.(time.Duration); ok {
			value = durationText(d)
		}
		defaults[name] = fmt.Sprint(value)
	}
	return defaults
}

// durationText writes a duration as in a Caddyfile.
func durationText(d time.Duration) string {
	for _, unit := range []struct {
		name string
		of   time.Duration
	}{{"d", 24 * time.Hour}, {"h", time.Hour}, {"m", time.Minute}} {
		if d%unit.of == 0 {
			return fmt.Sprintf("%d%s", d/unit.of, unit.name)
		}
	}
	return d.String()
}

// CommandNames returns the operator's commands.
func CommandNames() (names []string) {
	for _, cmd := range commands() {
		names = append(names, cmd.Name())
	}
	return names
}

// DoctorChecks returns the names of what the doctor can find.
func DoctorChecks() (names []string) {
	for _, check := range doctorChecks {
		names = append(names, check[0])
	}
	return names
}

// Finding is one of the doctor's.
type Finding = finding

// Diagnose examines a configuration that is not at work, by a clock that is ahead.
func Diagnose(ctx context.Context, config []byte, ahead time.Duration) ([]Finding, error) {
	d := newDoctor(nil)
	d.now = func() time.Time { return time.Now().Add(ahead) }
	report, err := d.examine(ctx, config)
	return report.Findings, err
}

// PrintUsers, PrintUser and PrintStatus print what the operator's commands print for people.
func PrintUsers(out io.Writer, answer []byte) error  { return printTable(out, answer, userLines) }
func PrintUser(out io.Writer, answer []byte) error   { return printTable(out, answer, knownLines) }
func PrintStatus(out io.Writer, answer []byte) error { return printTable(out, answer, statusLines) }

// Plain escapes what a terminal obeys.
var Plain = plain
