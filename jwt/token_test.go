// Issuing and verifying.

package jwt_test

import (
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	gojwt "github.com/golang-jwt/jwt/v5"

	"github.com/caddy-wechat/wechatauth/jwt"
)

func fullClaims() jwt.Claims {
	c := testClaims()
	c.UnionID = "uNiOn_1-2"
	c.Phone = "13800138000"
	c.PhoneNumber = "+8613800138000"
	c.PhoneNumberVerified = true
	c.Nickname = "小明 <&> \"x\" 👨‍👩‍👧"
	c.Picture = "/auth/avatar/abc.jpg?x=1&y=2"
	c.Extra = map[string]any{"role": "admin", "level": json.Number("7"), "tags": []any{"a", nil, true}}
	return c
}

func TestEveryAlgorithmRoundTrips(t *testing.T) {
	t.Parallel()
	for _, alg := range jwt.Algorithms() {
		for _, sealed := range []bool{false, true} {
			t.Run(alg, func(t *testing.T) {
				t.Parallel()
				s := newSite(t, alg)
				s.issuer.SealPhone = sealed

				token, issued, err := s.issuer.Issue(fullClaims())
				if err != nil {
					t.Fatalf("Issue: %v", err)
				}
				got := wantAccepted(t, s.verifier, token)
				if !reflect.DeepEqual(*got, issued) {
					t.Errorf("got %+v, want what Issue returned: %+v", *got, issued)
				}

				want := fullClaims()
				want.Issuer, want.Subject, want.Audience = testIssuer, testOpenID, []string{testAppID}
				want.IssuedAt = testNow.Unix()
				want.ExpiresAt = want.IssuedAt + int64(testTTL.Seconds())
				want.ID, want.KeyID = got.ID, s.key.ID()
				if !reflect.DeepEqual(*got, want) {
					t.Errorf("got %+v, want %+v", *got, want)
				}
				if len(got.ID) < 22 {
					t.Errorf("got a jti of %d characters, want at least 128 bits", len(got.ID))
				}
			})
		}
	}
}

// A backend whose clock is a second behind must take a fresh token ("Token used before issued").
func TestTokensAreGoodOnMachinesThatAreBehind(t *testing.T) {
	t.Parallel()
	s := newSite(t, "ES256")
	behind := func() time.Time { return testNow.Add(-time.Second) }
	parser := gojwt.NewParser(gojwt.WithValidMethods([]string{"ES256"}), gojwt.WithTimeFunc(behind))
	if _, err := parser.Parse(s.issue(t), func(*gojwt.Token) (any, error) { return publicOf(t, s), nil }); err != nil {
		t.Errorf("golang-jwt: %v", err)
	}
}

// Upstreams verify with whatever library they have.
func TestIssuedTokensArePlainJWTs(t *testing.T) {
	t.Parallel()
	for _, alg := range jwt.Algorithms() {
		t.Run(alg, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, alg)
			var claims gojwt.MapClaims
			parser := gojwt.NewParser(gojwt.WithValidMethods([]string{alg}), gojwt.WithTimeFunc(fixedClock),
				gojwt.WithIssuer(testIssuer), gojwt.WithAudience(testAppID), gojwt.WithIssuedAt(), gojwt.WithExpirationRequired())
			token, err := parser.ParseWithClaims(s.issue(t), &claims, func(*gojwt.Token) (any, error) {
				return publicOf(t, s), nil
			})
			if err != nil {
				t.Fatalf("golang-jwt refuses the token: %v", err)
			}

			want := map[string]any{"alg": alg, "kid": s.key.ID(), "typ": "JWT"}
			if !reflect.DeepEqual(token.Header, want) {
				t.Errorf("got header %v, want %v", token.Header, want)
			}
			if aud, ok := claims["aud"].(string); !ok || aud != testAppID {
				t.Errorf("got aud %v, want the plain string %q", claims["aud"], testAppID)
			}
			for _, absent := range []string{"nbf", "phone", "phone_number", "phone_number_verified", "phone_sealed", "unionid", "nickname", "picture"} {
				if _, there := claims[absent]; there {
					t.Errorf("got the claim %s, want it left out", absent)
				}
			}
		})
	}
}

