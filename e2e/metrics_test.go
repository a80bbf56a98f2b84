//go:build unix

// Metrics, alerts and the dashboard, by a real scrape and Prometheus' own tool.

package e2e_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/caddy-wechat/wechatauth/internal/testkit"
	"github.com/caddy-wechat/wechatauth/session/redisstore/redistest"
	"github.com/caddy-wechat/wechatauth/wechat/wechattest"
)

const (
	alertsFile    = "../docs/monitoring/alerts.yml"
	dashboardFile = "../docs/monitoring/grafana.json"
)

var ownMetric = regexp.MustCompile(`caddy_wechat_auth_\w+`)

// scrape returns the samples of wechat_auth by series, and the text that they stand in.
func (n *node) scrape() (map[string]float64, string) {
	n.t.Helper()
	a := n.adminAPI().get("/metrics", "")
	if a.status != 200 {
		n.t.Fatalf("scrape: got %s", a)
	}
	samples, own := map[string]float64{}, new(strings.Builder)
	for line := range strings.Lines(string(a.body)) {
		if !ownMetric.MatchString(line) {
			continue
		}
		own.WriteString(line)
		if strings.HasPrefix(line, "#") {
			continue
		}
		i := strings.LastIndex(line, " ")
		value, err := strconv.ParseFloat(strings.TrimSpace(line[i:]), 64)
		if err != nil {
			n.t.Fatalf("%s: %v", line, err)
		}
		samples[line[:i]] = value
	}
	return samples, own.String()
}

// promtool runs Prometheus' tool, which must be content.
func promtool(t *testing.T, stdin string, args ...string) {
	t.Helper()
	if _, err := exec.LookPath("promtool"); err != nil {
		t.Fatal("promtool is missing: scripts/needs.sh installs it (Debian's package prometheus)")
	}
	cmd := exec.CommandContext(t.Context(), "promtool", args...)
	cmd.Stdin = strings.NewReader(stdin)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("promtool %v: %v\n%s", args, err, out)
	}
}

