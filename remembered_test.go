package wechatauth_test

import (
	"crypto/rand"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	gojwt "github.com/golang-jwt/jwt/v5"

	"github.com/caddy-wechat/wechatauth"
	"github.com/caddy-wechat/wechatauth/jwt"
)

const (
	memorySecret = "4pDrEP1sxH2rBqJSdk0wqQzvTn8mYcL7pD2sA9fK6jW3eR5tY8uI1oP4"
	otherSecret  = "9vBn3mK7xQ1zL5cW8rT2yU6iO4pA0sDfG7hJ1kZ3xC5vB9nM2qW4eR6t"
)

// memorySite is a provisioned handler whose key the test has.
type memorySite struct {
	*wechatauth.Handler
	t      *testing.T
	issuer jwt.Issuer
}

// newMemorySite provisions a handler with an HMAC secret and further lines, of which token options are
// written on one line each, as `token.ttl 1m`.
func newMemorySite(t *testing.T, lines ...string) memorySite {
	t.Helper()
	options := map[string]string{"algorithm": "HS256", "key": memorySecret, "issuer": "wechat_auth", "ttl": "1h"}
	appid := "wx0000000000000001"
	var rest []string
	for _, line := range lines {
		if name, value, ok := strings.Cut(strings.TrimPrefix(line, "token."), " "); ok && strings.HasPrefix(line, "token.") {
			options[name] = value
		} else if id, ok := strings.CutPrefix(line, "app "); ok {
			appid = id
		} else {
			rest = append(rest, line)
		}
	}
	block := "app " + appid + " " + testSecret + "\nstore memory\n" + strings.Join(rest, "\n") + "\ntoken {\n"
	for name, value := range options {
		block += name + " " + value + "\n"
	}
	h := provision(t, "wechat_auth {\n"+block+"}\n}")
	key := parseKey(t, options["algorithm"], options["key"])
	ring, err := jwt.NewRing(key)
	if err != nil {
		t.Fatal(err)
	}
	ttl, err := time.ParseDuration(options["ttl"])
	if err != nil {
		t.Fatal(err)
	}
	i := jwt.Issuer{Ring: ring, Name: options["issuer"], TTL: ttl}
	if options["audience"] != "" {
		i.Audience = []string{options["audience"]}
	}
	return memorySite{h, t, i}
}

func parseKey(t *testing.T, alg, text string) *jwt.Key {
	t.Helper()
	data := []byte(text)
	if file, err := os.ReadFile(text); err == nil {
		data = file
	}
	key, err := jwt.ParseKey(alg, data)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// token makes the token of a user of the first app.
func (s memorySite) token(openid string, change ...func(*jwt.Claims)) string {
	s.t.Helper()
	c := jwt.Claims{AppID: "wx0000000000000001", OpenID: openid, SID: rand.Text()}
	for _, f := range change {
		f(&c)
	}
	token, _, err := s.issuer.Issue(c)
	if err != nil {
		s.t.Fatal(err)
	}
	return token
}

// get sends a request with a token and returns whom the upstream saw, or the status.
func (s memorySite) get(token string) string {
	s.t.Helper()
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("Authorization", "Bearer "+token)
	w := httptest.NewRecorder()
	r = caddyhttp.PrepareRequest(r, caddy.NewReplacer(), w, &caddyhttp.Server{})
	seen := ""
	err := s.ServeHTTP(w, r, caddyhttp.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) error {
		seen = r.Header.Get("X-Wx-Openid")
		return nil
	}))
	if err != nil {
		s.t.Errorf("handler error: %v", err)
	}
	if seen != "" {
		return seen
	}
	return fmt.Sprint(w.Code, " ", answer{body: w.Body.Bytes()}.text("error"))
}

// want checks what comes of a request.
func (s memorySite) want(what, token, want string) {
	s.t.Helper()
	if got := s.get(token); got != want {
		s.t.Errorf("%s: got %s, want %s", what, got, want)
	}
}

