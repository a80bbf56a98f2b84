// Violations of the protocol that WeChat would not refuse.

package wechattest

import (
	"fmt"
	"maps"
	"mime"
	"net/http"
	"regexp"
	"slices"
	"strings"
)

// keepViolations bounds their record; the first are the ones to look at.
const keepViolations = 1000

// shape lists the parts that a call to an endpoint may have.
type shape struct {
	method string
	query  []string
	body   []string // fields of the JSON object; nil: no body
	signed bool     // whether the call may be encrypted and signed
}

var shapes = map[string]shape{
	Login:       {method: http.MethodGet, query: []string{"appid", "secret", "js_code", "grant_type"}},
	Token:       {method: http.MethodGet, query: []string{"appid", "secret", "grant_type"}},
	StableToken: {method: http.MethodPost, body: []string{"appid", "secret", "grant_type", "force_refresh"}},
	Phone:       {method: http.MethodPost, query: []string{"access_token"}, body: []string{"code", "openid"}, signed: true},
	CheckSession: {
		method: http.MethodGet,
		query:  []string{"access_token", "openid", "signature", "sig_method"},
	},
	OpenData: {
		method: http.MethodPost,
		query:  []string{"access_token", "openid", "from_appid"},
		body:   []string{"cloudid_list"},
	},
	CheckContent: {
		method: http.MethodPost,
		query:  []string{"access_token"},
		body:   []string{"content", "version", "scene", "openid", "title", "nickname", "signature"},
		signed: true,
	},
	RiskRank: {
		method: http.MethodPost,
		query:  []string{"access_token"},
		body:   []string{"appid", "openid", "scene", "client_ip", "mobile_no", "email_address", "extended_info", "is_test"},
		signed: true,
	},
	QRCode: {
		method: http.MethodPost,
		query:  []string{"access_token"},
		body:   []string{"scene", "page", "check_path", "env_version", "width", "auto_color", "is_hyaline", "line_color"},
	},
	Balance: {
		method: http.MethodPost,
		query:  []string{"access_token", "signature", "pay_sig"},
		body:   []string{"openid", "user_ip", "env"},
	},
}

// unicodeEscape is one in JSON; in front stand whole escapes of backslashes.
var unicodeEscape = regexp.MustCompile(`(^|[^\\])(\\\\)*\\u[0-9A-Fa-f]{4}`)

// strayHeaders belong to a user's own request and reach WeChat only through a
// client that copies headers. Referer shows up when a client follows a redirect
// and holds the whole URL it came from, secret included.
var strayHeaders = []string{"Authorization", "Cookie", "Referer", "X-Forwarded-For", "Forwarded"}

// inspect records the violations of a call. The caller holds mu.
func (s *Server) inspect(q *request) {
	s.inspectHeaders(q)
	sh, ok := shapes[q.endpoint]
	if !ok {
		s.violation(q, "unknown path %q", q.endpoint)
		return
	}
	if q.http.Method != sh.method {
		s.violation(q, "method %s, want %s", q.http.Method, sh.method)
	}
	s.inspectQuery(q, sh)
	if sh.body == nil {
		if len(q.body) > 0 {
			s.violation(q, "a body in a call that takes none")
		}
		return
	}
	if t, _, err := mime.ParseMediaType(q.http.Header.Get("Content-Type")); err != nil || t != "application/json" {
		s.violation(q, "content type %q, want application/json", q.http.Header.Get("Content-Type"))
	}
	if q.endpoint == CheckContent && unicodeEscape.Match(q.body) {
		s.violation(q, "escapes in the text, which WeChat reads letter by letter")
	}
	for _, field := range slices.Sorted(maps.Keys(q.json)) {
		if !slices.Contains(sh.body, field) {
			s.violation(q, "unexpected field %q in the body", field)
		}
	}
}

// inspectQuery finds what a value pasted into the URL without escaping leaves
// behind: parameters too many, twice or beyond parsing.
func (s *Server) inspectQuery(q *request, sh shape) {
	if q.queryErr != nil || strings.ContainsFunc(q.http.URL.RawQuery, wantsEscape) {
		s.violation(q, "malformed query")
	}
	for _, name := range slices.Sorted(maps.Keys(q.query)) {
		if !slices.Contains(sh.query, name) {
			s.violation(q, "unexpected parameter %q in the query", name)
		}
		if n := len(q.query[name]); n > 1 {
			s.violation(q, "parameter %q %d times", name, n)
		}
	}
}

// wantsEscape reports the characters that RFC 3986, section 3.4, does not let
// into a query as they are.
func wantsEscape(c rune) bool {
	return c <= ' ' || c > '~' || strings.ContainsRune("\"#<>[\\]^`{|}", c)
}

func (s *Server) inspectHeaders(q *request) {
	for _, name := range strayHeaders {
		if q.http.Header.Get(name) != "" {
			s.violation(q, "header %s", name)
		}
	}
	for name, values := range q.http.Header {
		for _, a := range s.apps {
			if a.Secret != "" && strings.Contains(strings.Join(values, "\n"), a.Secret) {
				s.violation(q, "the secret of %s in header %s", a.ID, name)
			}
		}
	}
}

func (s *Server) violation(q *request, format string, args ...any) {
	if len(s.record.violations) >= keepViolations {
		return
	}
	s.record.violations = append(s.record.violations, q.endpoint+": "+fmt.Sprintf(format, args...))
}
