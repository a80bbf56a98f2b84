// Forged, altered and outdated tokens.

package attack_test

import (
	"bytes"
	"crypto/ecdsa"
	"encoding/base64"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	gojwt "github.com/golang-jwt/jwt/v5"
)

// wantInvalid checks the one answer to every token that is not valid: which check it failed is
// nobody's business (CVE-2019-7644).
func wantInvalid(t *testing.T, got reply) {
	t.Helper()
	wantRefused(t, got, 401, "token_invalid")
	const body = `{"error":"token_invalid","error_description":"the access token is not valid here"}`
	if string(got.body) != body {
		t.Errorf("body: got %s, want %s as for all others", got.body, body)
	}
	if c := got.header.Get("WWW-Authenticate"); c != `Bearer realm="wechat_auth", error="invalid_token"` {
		t.Errorf("WWW-Authenticate: got %q, want error invalid_token and no more", c)
	}
	if c := got.header.Get("Cache-Control"); c != "no-store" {
		t.Errorf("Cache-Control: got %q, want no-store", c)
	}
}

// forger makes tokens for a site whose key it has.
type forger struct {
	method  gojwt.SigningMethod
	key     any
	head    string         // JSON of the right header
	payload map[string]any // of a valid token
}

// newForger takes header and claims from a token that the site issued.
func newForger(t *testing.T, u rigUser, key any) forger {
	t.Helper()
	parts := strings.Split(u.token, ".")
	head := unbase64(t, parts[0])
	var alg string
	if _, err := fmt.Sscanf(head, `{"alg":%q`, &alg); err != nil {
		t.Fatalf("header of an issued token: %s: %v", head, err)
	}
	return forger{method: gojwt.GetSigningMethod(alg), key: key, head: head, payload: claims(t, u.token)}
}

