// Attacks on a token's form and header.

package jwt_test

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	gojwt "github.com/golang-jwt/jwt/v5"

	"github.com/caddy-wechat/wechatauth/jwt"
)

// TestAlgNone: the oldest of all. A library that takes from the header the algorithm finds that
// there is nothing to verify (CVE-2015-9235), and a block-list misses the next spelling.
// Threats: T31.
func TestAlgNone(t *testing.T) {
	t.Parallel()
	for _, alg := range []string{"ES256", "HS256"} {
		s := newSite(t, alg)
		signature := s.issue(t)[strings.LastIndex(s.issue(t), ".")+1:]
		for _, none := range []string{
			`"none"`, `"None"`, `"NONE"`, `"nOnE"`, `"noNe"`, `"NoNe"`, `"none "`, `" none"`, `"none\u0000"`,
			`"\u006eone"`, `"nоne"`, `""`, `null`, `false`, `0`, `[]`, `{}`, `["none"]`,
		} {
			header := fmt.Sprintf(`{"alg":%s,"kid":%q,"typ":"JWT"}`, none, s.key.ID())
			signed := encode(header) + "." + encode(payload())
			for _, sig := range []string{"", "AA", signature, encode("none")} {
				wantInvalid(t, s.verifier, signed+"."+sig)
			}
		}
		wantInvalid(t, s.verifier, encode(fmt.Sprintf(`{"kid":%q,"typ":"JWT"}`, s.key.ID()))+"."+encode(payload())+"."+signature)
	}
}

// TestAlgorithmConfusion: the public key is public, so a verifier that lets the
// header turn it into an HMAC secret lets everybody sign (CVE-2016-5431).
// Threats: T32, C02.
func TestAlgorithmConfusion(t *testing.T) {
	t.Parallel()
	for _, alg := range []string{"RS256", "PS256", "ES256", "EdDSA"} {
		s := newSite(t, alg)
		public := publicOf(t, s)
		spki, err := x509.MarshalPKIXPublicKey(public)
		if err != nil {
			t.Fatal(err)
		}
		var set struct{ Keys []json.RawMessage }
		if err := json.Unmarshal(s.ring.JWKS(), &set); err != nil {
			t.Fatal(err)
		}
		written := publicPEM(t, public)
		secrets := map[string][]byte{
			"PEM": written, "trimmed PEM": []byte(strings.TrimSpace(string(written))), "DER": spki,
			"JWK": set.Keys[0], "JWKS": s.ring.JWKS(), "kid": []byte(s.key.ID()), "empty": {},
		}
		if k, ok := public.(*rsa.PublicKey); ok {
			secrets["PKCS#1 DER"] = x509.MarshalPKCS1PublicKey(k)
			secrets["PKCS#1 PEM"] = pemOf(t, "RSA PUBLIC KEY", secrets["PKCS#1 DER"], nil)
			secrets["modulus"] = k.N.Bytes()
		}

		for name, secret := range secrets {
			for _, method := range []*gojwt.SigningMethodHMAC{gojwt.SigningMethodHS256, gojwt.SigningMethodHS384, gojwt.SigningMethodHS512} {
				for _, claimed := range []string{method.Alg(), alg} {
					header := fmt.Sprintf(`{"alg":%q,"kid":%q,"typ":"JWT"}`, claimed, s.key.ID())
					token := forgeWith(t, method, secret, header, payload())
					if _, err := s.verifier.Verify(token); err != jwt.ErrInvalid {
						t.Errorf("%s, secret from %s, %s as %s: got %v, want ErrInvalid", alg, name, method.Alg(), claimed, err)
					}
				}
			}
		}
	}
}

// TestOtherAlgorithmOfTheSameKey: the key is right and the header honest, but
// the key is bound to one algorithm.
// Threats: T33, C01.
func TestOtherAlgorithmOfTheSameKey(t *testing.T) {
	t.Parallel()
	for key, others := range map[string][]string{
		"HS256": {"HS384", "HS512"}, "RS256": {"RS384", "RS512", "PS256"}, "PS256": {"RS256", "PS384"},
	} {
		s := newSite(t, key)
		for _, other := range others {
			for _, claimed := range []string{other, key} {
				header := fmt.Sprintf(`{"alg":%q,"kid":%q,"typ":"JWT"}`, claimed, s.key.ID())
				wantInvalid(t, s.verifier, forgeWith(t, gojwt.GetSigningMethod(other), s.private, header, payload()))
			}
		}
	}
}

