//go:build unix

// A stolen copy of Redis.

package e2e_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-wechat/wechatauth/session/redisstore/redistest"
)

// disk is all that Redis has ever written down, commands and all: appended, and then as a snapshot,
// too.
func disk(t *testing.T, redis *redistest.Server) []byte {
	t.Helper()
	return append(snapshot(t, redis), files(t, redis, "appendonlydir/*", "*.aof")...)
}

// snapshot returns the content of Redis.
func snapshot(t *testing.T, redis *redistest.Server) []byte {
	t.Helper()
	redis.Do(t, "CONFIG", "SET", "rdbcompression", "no")
	redis.Do(t, "SAVE")
	all := files(t, redis, "*.rdb")
	if len(all) < 1000 {
		t.Fatalf("Redis wrote %d bytes", len(all))
	}
	return all
}

// files are those of Redis, one behind the other.
func files(t *testing.T, redis *redistest.Server, patterns ...string) (all []byte) {
	t.Helper()
	setting := redis.Do(t, "CONFIG", "GET", "dir")
	dir, _ := setting.([]any)
	if len(dir) != 2 {
		t.Fatalf("CONFIG GET dir: %v", setting)
	}
	for _, pattern := range patterns {
		files, _ := filepath.Glob(filepath.Join(dir[1].(string), pattern))
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, text...)
		}
	}
	return all
}

// spellings of a value that one would look for.
func spellings(value string) []string {
	raw := []string{value, hex.EncodeToString([]byte(value)), url.QueryEscape(value)}
	for cut := range 3 { // base64 has three, as the value may stand anywhere in a text
		if len(value) > 6 {
			part := value[cut : cut+(len(value)-cut)/3*3]
			raw = append(raw, base64.RawStdEncoding.EncodeToString([]byte(part)), base64.RawURLEncoding.EncodeToString([]byte(part)))
		}
	}
	if decoded, err := base64.StdEncoding.DecodeString(value); err == nil {
		raw = append(raw, string(decoded), hex.EncodeToString(decoded), base64.RawURLEncoding.EncodeToString(decoded))
	}
	return raw
}

// A stolen copy of Redis reveals nothing.
func TestRedisDumpTellsNothing(t *testing.T) {
	w := newWorld(t)
	for name, seal := range map[string]string{"sealed": sealed, "in clear": ""} {
		t.Run(name, func(t *testing.T) {
			redis := redistest.Start(t)
			w := &world{t, w.fake, w.api}
			n := w.start("store redis " + redis.URL + seal)
			tokens, people := map[string]string{}, map[string]string{}
			for i := range 10 {
				alice := w.fake.NewUser(appID)
				phone := fmt.Sprintf("1380013800%d", i)
				code, tap := w.fake.LoginCode(alice), w.fake.PhoneCode(alice, phone)
				login := n.post("/auth/login", "", "code", code, "nonce", "the-nonce-of-the-client")
				want(t, "login", login, 200, "")
				withPhone := n.post("/auth/phone", login.access(), "code", tap)
				want(t, "phone", withPhone, 200, "")
				next := n.refresh(login.refresh())
				want(t, "refresh", next, 200, "")
				people[alice.OpenID], people[alice.UnionID], people[phone] = "openid", "unionid", "phone"
				for _, key := range w.fake.SessionKeys(alice) {
					tokens[key] = "session_key"
				}
				tokens[code], tokens[tap] = "login code", "phone code"
				for _, a := range []answer{login, withPhone, next} {
					tokens[a.access()] = "access token"
					tokens[a.access()[strings.LastIndex(a.access(), "."):]] = "access token's signature"
				}
				for _, a := range []answer{login, next} {
					tokens[a.refresh()] = "refresh token"
					raw, err := base64.RawURLEncoding.DecodeString(a.refresh())
					if err != nil {
						t.Fatal(err)
					}
					tokens[string(raw[len(raw)-32:])] = "refresh token's secret"
					tokens[base64.RawURLEncoding.EncodeToString(raw[len(raw)-32:])] = "refresh token's secret"
				}
				if i%2 == 0 {
					want(t, "logout", n.logout(next.access()), 204, "")
				}
			}
			tokens[secret], tokens["the-nonce-of-the-client"] = "AppSecret", "nonce"
			delete(tokens, "")
			keys, _ := redis.Do(t, "HGET", "wechat_auth:keys", "keys").(string)
			secrets := tokens
			if seal != "" {
				maps.Copy(secrets, people)
				secrets["abcdefghijklmnopqrstuvwxyz0123456789"] = "seal_key"
				secrets["PRIVATE KEY"] = "private key"
				secrets["13800138"] = "part of a phone"
			}
			text := disk(t, redis)
			found := map[string]bool{}
			for value, what := range secrets {
				for _, spelling := range spellings(value) {
					if len(spelling) >= 8 && bytes.Contains(text, []byte(spelling)) {
						found[what] = true
					}
				}
			}
			for what := range found {
				t.Errorf("the dump has a %s", what)
			}
			t.Logf("searched %d bytes for %d values; the record of keys has %d", len(text), len(secrets), len(keys))
			if seal == "" { // else the search proves nothing
				for value, what := range people {
					if what == "openid" && !bytes.Contains(text, []byte(value)) {
						t.Fatal("the dump in clear has no openid: the search looks at the wrong place")
					}
				}
				if !bytes.Contains(text, []byte(base64.RawStdEncoding.EncodeToString([]byte("-----BEGIN PRIVATE KEY")))[:24]) && !bytes.Contains(text, []byte("PRIVATE KEY")) {
					t.Error("the dump in clear has no private key: the search looks at the wrong place")
				}
			}
		})
	}
}
