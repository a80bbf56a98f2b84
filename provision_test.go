// Configurations that do not start.

package wechatauth_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-wechat/wechatauth"
	"github.com/caddy-wechat/wechatauth/jwt"
)

// A configuration that would be unsafe does not start, and the error says what to write.
// Threats: T26, T52, C04.
func TestProvisionRefuses(t *testing.T) {
	t.Setenv("EMPTY", "")
	t.Setenv("SHORT", "0123456789abcdef0123456789abcde")
	t.Setenv("LONG", strings.Repeat(os.Getenv("SHORT"), 10))
	dir := t.TempDir()
	key, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	weak := filepath.Join(dir, "weak.pem")
	block := &pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}
	if err := os.WriteFile(weak, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}
	ed25519, err := jwt.GenerateKey("EdDSA")
	if err != nil {
		t.Fatal(err)
	}
	pemText, err := ed25519.ExportPrivate()
	if err != nil {
		t.Fatal(err)
	}
	strong := filepath.Join(dir, "strong.pem")
	if err := os.WriteFile(strong, pemText, 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct{ name, lines, want string }{
		{"no app", "timeout 5s", "app <appid> <secret>"},
		{"app twice", "app wx1 s\napp wx1 t", "twice"},
		{"secret from a missing variable", "app wx1 {env.NO_SUCH_VARIABLE}", "NO_SUCH_VARIABLE"},
		{"secret from an empty variable", "app wx1 {env.EMPTY}", "EMPTY"},
		{"secret from a missing file", "app wx1 {file." + dir + "/none}", "none"},
		{"appid with a space", `app "wx 1" s`, "AppID"},
		{"relative api", "app wx1 s\napi api.weixin.qq.com", "base URL"},
		{"api with a query", "app wx1 s\napi https://a.example?x=1", "base URL"},
		{"unknown algorithm", "app wx1 s\ntoken {\nalgorithm none\n}", "ES256"},
		{"secret as algorithm", "app wx1 s\ntoken {\nalgorithm {env.SHORT}\n}", "belongs in key"},
		{"HMAC secret one byte short", "app wx1 s\ntoken {\nalgorithm HS256\nkey {env.SHORT}\n}", "32"},
		{"HMAC secret of zeros", "app wx1 s\ntoken {\nalgorithm HS256\nkey 00000000000000000000000000000000\n}", "key"},
		{"lower-case algorithm", "app wx1 s\ntoken {\nalgorithm hs256\nkey {env.SHORT}\n}", "write it as HS256"},
		{"secret for ES256, in clear", "app wx1 s\ntoken {\nkey 0123456789abcdef0123456789abcde\n}", "HS256"},
		{"secret for EdDSA as previous key", "app wx1 s\ntoken {\nalgorithm EdDSA\nkey " + strong + "\nprevious_key 0123456789abcdef0123456789abcde\n}", "PEM"},
		{"secret as algorithm", "app wx1 s\ntoken {\nalgorithm 0123456789abcdef0123456789abcde\n}", "ES256"},
		{"secret in clear that looks like a file", "app wx1 s\ntoken {\nalgorithm HS256\nkey 0123456789abcdef0123456789abcde.pem\n}", "PEM"},
		{"secret with braces", "app wx1 \"{0123456789abcdef0123456789abcde}\"", "backslash"},
		{"secret as a default", "app wx1 \"{env.NO_SUCH_VARIABLE:0123456789abcdef0123456789abcde}\"", "NO_SUCH_VARIABLE"},
		{"hook with a bad address", "app wx1 s\nhook \"http://u:{env.SHORT}@a b/\" {\nsecret {env.LONG}\n}", "write an address"},
		{"hook with an empty password", "app wx1 s\nhook http://u:{env.EMPTY}@a/ {\nsecret {env.LONG}\n}", "EMPTY"},
		{"secret as token server", "app wx1 s {\naccess_token http://u:{env.SHORT}@\n}", "URL"},
		{"secret as private key of signing", "app wx1 s {\nsigning {\nkey k {env.SHORT}\nprivate_key p 0123456789abcdef0123456789abcde\nplatform_certificate c {env.SHORT}\n}\n}", "private_key"},
		{"secret as symmetric key of signing", "app wx1 s {\nsigning {\nkey k {env.SHORT}\nprivate_key p " + weak + "\nplatform_certificate c " + weak + "\n}\n}", "base64"},
		{"redis address with a secret", "app wx1 s\nstore redis http://:{env.SHORT}@a", "want redis://"},
		{"seal key one byte short", "app wx1 s\nstore redis redis://a {\nseal_key {env.SHORT}\n}", "32"},
		{"secret for ES256", "app wx1 s\ntoken {\nkey {env.SHORT}\n}", "PEM"},
		{"long secret for ES256", "app wx1 s\ntoken {\nkey {env.LONG}\n}", "PEM"},
		{"secret that looks like a file", "app wx1 s\ntoken {\nalgorithm HS256\nkey {env.SHORT}.pem\n}", "PEM"},
		{"missing key file", "app wx1 s\ntoken {\nkey " + dir + "/none.pem\n}", "none.pem"},
		{"weak RSA key", "app wx1 s\ntoken {\nalgorithm RS256\nkey " + weak + "\n}", "2048"},
		{"previous key alone", "app wx1 s\ntoken {\nprevious_key " + weak + "\n}", "key <pem file"},
		{"ttl with a fraction", "app wx1 s\ntoken {\nttl 1500ms\n}", "whole seconds"},
		{"base_path without slash", "app wx1 s\nbase_path auth", "base_path"},
		{"base_path is all", "app wx1 s\nbase_path /", "base_path"},
		{"base_path with a wildcard", "app wx1 s\nbase_path /auth/*", "base_path"},
		{"hook without a secret", "app wx1 s\nhook http://a/hook", "secret {env.HOOK_SECRET}"},
		{"hook secret one byte short", "app wx1 s\nhook http://a/hook {\nsecret {env.SHORT}\n}", "it needs 32"},
		{"service secret one byte short", "app wx1 s\nservice {\nsecret {env.SHORT}\n}", "it needs 32"},
		{"service secret with a space", "app wx1 s\nservice {\nsecret \"{env.SHORT} x\"\n}", "no Authorization header"},
		{"service secret from a missing variable", "app wx1 s\nservice {\nsecret {env.NO_SUCH_VARIABLE}\n}", "NO_SUCH_VARIABLE"},
		{"hook secret from a missing variable", "app wx1 s\nhook http://a/hook {\nsecret {env.NO_SUCH_VARIABLE}\n}", "NO_SUCH_VARIABLE"},
		{"hook without a host", "app wx1 s\nhook /hook {\nsecret {env.LONG}\n}", "write an address"},
		{"hook of another scheme", "app wx1 s\nhook ftp://a/hook {\nsecret {env.LONG}\n}", "write an address"},
		{"avatar too large", "app wx1 s\nprofile {\navatar 5000\n}", "2048"},
		{"max_upload too large", "app wx1 s\nprofile {\nmax_upload 1GB\n}", "64MiB"},
		{"token server without a scheme", "app wx1 s {\naccess_token {env.SHORT}\n}", "token server"},
		{"signing without a key", "app wx1 s {\nsigning {\nprivate_key p " + weak + "\nplatform_certificate c " + weak + "\n}\n}", "takes a key"},
		{"signing with a weak key", "app wx1 s {\nsigning {\nkey k MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=\nprivate_key p " + weak + "\nplatform_certificate c " + weak + "\n}\n}", "2048"},
		{"signing with a missing file", "app wx1 s {\nsigning {\nkey k MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=\nprivate_key p " + dir + "/none.pem\nplatform_certificate c " + weak + "\n}\n}", "none.pem"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := new(wechatauth.Handler)
			if err := h.UnmarshalCaddyfile(caddyfile.NewTestDispenser("wechat_auth {\n" + tt.lines + "\n}")); err != nil {
				t.Fatalf("parsing: %v", err)
			}
			err := h.Provision(newContext(t))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want an error with %q", err, tt.want)
			}
			if err != nil && strings.Contains(err.Error(), os.Getenv("SHORT")) {
				t.Errorf("the error shows the secret: %v", err)
			}
			if err := h.Cleanup(); err != nil {
				t.Errorf("Cleanup after a failed Provision: %v", err)
			}
		})
	}
}

