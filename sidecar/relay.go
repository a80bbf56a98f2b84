// WeChat's API for a backend: its calls go out with the access token of a mini program.

package sidecar

import (
	"errors"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/caddy-wechat/wechatauth/wechat"
)

// apiPath is the form of WeChat's paths. What else a path can be spelled with is no use there and
// could be read in another way, as a dot at the end of a name.
var apiPath = regexp.MustCompile(`^(/[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_-])?)+$`)

// apiMethods are those with a meaning for an API. TRACE answers with the URL, and the access token in
// it; CONNECT asks for a tunnel.
var apiMethods = []string{
	http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions,
}

// maxRelayed bounds the time in which a backend reads an answer: whoever reads nothing must not keep
// the server from stopping.
const maxRelayed = 2 * time.Minute

// neverRelayed are paths in lower case, with those below them. A login spends the codes of users,
// and an access token that somebody else fetches can end ours.
var neverRelayed = []string{"/sns", "/cgi-bin/token", "/cgi-bin/stable_token", "/cgi-bin/component"}

var errNotRelayed = withDescription(errNotFound, "no such path of WeChat's API is open here: list it in service { api … }; logins "+
	"and calls for tokens are never open")

// relay passes calls of WeChat's API on.
type relay struct {
	apps  Apps
	paths []relayedPaths
	log   *slog.Logger
}

// relayedPaths are those that one pattern opens.
type relayedPaths struct {
	pattern

	name string // in metrics
}

func newRelay(patterns []string, apps Apps, log *slog.Logger) relay {
	y := relay{apps: apps, log: log}
	for _, text := range patterns {
		y.paths = append(y.paths, relayedPaths{newPattern(text), text})
	}
	return y
}

// checkAPI returns an error for patterns of WeChat's API that would open nothing.
func checkAPI(patterns []string) error {
	if len(patterns) == 0 {
		return nil
	}
	p := Paths{Paths: patterns}
	if err := p.Check("service api"); err != nil {
		return err
	}
	for _, text := range patterns {
		if isNeverRelayed(strings.TrimSuffix(text, "*")) {
			return errors.New("service api " + text + ": logins and calls for tokens are never open; GET service/token gives the access token")
		}
	}
	return nil
}

func isNeverRelayed(path string) bool {
	path = strings.TrimSuffix(strings.ToLower(path), "/")
	return slices.ContainsFunc(neverRelayed, func(never string) bool { return path == never || strings.HasPrefix(path, never+"/") })
}

// open returns the pattern that opens a path, "" if none does.
func (y relay) open(path string) string {
	if !apiPath.MatchString(path) || isNeverRelayed(path) {
		return ""
	}
	i := slices.IndexFunc(y.paths, func(p relayedPaths) bool { return p.matches(path, p.text) })
	if i < 0 {
		return ""
	}
	return y.paths[i].name
}

// serve passes a call on, and WeChat's answer back. The path is that of WeChat's API, as it came.
func (y relay) serve(w http.ResponseWriter, r *http.Request, path string) error {
	opened := y.open(path)
	if opened == "" {
		return errNotRelayed
	}
	if !slices.Contains(apiMethods, r.Method) {
		return methodNotAllowed(apiMethods...)
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return invalidRequest("the query can't be read")
	}
	if r.Header.Get("Content-Encoding") != "" {
		return withDescription(errMediaType, "send the body uncompressed")
	}
	app, err := y.apps.named(query["appid"])
	if err != nil {
		return err
	}
	query.Del("appid")
	release, err := app.retain()
	if err != nil {
		return err
	}
	defer release()
	answer, err := app.client.Relay(r.Context(), wechat.RelayedCall{
		Op: opened, Method: r.Method, Path: path, Query: query, ContentType: r.Header.Get("Content-Type"), Body: r.Body, Length: r.ContentLength,
	})
	if err != nil {
		return y.refused(app, opened, err)
	}
	defer answer.Body.Close()
	app.note(opened, nil, y.log)
	control := http.NewResponseController(w)
	_ = control.SetWriteDeadline(time.Now().Add(maxRelayed)) // errors are of servers that have none
	defer func() { _ = control.SetWriteDeadline(time.Time{}) }()
	w.Header()["Content-Type"] = nil // not guessed
	maps.Copy(w.Header(), answer.Header)
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(answer.Status)
	if _, err := io.Copy(w, answer.Body); err != nil {
		panic(http.ErrAbortHandler) // or half an answer looks like a whole one
	}
	return nil
}

// refused sorts out why a call got no answer.
func (y relay) refused(app *App, opened string, err error) error {
	var tooLarge *http.MaxBytesError
	var we *wechat.Error
	switch {
	case errors.As(err, &tooLarge):
		return errTooLarge
	case !errors.As(err, &we):
		return invalidRequest("the body broke off")
	}
	app.note(opened, err, y.log)
	return err
}

// named returns a mini program by what the parameter appid has. Without one, or with "-", it is the
// only one.
func (all Apps) named(values []string) (*App, error) {
	if len(values) > 1 {
		return nil, invalidRequest("name one appid")
	}
	if len(values) == 0 || values[0] == "" || values[0] == "-" {
		if len(all) != 1 {
			return nil, invalidRequest("there are several mini programs, name one by appid: " + strings.Join(all.IDs(), ", "))
		}
		values = all.IDs()
	}
	app := all[values[0]]
	if app == nil {
		return nil, withDescription(errNotFound, "no such mini program is configured")
	}
	return app, nil
}