// warm has a token verified and sees to it that it is remembered.
func (s memorySite) warm(token, openid string) {
	s.t.Helper()
	if s.Remembers(token) {
		s.t.Fatal("a token is remembered that was never sent")
	}
	s.want("first sight", token, openid)
	if !s.Remembers(token) {
		s.t.Fatal("a verified token is not remembered")
	}
	s.want("second sight", token, openid)
}

// forge makes a token with the given times, in seconds from now, and the right signature.
func (s memorySite) forge(iat, nbf, exp int64) string {
	s.t.Helper()
	now := time.Now().Unix()
	token := gojwt.NewWithClaims(gojwt.SigningMethodHS256, gojwt.MapClaims{
		"iss": "wechat_auth", "sub": "o1", "openid": "o1", "aud": "wx0000000000000001", "appid": "wx0000000000000001",
		"iat": now + iat, "nbf": now + nbf, "exp": now + exp, "jti": "J", "sid": "S",
	})
	token.Header["kid"] = parseKey(s.t, "HS256", memorySecret).ID()
	text, err := token.SignedString([]byte(memorySecret))
	if err != nil {
		s.t.Fatal(err)
	}
	return text
}

// T60, T62: time goes on for remembered tokens, and a clock that is set back counts, too.
func TestRememberedTokenIsBoundToItsTime(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name          string
		iat, nbf, exp int64
		moved         time.Duration
		want          string
	}{
		{"expired", -60, -60, 60, 60 * time.Second, "401 token_expired"},
		{"about to expire", -60, -60, 3540, 3500 * time.Second, "o1"},
		{"before nbf", -3000, -20, 60, -60 * time.Second, "401 token_invalid"},
		{"before iat", -20, -3000, 60, -60 * time.Second, "401 token_invalid"},
		{"a little before both", -20, -20, 60, -40 * time.Second, "o1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newMemorySite(t)
			start := time.Now()
			now := start
			s.SetNow(func() time.Time { return now })
			token := s.forge(tt.iat, tt.nbf, tt.exp)
			s.warm(token, "o1")
			now = start.Add(tt.moved)
			s.want("later", token, tt.want)
			now = start
			s.want("back again", token, "o1")
		})
	}
}

// T61: a remembered token ends with its session, and with all sessions of its user.
func TestRememberedTokenEndsWithItsSession(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	alice, bob := s.fake.NewUser(s.appID), s.fake.NewUser(s.appID)
	one, two, three, other := s.token(alice), s.token(alice), s.token(alice), s.token(bob)
	for _, token := range []string{one, two, three, other} {
		if a := s.do("GET", "/", token, ""); a.status != 200 || !s.handler.Remembers(token) {
			t.Fatalf("got %d, remembered %t, want 200, true", a.status, s.handler.Remembers(token))
		}
	}
	if a := s.do("POST", "/auth/logout", one, ""); a.status != 204 {
		t.Fatalf("logout: got %d %s", a.status, a.body)
	}
	want(t, s.do("GET", "/", one, ""), 401, "session_revoked")
	if a := s.do("GET", "/", two, ""); a.status != 200 {
		t.Errorf("another session: got %d", a.status)
	}
	if a := s.do("POST", "/auth/logout", two, `{"all":true}`); a.status != 204 {
		t.Fatalf("logout of all: got %d %s", a.status, a.body)
	}
	want(t, s.do("GET", "/", two, ""), 401, "session_revoked")
	want(t, s.do("GET", "/", three, ""), 401, "session_revoked")
	if a := s.do("GET", "/", other, ""); a.status != 200 || s.last().Header.Get("X-Wx-Openid") != bob.OpenID {
		t.Errorf("another user: got %d", a.status)
	}
}

// When nobody knows who was revoked, nobody passes, remembered or not.
func TestRememberedTokenNeedsTheStore(t *testing.T) {
	t.Parallel()
	s := newMemorySite(t)
	token := s.token("o1")
	s.warm(token, "o1")
	s.SetStale(0)
	s.want("with the store silent", token, "503 store_unavailable")
}

