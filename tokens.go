package wechatauth

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-wechat/wechatauth/jwt"
)

const (
	defaultAlgorithm = "ES256"
	defaultIssuer    = "wechat_auth"
	defaultTTL       = time.Hour
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
	ring, err := h.provisionRing(repl, name)
	if err != nil {
		return fmt.Errorf("token %w", err)
	}
	h.site = poolKey("site", h.Token)
	h.issuer = jwt.Issuer{Ring: ring, Name: name, Audience: audience, TTL: ttl, SealPhone: phone == "sealed"}
	h.verifier = jwt.Verifier{Ring: ring, Issuer: name, Audience: audience, AppIDs: h.appIDs(), TTL: ttl}
	return nil
}

func (h *Handler) provisionRing(repl *caddy.Replacer, issuer string) (*jwt.Ring, error) {
	alg := orDefault(h.Token.Algorithm, defaultAlgorithm)
	if h.Token.Key == "" {
		if len(h.Token.PreviousKeys) > 0 {
			return nil, errors.New("previous_key goes with a key of your own: write key <pem file | secret>")
		}
		ring, err := take(h, "ring", []string{alg, issuer}, func() (pooledRing, error) {
			key, err := jwt.GenerateKey(alg)
			if err != nil {
				return pooledRing{}, err
			}
			ring, err := jwt.NewRing(key)
			return pooledRing{ring}, err
		})
		if err != nil {
			return nil, fmt.Errorf("algorithm: %w", err)
		}
		return ring.Ring, nil
	}
	data, err := readKey(repl, alg, h.Token.Key)
	if err != nil {
		return nil, fmt.Errorf("key: %w", err)
	}
	key, err := jwt.ParseKey(alg, data)
	if err != nil {
		return nil, fmt.Errorf("key: %w", err)
	}
	var previous []*jwt.Key
	for _, text := range h.Token.PreviousKeys {
		data, err := readKey(repl, alg, text)
		if err != nil {
			return nil, fmt.Errorf("previous_key: %w", err)
		}
		old, err := jwt.ParsePreviousKey(alg, data)
		if err != nil {
			return nil, fmt.Errorf("previous_key: %w", err)
		}
		previous = append(previous, old)
	}
	return jwt.NewRing(key, previous...)
}

// readKey turns what stands in the configuration into key material: PEM text as it is, a secret for
// HMAC, and the name of a PEM file otherwise.
func readKey(repl *caddy.Replacer, alg, text string) ([]byte, error) {
	resolved, err := repl.ReplaceOrErr(text, true, true)
	if err != nil {
		return nil, err
	}
	if strings.Contains(resolved, "-----BEGIN") {
		return []byte(resolved), nil
	}
	if strings.HasPrefix(alg, "HS") {
		return hmacKey(resolved)
	}
	data, err := os.ReadFile(resolved)
	if errors.Is(err, os.ErrNotExist) && text != resolved {
		// What a placeholder stands for may be key material, so it is not repeated.
		return nil, fmt.Errorf("%s is neither PEM text nor the name of a file that exists", text)
	}
	if err != nil {
		return nil, err
	}
	return data, nil
}

// hmacKey is the secret itself. Where a previous key is a PEM file of another algorithm, it is read.
func hmacKey(secret string) ([]byte, error) {
	if !strings.HasSuffix(secret, ".pem") {
		return []byte(secret), nil
	}
	data, err := os.ReadFile(secret)
	if err != nil {
		return nil, err
	}
	if !bytes.Contains(data, []byte("-----BEGIN")) {
		return nil, fmt.Errorf("%s is not a PEM file; an HMAC secret is written as {env.NAME} or {file./path}", secret)
	}
	return data, nil
}
