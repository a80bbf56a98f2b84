// Fuzzing of tokens and keys.

package jwt_test

import (
	"crypto/elliptic"
	"strings"
	"testing"

	"github.com/caddy-wechat/wechatauth/jwt"
)

// fixedSecret keeps the seeds of FuzzVerify the same from run to run, so that
// what the fuzzer has found stays meaningful.
const fixedSecret = "q8ZrT2vXw5LkB9nHs3JdY6mPc1GfA7uE"

// FuzzVerify mutates tokens that were minted here. Whatever is accepted must be
// one of them, byte for byte: no second text of a token, no forgery, no panic.
// Threats: T30, T44, C12.
func FuzzVerify(f *testing.F) {
	key, err := jwt.ParseKey("HS256", []byte(fixedSecret))
	if err != nil {
		f.Fatal(err)
	}
	s := siteWithKey(f, key)

	minted := make(map[string]bool)
	for _, changes := range [][]string{
		nil,
		{"unionid", `"u"`, "phone", `"13800138000"`, "phone_number_verified", "true"},
		{"aud", `["x","` + testAppID + `"]`, "nickname", `"\u5c0f\ud83d\ude00"`, "role", `{"a":[1,null]}`},
	} {
		token := s.forge(f, s.header(), payload(changes...))
		wantAccepted(f, s.verifier, token)
		minted[token] = true
		f.Add(token)

		parts := strings.Split(token, ".")
		f.Add(parts[0] + "." + parts[1] + ".")
		f.Add(token + "=")
		f.Add(strings.Replace(token, ".", "..", 1))
	}
	f.Add("")
	f.Add("..")
	f.Add(encode(`{"alg":"none"}`) + "." + encode("{}") + ".")

	f.Fuzz(func(t *testing.T, token string) {
		if _, err := s.verifier.Verify(token); err == nil && !minted[token] {
			t.Fatalf("got a token accepted that nobody minted: %q", token)
		}
	})
}

// FuzzVerifyPayload signs whatever the fuzzer writes, to get past the signature
// to the reading of header and claims.
func FuzzVerifyPayload(f *testing.F) {
	key, err := jwt.ParseKey("HS256", []byte(fixedSecret))
	if err != nil {
		f.Fatal(err)
	}
	s := siteWithKey(f, key)
	f.Add(s.header(), payload())
	f.Add(s.header(), payload("phone", `"1"`, "phone_sealed", `"AAAA"`))
	f.Add(strings.Replace(s.header(), "{", `{"crit":["b64"],`, 1), payload("exp", "1e9"))

	f.Fuzz(func(t *testing.T, header, payload string) {
		c, err := s.verifier.Verify(s.forge(t, header, payload))
		if err != nil {
			return
		}
		switch {
		case c.Issuer != testIssuer, c.AppID != testAppID, c.Subject != c.OpenID, c.OpenID == "", c.SID == "", c.ID == "",
			c.ExpiresAt <= testNow.Unix(), c.IssuedAt > testNow.Unix()+30, c.NotBefore > testNow.Unix()+30,
			c.ExpiresAt-c.IssuedAt > int64(testTTL.Seconds()), c.KeyID != key.ID():
			t.Fatalf("got %+v accepted", c)
		}
		for name := range c.Extra {
			if jwt.Reserved(name) {
				t.Fatalf("got the reserved name %q in Extra", name)
			}
		}
	})
}

// FuzzParseKey: whatever an operator writes, there is no panic, and a key that
// is accepted can be exported, read back and used.
func FuzzParseKey(f *testing.F) {
	f.Add("HS256", []byte(fixedSecret))
	f.Add("HS512", []byte(fixedSecret+fixedSecret))
	f.Add("ES256", privatePEM(f, ecKey(f, elliptic.P256())))
	f.Add("ES512", privatePEM(f, ecKey(f, elliptic.P521())))
	f.Add("ES256", publicPEM(f, ecKey(f, elliptic.P384()).Public()))
	f.Add("EdDSA", privatePEM(f, privateOf(f, keyFor(f, "EdDSA"))))
	f.Add("PS256", privatePEM(f, privateOf(f, keyFor(f, "RS256"))))
	f.Add("ES256", certificatePEM(f, ecKey(f, elliptic.P256())))
	f.Add("ES256", []byte("-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"))
	f.Add("RS256", []byte("-----BEGIN RSA PUBLIC KEY-----\n\n-----END RSA PUBLIC KEY-----\n"))

	f.Fuzz(func(t *testing.T, alg string, data []byte) {
		if key, err := jwt.ParsePreviousKey(alg, data); (err == nil) != (key != nil) {
			t.Fatalf("got %v, %v, want a key or an error", key, err)
		}
		key, err := jwt.ParseKey(alg, data)
		if err != nil {
			if key != nil || !strings.HasPrefix(err.Error(), "jwt: ") {
				t.Fatalf("got %v, %q, want no key and the prefix jwt:", key, err)
			}
			return
		}
		if key.Algorithm() != alg || !key.CanSign() {
			t.Fatalf("got %v, signing %t, want %s, true", key, key.CanSign(), alg)
		}
		exported, err := key.ExportPrivate()
		if err != nil {
			t.Fatal(err)
		}
		again, err := jwt.ParseKey(alg, exported)
		if err != nil || again.ID() != key.ID() {
			t.Fatalf("got %v, %v, want %v again", again, err, key)
		}
		s := siteWithKey(t, key)
		wantAccepted(t, s.verifier, s.issue(t))
	})
}