// TestKidIsOnlyAName: a kid that is a path, a query or a command must not be
// followed. /dev/null is the favourite, for its content is a known secret.
// Threats: T34, C09.
func TestKidIsOnlyAName(t *testing.T) {
	t.Parallel()
	s := newSite(t, "HS256")
	for _, kid := range []string{
		`""`, `"../../../../dev/null"`, `"/dev/null"`, `"file:///dev/null"`, `"' UNION SELECT 'k' -- "`, `"k|sleep 10"`,
		`"$(curl http://127.0.0.1/)"`, `"\u0000"`, `null`, `0`, `true`, `[]`, `{}`, `["` + s.key.ID() + `"]`,
		`"` + s.key.ID() + ` "`, `"` + strings.ToUpper(s.key.ID()) + `"`, `"` + s.key.ID()[1:] + `"`, `"` + strings.Repeat("k", 64<<10) + `"`,
	} {
		header := `{"alg":"HS256","kid":` + kid + `,"typ":"JWT"}`
		wantInvalid(t, s.verifier, s.forge(t, header, payload()))
		wantInvalid(t, s.verifier, forgeWith(t, gojwt.SigningMethodHS256, []byte{}, header, payload()))
	}
	wantInvalid(t, s.verifier, s.forge(t, `{"alg":"HS256","typ":"JWT"}`, payload()))
}

// TestKeysAreNeverFetched: jku and x5u name a server of the attacker's, whose
// key then verifies the attacker's signature. Even asking would be SSRF.
// Threats: T35, C09.
func TestKeysAreNeverFetched(t *testing.T) {
	t.Parallel()
	s := newSite(t, "ES256")
	evil := siteWithKey(t, freshKey(t, "ES256"))
	var hits atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		hits.Add(1)
		w.Write(evil.ring.JWKS())
	}))
	defer server.Close()

	for _, field := range []string{"jku", "x5u", "JKU", "kid", "iss"} {
		for _, kid := range []string{s.key.ID(), evil.key.ID()} {
			header := fmt.Sprintf(`{"alg":"ES256","kid":%q,"typ":"JWT",%q:%q}`, kid, field, server.URL)
			wantInvalid(t, s.verifier, evil.forge(t, header, payload()))
			wantInvalid(t, s.verifier, s.forge(t, header, payload()))
		}
	}
	wantInvalid(t, s.verifier, evil.forge(t, s.header(), payload("iss", `"`+server.URL+`"`)))
	if got := hits.Load(); got != 0 {
		t.Errorf("got %d requests to the attacker's server, want 0", got)
	}
}

// TestEmbeddedKey: the token brings the key it was signed with, and a verifier
// that uses it accepts anything (CVE-2018-0114).
// Threats: C16.
func TestEmbeddedKey(t *testing.T) {
	t.Parallel()
	s := newSite(t, "ES256")
	evil := siteWithKey(t, freshKey(t, "ES256"))
	var set struct{ Keys []json.RawMessage }
	if err := json.Unmarshal(evil.ring.JWKS(), &set); err != nil {
		t.Fatal(err)
	}
	certificate := certificatePEM(t, evil.private.(*ecdsa.PrivateKey))
	x5c := base64.StdEncoding.EncodeToString(certificate)

	for _, kid := range []string{s.key.ID(), evil.key.ID()} {
		for _, extra := range []string{`"jwk":` + string(set.Keys[0]), `"x5c":["` + x5c + `"]`, `"x5t":"AA"`, `"x5t#S256":"AA"`} {
			header := fmt.Sprintf(`{"alg":"ES256","kid":%q,"typ":"JWT",%s}`, kid, extra)
			wantInvalid(t, s.verifier, evil.forge(t, header, payload()))
			wantInvalid(t, s.verifier, s.forge(t, header, payload()))
		}
		wantInvalid(t, s.verifier, evil.forge(t, fmt.Sprintf(`{"alg":"ES256","kid":%q,"typ":"JWT"}`, kid), payload()))
	}
}