func TestIssueKeepsReservedNamesForItself(t *testing.T) {
	t.Parallel()
	s := newSite(t, "HS256")
	c := testClaims()
	c.Extra = map[string]any{"role": "user"}
	for _, name := range []string{
		"iss", "sub", "aud", "iat", "nbf", "exp", "jti", "sid", "appid", "openid", "unionid", "phone", "phone_number",
		"phone_number_verified", "phone_sealed", "nickname", "picture", "EXP", "OpenID", "ſid", "Phone_Number",
	} {
		if !jwt.Reserved(name) {
			t.Errorf("got Reserved(%q) false, want true", name)
		}
		c.Extra[name] = "forged"
	}

	token, issued, err := s.issuer.Issue(c)
	if err != nil {
		t.Fatalf("Issue: %v", err)
	}
	if strings.Contains(decode(t, strings.Split(token, ".")[1]), "forged") {
		t.Error("got a reserved name from Extra in the token, want it ignored")
	}
	if got, want := issued.Extra, map[string]any{"role": "user"}; !reflect.DeepEqual(got, want) {
		t.Errorf("got Extra %v, want %v", got, want)
	}
	if jwt.Reserved("role") || jwt.Reserved("") || jwt.Reserved("expires") {
		t.Error("got a free name reserved, want it free")
	}
}

func TestIssueRefuses(t *testing.T) {
	t.Parallel()
	deep := any("x")
	for range 20 {
		deep = []any{deep}
	}
	tests := []struct {
		name   string
		change func(*jwt.Issuer, *jwt.Claims)
		want   error
	}{
		{"no appid", func(_ *jwt.Issuer, c *jwt.Claims) { c.AppID = "" }, jwt.ErrClaims},
		{"no openid", func(_ *jwt.Issuer, c *jwt.Claims) { c.OpenID = "" }, jwt.ErrClaims},
		{"no sid", func(_ *jwt.Issuer, c *jwt.Claims) { c.SID = "" }, jwt.ErrClaims},
		{"no issuer name", func(i *jwt.Issuer, _ *jwt.Claims) { i.Name = "" }, jwt.ErrClaims},
		{"openid with a space", func(_ *jwt.Issuer, c *jwt.Claims) { c.OpenID = "secret value" }, jwt.ErrClaims},
		{"openid too long", func(_ *jwt.Issuer, c *jwt.Claims) { c.OpenID = strings.Repeat("o", 129) }, jwt.ErrClaims},
		{"line break in nickname", func(_ *jwt.Issuer, c *jwt.Claims) { c.Nickname = "secret\r\nX-WX-OPENID: a" }, jwt.ErrClaims},
		{"line break in sealed phone", func(i *jwt.Issuer, c *jwt.Claims) { i.SealPhone, c.Phone = true, "secret\n" }, jwt.ErrClaims},
		{"extra not JSON", func(_ *jwt.Issuer, c *jwt.Claims) { c.Extra = map[string]any{"secret": math.NaN()} }, jwt.ErrClaims},
		{"extra too deep", func(_ *jwt.Issuer, c *jwt.Claims) { c.Extra = map[string]any{"secret": deep} }, jwt.ErrClaims},
		{"extra too long", func(_ *jwt.Issuer, c *jwt.Claims) { c.Extra = map[string]any{"a": strings.Repeat("x", 6100)} }, jwt.ErrTooLarge},
		{"lifetime under a second", func(i *jwt.Issuer, _ *jwt.Claims) { i.TTL = 999 * time.Millisecond }, jwt.ErrClaims},
		{"no ring", func(i *jwt.Issuer, _ *jwt.Claims) { i.Ring = nil }, jwt.ErrKey},
		{"empty ring", func(i *jwt.Issuer, _ *jwt.Claims) { i.Ring = new(jwt.Ring) }, jwt.ErrKey},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, c := newSite(t, "HS256"), testClaims()
			tt.change(s.issuer, &c)

			token, _, err := s.issuer.Issue(c)
			if !errors.Is(err, tt.want) || token != "" {
				t.Fatalf("got token %t, error %v, want none and %v", token != "", err, tt.want)
			}
			if !strings.HasPrefix(err.Error(), "jwt: ") || strings.Contains(err.Error(), "secret") {
				t.Errorf("got %q, want the prefix jwt: and no claim value", err)
			}
		})
	}
}

