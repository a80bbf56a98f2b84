// Fuzzing of headers: the identity that the upstream reads, and the access token.

package sidecar

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// folds are the names of variables that servers make of the names of headers.
var folds = map[string]func(name string) string{
	"lighttpd, Apache": cgiName,
	"CGI, uWSGI, WSGI, Rack": func(name string) string {
		return "HTTP_" + strings.ReplaceAll(strings.ToUpper(name), "-", "_")
	},
	"PHP": func(name string) string { // which makes variables of the environment
		return "HTTP_" + strings.NewReplacer("-", "_", ".", "_", " ", "_", "[", "_").Replace(strings.ToUpper(name))
	},
	"Puma": func(name string) string {
		return "HTTP_" + strings.NewReplacer("-", "_", ",", "_").Replace(strings.ToUpper(name))
	},
	"nginx":  func(name string) string { return "$http_" + strings.ReplaceAll(strings.ToLower(name), "-", "_") },
	"Tomcat": strings.ToLower,
	"a server that trims": func(name string) string {
		return strings.ToLower(strings.Trim(name, " \t\r\n\v\f\x00"))
	},
}

// ourHeaders are those of the site in FuzzHeaderFold.
var ourHeaders = []string{"X-Wx-Openid", "X-Wx-Appid", "X-Wx-Unionid", "X-Wx-Source", "X-Wx-Phone", "X-User-Id"}

// Whatever the client calls its headers, and whatever Connection names: behind Go's own reverse proxy
// no server reads one of ours, but for the true ones of a user.
// Threats: T06, T08, F01.
func FuzzHeaderFold(f *testing.F) {
	for _, seed := range []string{
		"X-WX-OPENID", "x_wx_openid", "X.Wx-Phone", "X-User-Id", "X_USER.ID", "X~WX~OPENID", "X!User'Id", "X-Wx", "Connection",
		"X-Wx-Openid ", "x\x00wx-openid", "X-WX-PHONE", "Upgrade", "Te", "Trailer", "Transfer-Encoding", "X,User,Id", "X[User Id",
	} {
		f.Add(seed, "v", "close, "+seed)
	}
	f.Add("X-A", "1", "x-wx-openid , X_USER_ID,,\tx-wx-phone\t, X-A, keep-alive")
	f.Add("Upgrade", "h2c", "Upgrade, HTTP2-Settings")
	s := newTestSite(f, func(cfg *Config, _ *Deps) {
		cfg.Public = []*Paths{{Methods: []string{"GET"}, Paths: []string{"/public"}}}
		cfg.ExtraHeaders = []*Header{{Name: "X-User-Id", Claim: "openid"}}
	})
	token := s.login()
	openid := s.get(token)
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(&url.URL{Scheme: "http", Host: "upstream"}) }}
	f.Fuzz(func(t *testing.T, name, value, connection string) {
		isControl := func(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f }
		if name == "Authorization" || strings.ContainsFunc(connection, isControl) { // which net/http refuses
			return
		}
		for target, want := range map[string]string{"/public": "", "/private": openid} {
			r := httptest.NewRequest(http.MethodGet, target, strings.NewReader("body"))
			r.Header = http.Header{"Authorization": {"Bearer " + token}, "Connection": {connection, name}}
			r.Header[name] = append(r.Header[name], value, "second")
			r.Trailer = http.Header{name: {value}}
			var got http.Header
			proxy.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
				got = r.Header
				_, _ = r.Body.Read(make([]byte, 99))
				_, _ = r.Body.Read(make([]byte, 99)) // the end, and the trailer with it
				for name := range r.Trailer {
					got[name] = append(got[name], "trailer")
				}
				return &http.Response{StatusCode: 200, Body: http.NoBody}, nil
			})
			w := httptest.NewRecorder()
			err := s.ServeHTTP(w, r, nextFunc(func(w http.ResponseWriter, r *http.Request) error {
				for option := range strings.SplitSeq(strings.Join(r.Header["Connection"], ","), ",") {
					checkFolds(t, "Connection names", strings.TrimSpace(option), nil)
				}
				proxy.ServeHTTP(w, r)
				return nil
			}))
			if err != nil {
				t.Fatal(err)
			}
			if got == nil { // a name or a value that no proxy sends
				continue
			}
			for name, values := range got {
				if want == "" || !slices.Contains(ourHeaders, name) {
					checkFolds(t, "the upstream gets", name, values)
				}
			}
			for _, name := range []string{"X-Wx-Openid", "X-User-Id"} {
				if values := got[name]; want != "" && (len(values) != 1 || values[0] != want) {
					t.Errorf("%s: got %s %q, want %q", target, name, values, want)
				}
			}
		}
	})
}