// TestHeaderIsAllowListed: all of these are signed with the right key. They
// change how a token is to be understood, or mean that another reader would
// see another header. golang-jwt alone accepts most of them.
// Threats: T36, T38, C10, C13, C14.
func TestHeaderIsAllowListed(t *testing.T) {
	t.Parallel()
	s := newSite(t, "ES256")
	wantAccepted(t, s.verifier, s.forge(t, s.header(), payload()))
	reordered := fmt.Sprintf(` { "typ" : "JWT" , "kid" : %q , "alg" : "ES256" } `, s.key.ID())
	wantAccepted(t, s.verifier, s.forge(t, reordered, payload()))

	kid := `"kid":"` + s.key.ID() + `"`
	tests := []struct{ name, header string }{
		{"crit", `{"alg":"ES256",` + kid + `,"typ":"JWT","crit":["x"],"x":1}`},
		{"empty crit", `{"alg":"ES256",` + kid + `,"typ":"JWT","crit":[]}`},
		{"unencoded payload", `{"alg":"ES256",` + kid + `,"typ":"JWT","b64":false,"crit":["b64"]}`},
		{"b64 without crit", `{"alg":"ES256",` + kid + `,"typ":"JWT","b64":false}`},
		{"zip", `{"alg":"ES256",` + kid + `,"typ":"JWT","zip":"DEF"}`},
		{"cty", `{"alg":"ES256",` + kid + `,"typ":"JWT","cty":"JWT"}`},
		{"enc", `{"alg":"ES256",` + kid + `,"typ":"JWT","enc":"A256GCM"}`},
		{"p2c", `{"alg":"ES256",` + kid + `,"typ":"JWT","p2c":1000000000}`},
		{"unknown field", `{"alg":"ES256",` + kid + `,"typ":"JWT","":""}`},
		{"claims in the header", `{"alg":"ES256",` + kid + `,"typ":"JWT","exp":9999999999}`},
		{"no typ", `{"alg":"ES256",` + kid + `}`},
		{"typ in small letters", `{"alg":"ES256",` + kid + `,"typ":"jwt"}`},
		{"access token typ", `{"alg":"ES256",` + kid + `,"typ":"at+jwt"}`},
		{"typ with prefix", `{"alg":"ES256",` + kid + `,"typ":"application/JWT"}`},
		{"typ not a string", `{"alg":"ES256",` + kid + `,"typ":["JWT"]}`},
		{"typ null", `{"alg":"ES256",` + kid + `,"typ":null}`},
		{"alg in small letters", `{"alg":"es256",` + kid + `,"typ":"JWT"}`},
		{"alg with space", `{"alg":"ES256 ",` + kid + `,"typ":"JWT"}`},
		{"ALG", `{"ALG":"ES256",` + kid + `,"typ":"JWT"}`},
		{"ALG beside alg", `{"alg":"ES256","ALG":"none",` + kid + `,"typ":"JWT"}`},
		{"two alg, right last", `{"alg":"none","alg":"ES256",` + kid + `,"typ":"JWT"}`},
		{"two alg, right first", `{"alg":"ES256","alg":"none",` + kid + `,"typ":"JWT"}`},
		{"two alg, one escaped", `{"alg":"ES256","\u0061lg":"ES256",` + kid + `,"typ":"JWT"}`},
		{"two kid", `{"alg":"ES256","kid":"x",` + kid + `,"typ":"JWT"}`},
		{"array", `[{"alg":"ES256",` + kid + `,"typ":"JWT"}]`},
		{"string", `"ES256"`},
		{"null", `null`},
		{"empty object", `{}`},
		{"trailing data", s.header() + `{}`},
		{"trailing NUL", s.header() + "\x00"},
		{"trailing comma", strings.TrimSuffix(s.header(), "}") + ",}"},
		{"comment", strings.TrimSuffix(s.header(), "}") + "/**/}"},
		{"byte order mark", "\ufeff" + s.header()},
		{"invalid UTF-8", strings.TrimSuffix(s.header(), "}") + ",\"\xff\":1}"},
		{"UTF-16", utf16LE(s.header())},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			wantInvalid(t, s.verifier, s.forge(t, tt.header, payload()))
		})
	}
}