// A key that is taken out takes its tokens along, and a key that is put back brings them back.
func TestRememberedTokenNeedsItsKey(t *testing.T) {
	t.Parallel()
	s := newMemorySite(t)
	token := s.token("o1")
	s.warm(token, "o1")
	own, other := parseKey(t, "HS256", memorySecret), parseKey(t, "HS256", otherSecret)
	for _, step := range []struct {
		name string
		keys []*jwt.Key
		want string
	}{
		{"rotated", []*jwt.Key{other, own}, "o1"},
		{"key removed", []*jwt.Key{other}, "401 token_invalid"},
		{"key put back", []*jwt.Key{own}, "o1"},
	} {
		if err := s.ReplaceKeys(step.keys[0], step.keys[1:]...); err != nil {
			t.Fatal(err)
		}
		s.want(step.name, token, step.want)
	}
}

// Two sites, or one before and after a reload, share what they remember only if they would decide alike.
func TestRememberedTokenIsBoundToItsSite(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, own, line, want string }{
		{"same", "", "phone_required /vip", "o1"},
		{"other key", "", "token.key " + otherSecret, "401 token_invalid"},
		{"other algorithm of the same secret", "", "token.algorithm HS384", "401 token_invalid"},
		{"other app", "", "app wx0000000000000002", "401 token_invalid"},
		{"other issuer", "", "token.issuer other", "401 token_invalid"},
		{"other audience", "", "token.audience other", "401 token_invalid"},
		{"audience taken away", "token.audience other", "token.audience third", "401 token_invalid"},
		{"shorter life", "", "token.ttl 30m", "401 token_invalid"},
		{"nothing remembered", "", "token.remember off", "o1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var own []string
			if tt.own != "" {
				own = []string{tt.own}
			}
			s := newMemorySite(t, own...)
			token := s.token("o1")
			s.warm(token, "o1")
			s2 := newMemorySite(t, tt.line)
			if got := s2.Remembers(token); got != (tt.name == "same") {
				t.Errorf("got remembered %t", got)
			}
			s2.want("there", token, tt.want)
			s.want("here", token, "o1")
		})
	}
}

// One RSA key has one id under two algorithms, which a reload may change.
func TestRememberedTokenIsBoundToItsAlgorithm(t *testing.T) {
	t.Parallel()
	key, err := jwt.GenerateKey("RS256")
	if err != nil {
		t.Fatal(err)
	}
	pem, err := key.ExportPrivate()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "key.pem")
	if err := os.WriteFile(file, pem, 0o600); err != nil {
		t.Fatal(err)
	}
	s := newMemorySite(t, "token.algorithm RS256", "token.key "+file)
	token := s.token("o1")
	s.warm(token, "o1")
	newMemorySite(t, "token.algorithm PS256", "token.key "+file).want("as PS256", token, "401 token_invalid")
}

type oneHash struct{}

func (oneHash) Sum64(string) uint64 { return 42 }

// Bigcache finds by 64 bits. Tokens that share them stay apart.
func TestRememberedTokensOfOneHash(t *testing.T) {
	t.Parallel()
	s := newMemorySite(t)
	if err := s.SetTokenHasher(oneHash{}); err != nil {
		t.Fatal(err)
	}
	a, b := s.token("o1"), s.token("o2")
	for range 3 {
		s.want("a", a, "o1")
		if !s.Remembers(a) || s.Remembers(b) {
			t.Error("want a to be remembered alone")
		}
		s.want("b", b, "o2")
		if s.Remembers(a) || !s.Remembers(b) {
			t.Error("want b to be remembered alone")
		}
	}
	n := len(a)
	s.want("neither", a[:n-4]+"AAAA", "401 token_invalid")
}

