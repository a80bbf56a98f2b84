// The operator's side of the playground, through Caddy's admin API.

package sandbox

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"

	"go.uber.org/zap"
)

// getUser shows what an operator sees of a user: the live sessions.
func (g *playground) getUser(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet {
		w.Header().Set("Allow", http.MethodGet)
		writeError(w, http.StatusMethodNotAllowed, "method_not_allowed", "use GET")
		return
	}
	query := r.URL.Query()
	g.operate(w, r, http.MethodGet, query.Get("appid"), query.Get("openid"), "", "")
}

// postEnd ends a session of a user as an operator does; without sid all of them.
func (g *playground) postEnd(w http.ResponseWriter, r *http.Request) {
	var in struct {
		AppID  string `json:"appid"`
		OpenID string `json:"openid"`
		SID    string `json:"sid,omitempty"`
	}
	if !read(w, r, &in) {
		return
	}
	body := ""
	if in.SID != "" {
		text, err := json.Marshal(map[string]string{"sid": in.SID})
		if err != nil {
			invalid(w, err.Error())
			return
		}
		body = string(text)
	}
	g.operate(w, r, http.MethodPost, in.AppID, in.OpenID, "/logout", body)
}

// operate passes one operation about a user on to the admin API, and its answer back.
func (g *playground) operate(w http.ResponseWriter, r *http.Request, method, appid, openid, operation, body string) {
	if !plain(appid) || !plain(openid) {
		invalid(w, "appid and openid are required")
		return
	}
	target := "http://" + g.admin + "/wechat_auth/users/" + url.PathEscape(appid) + "/" + url.PathEscape(openid) + operation
	req, err := http.NewRequestWithContext(r.Context(), method, target, strings.NewReader(body)) //nolint:gosec // the operator wrote the address, and plain lets no name change the path
	if err != nil {
		invalid(w, "the admin API cannot be asked about this user")
		return
	}
	res, err := g.client.Do(req) //nolint:gosec // as above
	if err != nil {
		g.logger.Debug("the playground does not reach Caddy's admin API", zap.Error(err))
		writeError(w, http.StatusBadGateway, "admin_unavailable", "Caddy's admin API does not answer at "+g.admin)
		return
	}
	defer res.Body.Close()
	w.Header().Set("Content-Type", res.Header.Get("Content-Type"))
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(res.StatusCode)
	_, _ = io.Copy(w, io.LimitReader(res.Body, 1<<20))
}

// plain keeps a name from being another path of the admin API, which can do far more.
func plain(name string) bool {
	return name != "" && len(name) <= 128 && !strings.ContainsFunc(name, func(c rune) bool {
		return (c < '0' || '9' < c) && (c < 'A' || 'Z' < c) && (c < 'a' || 'z' < c) && c != '-' && c != '_'
	})
}
