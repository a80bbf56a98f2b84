// The doctor: mistakes of a configuration and its surroundings that a program can see.

package wechatauth

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-wechat/wechatauth/sidecar"
)

// The levels of findings.
const (
	levelOK    = "ok"
	levelWarn  = "warn"
	levelError = "error"
)

// The names of findings, in the order of the report. Scripts depend on them.
const (
	checkSites       = "sites"
	checkAppID       = "appid-form"
	checkUnset       = "secret-unset"
	checkShort       = "secret-short"
	checkRepeated    = "secret-repeated"
	checkPlainSecret = "secret-in-config"
	checkFileSecret  = "file-secret"
	checkKeyFile     = "key-file"
	checkAPI         = "api-plain"
	checkClock       = "clock"
	checkCredentials = "credentials"
	checkHook        = "hook"
	checkStore       = "store"
	checkEvicts      = "redis-evicts"
	checkFile        = "sqlite-file"
	checkProxies     = "trusted-proxies"
	checkAccessLog   = "access-log"
	checkDebugLog    = "debug-log"
	checkErrorFiles  = "error-files"
	checkAdmin       = "admin-api"
	checkMatcher     = "matcher"
	checkBelow       = "below-base-path"
	checkDiscovery   = "discovery"
	checkUpstream    = "upstream"
	checkSandbox     = "sandbox"
)

// doctorChecks has each check with the sentence for when nothing is wrong.
var doctorChecks = [][2]string{
	{checkSites, "wechat_auth is in the configuration"},
	{checkAppID, "each appid has the form of one"},
	{checkUnset, "each secret has a value"},
	{checkShort, "each secret is long enough"},
	{checkRepeated, "each secret has many different characters, and one use"},
	{checkPlainSecret, "no secret stands in the configuration as text"},
	{checkFileSecret, "secrets come from files; after one has changed run caddy reload --force, a plain reload does not read it again"},
	{checkKeyFile, "not everybody can read the files with private keys"},
	{checkAPI, "secrets and phone numbers leave this machine encrypted, or stay in a private network"},
	{checkClock, "this machine's clock agrees with that of WeChat's API"},
	{checkCredentials, "an access token was fetched for each app"},
	{checkHook, "the hook's server answers"},
	{checkStore, "the store answers"},
	{checkEvicts, "Redis does not report that it evicts"},
	{checkFile, "only Caddy's user can read the SQLite file"},
	{checkProxies, "trusted_proxies is strict where it is set"},
	{checkAccessLog, "no access log shows tokens"},
	{checkDebugLog, "the log is not at level DEBUG"},
	{checkErrorFiles, "handle_errors sends no file by the request's path"},
	{checkAdmin, "the admin API is on this machine alone, or off"},
	{checkMatcher, "the matchers let base_path through"},
	{checkBelow, "public, optional and phone_required have nothing below base_path"},
	{checkDiscovery, "the issuer is no https URL, or ends in base_path"},
	{checkUpstream, "what backends get of a user is shown"},
	{checkSandbox, "the WeChat sandbox is not in this build"},
}

// finding is the result of one check.
type finding struct {
	Name  string `json:"name"`
	Level string `json:"level"`
	Text  string `json:"text"` // with what to do; it holds no secret
}

type doctorReport struct {
	Findings []finding `json:"findings"`
}

// doctor examines a configuration.
type doctor struct {
	now   func() time.Time
	sites []*sidecar.Site // those at work, none where a file is examined
	found map[string][]finding
	done  map[string]bool // checks that could be made

	secretOf map[string]string // where the secrets seen so far belong
}

func newDoctor(sites []*sidecar.Site) *doctor {
	return &doctor{now: time.Now, sites: sites, found: map[string][]finding{}, done: map[string]bool{}, secretOf: map[string]string{}}
}

// running is false where a file is examined that may be in use elsewhere, or nowhere.
func (d *doctor) running() bool { return len(d.sites) > 0 }

