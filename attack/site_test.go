// Tokens at one site and at several.

package attack_test

import (
	"bytes"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"strings"
	"testing"

	gojwt "github.com/golang-jwt/jwt/v5"
)

// No token is no error; RFC 6750 section 3 has the challenge say nothing but the scheme.
// Threats: T29, T49, C25.
func TestMissingTokenIsPlainlyChallenged(t *testing.T) {
	t.Parallel()
	r := caddyRig(t)
	for _, fields := range [][]string{
		nil,
		{"Authorization:"},
		{"Authorization: "},
		{"Authorization: Basic YTpi"},
		{"Authorization: JWT a.b.c"},
		{"Authorization: Token a.b.c"},
		{"Authorization: a.b.c"},
		{"Authorization: BearerX a.b.c"},
		{"Authorization: Bearer=a.b.c"},
		{"Authorization: Digest username=\"a\""},
		{"Authorization: Bea rer a.b.c"},
		{"Authorization: \u0412earer a.b.c"},
		{"Authorization: Negotiate AAAA"},
		{"Authorization: MAC id=1"},
	} {
		t.Run(fmt.Sprint(fields), func(t *testing.T) {
			t.Parallel()
			for _, line := range []string{"GET /api", "POST /api", "GET /vip/x", "GET /auth/verify", "POST /auth/phone"} {
				got := r.exchange(t, "main", raw(line, fields...))
				wantRefused(t, got, 401, "token_missing")
				if c := got.header["Www-Authenticate"]; len(c) != 1 || !strings.HasPrefix(c[0], "Bearer") || strings.Contains(c[0], "error") {
					t.Errorf("%s: WWW-Authenticate: got %q, want one Bearer challenge without error", line, c)
				}
				if c := got.header.Get("Content-Type"); !strings.HasPrefix(c, "application/json") {
					t.Errorf("%s: Content-Type: got %q, want application/json", line, c)
				}
				if got.header.Get("Cache-Control") != "no-store" || got.header.Get("X-Content-Type-Options") != "nosniff" {
					t.Errorf("%s: got %v, want no-store and nosniff", line, got.header)
				}
			}
			wantForwarded(t, r.exchange(t, "main", raw("GET /optional/x", fields...)))
		})
	}
}

// Two tokens, or what a reader could take for two, are refused whatever they are.
// Threats: T48, C27.
func TestTwoTokensAreRefused(t *testing.T) {
	t.Parallel()
	r := caddyRig(t)
	a, b := r.login(t, "main"), r.login(t, "main")
	for _, fields := range [][]string{
		{bearer(a.token), bearer(b.token)},
		{bearer(b.token), bearer(a.token)},
		{bearer(a.token), bearer(a.token)},
		{bearer(a.token), "authorization: Bearer x"},
		{"Authorization: Basic YTpi", bearer(a.token)},
		{bearer(a.token), "Authorization: Basic YTpi"},
		{bearer(a.token), "Authorization:"},
		{"Authorization:", bearer(a.token)},
		{bearer(a.token) + ", Bearer " + b.token},
		{bearer(a.token) + "," + b.token},
		{bearer(a.token) + ","},
		{bearer(a.token), "X-Other: 1", bearer(a.token)},
		{bearer(a.token), bearer(a.token), bearer(a.token)},
		{"Authorization:", "Authorization:"},
	} {
		t.Run(fmt.Sprintf("%.60q", fields), func(t *testing.T) {
			t.Parallel()
			for _, line := range []string{"GET /api", "GET /optional/x", "GET /vip/x", "GET /auth/verify"} {
				got := r.exchange(t, "main", raw(line, fields...))
				wantRefused(t, got, 400, "invalid_request")
				if c := got.header.Get("WWW-Authenticate"); !strings.Contains(c, `error="invalid_request"`) {
					t.Errorf("%s: WWW-Authenticate: got %q, want error invalid_request", line, c)
				}
			}
		})
	}
}

// The scheme's case and the number of spaces do not count.
// Threats: T49.
func TestSchemeForms(t *testing.T) {
	t.Parallel()
	r := caddyRig(t)
	a := r.login(t, "main")
	for _, line := range []string{
		"Authorization: Bearer $", "Authorization: bearer $", "Authorization: BEARER $", "authorization: bEaReR $", "Authorization:Bearer $",
		"Authorization: Bearer   $", "Authorization:\tBearer $", "Authorization: Bearer $   ", "Authorization: Bearer $\t",
	} {
		got := wantForwarded(t, r.exchange(t, "main", raw("GET /api", strings.ReplaceAll(line, "$", a.token))))
		wantIdentity(t, got, rigIdentity(a))
	}
}

