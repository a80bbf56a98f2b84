// Sealed phone numbers.

package jwt_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/caddy-wechat/wechatauth/jwt"
)

// payloadOf returns the claims of a token as its reader sees them.
func payloadOf(tb testing.TB, token string) (text string, claims map[string]any) {
	tb.Helper()
	text = decode(tb, strings.Split(token, ".")[1])
	if err := json.Unmarshal([]byte(text), &claims); err != nil {
		tb.Fatalf("payload: %v", err)
	}
	return text, claims
}

func (s *site) issueSealed(tb testing.TB) string {
	tb.Helper()
	s.issuer.SealPhone = true
	token, _, err := s.issuer.Issue(fullClaims())
	if err != nil {
		tb.Fatalf("Issue: %v", err)
	}
	return token
}

func TestSealedPhoneIsNotReadableInTheToken(t *testing.T) {
	t.Parallel()
	s := newSite(t, "ES256")
	text, claims := payloadOf(t, s.issueSealed(t))
	if strings.Contains(text, "13800138000") {
		t.Error("got the phone in the payload, want it sealed")
	}
	for _, name := range []string{"phone", "phone_number"} {
		if _, there := claims[name]; there {
			t.Errorf("got the claim %s, want it sealed", name)
		}
	}
	if claims["phone_number_verified"] != true || claims["phone_sealed"] == nil {
		t.Errorf("got phone_number_verified %v and a seal %t, want both in clear", claims["phone_number_verified"], claims["phone_sealed"] != nil)
	}

	_, again := payloadOf(t, s.issueSealed(t))
	if claims["phone_sealed"] == again["phone_sealed"] {
		t.Error("got the same seal twice, want users with one phone to be unrelated")
	}
}

func TestNoPhoneNoSeal(t *testing.T) {
	t.Parallel()
	s := newSite(t, "ES256")
	s.issuer.SealPhone = true
	if _, claims := payloadOf(t, s.issue(t)); claims["phone_sealed"] != nil {
		t.Error("got a seal around nothing, want none")
	}
}

func TestSealedPhoneOpensUnderAPreviousKey(t *testing.T) {
	t.Parallel()
	old := siteWithKey(t, freshKey(t, "ES256"))
	token := old.issueSealed(t)

	whole := newSite(t, "ES384", old.key)
	if got := wantAccepted(t, whole.verifier, token); got.Phone != "13800138000" || got.PhoneNumber != "+8613800138000" {
		t.Errorf("got phone known %t, want it opened by the previous private key", got.Phone != "")
	}

	public := newSite(t, "ES384", publicHalf(t, old.key))
	if got := wantAccepted(t, public.verifier, token); got.Phone != "" || got.PhoneNumber != "" || got.OpenID != testOpenID {
		t.Errorf("got phone known %t, want it unknown under a public key", got.Phone != "")
	}

	// The file of the private half listed after the public one changes that.
	both := newSite(t, "ES384", publicHalf(t, old.key), old.key)
	if got := wantAccepted(t, both.verifier, token); got.Phone == "" {
		t.Error("got no phone, want the private half to win")
	}
}

// TestSealCannotBeMoved: a user copies the seal of another user's token into their own claims and
// has them signed, to read that phone from the headers or to pass as its owner.
func TestSealCannotBeMoved(t *testing.T) {
	t.Parallel()
	s := newSite(t, "ES256")
	_, claims := payloadOf(t, s.issueSealed(t))
	jti, seal := `"`+claims["jti"].(string)+`"`, `"`+claims["phone_sealed"].(string)+`"`
	wantAccepted(t, s.verifier, s.forge(t, s.header(), payload("jti", jti, "phone_sealed", seal)))

	tests := []struct {
		name    string
		changes []string
	}{
		{"other token", []string{"phone_sealed", seal}},
		{"other user", []string{"jti", jti, "phone_sealed", seal, "openid", `"oOther"`, "sub", `"oOther"`}},
		{"phone in clear beside it", []string{"jti", jti, "phone_sealed", seal, "phone", `"13900139000"`}},
		{"cut", []string{"jti", jti, "phone_sealed", seal[:len(seal)-5] + `"`}},
		{"a nonce alone", []string{"jti", jti, "phone_sealed", seal[:17] + `"`}},
		{"garbage", []string{"jti", jti, "phone_sealed", `"AAAA"`}},
		{"not base64url", []string{"jti", jti, "phone_sealed", `"a b+/="`}},
		{"empty", []string{"jti", jti, "phone_sealed", `""`}},
		{"number", []string{"jti", jti, "phone_sealed", `1`}},
		{"null", []string{"jti", jti, "phone_sealed", `null`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			wantInvalid(t, s.verifier, s.forge(t, s.header(), payload(tt.changes...)))
		})
	}

	other := siteWithKey(t, freshKey(t, "ES256"))
	wantInvalid(t, other.verifier, other.forge(t, other.header(), payload("jti", jti, "phone_sealed", seal)))
}

// An expired token with a broken seal is not "right in everything but its age".
func TestBrokenSealIsNotToldAsExpired(t *testing.T) {
	t.Parallel()
	s := newSite(t, "ES256")
	past := []string{"iat", "1000", "nbf", "1000", "exp", "1600"}
	if _, err := s.verifier.Verify(s.forge(t, s.header(), payload(past...))); err != jwt.ErrExpired {
		t.Fatalf("got %v, want ErrExpired", err)
	}
	wantInvalid(t, s.verifier, s.forge(t, s.header(), payload(append(past, "phone_sealed", `"AAAA"`)...)))
}