// checkFolds fails for a name that some server reads as one of ours.
func checkFolds(t *testing.T, what, name string, values []string) {
	t.Helper()
	for server, fold := range folds {
		for _, ours := range ourHeaders {
			if fold(name) == fold(ours) {
				t.Errorf("%s %q %q, which %s reads as %s", what, name, values, server, ours)
			}
		}
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// A request gets in by one token in one place, as the standard library reads it too; where the site
// is told to strip it, nobody behind finds one.
// Threats: T30, T48, T49, T50.
func FuzzBearer(f *testing.F) {
	for _, seed := range [][5]string{ // TOKEN stands for a good one
		{"Bearer TOKEN", "-", "", "", "-"},
		{"bEaReR   TOKEN", "-", "a=b", "x=y", "-"},
		{"Bearer TOKEN", "Bearer TOKEN", "", "", ""},
		{"Bearer TOKEN, Bearer x", "-", "", "", ""},
		{"Basic x, Bearer TOKEN", "-", "", "", ""},
		{`Bearer {"payload":"TOKEN,"}`, "-", "", "", ""},
		{"-", "-", "a=1&access_token=TOKEN", "", "-"},
		{"-", "-", "access_token=TOKEN&access%5ftoken=x", "", "-"},
		{"-", "-", "access_token=TOKEN;access_token=x", "", "-"},
		{"-", "-", "access_token=%zz&access_token=TOKEN", "", "-"},
		{"-", "-", "", "token=TOKEN; token=\"TOKEN\"", "-"},
		{"-", "-", "", `a=b; token="TOKEN"`, "-"},
		{"-", "-", "", `token=TOKEN; token=x\`, "-"},
		{"-", "-", "", "", "Bearer TOKEN"},
		{"-", "-", "access_token=", "token=", "TOKEN"},
		{"Bearer", "-", "", "", ""},
		{"Bearer\tTOKEN", "-", "", "", "bearer  TOKEN"},
	} {
		f.Add(seed[0], seed[1], seed[2], seed[3], seed[4])
	}
	plain := newTestSite(f)
	token := plain.login()
	wide := plain.sibling(f, func(cfg *Config, _ *Deps) {
		cfg.TokenFrom = []*TokenFrom{{Query: "access_token"}, {Cookie: "token"}, {Header: "X-Token"}}
		cfg.StripToken = true
	})
	f.Fuzz(func(t *testing.T, first, second, query, cookie, header string) {
		fill := strings.NewReplacer("TOKEN", token)
		r := &http.Request{Method: "GET", URL: &url.URL{Path: "/", RawQuery: fill.Replace(query)}, Header: http.Header{}, RemoteAddr: "192.0.2.1:1"}
		for _, line := range [][2]string{{"Authorization", first}, {"Authorization", second}, {"Cookie", cookie}, {"X-Token", header}} {
			if line[1] != "-" { // none
				r.Header.Add(line[0], fill.Replace(line[1]))
			}
		}
		if in, _ := plain.admits(t, r); in != isBearer(r, token) {
			t.Errorf("%q: got in: %t", r.Header, in)
		}
		found := tokensIn(r)
		in, behind := wide.admits(t, r)
		if in && (len(found) != 1 || found[0] != token) {
			t.Errorf("%q, query %q: got in, where others read %q", r.Header, r.URL.RawQuery, found)
		}
		if left := tokensIn(behind); len(left) > 0 {
			t.Errorf("%q, query %q: behind stripping others read %q", r.Header, r.URL.RawQuery, left)
		}
	})
}

// admits reports whether a request gets in, and returns it as it is behind the guard.
func (s *testSite) admits(t *testing.T, r *http.Request) (in bool, behind *http.Request) {
	t.Helper()
	r = r.Clone(t.Context())
	w := httptest.NewRecorder()
	err := s.ServeHTTP(w, r, nextFunc(func(http.ResponseWriter, *http.Request) error {
		in = true
		return nil
	}))
	if err != nil || !in && w.Code != 400 && w.Code != 401 {
		t.Errorf("got %d %s %v, want 400 or 401", w.Code, w.Body, err)
	}
	return in, r
}

// isBearer is RFC 6750, section 2.1, with any number of spaces.
func isBearer(r *http.Request, token string) bool {
	lines := r.Header["Authorization"]
	return len(lines) == 1 && regexp.MustCompile(`^(?i:bearer) +`+regexp.QuoteMeta(token)+`$`).MatchString(lines[0])
}

// tokensIn are the tokens that the standard library's readers find, whatever becomes of them.
func tokensIn(r *http.Request) (found []string) {
	for _, line := range r.Header["Authorization"] {
		for part := range strings.SplitSeq(line, ",") {
			if scheme, token, _ := strings.Cut(strings.TrimSpace(part), " "); strings.EqualFold(scheme, "bearer") {
				found = append(found, strings.TrimLeft(token, " "))
			}
		}
	}
	query, _ := url.ParseQuery(r.URL.RawQuery)
	found = append(found, query["access_token"]...)
	for _, c := range r.Cookies() {
		if c.Name == "token" {
			found = append(found, c.Value)
		}
	}
	for _, value := range r.Header["X-Token"] {
		if scheme, token, ok := strings.Cut(value, " "); ok && strings.EqualFold(scheme, "bearer") {
			value = strings.TrimLeft(token, " ")
		}
		if value != "" && !strings.EqualFold(value, "bearer") {
			found = append(found, value)
		}
	}
	return found
}