// T44, T56: only the very token is remembered.
func TestRememberedTokenIsTheWholeToken(t *testing.T) {
	t.Parallel()
	s, other := newMemorySite(t), newMemorySite(t, "token.key "+otherSecret)
	token := s.token("o1")
	s.warm(token, "o1")
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	for _, c := range alphabet {
		if altered := token[:len(token)-1] + string(c); altered != token {
			s.want("last character "+string(c), altered, "401 token_invalid")
		}
	}
	for i := range len(token) {
		other := "A"
		if token[i] == 'A' {
			other = "B"
		}
		s.want(fmt.Sprintf("byte %d", i), token[:i]+other+token[i+1:], "401 token_invalid")
	}
	cut := strings.LastIndex(token, ".")
	foreign := other.token("o1")
	for name, altered := range map[string]string{
		"no signature":        token[:cut+1],
		"another signature":   token[:cut] + foreign[strings.LastIndex(foreign, "."):],
		"padded":              token + "=",
		"something behind it": token + ".A",
		"twice":               token + token,
	} {
		s.want(name, altered, "401 token_invalid")
		if s.Remembers(altered) {
			t.Errorf("%s: remembered", name)
		}
	}
	s.want("itself", token, "o1")
}

// A second signature of the same claims is a token of its own, verified as such.
func TestRememberedTwin(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	alice := s.fake.NewUser(s.appID)
	token := s.token(alice)
	if a := s.do("GET", "/", token, ""); a.status != 200 {
		t.Fatalf("got %d", a.status)
	}
	twin := twinOf(t, token)
	if s.handler.Remembers(twin) {
		t.Error("the twin is remembered before it was sent")
	}
	if a := s.do("POST", "/auth/logout", token, ""); a.status != 204 {
		t.Fatalf("logout: got %d", a.status)
	}
	want(t, s.do("GET", "/", twin, ""), 401, "session_revoked")
}

// twinOf returns a P-256 token with the other of the two signatures that verify.
func twinOf(t *testing.T, token string) string {
	t.Helper()
	cut := strings.LastIndex(token, ".") + 1
	sig, err := gojwt.NewParser().DecodeSegment(token[cut:])
	if err != nil {
		t.Fatal(err)
	}
	order, _ := new(big.Int).SetString("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551", 16)
	order.Sub(order, new(big.Int).SetBytes(sig[32:])).FillBytes(sig[32:])
	return token[:cut] + (&gojwt.Token{}).EncodeSegment(sig)
}

// What is remembered is what was verified, to the last claim.
func TestRememberedClaimsAreTheVerified(t *testing.T) {
	t.Parallel()
	s := newMemorySite(t, "token.phone sealed")
	s.issuer.SealPhone = true
	for name, change := range map[string]func(*jwt.Claims){
		"least": func(*jwt.Claims) {},
		"all": func(c *jwt.Claims) {
			c.UnionID, c.Phone, c.PhoneNumber, c.PhoneNumberVerified = "u1", "13800138000", "+8613800138000", true
			c.Nickname, c.Picture = "小明 😀 \"<&>\"", "/auth/avatar/a.jpg"
		},
		"sealed phone alone": func(c *jwt.Claims) { c.Phone = "13800138000" },
		"extra": func(c *jwt.Claims) {
			c.Extra = map[string]any{
				"role": "admin", "": "empty", "vip": true, "no": false, "nothing": nil, "level": 12345678901234567, "part": 1.5e300, "blank": "",
				"list": []any{}, "object": map[string]any{}, "deep": map[string]any{"a": []any{1, "<\u2028>", nil, map[string]any{"b": -0.5}}},
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			token := s.token("o-"+strings.ReplaceAll(name, " ", "-"), change)
			first, err := s.VerifyToken(token)
			if err != nil {
				t.Fatal(err)
			}
			if !s.Remembers(token) {
				t.Fatal("not remembered")
			}
			again, err := s.VerifyToken(token)
			if err != nil || first == again || !reflect.DeepEqual(first, again) {
				t.Errorf("got %+v, %v, want %+v", again, err, first)
			}
		})
	}
}

// A token that would push many others out is verified each time.
func TestUnusualTokensAreNotRemembered(t *testing.T) {
	t.Parallel()
	s := newMemorySite(t, "token.remember 1MiB")
	var usual []string
	for i := range 100 {
		usual = append(usual, s.token(fmt.Sprint("o", i)))
		s.warm(usual[i], fmt.Sprint("o", i))
	}
	large := s.token("o1", func(c *jwt.Claims) { c.Extra = map[string]any{"x": strings.Repeat("x", 5000)} })
	for range 10 {
		s.want("large", large, "o1")
	}
	if s.Remembers(large) {
		t.Error("the large token is remembered")
	}
	for _, token := range usual {
		if !s.Remembers(token) {
			t.Fatal("a large token pushed another out")
		}
	}
	s.want("endless", strings.Repeat("A", 1<<20), "401 token_invalid")
}

