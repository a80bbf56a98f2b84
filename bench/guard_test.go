// What the guard takes: tokens it knows, tokens it does not, none, and the making of one.

package bench

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	gojwt "github.com/golang-jwt/jwt/v5"
)

var algorithms = []string{"HS256", "ES256", "EdDSA", "RS256", "PS256"}

// maxHitAllocs is the bar for a request whose token is remembered.
const maxHitAllocs = 12

// TestGuardHitAllocations holds the bar for a user of whom everything is known.
func TestGuardHitAllocations(t *testing.T) {
	s := newSite(t, "ES256")
	r, w := request(s.token(), 10), httptest.NewRecorder()
	repl := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	bare := testing.AllocsPerRun(500, func() {
		*repl = *caddy.NewEmptyReplacer() // every request has one of its own
	})
	guarded := testing.AllocsPerRun(500, func() {
		*repl = *caddy.NewEmptyReplacer()
		s.guard(r, w)
	})
	if got := guarded - bare; got > maxHitAllocs {
		t.Errorf("got %.0f allocations, want %d at most", got, maxHitAllocs)
	} else {
		t.Logf("%.0f allocations", got)
	}
}

// BenchmarkGuardHit is a request whose token was verified before: nearly every request.
func BenchmarkGuardHit(b *testing.B) {
	for _, alg := range []string{"HS256", "ES256"} {
		b.Run(alg, func(b *testing.B) {
			s := newSite(b, alg)
			r, w := request(s.token(), 10), httptest.NewRecorder()
			b.ReportAllocs()
			for b.Loop() {
				s.guard(r, w)
			}
		})
	}
}

// BenchmarkGuardHitParallel is BenchmarkGuardHit on all processors, each with a user of its own.
func BenchmarkGuardHitParallel(b *testing.B) {
	one := newSite(b, "ES256")
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		s := *one
		s.upstream = s.newUpstream()
		r, w := request(s.token(), 10), httptest.NewRecorder()
		for pb.Next() {
			s.guard(r, w)
		}
	})
}

// BenchmarkGuardFirst is a request whose token was never seen, by algorithm. Compare it with
// BenchmarkGolangJWT.
func BenchmarkGuardFirst(b *testing.B) {
	for _, alg := range algorithms {
		b.Run(alg, func(b *testing.B) {
			s := newSite(b, alg)
			tokens := make([]string, 512)
			for i := range tokens {
				tokens[i] = s.token()
			}
			r, w := request("", 10), httptest.NewRecorder()
			authorization := r.Header["Authorization"]
			next := 0
			b.ReportAllocs()
			for b.Loop() {
				if next == len(tokens) {
					b.StopTimer()
					s.stop()
					s.start()
					next = 0
					b.StartTimer()
				}
				authorization[0] = "Bearer " + tokens[next]
				next++
				s.guard(r, w)
			}
		})
	}
}

// BenchmarkGolangJWT measures golang-jwt alone, verifying such a token.
func BenchmarkGolangJWT(b *testing.B) {
	for _, alg := range algorithms {
		b.Run(alg, func(b *testing.B) {
			s := newSite(b, alg)
			token, key := s.token(), publicKey(b, s)
			parser := gojwt.NewParser(gojwt.WithValidMethods([]string{alg}), gojwt.WithIssuer(issuer), gojwt.WithAudience(appID))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := parser.Parse(token, func(*gojwt.Token) (any, error) { return key, nil }); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// publicKey returns the site's key as golang-jwt verifies with it.
func publicKey(tb testing.TB, s *site) any {
	tb.Helper()
	exported, err := s.key.ExportPrivate()
	if err != nil {
		tb.Fatal(err)
	}
	if strings.HasPrefix(s.key.Algorithm(), "HS") {
		return exported
	}
	block, _ := pem.Decode(exported)
	private, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		tb.Fatal(err)
	}
	return private.(crypto.Signer).Public()
}

// BenchmarkStrip is a request that needs no token: what is left is the removal of headers that could
// pass for an identity.
func BenchmarkStrip(b *testing.B) {
	for _, headers := range []int{5, 30, 100} {
		b.Run(fmt.Sprintf("headers=%d", headers), func(b *testing.B) {
			s := newSite(b, "HS256")
			r, w := request("", headers), httptest.NewRecorder()
			r.URL.Path = "/assets/logo.png"
			b.ReportAllocs()
			for b.Loop() {
				s.guard(r, w)
			}
		})
	}
}

// BenchmarkIssue is the making of an access token, by algorithm.
func BenchmarkIssue(b *testing.B) {
	for _, alg := range algorithms {
		b.Run(alg, func(b *testing.B) {
			s := newSite(b, alg)
			issuer, claims := s.issuer(), user(b)
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := issuer.Issue(claims); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
