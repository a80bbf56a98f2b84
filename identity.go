package wechatauth

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/textproto"
	"net/url"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-wechat/wechatauth/jwt"
)

// reservedPrefix is what the identity headers of WeChat Cloud Run begin with.
const reservedPrefix = "x-wx-"

// identity turns claims into what the upstream and other Caddy modules see of them.
type identity struct {
	cloudRun bool
	extra    []Header // canonical names
}

func (h *Handler) provisionIdentity(*caddy.Replacer) (err error) {
	switch orDefault(h.Authorization, "keep") {
	case "keep", "strip":
	default:
		return fmt.Errorf("authorization %s: write keep or strip", h.Authorization)
	}
	h.identity, err = newIdentity(h.Headers, h.ExtraHeaders)
	return err
}

func newIdentity(set string, extra []*Header) (id identity, err error) {
	switch orDefault(set, "cloudrun") {
	case "cloudrun":
		id.cloudRun = true
	case "none":
	default:
		return id, fmt.Errorf("headers %s: write cloudrun or none", set)
	}
	for _, e := range extra {
		if e == nil {
			return id, errors.New("a header is null")
		}
		if err := id.add(*e); err != nil {
			return id, fmt.Errorf("header %s: %w", e.Name, err)
		}
	}
	return id, nil
}

func (id *identity) add(extra Header) error {
	if !isHeaderName(extra.Name) {
		return errors.New("a name is made of letters, digits and - (servers that fold _ or . into - would see two headers)")
	}
	extra.Name = textproto.CanonicalMIMEHeaderKey(extra.Name)
	if framingHeaders[extra.Name] {
		return errors.New("this header steers the connection, it can't carry a claim")
	}
	if extra.Claim == "" {
		return errors.New("the claim is missing")
	}
	if id.cloudRun && cloudRunHeaders[extra.Name] {
		return errors.New("it is set already; write headers none to name the headers yourself")
	}
	for _, other := range id.extra {
		if other.Name == extra.Name {
			return errors.New("it is configured twice")
		}
	}
	id.extra = append(id.extra, extra)
	return nil
}

var cloudRunHeaders = map[string]bool{
	"X-Wx-Openid": true, "X-Wx-Appid": true, "X-Wx-Unionid": true, "X-Wx-Source": true, "X-Wx-Phone": true,
}

var framingHeaders = map[string]bool{
	"Authorization": true, "Connection": true, "Content-Length": true, "Cookie": true, "Host": true,
	"Keep-Alive": true, "Te": true, "Trailer": true, "Transfer-Encoding": true, "Upgrade": true,
}

func isHeaderName(name string) bool {
	for _, c := range []byte(name) {
		if c != '-' && (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') {
			return false
		}
	}
	return name != ""
}

// strip removes every header the client could use to pose as somebody, in every spelling that some
// server folds into the real one (CVE-2025-64484, GHSA-f59h-q822-g45g), and keeps the client from
// having the real one dropped on the way by naming it in Connection.
func (id *identity) strip(r *http.Request) {
	for name := range r.Header {
		if id.reserved(name) {
			delete(r.Header, name)
		}
	}
	if len(r.Trailer) > 0 {
		id.stripTrailer(r)
	}
	stripUpgrade(r.Header)
	if values, ok := r.Header["Connection"]; ok {
		id.stripConnection(r.Header, values)
	}
}

// stripTrailer removes identity headers that come behind the body. net/http fills the map when the body
// ends, also with names that were not announced.
func (id *identity) stripTrailer(r *http.Request) {
	body := &trailerBody{ReadCloser: r.Body, end: func() {
		for name := range r.Trailer {
			if id.reserved(name) {
				delete(r.Trailer, name)
			}
		}
	}}
	body.end()
	r.Body = body
}

// trailerBody is a request's body that tells when it ends.
type trailerBody struct {
	io.ReadCloser
	end func()
}

// Read implements io.Reader.
func (b *trailerBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		b.end()
	}
	return n, err
}

// stripUpgrade keeps a client from turning the connection into anything but a WebSocket. Through a tunnel
// of HTTP/2 (Upgrade: h2c) it could send requests that no guard sees.
func stripUpgrade(header http.Header) {
	if values, ok := header["Upgrade"]; ok && (len(values) != 1 || !strings.EqualFold(values[0], "websocket")) {
		delete(header, "Upgrade")
	}
}

func (id *identity) stripConnection(header http.Header, values []string) {
	var kept []string
	for _, value := range values {
		for option := range strings.SplitSeq(value, ",") {
			if option = strings.TrimSpace(option); option != "" && !id.reserved(option) && !isLostUpgrade(header, option) {
				kept = append(kept, option)
			}
		}
	}
	if len(kept) == 0 {
		delete(header, "Connection")
		return
	}
	header["Connection"] = []string{strings.Join(kept, ", ")}
}

// isLostUpgrade tells whether a Connection option announces an Upgrade that was removed.
func isLostUpgrade(header http.Header, option string) bool {
	return strings.EqualFold(option, "Upgrade") && header["Upgrade"] == nil
}

func (id *identity) reserved(name string) bool {
	if len(name) >= len(reservedPrefix) && folds(name[:len(reservedPrefix)], reservedPrefix) {
		return true
	}
	for _, extra := range id.extra {
		if len(name) == len(extra.Name) && folds(name, extra.Name) {
			return true
		}
	}
	return false
}

// folds compares two names of equal length as CGI, WSGI, Rack and PHP do: case does not count, and _
// and . are the same as -.
func folds(a, b string) bool {
	for i := range len(a) {
		if fold(a[i]) != fold(b[i]) {
			return false
		}
	}
	return true
}

func fold(c byte) byte {
	switch {
	case c == '_' || c == '.':
		return '-'
	case 'A' <= c && c <= 'Z':
		return c + 'a' - 'A'
	}
	return c
}

var nobody = new(jwt.Claims)

// forward puts the identity on the request, for the upstream and for other modules; nil is nobody, whose
// placeholders are empty.
func (id *identity) forward(r *http.Request, c *jwt.Claims) {
	if c == nil {
		c = nobody
	} else {
		id.set(r.Header, c)
	}
	setPlaceholders(r, c)
}

// set writes the identity headers. A claim that is absent means that the header is absent.
func (id *identity) set(header http.Header, c *jwt.Claims) {
	if id.cloudRun {
		// One array for all of them; a handler that appends to one gets a copy.
		values := []string{c.OpenID, c.AppID, "wx_client", c.UnionID, c.Phone}
		header["X-Wx-Openid"] = values[0:1:1]
		header["X-Wx-Appid"] = values[1:2:2]
		header["X-Wx-Source"] = values[2:3:3]
		if c.UnionID != "" {
			header["X-Wx-Unionid"] = values[3:4:4]
		}
		if c.Phone != "" {
			header["X-Wx-Phone"] = values[4:5:5]
		}
	}
	for _, extra := range id.extra {
		if value, ok := c.Value(extra.Claim); ok {
			header[extra.Name] = []string{headerValue(value)}
		}
	}
}

// headerValue writes a claim as a header: text as it is if it fits, all else as JSON, and
// percent-encoded UTF-8 where either does not fit.
func headerValue(value any) string {
	text, ok := value.(string)
	if !ok {
		encoded, err := json.Marshal(value)
		if err != nil {
			return ""
		}
		text = string(encoded)
	}
	for _, c := range []byte(text) {
		if c < ' ' || c > '~' || c == '%' {
			return url.PathEscape(text)
		}
	}
	return text
}