func unbase64(t *testing.T, s string) string {
	t.Helper()
	text, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func base64url(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

// with is the valid payload with other members, as pairs of name and raw JSON; "" leaves one out.
func (f forger) with(changes ...string) string {
	members := map[string]string{}
	for name, value := range f.payload {
		switch v := value.(type) {
		case string:
			members[name] = fmt.Sprintf("%q", v)
		case float64:
			members[name] = fmt.Sprintf("%d", int64(v))
		case bool:
			members[name] = fmt.Sprint(v)
		}
	}
	for i := 0; i+1 < len(changes); i += 2 {
		members[changes[i]] = changes[i+1]
	}
	var parts []string
	for name, value := range members {
		if value != "" {
			parts = append(parts, fmt.Sprintf("%q:%s", name, value))
		}
	}
	return "{" + strings.Join(parts, ",") + "}"
}

// sign makes a token of any header and payload.
func (f forger) sign(t *testing.T, head, payload string) string {
	t.Helper()
	return signWith(t, f.method, f.key, head, payload)
}

func signWith(t *testing.T, method gojwt.SigningMethod, key any, head, payload string) string {
	t.Helper()
	text := base64url(head) + "." + base64url(payload)
	signature, err := method.Sign(text, key)
	if err != nil {
		t.Fatal(err)
	}
	return text + "." + base64url(string(signature))
}

// What is not one compact token is refused, all in the same words.
// Threats: T30, T44, T45, T51, C03, C12.
func TestGarbageTokensAreRefusedAlike(t *testing.T) {
	t.Parallel()
	r := caddyRig(t)
	u := r.login(t, "main")
	wantForwarded(t, r.exchange(t, "main", raw("GET /api", bearer(u.token)))) // it is remembered from here on
	head, rest, _ := strings.Cut(u.token, ".")
	payload, signature, _ := strings.Cut(rest, ".")
	last := strings.Index("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", signature[len(signature)-1:])
	twin := signature[:len(signature)-1] + string("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"[last^1])
	for _, tt := range []struct{ name, token string }{
		{"empty", ""},
		{"a word", "x"},
		{"dots", ".."},
		{"three dots", "..."},
		{"one part", head},
		{"two parts", head + "." + payload},
		{"no signature", head + "." + payload + "."},
		{"no header", "." + payload + "." + signature},
		{"no payload", head + ".." + signature},
		{"four parts", u.token + ".x"},
		{"trailing dot", u.token + "."},
		{"leading dot", "." + u.token},
		{"five parts as in JWE", u.token + ".x.y"},
		{"twice", u.token + u.token},
		{"doubled signature", u.token + signature},
		{"padding", u.token + "="},
		{"padded signature", u.token + "=="},
		{"padded header", head + "=." + payload + "." + signature},
		{"unused trailing bits", head + "." + payload + "." + twin},
		{"signature cut", u.token[:len(u.token)-1]},
		{"signature longer", u.token + "A"},
		{"signature of zeros", head + "." + payload + "." + strings.Repeat("A", 86)},
		{"standard alphabet", head + "." + payload + "." + strings.Repeat("+/", 43)},
		{"quoted", `"` + u.token + `"`},
		{"angle brackets", "<" + u.token + ">"},
		{"trailing semicolon", u.token + ";"},
		{"trailing word", u.token + " x"},
		{"trailing tab", u.token + "\tx"},
		{"scheme twice", "Bearer " + u.token},
		{"percent-encoded dots", strings.ReplaceAll(u.token, ".", "%2e")},
		{"first byte encoded", "%65" + u.token[1:]},
		{"8 KiB and a byte", strings.Repeat("a", 8193-len(".b.c")) + ".b.c"},
		{"9 KiB payload", head + "." + strings.Repeat("a", 9<<10) + "." + signature},
		{"500,000 dots (CVE-2025-30204)", strings.Repeat(".", 500_000)},
		{"non-ASCII", "\u0435" + u.token[1:]},
		{"invalid UTF-8", "\xff" + u.token},
		{"another header", base64url(`{"alg":"ES256","typ":"JWT"}`) + "." + payload + "." + signature},
		{"header not JSON", base64url("x") + "." + payload + "." + signature},
		{"payload not JSON", head + "." + base64url("x") + "." + signature},
		{"payload null", head + "." + base64url("null") + "." + signature},
		{"payload deep", head + "." + base64url(strings.Repeat("[", 5000)) + "." + signature},
		{"payload changed", head + "." + base64url(strings.Replace(unbase64(t, payload), u.OpenID, "oEvil", 2)) + "." + signature},
		{"AppSecret", rigSecret},
		{"openid", u.OpenID},
		{"zip bomb announced", base64url(`{"alg":"ES256","zip":"DEF","typ":"JWT"}`) + ".x.y"},
		{"path", "../../../../etc/passwd"},
		{"placeholder", "{env.PATH}"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			wantInvalid(t, r.exchange(t, "main", raw("GET /api", bearer(tt.token))))
			wantInvalid(t, r.exchange(t, "main", raw("GET /optional/x", bearer(tt.token))))
			wantInvalid(t, r.exchange(t, "main", raw("GET /vip/x", bearer(tt.token))))
			wantInvalid(t, r.exchange(t, "main", raw("GET /auth/verify", bearer(tt.token))))
			wantInvalid(t, r.exchange(t, "main", raw("POST /auth/phone", bearer(tt.token), "Content-Length: 2")+"{}"))
			wantForwarded(t, r.exchange(t, "main", raw("GET /public/x", bearer(tt.token))))
		})
	}
	got := r.exchange(t, "main", raw("GET /api", bearer(strings.Repeat(".", 2<<20))))
	if got.status != 431 || len(got.reached) > 0 {
		t.Errorf("2 MiB of dots: got %d, want 431 of the server", got.status)
	}
}

// CVE-2022-21449 and kin: signatures that a careless verifier takes.
// Threats: T46.
func TestForgedECDSASignatures(t *testing.T) {
	t.Parallel()
	r := caddyRig(t)
	u := r.login(t, "es")
	f := newForger(t, u, r.keys.es)
	wantForwarded(t, r.exchange(t, "es", raw("GET /api", bearer(f.sign(t, f.head, f.with())))))
	signed := base64url(f.head) + "." + base64url(f.with("sub", `"oEvil"`, "openid", `"oEvil"`))
	n := r.keys.es.Curve.Params().N
	one, zero := big.NewInt(1), new(big.Int)
	for i, pair := range [][2]*big.Int{
		{zero, zero},
		{one, zero},
		{zero, one},
		{one, one},
		{n, n},
		{n, one},
		{one, n},
		{new(big.Int).Sub(n, one), one},
		{new(big.Int).Add(n, one), one},
		{one, new(big.Int).Sub(n, one)},
	} {
		var raw64 [64]byte
		pair[0].FillBytes(raw64[:32])
		pair[1].FillBytes(raw64[32:])
		got := r.exchange(t, "es", raw("GET /api", bearer(signed+"."+base64url(string(raw64[:])))))
		if got.status != 401 {
			t.Errorf("pair %d: got %d, want 401", i, got.status)
		}
		wantInvalid(t, got)
	}
	digest := gojwt.SigningMethodES256.Hash.New()
	digest.Write([]byte(signed))
	der, err := ecdsa.SignASN1(nil, r.keys.es, digest.Sum(nil))
	if err != nil {
		t.Fatal(err)
	}
	wantInvalid(t, r.exchange(t, "es", raw("GET /api", bearer(signed+"."+base64url(string(der))))))
}

// Headers of tokens, most of them signed with the right key as a second service
// that shares it might.
// Threats: T31, T34, T35, T36, T38, T43, C09, C10, C13, C14, C16.
func TestHeadersOfTokens(t *testing.T) {
	t.Parallel()
	r := caddyRig(t)
	canary, err := listenWire()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(canary.close)
	for site, key := range map[string]any{"hs": r.keys.hs, "es": r.keys.es, "rs": r.keys.rs, "ed": r.keys.ed} {
		f := newForger(t, r.login(t, site), key)
		wantForwarded(t, r.exchange(t, site, raw("GET /api", bearer(f.sign(t, f.head, f.with())))))
		kid := f.head[strings.Index(f.head, `"kid":`)+6 : strings.Index(f.head, `,"typ"`)]
		alg := fmt.Sprintf("%q", f.method.Alg())
		tests := map[string]string{
			"no kid":         `{"alg":` + alg + `,"typ":"JWT"}`,
			"no typ":         `{"alg":` + alg + `,"kid":` + kid + `}`,
			"no alg":         `{"kid":` + kid + `,"typ":"JWT"}`,
			"alg in array":   `{"alg":[` + alg + `],"kid":` + kid + `,"typ":"JWT"}`,
			"alg null":       `{"alg":null,"kid":` + kid + `,"typ":"JWT"}`,
			"alg twice":      `{"alg":"none","alg":` + alg + `,"kid":` + kid + `,"typ":"JWT"}`,
			"Alg":            `{"Alg":` + alg + `,"kid":` + kid + `,"typ":"JWT"}`,
			"alg lower case": strings.Replace(f.head, alg, strings.ToLower(alg), 1),
			"typ at+jwt":     strings.Replace(f.head, `"JWT"`, `"at+jwt"`, 1),
			"typ in lower":   strings.Replace(f.head, `"JWT"`, `"jwt"`, 1),
			"typ twice":      strings.Replace(f.head, `"typ"`, `"typ":"x","typ"`, 1),
			"array":          "[" + f.head + "]",
			"two objects":    f.head + f.head,
			"trailing NUL":   f.head + "\x00",
			"BOM":            "\ufeff" + f.head,
		}
		for _, v := range []string{"none", "None", "NONE", "nOnE", "none ", "HS256", "HS384", "HS512", "RS256", "RS512", "ES256", "ES384", "PS256", "EdDSA", "Ed25519", "", "dir", "A256GCMKW", "PBES2-HS256+A128KW", "RSA-OAEP"} {
			if v != f.method.Alg() {
				tests["alg "+v] = strings.Replace(f.head, alg, fmt.Sprintf("%q", v), 1)
			}
		}
		for _, v := range []string{
			`"../../../../dev/null"`, `"/dev/null"`, `"' OR 1=1 --"`, `"|sleep 5"`, `""`, `null`, `0`, `[` + kid + `]`, `{"a":1}`, `"` + strings.Repeat("k", 4000) + `"`,
			`"` + strings.ToUpper(strings.Trim(kid, `"`)) + `"`, `"http://` + canary.addr + `/key"`, `"file:///etc/passwd"`, `"{env.PATH}"`,
		} {
			tests["kid "+v[:min(len(v), 20)]] = strings.Replace(f.head, kid, v, 1)
		}
		for _, v := range []string{
			`"jku":"http://` + canary.addr + `/jku"`, `"x5u":"http://` + canary.addr + `/x5u"`, `"jwk":{"kty":"oct","k":"AAAA"}`, `"x5c":["AAAA"]`, `"x5t":"a"`,
			`"crit":["b64"],"b64":false`, `"b64":false`, `"b64":true`, `"crit":[]`, `"crit":["exp"]`, `"zip":"DEF"`, `"cty":"JWT"`, `"enc":"A256GCM"`, `"p2c":2147483647`,
			`"nonce":"1"`, `"iss":"wechat_auth"`, `"":""`,
		} {
			tests["extra "+v[:min(len(v), 20)]] = strings.TrimSuffix(f.head, "}") + "," + v + "}"
		}
		for name, head := range tests {
			t.Run(site+" "+name, func(t *testing.T) {
				t.Parallel()
				token := f.sign(t, head, f.with())
				wantInvalid(t, r.exchange(t, site, raw("GET /api", bearer(token))))
				if strings.Contains(name, "alg ") {
					unsigned := token[:strings.LastIndexByte(token, '.')+1]
					wantInvalid(t, r.exchange(t, site, raw("GET /api", bearer(unsigned))))
				}
			})
		}
	}
	t.Cleanup(func() { // after the subtests
		if hits := len(canary.requests("")); hits > 0 {
			t.Errorf("a key was fetched: got %d requests, want none", hits)
		}
	})
}

// utf16LE writes ASCII in two bytes a character.
func utf16LE(s string) (out []byte) {
	for _, c := range []byte(s) {
		out = append(out, c, 0)
	}
	return out
}

// Claims of tokens that are signed with the right key.
// Threats: T39, T40, T41, T43, T51, C05, C06, C07, C08, C15, C26.
func TestClaimsOfTokens(t *testing.T) {
	t.Parallel()
	r := caddyRig(t)
	u := r.login(t, "hs")
	f := newForger(t, u, r.keys.hs)
	now := time.Now().Unix()
	at := func(offset int64) string { return fmt.Sprint(now + offset) }
	good := f.with()
	for _, tt := range []struct {
		name, payload string
		code          string // "" means accepted
	}{
		{"control", good, ""},
		{"an unknown claim", f.with("role", `"admin"`), ""},
		{"almost expired", f.with("iat", at(-3000), "nbf", at(-3000), "exp", at(60)), ""},
		{"expired", f.with("iat", at(-3600), "nbf", at(-3600), "exp", at(-1)), "token_expired"},
		{"expired long ago", f.with("iat", "1000", "nbf", "1000", "exp", "4600"), "token_expired"},
		{"expired, of another issuer", f.with("iat", at(-3600), "nbf", at(-3600), "exp", at(-1), "iss", `"other"`), "token_invalid"},
		{"expired, of another app", f.with("iat", at(-3600), "nbf", at(-3600), "exp", at(-1), "appid", `"wxother"`), "token_invalid"},
		{"expired, of another audience", f.with("iat", at(-3600), "nbf", at(-3600), "exp", at(-1), "aud", `"x"`), "token_invalid"},
		{"expired, lifetime too long", f.with("iat", "1000", "nbf", "1000", "exp", "9000"), "token_invalid"},
		{"lifetime too long", f.with("iat", at(0), "exp", at(3601)), "token_invalid"},
		{"eternal", f.with("exp", "9999999999"), "token_invalid"},
		{"iat ahead", f.with("iat", at(120), "exp", at(600)), "token_invalid"},
		{"nbf ahead", f.with("nbf", at(120)), "token_invalid"},
		{"exp before iat", f.with("iat", at(-10), "exp", at(-20)), "token_invalid"},
		{"no exp", f.with("exp", ""), "token_invalid"},
		{"no iat", f.with("iat", ""), "token_invalid"},
		{"iat a little ahead", f.with("iat", at(20), "exp", at(600)), ""},
		{"no iss", f.with("iss", ""), "token_invalid"},
		{"no aud", f.with("aud", ""), "token_invalid"},
		{"no sub", f.with("sub", ""), "token_invalid"},
		{"no jti", f.with("jti", ""), "token_invalid"},
		{"no sid", f.with("sid", ""), "token_invalid"},
		{"no appid", f.with("appid", ""), "token_invalid"},
		{"no openid", f.with("openid", ""), "token_invalid"},
		{"exp null", f.with("exp", "null"), "token_invalid"},
		{"exp true", f.with("exp", "true"), "token_invalid"},
		{"exp a string", f.with("exp", `"`+at(600)+`"`), "token_invalid"},
		{"exp a fraction", f.with("exp", at(600)+".5"), "token_invalid"},
		{"exp 1e18", f.with("exp", "1e18"), "token_invalid"},
		{"exp negative", f.with("exp", "-1"), "token_invalid"},
		{"exp zero", f.with("exp", "0"), "token_invalid"},
		{"exp in an array", f.with("exp", "["+at(600)+"]"), "token_invalid"},
		{"exp twice", strings.Replace(good, "{", `{"exp":1,`, 1), "token_invalid"},
		{"openid twice", strings.Replace(good, "{", `{"openid":"oEvil",`, 1), "token_invalid"},
		{"OpenID beside openid", strings.Replace(good, "{", `{"OpenID":"oEvil",`, 1), "token_invalid"},
		{"sub is another than openid", f.with("sub", `"oEvil"`), "token_invalid"},
		{"openid is another than sub", f.with("openid", `"oEvil"`), "token_invalid"},
		{"other issuer", f.with("iss", `"other"`), "token_invalid"},
		{"issuer in an array", f.with("iss", `["wechat_auth"]`), "token_invalid"},
		{"other app in the audience of ours", f.with("appid", `"`+rigAppB+`"`), "token_invalid"},
		{"app B all through", f.with("appid", `"`+rigAppB+`"`, "aud", `"`+rigAppB+`"`), "token_invalid"},
		{"audience of many, ours not", f.with("aud", `["a","b"]`), "token_invalid"},
		{"openid with a line break", f.with("openid", `"o\r\nX-Admin: 1"`, "sub", `"o\r\nX-Admin: 1"`), "token_invalid"},
		{"openid of 5 KB", f.with("openid", `"`+strings.Repeat("o", 5000)+`"`, "sub", `"`+strings.Repeat("o", 5000)+`"`), "token_invalid"},
		{"phone with a line break", f.with("phone", `"1\r\nX-Admin: 1"`), "token_invalid"},
		{"phone a number", f.with("phone", "13800138000"), "token_invalid"},
		{"unionid a placeholder", f.with("unionid", `"{env.PATH}"`), "token_invalid"},
		{"sub and openid empty", f.with("openid", `""`, "sub", `""`), "token_invalid"},
		{"sub and openid a number", f.with("openid", "1", "sub", "1"), "token_invalid"},
		{"openid of 300 characters", f.with("openid", `"`+strings.Repeat("o", 300)+`"`, "sub", `"`+strings.Repeat("o", 300)+`"`), "token_invalid"},
		{"openid with a blank", f.with("openid", `"o a"`, "sub", `"o a"`), "token_invalid"},
		{"UTF-16", string(utf16LE(good)), "token_invalid"},
		{"invalid UTF-8", f.with("role", "\"\xff\""), "token_invalid"},
		{"trailing text", good + "x", "token_invalid"},
		{"array", "[" + good + "]", "token_invalid"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			token := f.sign(t, f.head, tt.payload)
			for range 2 { // the second time it may be remembered
				got := r.exchange(t, "hs", raw("GET /api", bearer(token)))
				switch tt.code {
				case "":
					wantForwarded(t, got)
				case "token_invalid":
					wantInvalid(t, got)
				default:
					wantRefused(t, got, 401, tt.code)
					if c := got.header.Get("WWW-Authenticate"); !strings.Contains(c, `error="invalid_token"`) {
						t.Errorf("WWW-Authenticate: got %q, want error invalid_token", c)
					}
				}
				if bytes.Contains(got.body, []byte(u.OpenID)) {
					t.Errorf("the refusal shows the openid: %s", got.body)
				}
			}
		})
	}
}
