// The places where an access token may stand, beside the Authorization header.

package sidecar

import (
	"errors"
	"fmt"
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strings"
)

// TokenFrom is a further place for the access token: one of these.
type TokenFrom struct {
	// The name of a query parameter. Caddy's access log shows queries in clear: add a `query` log
	// filter.
	Query string `json:"query,omitempty"`

	// The name of a cookie. Browsers send it whoever wrote the page, so requests that pages of
	// other origins make and that may change something are refused with 403 `cross_site`, unless
	// `cors` lists the origin.
	Cookie string `json:"cookie,omitempty"`

	// The name of a header, whose value is the token, with or without `Bearer` before it. Caddy's
	// access log shows it in clear: add a log filter that deletes it.
	Header string `json:"header,omitempty"`
}

func checkTokenFrom(places []*TokenFrom, id identity) error {
	for i, t := range places {
		if t == nil {
			return errors.New("a token_from is null")
		}
		if err := t.check(id); err != nil {
			return fmt.Errorf("token_from %s: %w", t.name(), err)
		}
		if slices.ContainsFunc(places[:i], func(other *TokenFrom) bool { return other.name() == t.name() }) {
			return fmt.Errorf("token_from %s: it is configured twice", t.name())
		}
	}
	return nil
}

// name is the place as it stands in a Caddyfile.
func (t *TokenFrom) name() string {
	switch {
	case t.Query != "":
		return "query " + t.Query
	case t.Cookie != "":
		return "cookie " + t.Cookie
	case t.Header == "":
		return "without a name"
	}
	return "header " + textproto.CanonicalMIMEHeaderKey(t.Header)
}

func (t *TokenFrom) check(id identity) error {
	given := 0
	for _, name := range []string{t.Query, t.Cookie, t.Header} {
		if name != "" {
			given++
		}
	}
	switch {
	case given != 1:
		return errors.New("it takes one of query, cookie and header, with a name")
	case t.Cookie != "" && !isCookieName(t.Cookie):
		return errors.New("no cookie can have this name")
	case t.Header == "":
		return nil
	case !isHeaderName(t.Header):
		return errors.New("a header's name is made of letters, digits and -")
	case textproto.CanonicalMIMEHeaderKey(t.Header) == "Authorization":
		return errors.New("this header is read anyway: leave the line out")
	case framingHeaders[textproto.CanonicalMIMEHeaderKey(t.Header)]:
		return errors.New("this header steers the connection, it can't carry a token")
	case id.reserved(t.Header):
		return errors.New("this header carries the identity to the upstream and is removed from what the client sends: take another")
	}
	return nil
}

func isCookieName(name string) bool {
	read, err := http.ParseCookie(name + "=x")
	return err == nil && len(read) == 1 && read[0].Name == name
}

// appendTo adds the tokens that stand in this place.
func (t *TokenFrom) appendTo(found []string, r *http.Request) []string {
	switch {
	case t.Header != "":
		for _, value := range r.Header.Values(t.Header) {
			if token, ok := bearerToken(value); ok {
				value = token
			}
			if value != "" { // what apps send before they have one
				found = append(found, value)
			}
		}
	case t.Cookie != "":
		for _, c := range r.CookiesNamed(t.Cookie) {
			found = append(found, c.Value)
		}
	default:
		for pair := range strings.SplitSeq(r.URL.RawQuery, "&") {
			if value, ok := t.queryValue(pair); ok {
				found = append(found, value)
			}
		}
	}
	return found
}

func (t *TokenFrom) queryValue(pair string) (string, bool) {
	key, value, _ := strings.Cut(pair, "=")
	if key, err := url.QueryUnescape(key); err != nil || key != t.Query {
		return "", false
	}
	token, err := url.QueryUnescape(value)
	if err != nil {
		return value, true // not a token, whatever it is
	}
	return token, true
}

func (t *TokenFrom) hide(r *http.Request) {
	switch {
	case t.Header != "":
		r.Header.Del(t.Header)
	case t.Cookie != "":
		t.hideCookie(r.Header)
	default:
		r.URL.RawQuery = without(r.URL.RawQuery, "&", func(pair string) bool {
			_, ok := t.queryValue(pair)
			return ok
		})
	}
}

func (t *TokenFrom) hideCookie(header http.Header) {
	var kept []string
	for _, line := range header["Cookie"] {
		line = without(line, ";", func(pair string) bool {
			name, _, _ := strings.Cut(pair, "=")
			return strings.TrimSpace(name) == t.Cookie
		})
		if strings.TrimSpace(line) != "" {
			kept = append(kept, strings.TrimSpace(line))
		}
	}
	if kept == nil {
		delete(header, "Cookie")
		return
	}
	header["Cookie"] = kept
}

// without drops the parts of a list that are to be hidden and leaves the others byte for byte.
func without(list, separator string, hidden func(part string) bool) string {
	var kept []string
	for part := range strings.SplitSeq(list, separator) {
		if !hidden(part) {
			kept = append(kept, part)
		}
	}
	return strings.Join(kept, separator)
}
