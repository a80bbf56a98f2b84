// The backend's door to the operations, below base_path.

package sidecar

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

const (
	servicePath = "/service/"

	minServiceSecret = 32

	// MaxWrongSecrets bounds the guesses at the service secret from one client address in a minute.
	MaxWrongSecrets = 10

	// maxImport bounds the body of one import, some 500,000 users, and of all else that is sent.
	maxImport = 64 << 20
)

// serviceRoutes are the operations on the network that are not about one user. A backup writes
// files of Caddy's user and holds what other sites keep in the store: it stays on the machine. What
// is added to the admin API is not on the network until it is listed here.
var serviceRoutes = []string{"status", "users", "pushes", "keys/rotate", "sign", "decrypt", "token"}

var (
	errNoServiceSecret = withDescription(errTokenMissing, "send the service secret as Authorization: Bearer")
	errServiceSecret   = withDescription(errTokenInvalid, "this is not the service secret")
	errServicePage     = withDescription(errCrossSite, "a browser sent this, and this route is for backends alone: "+
		"keep the service secret out of pages")
)

// ServiceConfig is the door for a backend.
type ServiceConfig struct {
	Secret string   // "": none
	API    []string // patterns of the paths of WeChat's API that it may call
}

// Check returns an error for a secret that could be guessed.
func (c ServiceConfig) Check() error {
	if n := len(c.Secret); n < minServiceSecret {
		return fmt.Errorf("service secret has %d characters, it needs %d: openssl rand -hex 32 makes one", n, minServiceSecret)
	}
	if strings.ContainsFunc(c.Secret, func(c rune) bool { return c <= ' ' || c > '~' }) {
		return fmt.Errorf("service secret has characters that no Authorization header can have: openssl rand -hex 32 makes one")
	}
	return checkAPI(c.API)
}

// service answers a backend that has the secret, for the mini programs of one site.
type service struct {
	prefix string
	digest [sha256.Size]byte // of the secret
	wrong  *Limiter
	server Server

	keyUses *Limiter // of a user's session_key
	now     func() time.Time

	operations *Operations
	relay      relay
}

// newService returns nil where no door is configured.
func newService(cfg Config, deps Deps, s *Site) *service {
	if cfg.Service.Secret == "" {
		return nil
	}
	all := NewOperations([]*Site{s})
	for _, o := range all.stores {
		o.confined = true
	}
	return &service{
		prefix: cfg.BasePath + servicePath, digest: sha256.Sum256([]byte(cfg.Service.Secret)), wrong: deps.Limits.Service,
		server: deps.Server, now: deps.Now, operations: all, keyUses: deps.Limits.KeyUses,
		relay: newRelay(cfg.Service.API, deps.Apps, deps.Logger),
	}
}

// owns tells whether a request is one that only a backend may send. Another spelling of the path
// has no route.
func (d *service) owns(raw string) bool { return d != nil && strings.HasPrefix(raw, d.prefix) }

func (d *service) serve(w http.ResponseWriter, r *http.Request) error {
	if err := d.admit(r); err != nil {
		return err
	}
	raw, canonical := rawPath(r.URL)
	name, _ := strings.CutPrefix(raw, d.prefix)
	if !canonical || strings.HasSuffix(name, "/") {
		return errNotFound
	}
	if r.Method != http.MethodGet && isEarlyData(r) {
		return errTooEarly
	}
	if r.ContentLength > maxImport {
		return errTooLarge
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxImport)
	if path, ok := strings.CutPrefix(name, "api/"); ok {
		return d.relay.serve(w, r, "/"+path)
	}
	inner := *r
	inner.URL = &url.URL{Path: strings.TrimPrefix(r.URL.Path, d.prefix), RawQuery: r.URL.RawQuery}
	d.operations.ServeHTTP(w, &inner)
	return nil
}

// admit lets a backend in. The right secret passes whatever the limit says: else anyone who shares
// the backend's address, as behind a proxy, could shut it out.
func (d *service) admit(r *http.Request) error {
	if len(r.Header["Origin"]) > 0 || len(r.Header["Sec-Fetch-Site"]) > 0 {
		return errServicePage
	}
	refusal, secret := errNoServiceSecret, ""
	if sent := r.Header["Authorization"]; len(sent) == 1 {
		if token, ok := bearerToken(sent[0]); ok {
			refusal, secret = errServiceSecret, token
		}
	}
	// Digests, for the time of a comparison depends on the length.
	digest := sha256.Sum256([]byte(secret))
	if subtle.ConstantTimeCompare(digest[:], d.digest[:]) == 1 {
		return nil
	}
	if err := d.wrong.allow(addressBlock(d.server.ClientIP(r)), d.now()); err != nil {
		return err
	}
	return refusal
}

// onNetwork tells whether a route that is not about one user may be reached.
func (o *operations) onNetwork(name string) bool {
	return !o.confined || slices.Contains(serviceRoutes, name)
}
