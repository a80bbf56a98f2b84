// Fuzzing beside golang-jwt: what is accepted here, it accepts, and reads the same in it.

package jwt_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	gojwt "github.com/golang-jwt/jwt/v5"

	"github.com/caddy-wechat/wechatauth/jwt"
)

// FuzzVerifyBesideGolangJWT signs any header and payload with a key of one of three algorithms, and
// changes a byte of the token. What is accepted is accepted by golang-jwt too, has the same claims
// there, one text, and, where signatures are no dice, is what the key would sign again.
// Threats: T30, T31, T33, T36, T39, T43, T44.
func FuzzVerifyBesideGolangJWT(f *testing.F) {
	hmac, err := jwt.ParseKey("HS256", []byte(fixedSecret))
	if err != nil {
		f.Fatal(err)
	}
	var sites []*site
	for _, key := range []*jwt.Key{hmac, keyFor(f, "ES256"), keyFor(f, "EdDSA")} {
		sites = append(sites, siteWithKey(f, key))
	}
	for _, text := range []string{
		payload(), payload("unionid", `"u"`, "phone", `"1"`, "nickname", `"\u5c0f\ud83d\ude00"`, "role", `{"a":[1,null,1.50]}`), payload("exp", "1e9"), payload("exp", ""), payload("nbf", ""),
		payload("aud", `["x","`+testAppID+`"]`), payload("exp", "99999999999999999999"), payload("iss", `"other"`), payload("Exp", "1"), payload("sid", "null"), payload("iat", `"1"`), payload("exp", "1,\"exp\":2"), "{}", "",
	} {
		for i := range sites {
			f.Add(uint8(i), "HEADER", text, uint16(0), byte(0))
			f.Add(uint8(i), "HEADER", text, uint16(40), byte(1))
		}
	}
	for _, header := range []string{`{"alg":"none","typ":"JWT"}`, `{"kid":"KID","alg":"ALG","typ":"JWT","crit":["b64"]}`, `{"typ":"JWT","kid":"KID","alg":"ALG"}`, `{"alg":"HS512","kid":"KID","typ":"JWT"}`, `{"alg":"ALG","typ":"JWT"}`, `{"alg":"ALG","alg":"none","kid":"KID","typ":"JWT"}`} {
		for i := range sites {
			f.Add(uint8(i), header, payload(), uint16(0), byte(0))
		}
	}
	f.Fuzz(func(t *testing.T, which uint8, header, text string, at uint16, flip byte) {
		s := sites[int(which)%len(sites)]
		header = strings.NewReplacer("HEADER", s.header(), "KID", s.key.ID(), "ALG", s.key.Algorithm()).Replace(header)
		minted := s.forge(t, header, text)
		token := []byte(minted)
		token[int(at)%len(token)] ^= flip
		c, err := s.verifier.Verify(string(token))
		if err != nil {
			return
		}
		parsed := parseBeside(t, s, string(token))
		claims, _ := parsed.Claims.(gojwt.MapClaims)
		maps.DeleteFunc(claims, func(name string, value any) bool { // which is none
			return slices.Contains(jwt.Names(), name) && (value == "" || value == false)
		})
		if one, ok := claims["aud"].([]any); ok && len(one) == 1 {
			claims["aud"] = one[0]
		}
		if got := plainClaims(t, c); !reflect.DeepEqual(got, map[string]any(claims)) {
			t.Errorf("got %v, and golang-jwt %v", got, claims)
		}
		for part := range strings.SplitSeq(string(token), ".") {
			if encode(decode(t, part)) != part {
				t.Errorf("%q is another text of the same token", part)
			}
		}
		if again := s.forge(t, decode(t, strings.Split(string(token), ".")[0]), decode(t, strings.Split(string(token), ".")[1])); s.key.Algorithm() != "ES256" && again != string(token) {
			t.Errorf("got %s accepted, which the key signs as %s", token, again)
		}
	})
}

// parseBeside has golang-jwt read a token, as strictly as it can.
func parseBeside(t *testing.T, s *site, token string) *gojwt.Token {
	t.Helper()
	parser := gojwt.NewParser(gojwt.WithValidMethods([]string{s.key.Algorithm()}), gojwt.WithStrictDecoding(), gojwt.WithJSONNumber(), gojwt.WithIssuer(testIssuer),
		gojwt.WithExpirationRequired(), gojwt.WithTimeFunc(fixedClock), gojwt.WithLeeway(30*time.Second))
	parsed, err := parser.Parse(token, func(*gojwt.Token) (any, error) {
		return publicOf(t, s), nil
	})
	if err != nil {
		t.Fatalf("got %s accepted, and golang-jwt: %v", token, err)
	}
	return parsed
}

// plainClaims are the claims that stand in a token, as the standard library reads them.
func plainClaims(t *testing.T, c *jwt.Claims) (all map[string]any) {
	t.Helper()
	all = map[string]any{}
	for _, name := range slices.AppendSeq(jwt.Names(), maps.Keys(c.Extra)) {
		if value, ok := c.Value(name); ok {
			all[name] = value
		}
	}
	if c.NotBefore != 0 {
		all["nbf"] = c.NotBefore
	}
	text, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	all = nil
	if err := dec.Decode(&all); err != nil {
		t.Fatal(err)
	}
	return all
}
