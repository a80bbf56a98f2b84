// Fuzzing of paths: what opens, what restricts, and what is the sidecar's own, however a backend
// reads it.

package sidecar

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"path"
	"slices"
	"strings"
	"testing"
)

// pathReadings are the ways in which servers and frameworks read a path. Each may be applied after
// any other.
var pathReadings = []func(string) string{
	func(p string) string { // once more, as a framework behind a server does
		if decoded, err := url.PathUnescape(p); err == nil {
			return decoded
		}
		return p
	},
	func(p string) string { return strings.ReplaceAll(p, `\`, "/") },
	withoutParameters,
	cleanPath,
	func(p string) string { // what C reads of it
		before, _, _ := strings.Cut(p, "\x00")
		return before
	},
	func(p string) string { return p[:strings.IndexAny(p+"#", "#?")] },
}

// readAs returns all that servers make of a raw path with so many readings after one another, the
// others among them.
func readAs(raw string, times int, others ...func(string) string) []string {
	all := []string{raw}
	for from := 0; times > 0; times-- {
		end := len(all)
		for _, p := range all[from:end] {
			for _, read := range slices.Concat(pathReadings, others) {
				if got := read(p); !slices.Contains(all, got) {
					all = append(all, got)
				}
			}
		}
		from = end
	}
	return all
}

var hostilePaths = []string{
	"/public/x", "/public/../admin", "/public/%2e%2e/admin", "/public/..%2fadmin", "/public/%252e%252e/admin",
	"/public/..;/admin", "/public/..\\admin", "/public//../admin", "/public/%5c..%5cadmin", "/public%2f..%2fadmin",
	"/public/\x00/../../admin", "/public/%00", "/public/x%23/../../admin", "/public/%E5%9B%BE", "/public/.", "/public/...",
	"/public/A-z_09.tar.gz", "/public/@", "/public/[", "/public//", "public", "./public", "/./public", "/public/a./.b/..",
	"/public/..%20/admin", "/public/%c0%ae%c0%ae/admin", "/public/;/../admin", "/vip/x", "/VIP/x", "/x/..%2fvip/y", "/vip;a/x",
	"/a/../vip/%2e", "/%76ip/x", "/vip%2fx", "/vip\\x", "/vip%5cx", "/x%2f..%2fvip/x", "/vip/x%00.css", "/%2576ip/x",
	"/auth/login", "/auth", "/auth/", "/auth//login", "/AUTH/login", "/auth/%6cogin", "//auth/login", "/x/../auth/login", "/auth;/login",
	"/x/..%2fauth/login", "/auth%2flogin", "/auth\\login", "/auth/verify/x", "/auth/avatar/..%2f..", "/auth/service/status", "/%61uth/login",
	"/auth/push/wx0000000000000001", "/auth/.well-known/jwks.json", "/authx", "/auth/login?x", "/%2561uth/login", "/x/..%5cauth/login",
	"/vip%20/x", "/vip./x", "/vip/x.", "/vip;%20/x", "/auth%20/login", "/auth.", "/public/a./b", "/public/%20/x", "/public/3/.../",
}

// What opens has one reading, which the pattern opens: whatever a backend does to a path, alone or
// after something else, it stays the same path.
// Threats: T15, T16, T17, T18, T19, T20, T21.
func FuzzPublicPath(f *testing.F) {
	for _, seed := range hostilePaths {
		f.Add(seed)
	}
	under := exactPaths{patterns: []pattern{newPattern("/public/*")}}
	others := exactPaths{patterns: []pattern{newPattern("*.css"), newPattern("/a/*/c"), newPattern("*/img/*"), newPattern("/one")}}
	f.Fuzz(func(t *testing.T, target string) {
		if isPlain(target) && !unambiguous(target) {
			t.Errorf("%q passes for plain", target)
		}
		u, err := url.ParseRequestURI(target)
		if err != nil || len(target) > 500 { // for each reading is compared with all others
			return
		}
		raw, canonical := rawPath(u)
		if !canonical || !under.match("GET", raw) && !others.match("GET", raw) {
			return
		}
		decoded, err := url.PathUnescape(raw)
		if err != nil {
			t.Fatalf("%q is open and can't be decoded", target)
		}
		for _, read := range readAs(raw, 3, withoutLooseEnds) {
			if name, err := url.PathUnescape(read); err != nil || cleanPath(withoutLooseEnds(name)) != cleanPath(withoutLooseEnds(decoded)) {
				t.Fatalf("%q is open, and reads as %q", target, read)
			}
			if under.match("GET", raw) && !strings.HasPrefix(read, "/public/") {
				t.Fatalf("%q is public, and reads as %q", target, read)
			}
		}
	})
}

// What needs a phone needs it in every spelling that some backend reads so.
func FuzzPhonePath(f *testing.F) {
	for _, seed := range hostilePaths {
		f.Add(seed)
	}
	s := newTestSite(f, func(cfg *Config, deps *Deps) {
		deps.Server = foldingServer{}
		cfg.PhoneRequired = []*Paths{{Paths: []string{"/vip/*"}}}
		cfg.Public = []*Paths{{Methods: []string{"GET"}, Paths: []string{"/vip/*", "/public/*"}}}
		cfg.Optional = []*Paths{{Paths: []string{"/optional/*"}}}
	})
	token := s.login() // of a user without a phone
	f.Fuzz(func(t *testing.T, target string) {
		u, err := url.ParseRequestURI(target)
		if err != nil || len(target) > 500 { // for each reading is compared with all others
			return
		}
		raw, _ := rawPath(u)
		for _, token := range []string{"", token} {
			if seen := s.pass(t, u, token); seen == nil {
				continue
			}
			for _, read := range readAs(raw, maxDecodings, withoutLooseEnds) {
				if strings.HasPrefix(strings.ToLower(read), "/vip/") {
					t.Fatalf("%q passes without a phone, and reads as %q", target, read)
				}
			}
		}
	})
}

// foldingServer compares paths without case, as Caddy does.
type foldingServer struct{ plainServer }

func (foldingServer) MatchPaths(patterns []string) (PathMatcher, error) {
	return func(r *http.Request) (bool, error) {
		return slices.ContainsFunc(patterns, func(text string) bool {
			p := newPattern(strings.ToLower(text))
			return p.matches(strings.ToLower(r.URL.Path), p.text)
		}), nil
	}, nil
}

// pass sends a GET and returns the request that the upstream got, nil if it got none.
func (s *testSite) pass(t *testing.T, u *url.URL, token string) (seen *http.Request) {
	t.Helper()
	copied := *u
	r := (&http.Request{Method: http.MethodGet, URL: &copied, Header: http.Header{}, Body: http.NoBody, RemoteAddr: "192.0.2.1:1"}).WithContext(t.Context())
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	w := httptest.NewRecorder()
	err := s.ServeHTTP(w, r, nextFunc(func(_ http.ResponseWriter, r *http.Request) error {
		seen = r
		return nil
	}))
	if err != nil || seen == nil && w.Code >= 500 {
		t.Errorf("%q: got %d %v", u, w.Code, err)
	}
	return seen
}

// A request is the sidecar's own or the upstream's, never both: no spelling that a backend could read
// as one below the base path goes up, and only the one exact spelling of a route is answered.
// Threats: T25.
func FuzzOwnPath(f *testing.F) {
	for _, seed := range hostilePaths {
		f.Add(seed)
	}
	s := newPushSite(f, withService)
	token := s.login()
	ran := ""
	for name := range s.routes {
		s.routes[name] = route{nil, func(http.ResponseWriter, *http.Request) error {
			ran = name
			return nil
		}}
	}
	f.Fuzz(func(t *testing.T, target string) {
		u, err := url.ParseRequestURI(target)
		if err != nil || len(target) > 500 { // for each reading is compared with all others
			return
		}
		raw, _ := rawPath(u)
		ran = ""
		seen := s.pass(t, u, token)
		if ran != "" && (seen != nil || !strings.HasPrefix(raw, "/auth"+ran)) {
			t.Errorf("%q: the route %s answered, and the upstream got it: %t", target, ran, seen != nil)
		}
		if exact := s.routes[strings.TrimPrefix(raw, "/auth")]; strings.HasPrefix(raw, "/auth/") && exact.handle != nil && ran == "" {
			t.Errorf("%q is a route's path, and no route answered", target)
		}
		if seen == nil {
			return
		}
		for _, read := range readAs(raw, maxDecodings) {
			if below := path.Clean(read); below == "/auth" || strings.HasPrefix(below, "/auth/") {
				t.Fatalf("%q goes up, and reads as %q", target, read)
			}
		}
	})
}