// T63: what is not a token of this site leaves no trace.
func TestInvalidTokensAreNotRemembered(t *testing.T) {
	t.Parallel()
	s := newMemorySite(t, "token.remember 2MiB") // a memory of this test's own
	token := s.token("o1")
	s.warm(token, "o1")
	tokens, bytes := s.Remembered()
	cut := strings.LastIndex(token, ".") + 1
	for i := range 20_000 {
		for _, invalid := range []string{
			fmt.Sprintf("%043d", i),                     // garbage
			token[:cut] + fmt.Sprintf("%043d", i),       // with a signature that is wrong
			fmt.Sprintf("A%07d", i) + token[cut-1:],     // with a header that is none
			token[:cut/2] + fmt.Sprintf("%d", i) + "..", // in pieces
		} {
			if _, err := s.VerifyToken(invalid); !errors.Is(err, jwt.ErrInvalid) {
				t.Fatalf("got %v, want ErrInvalid", err)
			}
		}
	}
	if n, b := s.Remembered(); n != tokens || b != bytes {
		t.Errorf("got %d tokens in %d bytes, want %d in %d", n, b, tokens, bytes)
	}
	if !s.Remembers(token) {
		t.Error("the valid token was pushed out")
	}
}

// T64: a flood of logins fills the memory and no more. Who is pushed out is verified anew.
func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	s := newMemorySite(t, "token.remember 1MiB")
	first := s.token("o1")
	s.warm(first, "o1")
	last := ""
	for range 10_000 {
		last = s.token("o2")
		if _, err := s.VerifyToken(last); err != nil {
			t.Fatal(err)
		}
	}
	if n, bytes := s.Remembered(); bytes > 1<<20 || n < 1000 || n > 9000 {
		t.Errorf("got %d tokens in %d bytes, want some thousand in a MiB", n, bytes)
	}
	if s.Remembers(first) || !s.Remembers(last) {
		t.Errorf("got first %t, last %t, want the newest to be remembered", s.Remembers(first), s.Remembers(last))
	}
	s.want("the first", first, "o1")
	s.want("the last", last, "o2")
}

// Many at once, while keys come and go: everybody is who they are.
func TestMemoryIsShared(t *testing.T) {
	t.Parallel()
	s := newMemorySite(t, "token.remember 1MiB")
	own, other := parseKey(t, "HS256", memorySecret), parseKey(t, "HS256", otherSecret)
	var users, keys sync.WaitGroup
	done := make(chan struct{})
	keys.Go(func() {
		for {
			for _, ring := range [][]*jwt.Key{{other, own}, {own}} {
				if err := s.ReplaceKeys(ring[0], ring[1:]...); err != nil {
					t.Error(err)
				}
			}
			select {
			case <-done:
				return
			default:
			}
		}
	})
	for i := range 8 {
		users.Go(func() {
			openid := fmt.Sprint("o", i)
			for range 20 {
				token := s.token(openid)
				for range 20 {
					s.want("own", token, openid)
				}
			}
		})
	}
	users.Wait()
	close(done)
	keys.Wait()
}

// A reload leaves nothing running and nothing taken.
func TestMemoryEndsWithItsSite(t *testing.T) {
	once := func(t *testing.T) {
		t.Helper()
		s := newMemorySite(t, "token.remember 3MiB")
		s.warm(s.token("o1"), "o1")
	}
	t.Run("warm", once)
	before := runtime.NumGoroutine()
	for i := range 100 {
		t.Run(fmt.Sprint(i), once)
	}
	for end := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > before; runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatalf("got %d goroutines, want %d", runtime.NumGoroutine(), before)
		}
	}
}
