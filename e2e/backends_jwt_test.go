//go:build unix

// The backends of examples/backends that verify tokens themselves.

package e2e_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	gojwt "github.com/golang-jwt/jwt/v5"
)

// tokenKey is a key of the test's own, so that it can sign what Caddy never would.
type tokenKey struct {
	*ecdsa.PrivateKey
	file string
}

func newTokenKey(t *testing.T) tokenKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	text := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	return tokenKey{key, writeFile(t, t.TempDir(), "key.pem", text)}
}

// public is the public key as a PEM file has it.
func (k tokenKey) public(t *testing.T) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(&k.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

// madeToken makes a token. A claim that is changed to nil is left out.
func madeToken(t *testing.T, method gojwt.SigningMethod, key any, kid string, claims gojwt.MapClaims, change gojwt.MapClaims) string {
	t.Helper()
	all := gojwt.MapClaims{}
	for _, some := range []gojwt.MapClaims{claims, change} {
		for name, value := range some {
			all[name] = value
			if value == nil {
				delete(all, name)
			}
		}
	}
	token := gojwt.NewWithClaims(method, all)
	token.Header["kid"] = kid
	text, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// opened reads a token without verifying it.
func opened(t *testing.T, token string) (kid string, claims gojwt.MapClaims) {
	t.Helper()
	claims = gojwt.MapClaims{}
	parsed, _, err := gojwt.NewParser(gojwt.WithJSONNumber()).ParseUnverified(token, claims)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(parsed.Header["kid"]), claims
}

// countedKeys passes requests for keys on to a site and counts them.
func countedKeys(t *testing.T, site string) (jwks string, asked *atomic.Int64) {
	t.Helper()
	target, err := url.Parse(site)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(target)
	asked = new(atomic.Int64)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return server.URL + "/auth/.well-known/jwks.json", asked
}

// A backend that verifies tokens takes those of its apps and no others, follows a new key without a
// restart, and cannot be made to ask for keys again and again.
// Threats: T13.
func TestBackendExamplesVerifyTokens(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(t *testing.T, env []string) (address string){
		"Express": func(t *testing.T, env []string) string {
			t.Helper()
			return runBackend(t, env, findProgram(t, "node"), filepath.Join(installedExpress(t), "jwt.mjs"))
		},
		"Go": func(t *testing.T, env []string) string {
			t.Helper()
			return runBackend(t, env, builtBackend(t, "jwt"))
		},
		"Python": func(t *testing.T, env []string) string {
			t.Helper()
			return runBackend(t, env, findPython(t), "../examples/backends/python/verify.py")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			key := newTokenKey(t)
			n := w.start("token {\nkey " + key.file + "\n}").patient()
			jwks, asked := countedKeys(t, n.url)
			address := start(t, []string{"JWKS_URL=" + jwks, "AUDIENCE=wx00000000000000aa," + appID})
			backend := newClient(t, "http://"+address)
			onlyLoopback(t, address)

			alice := w.fake.NewUser(appID)
			login := n.login(alice)
			phone := n.post("/auth/phone", login.access(), "code", w.fake.PhoneCode(alice, "13800138000"))
			want(t, "phone", phone, 200, "")
			for what, token := range map[string]string{"": login.access(), "13800138000": phone.access()} {
				a := backend.get("/me", token)
				if a.status != 200 || a.text("openid") != alice.OpenID || a.text("appid") != appID || a.text("phone") != what {
					t.Errorf("phone %q: got %s, want %s", what, a, alice.OpenID)
				}
			}
			refusesForgedTokens(t, backend, key, phone.access())

			next := newTokenKey(t)
			want(t, "reload", n.reload(n.global()+n.server("token {\nkey "+next.file+"\nprevious_key "+key.file+"\n}")), 200, "")
			later := n.login(alice)
			eventually(t, "the token of the new key is taken", func() bool { return backend.get("/me", later.access()).status == 200 })
			if a := backend.get("/me", phone.access()); a.status != 200 {
				t.Errorf("a token of the key before: got %s", a)
			}

			_, claims := opened(t, later.access())
			before := asked.Load()
			for i := range 50 {
				token := madeToken(t, gojwt.SigningMethodES256, key.PrivateKey, fmt.Sprintf("made-up-%d", i), claims, nil)
				want(t, "a key nobody has", backend.get("/me", token), 401, "token_invalid")
			}
			if got := asked.Load() - before; got > 5 {
				t.Errorf("got %d requests for keys in a flood of 50 unknown ones, want 5 at most", got)
			}
			want(t, "after the flood", backend.get("/me", later.access()), 200, "")
		})
	}
}

// refusesForgedTokens sends variants of a good token.
func refusesForgedTokens(t *testing.T, backend client, key tokenKey, good string) {
	t.Helper()
	kid, claims := opened(t, good)
	now := time.Now().Unix()
	own := func(change gojwt.MapClaims) string {
		return madeToken(t, gojwt.SigningMethodES256, key.PrivateKey, kid, claims, change)
	}
	for what, token := range map[string]string{
		"signed by the test": own(nil),
		"for both apps":      own(gojwt.MapClaims{"aud": []string{"wxffffffffffffffff", appID}}),
		"for the other app":  own(gojwt.MapClaims{"aud": "wx00000000000000aa"}),
		"expired just now":   own(gojwt.MapClaims{"exp": now - 5}),
	} {
		if a := backend.get("/me", token); a.status != 200 {
			t.Errorf("%s: got %s, want 200", what, a)
		}
	}
	parts := strings.Split(good, ".")
	payload, err := json.Marshal(gojwt.MapClaims{"openid": "o-forged", "appid": appID, "aud": appID, "iss": "wechat_auth", "exp": now + 600})
	if err != nil {
		t.Fatal(err)
	}
	segment := base64.RawURLEncoding.EncodeToString
	for what, token := range map[string]string{
		"none":                    "",
		"no JWT":                  "spoiled",
		"expired":                 own(gojwt.MapClaims{"exp": now - 60}),
		"without an end":          own(gojwt.MapClaims{"exp": nil}),
		"other issuer":            own(gojwt.MapClaims{"iss": "somebody_else"}),
		"no issuer":               own(gojwt.MapClaims{"iss": nil}),
		"other audience":          own(gojwt.MapClaims{"aud": "wxffffffffffffffff"}),
		"no audience":             own(gojwt.MapClaims{"aud": nil}),
		"no user":                 own(gojwt.MapClaims{"openid": nil}),
		"other payload":           parts[0] + "." + segment(payload) + "." + parts[2],
		"no signature":            parts[0] + "." + parts[1] + ".",
		"other key, known name":   madeToken(t, gojwt.SigningMethodES256, newTokenKey(t).PrivateKey, kid, claims, nil),
		"alg none":                madeToken(t, gojwt.SigningMethodNone, gojwt.UnsafeAllowNoneSignatureType, kid, claims, nil),
		"alg none in capitals":    segment([]byte(`{"alg":"NONE","kid":"`+kid+`"}`)) + "." + segment(payload) + ".",
		"HS256 by the public key": madeToken(t, gojwt.SigningMethodHS256, key.public(t), kid, claims, nil),
		"HS256 by nothing":        madeToken(t, gojwt.SigningMethodHS256, []byte{}, kid, claims, nil),
	} {
		want(t, what, backend.get("/me", token), 401, "token_invalid")
	}
}

// The library of the PHP example leaves issuer, audience and the presence of claims to the example.
func TestBackendExampleInPHPChecksClaims(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writeFile(t, dir, "vendor/autoload.php", readText(t, "testdata/phpjwt.php"))
	file := writeFile(t, dir, "verify.php", readText(t, "../examples/backends/php/verify.php"))
	address := runBackend(t, []string{"JWKS_URL=http://127.0.0.1:9/", "AUDIENCE=wx00000000000000aa," + appID},
		findProgram(t, "php"), "-n", "-d", "display_errors=1", "-S", "127.0.0.1:PORT", file) // as PHP is without a php.ini
	backend := newClient(t, "http://"+address)
	now := time.Now().Unix()
	good := gojwt.MapClaims{"iss": "wechat_auth", "aud": appID, "appid": appID, "openid": "o-alice", "exp": now + 600}
	token := func(change gojwt.MapClaims) string {
		return madeToken(t, gojwt.SigningMethodHS256, []byte("the stand-in asks for none"), "1", good, change)
	}
	for what, change := range map[string]gojwt.MapClaims{
		"as it is":         nil,
		"for both apps":    {"aud": []string{"wxffffffffffffffff", appID}},
		"expired just now": {"exp": now - 5},
	} {
		if a := backend.get("/me", token(change)); a.status != 200 || a.text("openid") != "o-alice" {
			t.Errorf("%s: got %s, want o-alice", what, a)
		}
	}
	for what, change := range map[string]gojwt.MapClaims{
		"expired":         {"exp": now - 60},
		"without an end":  {"exp": nil},
		"other issuer":    {"iss": "somebody_else"},
		"no issuer":       {"iss": nil},
		"other audience":  {"aud": "wxffffffffffffffff"},
		"other audiences": {"aud": []string{"wxffffffffffffffff"}},
		"no audience":     {"aud": nil},
		"no user":         {"openid": nil},
	} {
		want(t, what, backend.get("/me", token(change)), 401, "token_invalid")
	}
	want(t, "no token", backend.get("/me", ""), 401, "token_invalid")
	want(t, "no keys", backend.get("/me", "away"), 503, "keys_unavailable")
}
