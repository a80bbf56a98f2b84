package wechatauth

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-wechat/wechatauth/jwt"
	"github.com/caddy-wechat/wechatauth/session"
)

const (
	defaultAlgorithm = "ES256"
	defaultIssuer    = "wechat_auth"
	defaultTTL       = time.Hour
	defaultRotate    = 30 * 24 * time.Hour

	// minRotate leaves a few seconds to publish a key before it signs. It is for trying rotation out.
	minRotate = 20 * time.Second
)

func (h *Handler) provisionTokens(repl *caddy.Replacer) (err error) {
	name := defaultIssuer
	if h.Token.Issuer != "" {
		if name, err = resolve(repl, "token issuer", h.Token.Issuer); err != nil {
			return err
		}
	}
	var audience []string
	for _, a := range h.Token.Audience {
		if a, err = resolve(repl, "token audience", a); err != nil {
			return err
		}
		if a == "" {
			return errors.New("token audience is empty")
		}
		audience = append(audience, a)
	}
	ttl := time.Duration(orDefault(h.Token.TTL, caddy.Duration(defaultTTL)))
	if ttl < time.Second || ttl%time.Second != 0 {
		return errors.New("token ttl must be one or more whole seconds, such as 1h")
	}
	phone := orDefault(h.Token.Phone, "full")
	if phone != "full" && phone != "sealed" {
		return fmt.Errorf("token phone %s: write full or sealed", phone)
	}
	if h.keys, err = h.provisionKeys(repl, name, ttl); err != nil {
		return fmt.Errorf("token %w", err)
	}
	h.issuer = jwt.Issuer{Name: name, Audience: audience, TTL: ttl, SealPhone: phone == "sealed"}
	h.verifier = jwt.Verifier{Issuer: name, Audience: audience, AppIDs: h.appIDs(), TTL: ttl}
	h.state.raiseTTL(ttl)
	h.markSite()
	if err := h.provisionMemory(); err != nil {
		return fmt.Errorf("token %w", err)
	}
	if h.discoverable() {
		h.routes["/.well-known/openid-configuration"] = route{[]string{http.MethodGet, http.MethodHead}, h.discovery}
	}
	return nil
}

// keySource gives the keys of a site. It may not have them yet.
type keySource interface {
	get() (*jwt.Ring, error)

	// maxAge is how long others may remember the published keys.
	maxAge() time.Duration

	// source is what the keys come from. The same source never has two keys of one id that verify
	// differently: one secret or one RSA key can be meant for several algorithms.
	source() any
}

// configuredKeys are the keys that stand in the configuration.
type configuredKeys struct {
	ring *jwt.Ring
	from []any // their algorithm and text
}

func (k configuredKeys) get() (*jwt.Ring, error) { return k.ring, nil }
func (configuredKeys) maxAge() time.Duration     { return 5 * time.Minute }
func (k configuredKeys) source() any             { return k.from }

func (h *Handler) provisionKeys(repl *caddy.Replacer, issuer string, ttl time.Duration) (keySource, error) {
	alg := orDefault(h.Token.Algorithm, defaultAlgorithm)
	if err := checkAlgorithm(alg); err != nil {
		return nil, err
	}
	if h.Token.Key != "" {
		if h.Token.Rotate != 0 {
			return nil, errors.New("rotate is for automatic keys: leave out key or rotate")
		}
		return h.configuredKeys(repl, alg)
	}
	if len(h.Token.PreviousKeys) > 0 {
		return nil, errors.New("previous_key goes with a key of your own: write key <pem file | secret>")
	}
	rotate := time.Duration(orDefault(h.Token.Rotate, caddy.Duration(defaultRotate)))
	if rotate < minRotate {
		return nil, fmt.Errorf("rotate must be %s or more", minRotate)
	}
	dependsOn := []any{h.storeID, alg, issuer, rotate, ttl}
	keys, err := take(h, "keys", dependsOn, func() (*keyring, error) {
		return newKeyring(alg, issuer, rotate, ttl, h.state), nil
	})
	if err != nil {
		return nil, err
	}
	return keys, h.opener.add(func() error {
		keys.once.Do(keys.start)
		return nil // a store that is away is waited for, not a reason not to start
	})
}

