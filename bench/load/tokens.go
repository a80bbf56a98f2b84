package main

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/caddy-wechat/wechatauth/bench/internal/lab"
	"github.com/caddy-wechat/wechatauth/jwt"
	"github.com/caddy-wechat/wechatauth/session"
)

const (
	issuerName = "wechat_auth"

	// tokenLife is longer than any measurement.
	tokenLife = 24 * time.Hour

	requestPath = "/api/orders?page=2"
)

// keyring is a signing key, and tokens that it signed.
type keyring struct {
	issuer  jwt.Issuer
	file    string // with the key
	setting string // of the key in a Caddyfile

	mu     sync.Mutex // guards what follows
	tokens []string
}

// keyring makes the key of an algorithm when it is first asked for.
func (b *bench) keyring(algorithm string) (*keyring, error) {
	if k := b.keys[algorithm]; k != nil {
		return k, nil
	}
	key, err := jwt.GenerateKey(algorithm)
	if err != nil {
		return nil, err
	}
	var text []byte
	setting := ""
	if strings.HasPrefix(algorithm, "HS") {
		random := make([]byte, 32)
		_, _ = rand.Read(random) // never fails
		setting = hex.EncodeToString(random)
		text = []byte(setting)
		key, err = jwt.ParseKey(algorithm, text)
	} else {
		text, err = key.ExportPrivate()
	}
	if err != nil {
		return nil, err
	}
	file, err := b.lab.Write(algorithm+".key", string(text))
	if err != nil {
		return nil, err
	}
	if setting == "" {
		setting = file
	}
	ring, err := jwt.NewRing(key)
	if err != nil {
		return nil, err
	}
	k := &keyring{issuer: jwt.Issuer{Ring: ring, Name: issuerName, TTL: tokenLife}, file: file, setting: setting}
	b.keys[algorithm] = k
	return k, nil
}

// of returns tokens of so many users, always the same.
func (k *keyring) of(users int) ([]string, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if missing := users - len(k.tokens); missing > 0 {
		more, err := k.sign(len(k.tokens), missing)
		if err != nil {
			return nil, err
		}
		k.tokens = append(k.tokens, more...)
	}
	return k.tokens[:users], nil
}

// sign makes the tokens of n users, on all processors: an RSA signature takes milliseconds.
func (k *keyring) sign(first, n int) ([]string, error) {
	tokens := make([]string, n)
	workers := runtime.GOMAXPROCS(0)
	failures := make([]error, workers)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := w; i < n && failures[w] == nil; i += workers {
				tokens[i], failures[w] = k.token(openID(first + i))
			}
		})
	}
	wg.Wait()
	return tokens, errors.Join(failures...)
}

// token is the access token of a user with a phone.
func (k *keyring) token(openid string) (string, error) {
	made, _ := session.New(session.UserID{AppID: lab.AppID, OpenID: openid}, session.Site{}, time.Now())
	token, _, err := k.issuer.Issue(jwt.Claims{
		AppID: lab.AppID, OpenID: openid, SID: string(made.SID), UnionID: "oUnion-0123456789_0123456789",
		Phone: "13800138000", PhoneNumber: "+8613800138000", PhoneNumberVerified: true,
	})
	return token, err
}

// openID has the form of WeChat's.
func openID(i int) string { return fmt.Sprintf("oBench-0123456789_0%09d", i) }

// writeTokens writes the tokens of so many users to a file, one a line, for wrk.
func (b *bench) writeTokens(algorithm string, users int) (file string, tokens []string, err error) {
	k, err := b.keyring(algorithm)
	if err != nil {
		return "", nil, err
	}
	if tokens, err = k.of(users); err != nil {
		return "", nil, err
	}
	file = b.lab.Path(fmt.Sprintf("%s-%d.tokens", algorithm, users))
	return file, tokens, os.WriteFile(file, []byte(strings.Join(tokens, "\n")+"\n"), 0o600)
}
