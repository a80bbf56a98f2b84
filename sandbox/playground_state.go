// What the playground shows, and the switches that break things.

package sandbox

import (
	"context"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-wechat/wechatauth/wechat/wechattest"
)

// keepCalls bounds what is kept to be shown, of WeChat's calls and of the hook's.
const keepCalls = 200

// A fault is one of the page's switches. What it plans lasts until it is switched off.
type fault struct {
	name    string
	errcode int // 0: none of WeChat's calls fails by it
	on      []string
}

var (
	loginOnly = []string{wechattest.Login}
	userCalls = []string{wechattest.Login, wechattest.Phone}
)

// The faults that are not an errcode of a call.
const (
	ipNotAllowed = "ip_not_allowed"
	hookDenies   = "hook_denies"
	shortTokens  = "short_tokens"
)

var faults = []fault{
	{"busy", -1, userCalls},
	{"minute_quota", 45011, userCalls},
	{"day_quota", 45009, userCalls},
	{"code_used", 40163, loginOnly},
	{"user_blocked", 40226, loginOnly},
	{name: ipNotAllowed},
	{name: hookDenies},
	{name: shortTokens},
}

// elsewhere is the whole IP whitelist of an app when our address is not to be in it (RFC 5737).
var elsewhere = []string{"203.0.113.1"}

// breakOrMend switches a fault and reports whether there is one of that name.
func (s *state) breakOrMend(name string, on bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	known := false
	for _, f := range faults {
		known = known || f.name == name
	}
	if !known {
		return false
	}
	s.broken[name] = on
	s.fake.ClearFaults()
	for _, f := range faults {
		if !s.broken[f.name] {
			continue
		}
		for _, endpoint := range f.on {
			s.fake.Fail(endpoint, -1, wechattest.ErrCode(f.errcode))
		}
	}
	for _, app := range s.apps {
		if s.broken[ipNotAllowed] {
			app.AllowIPs = elsewhere
		}
		s.fake.SetApp(app)
	}
	return true
}

func (g *playground) postFault(w http.ResponseWriter, r *http.Request) {
	var in toggle
	if !read(w, r, &in) {
		return
	}
	if !g.possible(in.Name) || !g.state.breakOrMend(in.Name, in.On) {
		invalid(w, "there is no fault of that name")
		return
	}
	if in.Name == shortTokens {
		go g.reload(context.WithoutCancel(r.Context()), in.On)
	}
	write(w, http.StatusOK, g.switches())
}

// possible reports whether this site can have a fault.
func (g *playground) possible(name string) bool {
	switch name {
	case hookDenies:
		return len(g.hookSecret) > 0
	case shortTokens:
		return g.admin != ""
	}
	return true
}

// postExpire ends the access tokens that WeChat gave the site.
func (g *playground) postExpire(w http.ResponseWriter, r *http.Request) {
	if !read(w, r, new(struct{})) {
		return
	}
	g.state.fake.ExpireTokens()
	write(w, http.StatusOK, g.switches())
}

// toggle is a fault as the page shows it.
type toggle struct {
	Name string `json:"name"`
	On   bool   `json:"on"`
}

// switches returns the faults that this site can have.
func (g *playground) switches() []toggle {
	g.state.mu.Lock()
	defer g.state.mu.Unlock()
	all := make([]toggle, 0, len(faults))
	for _, f := range faults {
		if g.possible(f.name) {
			all = append(all, toggle{f.name, g.state.broken[f.name]})
		}
	}
	return all
}

// wechatCall is a call to the fake WeChat, as the page shows it.
type wechatCall struct {
	Number  int            `json:"number"`
	Time    time.Time      `json:"time"`
	Method  string         `json:"method"`
	Path    string         `json:"path"`
	Query   map[string]any `json:"query,omitempty"`
	Body    map[string]any `json:"body,omitempty"`
	ErrCode int            `json:"errcode"`
	Answer  map[string]any `json:"answer,omitempty"`
}

// getState answers what the page polls: the switches, and the calls with a higher number than those
// it has.
func (g *playground) getState(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet {
		w.Header().Set("Allow", http.MethodGet)
		writeError(w, http.StatusMethodNotAllowed, "method_not_allowed", "use GET")
		return
	}
	query := r.URL.Query()
	calls, known := []wechatCall{}, after(query, "calls")
	for _, c := range g.state.fake.Calls() {
		if c.Number > known {
			calls = append(calls, show(c))
		}
	}
	write(w, http.StatusOK, struct {
		Start    time.Time    `json:"start"` // of the numbers: a restart begins anew
		Site     string       `json:"site"`
		Sessions bool         `json:"sessions"` // whether they can be asked for
		Push     bool         `json:"push"`     // whether WeChat can push
		Faults   []toggle     `json:"faults"`
		Calls    []wechatCall `json:"calls"`
		Side     []sideCall   `json:"side"`
	}{g.state.started, g.site, g.admin != "", g.pushes, g.switches(), calls, g.state.sideCalls(after(query, "side"))})
}

func after(query url.Values, name string) int {
	n, _ := strconv.Atoi(query.Get(name)) // without one, all are shown
	return n
}

func show(c wechattest.Call) wechatCall {
	query := make(map[string]any, len(c.Query))
	for name, values := range c.Query {
		query[name] = strings.Join(values, ", ")
	}
	return wechatCall{
		Number: c.Number, Time: c.Time, Method: c.Method, Path: c.Endpoint, ErrCode: c.ErrCode,
		Query: mask(query), Body: mask(c.Body), Answer: mask(c.Answer),
	}
}

// mask shortens what never leaves Caddy in production, so that a picture of the page teaches
// nobody to show it.
func mask(object map[string]any) map[string]any {
	masked := maps.Clone(object)
	for _, name := range []string{"secret", "access_token", "session_key"} {
		if text, ok := masked[name].(string); ok {
			masked[name] = text[:min(len(text), 4)] + "…"
		}
	}
	return masked
}
