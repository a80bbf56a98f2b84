// The identity of a user, as the upstream sees it.

package sidecar

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/textproto"
	"net/url"

	"github.com/caddy-wechat/wechatauth/jwt"
)

// identity turns claims into what the upstream and other Caddy modules see of them.
type identity struct {
	cloudRun bool
	extra    []Header // canonical names
	removed  []string // folded names; those with reservedPrefix always are
}

func newSiteIdentity(cfg Config) (identity, error) {
	id, err := newIdentity(cfg.Headers, cfg.ExtraHeaders)
	if namesMethods(cfg) {
		id.removed = append(id.removed, methodOverrides...)
	}
	if namesPaths(cfg) {
		id.removed = append(id.removed, pathOverrides...)
	}
	return id, err
}

// Header is one more header for the upstream, removed from what the client sends.
type Header struct {
	// The header's name, with `-` and never `_` or `.`.
	Name string `json:"name"`

	// The claim it carries. A value that does not fit a header is percent-encoded UTF-8.
	Claim string `json:"claim"`
}

// CheckHeaders returns an error for headers that can't carry claims.
func CheckHeaders(set string, extra []*Header) error {
	_, err := newIdentity(set, extra)
	return err
}

// IdentityHeaders returns what the upstream gets of a user.
func IdentityHeaders(set string, extra []*Header, c *jwt.Claims) (http.Header, error) {
	id, err := newIdentity(set, extra)
	header := http.Header{}
	id.set(header, c)
	return header, err
}

func newIdentity(set string, extra []*Header) (id identity, err error) {
	switch set {
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
		return errors.New("a name is made of letters, digits and - (servers that read everything else as - would see two headers)")
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
	id.removed = append(id.removed, foldName(extra.Name))
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

// anonymous is the identity of a request without a token.
var anonymous = new(jwt.Claims)

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