// JSON knows the same rules as the Caddyfile.
func TestProvisionRefusesBadJSON(t *testing.T) {
	t.Parallel()
	app := []*wechatauth.App{{ID: "wx1", Secret: "s"}}
	for name, h := range map[string]*wechatauth.Handler{
		"everything public":     {Apps: app, Public: []*wechatauth.Paths{{Paths: []string{"/*"}}}},
		"no path":               {Apps: app, Optional: []*wechatauth.Paths{{Methods: []string{"GET"}}}},
		"method in small":       {Apps: app, Public: []*wechatauth.Paths{{Methods: []string{"get"}, Paths: []string{"/x"}}}},
		"headers":               {Apps: app, Headers: "all"},
		"header with underline": {Apps: app, ExtraHeaders: []*wechatauth.Header{{Name: "X_User", Claim: "openid"}}},
		"header without claim":  {Apps: app, ExtraHeaders: []*wechatauth.Header{{Name: "X-User"}}},
		"authorization":         {Apps: app, Authorization: "hide"},
		"token_from both":       {Apps: app, TokenFrom: []*wechatauth.TokenFrom{{Query: "a", Cookie: "b"}}},
		"token_from null":       {Apps: app, TokenFrom: []*wechatauth.TokenFrom{nil}},
		"cors empty":            {Apps: app, CORS: []string{""}},
		"token_from neither":    {Apps: app, TokenFrom: []*wechatauth.TokenFrom{{}}},
		"token phone":           {Apps: app, Token: wechatauth.Token{Phone: "none"}},
		"negative ttl":          {Apps: app, Token: wechatauth.Token{TTL: -1}},
		"negative timeout":      {Apps: app, Timeout: -1},
		"limit without window":  {Apps: app, Limits: wechatauth.Limits{Login: &wechatauth.Rate{Events: 1}}},
		"null app":              {Apps: []*wechatauth.App{nil}},
		"null path":             {Apps: app, Public: []*wechatauth.Paths{nil}},
		"null header":           {Apps: app, ExtraHeaders: []*wechatauth.Header{nil}},
		"empty audience":        {Apps: app, Token: wechatauth.Token{Audience: []string{""}}},
		"misspelt method":       {Apps: app, PhoneRequired: []*wechatauth.Paths{{Methods: []string{"POTS"}, Paths: []string{"/x"}}}},
		"no secret":             {Apps: []*wechatauth.App{{ID: "wx1"}}},
		"access_token":          {Apps: []*wechatauth.App{{ID: "wx1", Secret: "s", AccessToken: "forced"}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := h.Provision(newContext(t)); err == nil {
				t.Error("got no error")
			}
			if err := h.Cleanup(); err != nil {
				t.Errorf("Cleanup: %v", err)
			}
		})
	}
}

