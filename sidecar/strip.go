// Removal of what a client must not say about itself, in every spelling that some server reads so.

package sidecar

import (
	"io"
	"net/http"
	"slices"
	"strings"
)

// reservedPrefix begins the identity headers of WeChat Cloud Run, folded.
const reservedPrefix = "x-wx-"

// methodOverrides are the headers, folded, by which many frameworks let a POST pass for another
// method. A rule that names methods decides on the one in the request line, so that one has to be
// the true one. The parameter _method is none of them: frameworks read it from the body as well,
// which streams by unread, so that its removal from the query would protect nobody.
var methodOverrides = []string{"x-http-method-override", "x-http-method", "x-method-override"}

// pathOverrides are the headers, folded, by which a server lets a request pass for another path, when
// a rule has decided on the one in the request line: gunicorn takes SCRIPT_NAME (and later versions
// PATH_INFO) from whoever it trusts, which is any proxy on its machine; frameworks have the others
// from IIS, and X-Script-Name is in Flask's folklore.
var pathOverrides = []string{"script-name", "path-info", "x-script-name", "x-original-url", "x-rewrite-url"}

// namesPaths reports whether some rule treats paths differently.
func namesPaths(c Config) bool { return len(c.Public)+len(c.Optional)+len(c.PhoneRequired) > 0 }

// namesMethods reports whether some rule holds for certain methods only.
func namesMethods(c Config) bool {
	return slices.ContainsFunc(slices.Concat(c.Public, c.Optional, c.PhoneRequired), func(p *Paths) bool {
		return p != nil && len(p.Methods) > 0
	})
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

// stripTrailer removes identity headers that come behind the body. net/http fills the map when the
// body ends, also with names that were not announced.
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

// trailerBody is a request's body that calls end when it ends.
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

// stripUpgrade keeps a client from turning the connection into anything but a WebSocket. Through a
// tunnel of HTTP/2 (Upgrade: h2c) it could send requests that no guard sees.
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

// isLostUpgrade reports whether a Connection option announces an Upgrade that was removed.
func isLostUpgrade(header http.Header, option string) bool {
	return strings.EqualFold(option, "Upgrade") && header["Upgrade"] == nil
}

// reserved reports whether some server could read a name as one that only this handler may set.
func (id *identity) reserved(name string) bool {
	if len(name) >= len(reservedPrefix) && foldsTo(name[:len(reservedPrefix)], reservedPrefix) {
		return true
	}
	for _, removed := range id.removed {
		if len(name) == len(removed) && foldsTo(name, removed) {
			return true
		}
	}
	return false
}

// fold maps each byte of a header name to what it is compared as. Servers make names of variables
// out of header names, and the widest class of bytes that become one is lighttpd's and Apache's:
// all but letters and digits. PHP, WSGI and Rack fold less, so that their classes lie within.
var fold = func() (table [256]byte) {
	for i := range table {
		c := byte(i)
		switch {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9':
			table[i] = c
		case 'A' <= c && c <= 'Z':
			table[i] = c + 'a' - 'A'
		default:
			table[i] = '-'
		}
	}
	return table
}()

// foldsTo compares a name with a folded one of the same length.
func foldsTo(name, folded string) bool {
	for i := range len(name) {
		if fold[name[i]] != folded[i] {
			return false
		}
	}
	return true
}

func foldName(name string) string {
	folded := []byte(name)
	for i, c := range folded {
		folded[i] = fold[c]
	}
	return string(folded)
}