// check notes that a check is made, and what is wrong if it is.
func (d *doctor) check(name, level string, wrong bool, format string, values ...any) {
	d.done[name] = true
	if !wrong {
		return
	}
	f := finding{name, level, fmt.Sprintf(format, values...)}
	if !slices.Contains(d.found[name], f) { // several sites may share a mistake
		d.found[name] = append(d.found[name], f)
	}
}

// examine returns the findings on a configuration in JSON.
func (d *doctor) examine(ctx context.Context, config []byte) (doctorReport, error) {
	var cfg caddyConfig
	if err := json.Unmarshal(config, &cfg); err != nil {
		return doctorReport{}, fmt.Errorf("the configuration can't be read: %w", err)
	}
	places := cfg.places()
	d.check(checkSites, levelError, len(places) == 0, "no site has wechat_auth: write it into the site that your mini program calls")
	for _, p := range places {
		d.server(cfg, p)
		d.leaks(cfg, p)
		d.site(ctx, p)
		d.secrets(ctx, p.handler)
		d.store(ctx, p.handler)
		d.upstream(p)
	}
	d.stores(ctx)
	_, err := caddy.GetModule("http.handlers.wechat_sandbox")
	d.check(checkSandbox, levelWarn, err == nil,
		"this build has the WeChat sandbox, which lets anybody log in as anyone where it is configured: build Caddy without it for production")
	return d.report(), nil
}

func (d *doctor) report() (all doctorReport) {
	for _, check := range doctorChecks {
		name, fine := check[0], check[1]
		switch {
		case len(d.found[name]) > 0:
			all.Findings = append(all.Findings, d.found[name]...)
		case d.done[name]:
			all.Findings = append(all.Findings, finding{name, levelOK, fine})
		}
	}
	return all
}

// serveDoctor answers GET doctor for the configuration at work.
func serveDoctor(w http.ResponseWriter, r *http.Request, sites []*sidecar.Site) error {
	if r.Method != http.MethodGet {
		w.Header().Set("Allow", http.MethodGet)
		return caddy.APIError{HTTPStatus: http.StatusMethodNotAllowed, Message: "use GET"}
	}
	config, err := runningConfig(r)
	if err != nil {
		return err
	}
	report, err := newDoctor(sites).examine(r.Context(), config)
	if err != nil {
		return caddy.APIError{HTTPStatus: http.StatusInternalServerError, Err: err}
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	return json.NewEncoder(w).Encode(report)
}

// runningConfig asks the admin API that has the request, with the rights of who asks: Caddy shows a
// module no configuration but its own.
func runningConfig(r *http.Request) ([]byte, error) {
	server, ok := r.Context().Value(http.ServerContextKey).(*http.Server)
	if !ok || server.Handler == nil {
		return nil, caddy.APIError{HTTPStatus: http.StatusInternalServerError, Message: "the configuration can't be read here: use --config"}
	}
	inner := r.Clone(r.Context())
	inner.URL.Path, inner.URL.RawPath, inner.URL.RawQuery, inner.RequestURI = "/config/", "", "", "/config/"
	inner.Body = http.NoBody
	answer := &recorded{header: http.Header{}, status: http.StatusOK}
	server.Handler.ServeHTTP(answer, inner)
	if answer.status != http.StatusOK {
		return nil, caddy.APIError{HTTPStatus: answer.status, Message: "the admin API does not show the configuration"}
	}
	return []byte(answer.body.String()), nil
}

// recorded is an answer in memory.
type recorded struct {
	header http.Header
	status int
	body   strings.Builder
}

// Header implements http.ResponseWriter.
func (r *recorded) Header() http.Header { return r.header }

// WriteHeader implements http.ResponseWriter.
func (r *recorded) WriteHeader(status int) { r.status = status }

// Write implements http.ResponseWriter.
func (r *recorded) Write(p []byte) (int, error) { return r.body.Write(p) }