func TestAudience(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name             string
		issued, verified []string
		want             error
	}{
		{"appid", nil, nil, nil},
		{"one", []string{"api"}, []string{"api"}, nil},
		{"one of several", []string{"web", "api"}, []string{"api"}, nil},
		{"any of ours", []string{"api"}, []string{"other", "api"}, nil},
		{"other", []string{"web"}, []string{"api"}, jwt.ErrInvalid},
		{"appid for another audience", nil, []string{"api"}, jwt.ErrInvalid},
		{"audience where the appid is wanted", []string{"api"}, nil, jwt.ErrInvalid},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, "HS256")
			s.issuer.Audience, s.verifier.Audience = tt.issued, tt.verified
			if _, err := s.verifier.Verify(s.issue(t)); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}

func TestExpiry(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		after time.Duration // since the second of issue
		want  error
	}{
		{"at once", 0, nil},
		{"in its last second", testTTL - time.Nanosecond, nil},
		{"at its end", testTTL, jwt.ErrExpired},
		{"a year later", 365 * 24 * time.Hour, jwt.ErrExpired},
		{"on a machine that is behind", -30 * time.Second, nil},
		{"on a machine that is far behind", -30*time.Second - time.Nanosecond, jwt.ErrInvalid},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, "ES256")
			token := s.issue(t)
			s.verifier.Now = func() time.Time { return testNow.Truncate(time.Second).Add(tt.after) }
			if _, err := s.verifier.Verify(token); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}

func TestTheRealClockIsTheDefault(t *testing.T) {
	t.Parallel()
	s := newSite(t, "ES256")
	s.issuer.Now, s.verifier.Now = nil, nil
	wantAccepted(t, s.verifier, s.issue(t))
}

func TestValue(t *testing.T) {
	t.Parallel()
	s := newSite(t, "HS256")
	_, issued, err := s.issuer.Issue(fullClaims())
	if err != nil {
		t.Fatalf("Issue: %v", err)
	}
	want := map[string]any{
		"iss": testIssuer, "sub": testOpenID, "aud": testAppID, "jti": issued.ID, "sid": testSID,
		"iat": issued.IssuedAt, "exp": issued.ExpiresAt,
		"appid": testAppID, "openid": testOpenID, "unionid": issued.UnionID,
		"phone": issued.Phone, "phone_number": issued.PhoneNumber, "phone_number_verified": true,
		"nickname": issued.Nickname, "picture": issued.Picture, "role": "admin", "level": json.Number("7"),
	}
	for name, value := range want {
		if got, ok := issued.Value(name); !ok || got != value {
			t.Errorf("got Value(%q) %v, %t, want %v", name, got, ok, value)
		}
		if got, ok := new(jwt.Claims).Value(name); ok {
			t.Errorf("got Value(%q) %v of empty claims, want none", name, got)
		}
	}

	issued.Audience = []string{"a", "b"}
	if got, ok := issued.Value("aud"); !ok || !slices.Equal(got.([]string), issued.Audience) {
		t.Errorf("got Value(aud) %v, %t, want both audiences", got, ok)
	}
	issued.Extra = map[string]any{"phone_sealed": "x", "OPENID": "x"}
	for _, name := range []string{"phone_sealed", "OPENID", "nothing", ""} {
		if got, ok := issued.Value(name); ok {
			t.Errorf("got Value(%q) %v, want none", name, got)
		}
	}
}

// A text that is missing here is neither remembered nor forwarded by the sidecar.
func TestTextsAreAllTextClaims(t *testing.T) {
	t.Parallel()
	var c jwt.Claims
	for i, text := range c.Texts() {
		*text = strconv.Itoa(i)
	}
	c.Issuer, c.Subject = "iss", "sub"
	v := reflect.ValueOf(c)
	for i := range v.NumField() {
		if v.Field(i).Kind() == reflect.String && v.Field(i).String() == "" {
			t.Errorf("%s is not among the texts", v.Type().Field(i).Name)
		}
	}
}