func TestKeysFromFilesAndPlaceholders(t *testing.T) {
	dir := t.TempDir()
	for _, alg := range []string{"ES256", "EdDSA", "RS256"} {
		key, err := jwt.GenerateKey(alg)
		if err != nil {
			t.Fatal(err)
		}
		data, err := key.ExportPrivate()
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(dir, alg+".pem")
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
		t.Setenv("KEY", string(data))
		t.Setenv("KEY_FILE", file)
		for _, written := range []string{file, "{env.KEY}", "{env.KEY_FILE}", "{file." + file + "}"} {
			s := newSite(t, "token {\nalgorithm "+alg+"\nkey "+written+"\n}")
			jwks := string(s.do("GET", "/auth/.well-known/jwks.json", "", "").body)
			if !strings.Contains(jwks, key.ID()) {
				t.Errorf("%s by %s: got %s, want kid %s", alg, written, jwks, key.ID())
			}
			s.token(s.fake.NewUser(s.appID))
		}
	}
}

// A key change logs nobody out: the old key verifies until its last token has expired.
func TestPreviousKeyStillVerifies(t *testing.T) {
	t.Parallel()
	const before, after = "4pDrEP1sxH2rBqJSdk0wqQzvTn8mYcL7", "n3Xc9VbTqLwZ7KfRj2HsYpM5uGaDe8Qv"
	s := newSite(t, "token {\nalgorithm HS256\nkey "+before+"\n}")
	token := s.token(s.fake.NewUser(s.appID))
	app := "wechat_auth {\napp " + s.appID + " " + testSecret + "\nstore memory\ntoken {\nalgorithm HS256\nkey " + after + "\n"
	s.handler = provision(t, app+"previous_key "+before+"\n}\n}")
	if a := s.do("GET", "/", token, ""); a.status != 200 {
		t.Errorf("with previous_key: got %d %s", a.status, a.body)
	}
	s.handler = provision(t, app+"}\n}")
	want(t, s.do("GET", "/", token, ""), 401, "token_invalid")
}