func utf16LE(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		b.Write([]byte{c, 0})
	}
	return b.String()
}

// TestOnlyCompactSerialization: proxies, caches and logs see the text of a
// token. Everything that has the same meaning under another text is refused.
// Threats: T30, T44, T47, C12.
func TestOnlyCompactSerialization(t *testing.T) {
	t.Parallel()
	s := newSite(t, "ES256")
	token := s.issue(t)
	wantAccepted(t, s.verifier, token)
	parts := strings.Split(token, ".")
	h, p, sig := parts[0], parts[1], parts[2]

	tests := map[string]string{
		"empty":               "",
		"garbage":             "garbage",
		"one part":            h,
		"two parts":           h + "." + p,
		"no signature":        h + "." + p + ".",
		"no payload":          h + ".." + sig,
		"no header":           "." + p + "." + sig,
		"four parts":          token + "." + sig,
		"fourth part empty":   token + ".",
		"first part empty":    "." + token,
		"five parts, JWE":     h + "." + p + "." + sig + "." + p + "." + sig,
		"padding":             token + "=",
		"more padding":        token + "==",
		"padding inside":      h + "=." + p + "." + sig,
		"leading space":       " " + token,
		"trailing space":      token + " ",
		"space inside":        h + ". " + p + "." + sig,
		"line break":          h + "." + p + ".\n" + sig,
		"line break in part":  h + "." + p[:10] + "\r\n" + p[10:] + "." + sig,
		"tab":                 token + "\t",
		"NUL":                 token + "\x00",
		"standard alphabet":   strings.NewReplacer("-", "+", "_", "/").Replace(token) + "+",
		"percent-encoded":     strings.Replace(token, ".", "%2e", 1),
		"other dot":           strings.Replace(token, ".", "。", 1),
		"quotes":              `"` + token + `"`,
		"scheme":              "Bearer " + token,
		"two tokens":          token + "," + token,
		"flattened JSON":      fmt.Sprintf(`{"protected":%q,"payload":%q,"signature":%q}`, h, p, sig),
		"general JSON":        fmt.Sprintf(`{"payload":%q,"signatures":[{"protected":%q,"signature":%q}]}`, p, h, sig),
		"JSON polyglot":       fmt.Sprintf(`{"protected":%q,"payload":%q,"signature":%q,"x":".%s."}`, h, p, sig, p),
		"base64 of the whole": encode(token),
		"9 KiB":               token + strings.Repeat("A", 9<<10),
		"9 KiB payload":       s.forge(t, s.header(), payload("note", `"`+strings.Repeat("x", 7000)+`"`)),
		"500,000 dots":        strings.Repeat(".", 500_000),
		"8 MiB":               strings.Repeat("A", 8<<20),
	}
	for name, token := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantInvalid(t, s.verifier, token)
		})
	}
}

// TestDotsCostNothing: golang-jwt once split on every dot an attacker sent (CVE-2025-30204).
// Threats: T45.
func TestDotsCostNothing(t *testing.T) {
	s := newSite(t, "ES256")
	for _, token := range []string{strings.Repeat(".", 500_000), strings.Repeat("a.", 4000)} {
		if got := testing.AllocsPerRun(10, func() { _, _ = s.verifier.Verify(token) }); got > 0 {
			t.Errorf("got %v allocations for %d bytes of dots, want 0", got, len(token))
		}
	}
}

// TestEightKiBIsTheLimit: the token of 8192 bytes is the last one.
// Threats: T45.
func TestEightKiBIsTheLimit(t *testing.T) {
	t.Parallel()
	s := newSite(t, "HS256")
	accepted := 0
	for n := 5700; n < 6000; n++ {
		token := s.forge(t, s.header(), payload("note", `"`+strings.Repeat("x", n)+`"`))
		_, err := s.verifier.Verify(token)
		if want := len(token) <= 8192; (err == nil) != want {
			t.Fatalf("got %v for %d bytes, want accepted %t", err, len(token), want)
		}
		if err == nil {
			accepted++
		}
	}
	if accepted == 0 || accepted == 300 {
		t.Errorf("got %d of 300 accepted, want the limit to be among them", accepted)
	}
}
