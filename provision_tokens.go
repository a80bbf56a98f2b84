// The access tokens of a configuration.

package wechatauth

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-wechat/wechatauth/sidecar"
)

func (p *provisioner) tokens() (err error) {
	t, cfg := p.h.Token, &p.cfg.Token
	cfg.Issuer = defaultIssuer
	if t.Issuer != "" {
		if cfg.Issuer, err = resolve(p.repl, "token issuer", t.Issuer); err != nil {
			return err
		}
	}
	for _, a := range t.Audience {
		if a, err = resolve(p.repl, "token audience", a); err != nil {
			return err
		}
		if a == "" {
			return errors.New("token audience is empty")
		}
		cfg.Audience = append(cfg.Audience, a)
	}
	cfg.Algorithm, cfg.TTL = orDefault(t.Algorithm, defaultAlgorithm), duration(t.TTL, defaultTTL)
	phone := orDefault(t.Phone, "full")
	if phone != "full" && phone != "sealed" {
		return fmt.Errorf("token phone %s: write full or sealed", phone)
	}
	cfg.SealPhone = phone == "sealed"
	return cfg.Check()
}

func (p *provisioner) keys() (err error) {
	t, cfg := p.h.Token, p.cfg.Token
	switch {
	case t.Key != "" && t.Rotate != 0:
		return errors.New("token rotate is for automatic keys: leave out key or rotate")
	case t.Key != "":
		if p.deps.Keys, err = p.configuredKeys(); err != nil {
			return fmt.Errorf("token %w", err)
		}
		return nil
	case len(t.PreviousKeys) > 0:
		return errors.New("token previous_key goes with a key of your own: write key <pem file | secret>")
	}
	keyring := sidecar.KeyringConfig{
		Algorithm: cfg.Algorithm, Issuer: cfg.Issuer, Rotate: duration(t.Rotate, defaultRotate), TTL: cfg.TTL,
	}
	if keyring.Rotate < sidecar.MinRotate {
		return fmt.Errorf("token rotate must be %s or more", sidecar.MinRotate)
	}
	store := p.deps.Store
	keys, err := acquire(p.h, "keys", []any{store.ID(), keyring}, func() (*sidecar.Keyring, error) {
		return sidecar.NewKeyring(keyring, store), nil
	})
	if err != nil {
		return err
	}
	p.deps.Keys = keys
	return p.opener.add(func() error {
		keys.Start()
		return nil // a store that is away is waited for, not a reason not to start
	})
}

func (p *provisioner) configuredKeys() (*sidecar.ConfiguredKeys, error) {
	alg := p.cfg.Token.Algorithm
	signing, err := readKey(p.repl, alg, p.h.Token.Key)
	if err != nil {
		return nil, fmt.Errorf("key: %w", err)
	}
	var previous [][]byte
	for _, text := range p.h.Token.PreviousKeys {
		data, err := readKey(p.repl, alg, text)
		if err != nil {
			return nil, fmt.Errorf("previous_key: %w", err)
		}
		previous = append(previous, data)
	}
	return sidecar.NewKeys(alg, signing, previous...)
}

func (p *provisioner) remember() (err error) {
	size, ttl := orDefault(p.h.Token.Remember, defaultRemember), p.cfg.Token.TTL
	if size < 0 {
		return nil
	}
	p.deps.Verified, err = acquire(p.h, "tokens", []any{size, ttl}, func() (*sidecar.TokenCache, error) {
		return sidecar.NewTokenCache(size, ttl)
	})
	if err != nil {
		return fmt.Errorf("token %w", err)
	}
	return nil
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

// hmacKey is the secret itself. Where a previous key is a PEM file of another algorithm, it is
// read.
func hmacKey(secret string) ([]byte, error) {
	if !strings.HasSuffix(secret, ".pem") {
		return []byte(secret), nil
	}
	data, err := os.ReadFile(secret)
	if err != nil || !bytes.Contains(data, []byte("-----BEGIN")) {
		return nil, errors.New("the value ends in .pem and is not the name of a PEM file; " +
			"an HMAC secret is written as {env.NAME} or {file./path}")
	}
	return data, nil
}