func checkAlgorithm(alg string) error {
	for _, known := range jwt.Algorithms() {
		switch {
		case alg == known:
			return nil
		case strings.EqualFold(alg, known):
			return fmt.Errorf("algorithm %s: write it as %s", alg, known)
		}
	}
	return fmt.Errorf("algorithm %.16q: write one of %s", alg, strings.Join(jwt.Algorithms(), " "))
}

func (h *Handler) configuredKeys(repl *caddy.Replacer, alg string) (keys configuredKeys, err error) {
	data, err := readKey(repl, alg, h.Token.Key)
	if err != nil {
		return keys, fmt.Errorf("key: %w", err)
	}
	key, err := jwt.ParseKey(alg, data)
	if err != nil {
		return keys, fmt.Errorf("key: %w", err)
	}
	keys.from = []any{alg, data}
	var previous []*jwt.Key
	for _, text := range h.Token.PreviousKeys {
		data, err := readKey(repl, alg, text)
		if err != nil {
			return keys, fmt.Errorf("previous_key: %w", err)
		}
		old, err := jwt.ParsePreviousKey(alg, data)
		if err != nil {
			return keys, fmt.Errorf("previous_key: %w", err)
		}
		previous, keys.from = append(previous, old), append(keys.from, data)
	}
	keys.ring, err = jwt.NewRing(key, previous...)
	return keys, err
}

// issue makes an access token, with the key that signs now.
func (h *Handler) issue(c jwt.Claims) (string, jwt.Claims, error) {
	ring, err := h.keys.get()
	if err != nil {
		return "", jwt.Claims{}, err
	}
	issuer := h.issuer
	issuer.Ring = ring
	return issuer.Issue(c)
}

// verifyToken verifies an access token; it does not look whether its session has ended.
func (h *Handler) verifyToken(token string) (*jwt.Claims, error) {
	ring, err := h.keys.get()
	if err != nil {
		return nil, err
	}
	key := h.memory.key(token)
	if claims := h.memory.recall(key); claims != nil && h.stillGood(claims, ring) {
		return claims, nil
	}
	verifier := h.verifier
	verifier.Ring = ring
	claims, err := verifier.Verify(token)
	if err != nil {
		return nil, err
	}
	if h.isForeign(session.SID(claims.SID)) {
		return nil, jwt.ErrInvalid
	}
	h.memory.remember(key, claims)
	return claims, nil
}

// stillGood tells whether a token that was verified would be verified now. What it depends on besides is
// part of what it is remembered under.
func (h *Handler) stillGood(c *jwt.Claims, ring *jwt.Ring) bool {
	now := h.now()
	return c.Begun(now) && now.Unix() < c.ExpiresAt && ring.Has(c.KeyID)
}

// readKey turns what stands in the configuration into key material: PEM text as it is, a secret for
// HMAC, and the name of a PEM file otherwise.
func readKey(repl *caddy.Replacer, alg, text string) ([]byte, error) {
	resolved, err := repl.ReplaceOrErr(text, true, true)
	if err != nil {
		return nil, placeholderError(err)
	}
	if strings.HasPrefix(alg, "HS") && !strings.Contains(resolved, "-----BEGIN") {
		return hmacKey(resolved)
	}
	data, err := readPEM(repl, text)
	if err != nil && !fileName.MatchString(text) {
		err = fmt.Errorf("%w; %s takes a PEM file, a secret goes with algorithm HS256", err, alg)
	}
	return data, err
}

// hmacKey is the secret itself. Where a previous key is a PEM file of another algorithm, it is read.
func hmacKey(secret string) ([]byte, error) {
	if !strings.HasSuffix(secret, ".pem") {
		return []byte(secret), nil
	}
	data, err := os.ReadFile(secret)
	if err != nil || !bytes.Contains(data, []byte("-----BEGIN")) {
		return nil, errors.New("the value ends in .pem and is not the name of a PEM file; an HMAC secret is written as {env.NAME} or {file./path}")
	}
	return data, nil
}