// everything is a node on which each metric has a sample, and users and secrets left their traces.
func everything(t *testing.T) (n *node, private []string) {
	t.Helper()
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"allow":true}`))
	}))
	t.Cleanup(hook.Close)
	w := newWorld(t)
	n = w.start("hook " + hook.URL + " {\nsecret 0123456789abcdef0123456789abcdef\n}\nlimit profile 1/1m")
	alice := w.fake.NewUser(appID)
	login := n.login(alice)
	want(t, "phone", n.post("/auth/phone", login.access(), "code", w.fake.PhoneCode(alice, "13800138000")), 200, "")
	want(t, "guard", n.get("/", login.access()), 200, "")
	want(t, "nickname", n.post("/auth/profile", login.access(), "nickname", "alice"), 200, "")
	want(t, "nickname again", n.post("/auth/profile", login.access(), "nickname", "bob"), 429, "rate_limited")
	next := n.refresh(login.refresh())
	want(t, "refresh", next, 200, "")
	want(t, "a wrong code", n.post("/auth/login", "", "code", "a-code-that-is-wrong-0123456789"), 401, "code_invalid")
	want(t, "logout", n.logout(next.access()), 204, "")
	want(t, "after it", n.get("/", next.access()), 401, "session_revoked")
	return n, []string{
		alice.OpenID, "13800138000", "alice", secret, "0123456789abcdef0123456789abcdef", login.access(), login.refresh(), "a-code-that-is-wrong",
	}
}

func TestMetricsOfARealScrape(t *testing.T) {
	t.Parallel()
	n, private := everything(t)
	samples, text := n.scrape()
	promtool(t, text, "check", "metrics")
	// The metrics directive has the same.
	port := testkit.FreePort(t)
	if a := n.reload(n.config() + "http://:" + port + " {\nmetrics\n}\n"); a.status != 200 {
		t.Fatalf("reload: got %s", a)
	}
	body := newClient(t, "http://127.0.0.1:"+port).get("/metrics", "").body
	for series := range samples {
		if !strings.Contains(string(body), "\n"+series+" ") {
			t.Errorf("the metrics directive has no %s", series)
		}
	}
	for _, value := range private {
		if strings.Contains(text, value) {
			t.Errorf("the scrape has %q", value)
		}
	}
	for series, want := range map[string]float64{
		`logins_total{appid="` + appID + `",result="ok"}`:               1,
		`logins_total{appid="` + appID + `",result="code_invalid"}`:     1,
		`phones_total{appid="` + appID + `",result="ok",way="code"}`:    1,
		`refreshes_total{result="ok"}`:                                  1,
		`logouts_total{result="ok"}`:                                    1,
		`refusals_total{code="session_revoked"}`:                        1,
		`refusals_total{code="code_invalid"}`:                           1,
		`refusals_total{code="internal"}`:                               0,
		`limited_total{limit="profile"}`:                                1,
		`hook_requests_total{event="login",result="allow"}`:             1,
		`hook_requests_total{event="refresh",result="allow"}`:           1,
		`wechat_requests_total{api="jscode2session",class="code"}`:      1,
		`wechat_requests_total{api="getuserphonenumber",class="ok"}`:    1,
		`wechat_requests_total{api="stable_token",class="ok"}`:          1,
		`store_operations_total{op="login",result="ok",store="sqlite"}`: 1,
		`store_up{store="sqlite"}`:                                      1,
		`internal_errors_total`:                                         0,
	} {
		if got, ok := samples["caddy_wechat_auth_"+series]; !ok || got != want {
			t.Errorf("%s: got %v (%v), want %v", series, got, ok, want)
		}
	}
	if lag := samples[`caddy_wechat_auth_revocation_lag_seconds{store="sqlite"}`]; lag < 0 || lag > 5 {
		t.Errorf("got revocations of %v s ago", lag)
	}
	hits := samples[`caddy_wechat_auth_verified_tokens_total{hit="true"}`]
	if hits == 0 || hits+samples[`caddy_wechat_auth_verified_tokens_total{hit="false"}`] < 5 {
		t.Errorf("got %v tokens remembered, want some", hits)
	}
}

// Redis goes away at night. Metrics, healthz and the log say so, and say when it is back.
func TestOutageIsSeen(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	redis := redistest.Start(t)
	n := w.start("store redis "+redis.URL, "session {\nstale 3s\n}")
	n.newUser()
	up := func() float64 {
		samples, _ := n.scrape()
		return samples[`caddy_wechat_auth_store_up{store="redis"}`]
	}
	healthz := func(status int, text string) func() bool {
		return func() bool {
			a := n.get("/auth/healthz", "")
			return a.status == status && a.text("status") == text
		}
	}
	if !healthz(200, "ok")() || up() != 1 {
		t.Fatalf("before: got %s and up %v", n.get("/auth/healthz", ""), up())
	}
	redis.Stop()
	eventually(t, "degraded", healthz(200, "degraded"))
	if got := up(); got != 0 {
		t.Errorf("got up %v, want 0", got)
	}
	eventually(t, "unavailable after stale", healthz(503, "unavailable"))
	samples, _ := n.scrape()
	if lag := samples[`caddy_wechat_auth_revocation_lag_seconds{store="redis"}`]; lag < 3 {
		t.Errorf("got revocations of %v s ago, want 3 or more", lag)
	}
	redis.Restart(t)
	eventually(t, "healed", func() bool { return healthz(200, "ok")() && up() == 1 })
}

// WeChat refuses the machine, and the hook is away: the cause can be named from the metrics.
func TestFaultsAreSeen(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.start("hook http://127.0.0.1:" + testkit.FreePort(t) + " {\nsecret 0123456789abcdef0123456789abcdef\n}")
	code := func() string { return w.fake.LoginCode(w.fake.NewUser(appID)) }
	want(t, "the hook is away", n.post("/auth/login", "", "code", code()), 403, "denied")
	w.fake.Fail(wechattest.Login, 1, wechattest.ErrCode(40164))
	want(t, "not on the whitelist", n.post("/auth/login", "", "code", code()), 502, "wechat_misconfigured")
	samples, _ := n.scrape()
	for _, series := range []string{
		`hook_requests_total{event="login",result="failed"}`,
		`wechat_requests_total{api="jscode2session",class="config"}`,
		`refusals_total{code="denied"}`,
		`refusals_total{code="wechat_misconfigured"}`,
		`logins_total{appid="` + appID + `",result="wechat_misconfigured"}`,
	} {
		if got := samples["caddy_wechat_auth_"+series]; got != 1 {
			t.Errorf("%s: got %v, want 1", series, got)
		}
	}
	if a := n.get("/auth/healthz", ""); a.status != 200 || a.text("status") != "degraded" {
		t.Errorf("healthz: got %s, want degraded", a)
	}
}

// What alerts and dashboard ask for is there.
func TestAlertsAndDashboardFitTheMetrics(t *testing.T) {
	t.Parallel()
	promtool(t, "", "check", "rules", alertsFile)
	promtool(t, "", "test", "rules", "testdata/alerts_test.yml")
	n, _ := everything(t)
	samples, _ := n.scrape()
	known := map[string]bool{}
	for series := range samples {
		name, _, _ := strings.Cut(series, "{")
		known[name] = true
	}
	exprs := dashboardExprs(t)
	for _, text := range append(exprs, readFile(t, alertsFile)) {
		for _, name := range ownMetric.FindAllString(text, -1) {
			if !known[name] {
				t.Errorf("%s is asked for, and not in the scrape: %v", name, slices.Sorted(maps.Keys(known)))
			}
		}
	}
	// As rules, which promtool can read.
	rules := new(bytes.Buffer)
	fmt.Fprint(rules, "groups:\n- name: dashboard\n  rules:\n")
	for i, expr := range exprs {
		expr = strings.NewReplacer("$__rate_interval", "5m", "$instance", ".*").Replace(expr)
		fmt.Fprintf(rules, "  - record: panel_%d\n    expr: %q\n", i, expr)
	}
	file := filepath.Join(t.TempDir(), "dashboard.yml")
	if err := os.WriteFile(file, rules.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	promtool(t, "", "check", "rules", file)
}

// dashboardExprs returns all that the dashboard asks for.
func dashboardExprs(t *testing.T) (exprs []string) {
	t.Helper()
	var dashboard struct {
		Panels []struct {
			Title   string `json:"title"`
			Targets []struct {
				Expr string `json:"expr"`
			} `json:"targets"`
		} `json:"panels"`
	}
	if err := json.Unmarshal([]byte(readFile(t, dashboardFile)), &dashboard); err != nil {
		t.Fatal(err)
	}
	for _, panel := range dashboard.Panels {
		if len(panel.Targets) == 0 {
			t.Errorf("the panel %s shows nothing", panel.Title)
		}
		for _, target := range panel.Targets {
			exprs = append(exprs, target.Expr)
		}
	}
	if len(exprs) < 10 {
		t.Fatalf("got %d expressions, want more", len(exprs))
	}
	return exprs
}

// Every alert of the documents is a rule, every rule is tried, and says what to do. The log lines that
// it names are there.
func TestAlertsAreTriedAndDocumented(t *testing.T) {
	t.Parallel()
	names := regexp.MustCompile(`(?m)^ +- alert: (\w+)$`).FindAllStringSubmatch(readFile(t, alertsFile), -1)
	if actions := strings.Count(readFile(t, alertsFile), " action: "); len(names) < 10 || actions != len(names) {
		t.Errorf("got %d alerts and %d actions, want an action for each", len(names), actions)
	}
	code := new(strings.Builder)
	for _, pattern := range []string{"../*.go", "../sidecar/*.go", "../wechat/*.go"} {
		files, _ := filepath.Glob(pattern)
		for _, file := range files {
			code.WriteString(readFile(t, file))
		}
	}
	logged := regexp.MustCompile(`(?:Look for|log line) "([^"]+)"`).FindAllStringSubmatch(readFile(t, alertsFile), -1)
	if len(logged) < 5 {
		t.Errorf("got %d log lines, want more", len(logged))
	}
	for _, line := range logged {
		if !strings.Contains(code.String(), line[1]) {
			t.Errorf("no code logs %q", line[1])
		}
	}
	for _, file := range []string{"testdata/alerts_test.yml", "../docs/operations.md", "../docs/operations.zh-CN.md"} {
		text := readFile(t, file)
		for _, name := range names {
			if !strings.Contains(text, name[1]) {
				t.Errorf("%s has not %s", file, name[1])
			}
		}
	}
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// A second site comes and goes. What is counted never goes back, what it had goes with it, and
// nothing piles up.
func TestMetricsOverReloads(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.newNode().patient()
	n.start()
	login := n.newUser()
	alone := n.config()
	both := alone + "http://:" + testkit.FreePort(t) + " {\n" + n.site("store memory") + "}\n"
	const gauge = `caddy_wechat_auth_store_up{store="memory"}`
	var before map[string]float64
	series := 0
	for round := range 50 {
		config := alone
		if round%2 == 0 {
			config = both
		}
		// Caddy leaves out a reload that changes nothing.
		config = strings.Replace(config, "public GET /health\n", fmt.Sprintf("public GET /health\nheader X-Round-%d openid\n", round), 1)
		if a := n.reload(config); a.status != 200 {
			t.Fatalf("reload: got %s", a)
		}
		want(t, "guard", n.get("/", login.access()), 200, "")
		login = n.refresh(login.refresh())
		want(t, "refresh", login, 200, "")
		samples, _ := n.scrape()
		if _, ok := samples[gauge]; ok != (round%2 == 0) {
			t.Fatalf("round %d: got a gauge of the second site: %v", round, ok)
		}
		for name, value := range before {
			now, ok := samples[name]
			if counts := strings.Contains(name, "_total") || strings.Contains(name, "_seconds_"); counts && (!ok || now < value) {
				t.Fatalf("round %d: %s: got %v (%v) after %v", round, name, now, ok, value)
			}
		}
		before = samples
		if round == 5 {
			series = len(samples)
		}
	}
	if len(before) != series {
		t.Errorf("got %d series, %d after six reloads", len(before), series)
	}
	if got := before[`caddy_wechat_auth_refreshes_total{result="ok"}`]; got != 50 {
		t.Errorf("got %v refreshes counted, want 50", got)
	}
}