// CVE-2026-33496: a token counts at the sites of its app, issuer, audience and key, and
// nowhere else, remembered or not. Sites main and b share Caddy, the default issuer and the
// automatic key.
// Threats: T42, C07.
func TestTokensOfOtherSites(t *testing.T) {
	t.Parallel()
	r := caddyRig(t)
	sites := []string{"main", "b", "both", "hs", "rs", "es", "ed", "audience", "issuer", "strip", "sealed"}
	// The sites that have the same app, issuer, audience and key on purpose.
	alike := map[string]string{"main": "a", "strip": "a", "sealed": "a", "both": "a", "b": "b"}
	users := map[string]rigUser{}
	for _, site := range sites {
		users[site] = r.login(t, site)
	}
	for _, from := range sites {
		for _, to := range sites {
			t.Run(from+" at "+to, func(t *testing.T) {
				t.Parallel()
				u := users[from]
				same := from == to || alike[from] != "" && alike[from] == alike[to] || from == "b" && to == "both"
				for range 2 {
					wantForwarded(t, r.exchange(t, from, raw("GET /api", bearer(u.token))))
					got := r.exchange(t, to, raw("GET /api", bearer(u.token)))
					if !same {
						wantInvalid(t, got)
						wantInvalid(t, r.exchange(t, to, raw("POST /auth/phone", bearer(u.token), "Content-Length: 12")+`{"code":"x"}`))
						continue
					}
					if w := wantForwarded(t, got); w.get("X-WX-APPID")[0] != u.AppID || w.get("X-WX-OPENID")[0] != u.OpenID {
						t.Errorf("got %v upstream, want %s of %s", w, u.OpenID, u.AppID)
					}
				}
			})
		}
	}
}

// A site with two apps passes the right appid to the upstream.
func TestTwoAppsOnOneSite(t *testing.T) {
	t.Parallel()
	r := caddyRig(t)
	a := r.fake.NewUser(rigAppA)
	for _, u := range []rigUser{r.loginAs(t, "both", a), r.loginAs(t, "both", r.fake.Same(a, rigAppB))} {
		got := wantForwarded(t, r.exchange(t, "both", raw("GET /api", "X-WX-APPID: evil", bearer(u.token))))
		want := map[string][]string{"x-wx-openid": {u.OpenID}, "x-wx-appid": {u.AppID}, "x-wx-unionid": {u.UnionID}, "x-wx-source": {"wx_client"}}
		wantIdentity(t, got, want)
	}
	// Whose code it is decides WeChat; the appid only chooses whom to ask.
	code := r.fake.LoginCode(a)
	want(t, r.post(t, "both", "/auth/login", "", object("code", code)), 400, "invalid_request")
	want(t, r.post(t, "both", "/auth/login", "", object("code", code, "appid", "wxother")), 400, "invalid_request")
	want(t, r.post(t, "both", "/auth/login", "", object("code", code), "Referer", "https://servicewechat.com.evil.test/"+rigAppA+"/1/page-frame.html"), 400, "invalid_request")
	want(t, r.post(t, "both", "/auth/login", "", object("code", code, "appid", rigAppB)), 401, "code_invalid")
	want(t, r.post(t, "both", "/auth/login", "", object("code", code), "Referer", "https://servicewechat.com/"+rigAppA+"/1/page-frame.html"), 200, "")
}

// The public key, which everybody can fetch, is no HMAC secret in any form; nor is what the
// JWKS says.
// Threats: T32, C02.
func TestPublicKeysAreNoSecrets(t *testing.T) {
	t.Parallel()
	r := caddyRig(t)
	for site, public := range map[string][]byte{"rs": r.keys.rsPub, "es": r.keys.esPub} {
		u := r.login(t, site)
		var head struct{ Alg, Kid string }
		if err := json.Unmarshal([]byte(unbase64(t, strings.Split(u.token, ".")[0])), &head); err != nil {
			t.Fatal(err)
		}
		jwks := r.exchange(t, site, raw("GET /auth/.well-known/jwks.json"))
		if jwks.status != 200 || !bytes.Contains(jwks.body, []byte(head.Kid)) {
			t.Fatalf("%s: JWKS: got %d %s, want key %s", site, jwks.status, jwks.body, head.Kid)
		}
		block, _ := pem.Decode(public)
		pkcs1 := []byte("x")
		if key, err := x509.ParsePKIXPublicKey(block.Bytes); err == nil {
			if key, ok := key.(*rsa.PublicKey); ok {
				pkcs1 = x509.MarshalPKCS1PublicKey(key)
			}
		}
		thumb := sha256.Sum256(block.Bytes)
		secrets := map[string][]byte{
			"PEM": public, "PEM trimmed": bytes.TrimSpace(public), "PEM with CRLF": bytes.ReplaceAll(public, []byte("\n"), []byte("\r\n")), "DER": block.Bytes,
			"base64": []byte(base64.StdEncoding.EncodeToString(block.Bytes)), "PKCS1": pkcs1, "PKCS1 PEM": pem.EncodeToMemory(&pem.Block{Type: "RSA PUBLIC KEY", Bytes: pkcs1}),
			"JWKS": jwks.body, "kid": []byte(head.Kid), "thumbprint": thumb[:], "empty": {}, "zeros": make([]byte, 32), "issuer": []byte("wechat_auth"),
			"modulus": jwkMember(t, jwks.body, "n", "x"), "exponent": jwkMember(t, jwks.body, "e", "y"),
		}
		for name, secret := range secrets {
			for _, method := range []gojwt.SigningMethod{gojwt.SigningMethodHS256, gojwt.SigningMethodHS384, gojwt.SigningMethodHS512} {
				t.Run(site+" "+name+" "+method.Alg(), func(t *testing.T) {
					t.Parallel()
					f := forger{payload: claims(t, u.token)}
					payload := f.with("openid", `"oEvil"`, "sub", `"oEvil"`)
					for _, alg := range []string{method.Alg(), head.Alg} {
						token := signWith(t, method, secret, fmt.Sprintf(`{"alg":%q,"kid":%q,"typ":"JWT"}`, alg, head.Kid), payload)
						wantInvalid(t, r.exchange(t, site, raw("GET /api", bearer(token))))
					}
				})
			}
		}
	}
}

