// The playground: a page that shows a mini program beside all that it sets going.

package sandbox

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"net/url"
	"path"
	"regexp"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-wechat/wechatauth/client"
)

const (
	pagePath = "/playground/"
	apiPath  = "/sandbox/playground/"
	hookPath = "/sandbox/hook"
)

//go:embed playground
var pageFiles embed.FS

// hostPattern lets nothing into the page's policy that would end a source there.
var hostPattern = regexp.MustCompile(`^[A-Za-z0-9.:\[\]-]+$`)

// Playground serves a page at `/playground/` to try a site of wechat_auth by clicking: a mini
// program in a phone, the calls to WeChat and to the site, the token, the sessions, and switches
// that make WeChat fail.
type Playground struct {
	// The site with wechat_auth, as the page reaches it, such as
	// `http://localhost:8080`. It has to list the page's origin in `cors`.
	Site string `json:"site,omitempty"`

	// The address of Caddy's admin API, such as `localhost:2019`. There the page
	// finds the live sessions, and ends them. Default: none, and no sessions are shown.
	Admin string `json:"admin,omitempty"`

	// The secret of the site's hook, if that is `/sandbox/hook` of the sandbox.
	// The page can then have the hook say no. Default: none, and the hook is not served.
	HookSecret string `json:"hook_secret,omitempty"`
}

// playground answers the page and what it asks.
type playground struct {
	site       string
	admin      string
	hookSecret []byte
	pushes     bool   // whether WeChat can push
	policy     string // Content-Security-Policy of the page
	client     *http.Client
	state      *state
	logger     *zap.Logger
	routes     map[string]http.HandlerFunc
}

// open checks the configuration. It makes no call.
func (p *Playground) open(s *state, pushes bool, logger *zap.Logger) (*playground, error) {
	repl := caddy.NewReplacer()
	var value [3]string
	for i, option := range []struct{ name, text string }{{"site", p.Site}, {"admin", p.Admin}, {"hook_secret", p.HookSecret}} {
		var err error
		if value[i], err = repl.ReplaceOrErr(option.text, true, true); err != nil {
			return nil, fmt.Errorf("playground: %s: %w", option.name, err)
		}
	}
	site, err := siteOrigin(value[0])
	if err != nil {
		return nil, err
	}
	g := &playground{
		site: site, admin: value[1], hookSecret: []byte(value[2]), pushes: pushes, state: s, logger: logger,
		client: &http.Client{Timeout: 5 * time.Second},
		policy: "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: " + site +
			"; connect-src 'self' " + site + "; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; " +
			"require-trusted-types-for 'script'; trusted-types 'none'",
	}
	g.routes = map[string]http.HandlerFunc{
		"/":                g.redirect,
		"/playground":      g.redirect,
		apiPath + "state":  g.getState,
		apiPath + "faults": g.postFault,
		apiPath + "expire": g.postExpire,
	}
	if g.admin != "" {
		g.routes[apiPath+"user"] = g.getUser
		g.routes[apiPath+"end"] = g.postEnd
	}
	if len(g.hookSecret) > 0 {
		g.routes[hookPath] = g.hook
	}
	return g, nil
}

// siteOrigin takes the address of a site as browsers write an origin.
func siteOrigin(text string) (string, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || !hostPattern.MatchString(u.Host) ||
		u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return "", errors.New("playground: name the site with wechat_auth, such as http://localhost:8080")
	}
	return u.Scheme + "://" + strings.ToLower(u.Host), nil
}

func (g *playground) route(target string) (http.HandlerFunc, bool) {
	if route, ok := g.routes[target]; ok {
		return route, true
	}
	if strings.HasPrefix(target, pagePath) {
		return g.getFile, true
	}
	return nil, false
}

func (g *playground) redirect(w http.ResponseWriter, r *http.Request) {
	http.Redirect(w, r, pagePath, http.StatusFound)
}

// getFile serves the page, whose parts are revalidated each time: another build may be at work.
func (g *playground) getFile(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		writeError(w, http.StatusMethodNotAllowed, "method_not_allowed", "use GET")
		return
	}
	name := strings.TrimPrefix(r.URL.Path, pagePath)
	if name == "" {
		name = "index.html"
	}
	data, err := readFile(name)
	if err != nil {
		writeError(w, http.StatusNotFound, "not_found", "the playground has no such file")
		return
	}
	header := w.Header()
	header.Set("Content-Type", mime.TypeByExtension(path.Ext(name)))
	header.Set("Cache-Control", "no-cache")
	header.Set("Content-Security-Policy", g.policy)
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("Cross-Origin-Opener-Policy", "same-origin")
	header.Set("Cross-Origin-Resource-Policy", "same-origin")
	http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(data))
}

// readFile finds a file of the page; the mini program's client is the one that users copy.
func readFile(name string) ([]byte, error) {
	if name == client.Name {
		return client.Script, nil
	}
	return fs.ReadFile(pageFiles, "playground/"+name)
}