func jwkMember(t *testing.T, jwks []byte, names ...string) []byte {
	t.Helper()
	var set struct{ Keys []map[string]any }
	if err := json.Unmarshal(jwks, &set); err != nil || len(set.Keys) == 0 {
		t.Fatalf("not a JWKS: %s", jwks)
	}
	for _, name := range names {
		if text, ok := set.Keys[0][name].(string); ok {
			return []byte(unbase64(t, text))
		}
	}
	t.Fatalf("a key without %v: %s", names, jwks)
	return nil
}

// The reverse: a site with a secret takes no other length of it and publishes
// nothing.
// Threats: T33, C01.
func TestSecretsStaySecret(t *testing.T) {
	t.Parallel()
	r := caddyRig(t)
	u := r.login(t, "hs")
	f := newForger(t, u, r.keys.hs)
	for _, method := range []gojwt.SigningMethod{gojwt.SigningMethodHS384, gojwt.SigningMethodHS512} {
		for _, alg := range []string{method.Alg(), "HS256"} {
			head := strings.Replace(f.head, `"HS256"`, `"`+alg+`"`, 1)
			wantInvalid(t, r.exchange(t, "hs", raw("GET /api", bearer(signWith(t, method, r.keys.hs, head, f.with())))))
		}
	}
	for _, method := range []gojwt.SigningMethod{gojwt.SigningMethodRS256, gojwt.SigningMethodPS256} {
		head := strings.Replace(f.head, `"HS256"`, `"`+method.Alg()+`"`, 1)
		wantInvalid(t, r.exchange(t, "hs", raw("GET /api", bearer(signWith(t, method, r.keys.rs, head, f.with())))))
	}
	got := r.exchange(t, "hs", raw("GET /auth/.well-known/jwks.json"))
	if got.status != 200 || strings.TrimSpace(string(got.body)) != `{"keys":[]}` {
		t.Errorf("JWKS: got %d %s, want an empty set", got.status, got.body)
	}
	for _, site := range []string{"main", "rs", "es", "ed"} {
		got := r.exchange(t, site, raw("GET /auth/.well-known/jwks.json"))
		for _, private := range []string{`"d"`, `"p"`, `"q"`, `"k"`, "PRIVATE", base64.RawURLEncoding.EncodeToString(r.keys.rs.D.Bytes())} {
			if bytes.Contains(got.body, []byte(private)) {
				t.Errorf("%s: the JWKS has %s: %s", site, private, got.body)
			}
		}
		if !strings.Contains(got.header.Get("Cache-Control"), "max-age") {
			t.Errorf("%s: Cache-Control: got %q, want a max-age", site, got.header.Get("Cache-Control"))
		}
	}
}

// RSA with another padding, or a key of the forger's own, at the site with an RSA key.
// Threats: C02.
func TestOtherKeysOfTheSameKind(t *testing.T) {
	t.Parallel()
	r := caddyRig(t)
	f := newForger(t, r.login(t, "rs"), r.keys.rs)
	wantForwarded(t, r.exchange(t, "rs", raw("GET /api", bearer(f.sign(t, f.head, f.with())))))
	for _, method := range []gojwt.SigningMethod{gojwt.SigningMethodPS256, gojwt.SigningMethodRS384, gojwt.SigningMethodRS512} {
		for _, alg := range []string{method.Alg(), "RS256"} {
			head := strings.Replace(f.head, `"RS256"`, `"`+alg+`"`, 1)
			wantInvalid(t, r.exchange(t, "rs", raw("GET /api", bearer(signWith(t, method, r.keys.rs, head, f.with())))))
		}
	}
	// A raw RSA signature of zero or one verifies under e = 3 with careless padding checks
	// (Bleichenbacher 2006).
	signed := base64url(f.head) + "." + base64url(f.with())
	for _, value := range []*big.Int{new(big.Int), big.NewInt(1), r.keys.rs.N, new(big.Int).Sub(r.keys.rs.N, big.NewInt(1))} {
		signature := value.FillBytes(make([]byte, 256))
		wantInvalid(t, r.exchange(t, "rs", raw("GET /api", bearer(signed+"."+base64url(string(signature))))))
	}
	es := newForger(t, r.login(t, "es"), r.keys.es)
	wantInvalid(t, r.exchange(t, "rs", raw("GET /api", bearer(es.sign(t, f.head, f.with())))))
	wantInvalid(t, r.exchange(t, "rs", raw("GET /api", bearer(es.sign(t, es.head, f.with())))))
}
