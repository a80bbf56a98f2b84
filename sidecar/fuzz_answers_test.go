// Fuzzing of what the hook answers, and of what is remembered of a token.

package sidecar

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/jwt"
)

// An answer lets a user in only if it has one reading, and that says so; where some reading of it
// says no, it is a no, which on_error allow does not turn around. Its claims are those it gives, but
// for the sidecar's own.
func FuzzHookAnswer(f *testing.F) {
	for _, seed := range []string{
		`{"allow":true}`, `{"allow":true,"claims":{"role":"admin","n":12345678901234567890}}`, `{"allow":false,"reason":"封"}`, `{"allow":true,"allow":false}`, `{"allow":false,"allow":true}`,
		`{"allow":true,"Allow":false}`, `{"allow":"false"}`, `{"allow":0}`, `{"allow":true,"claims":[]}`, `{"allow":true,"claims":null}`, `{"allow":true,"claims":{"OpenID":"x","risk_rank":4,"exp":1}}`,
		`{"allow":true,"reason":null}`, `{"allow":true,"reason":1}`, `{"allow":false`, `allow: no`, `{"allow":true}{"allow":false}`, `{"claims":{"allow":false},"allow":true}`, `{"allow":true,"claims":{"a":1,"a":2}}`, "",
		`{"allow":true,"claims":{"x":{"iss":"y"}}}`, `{"allow":1}`, `{"allow":null,"x":"allow=false"}`,
	} {
		f.Add(seed, uint16(200))
	}
	f.Add(`{"allow":true}`, uint16(403))
	f.Add(`{"allow":true}`, uint16(500))
	f.Add(`{"allow":true}`, uint16(302))
	var status int
	var body string
	address := started(f, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}))
	hook := NewHook(HookConfig{URL: address, Secret: testSecret, Timeout: 5 * time.Second, AllowOnError: true}, slog.New(slog.DiscardHandler))
	f.Cleanup(func() { _ = hook.Close() })
	f.Fuzz(func(t *testing.T, text string, code uint16) {
		body, status = text, 200+int(code)%400
		if status == 204 || status == 304 { // which have no body
			return
		}
		answer, err := hook.question(t.Context(), hookEvent{Event: "login"})
		if err != nil && (answer.allow || len(text) > 20 && strings.Contains(err.Error(), text)) {
			t.Errorf("got %+v %v", answer, err)
		}
		object, ok := plainObject([]byte(text))
		if no := status == 403 || saysNo(text); no && (err != nil || answer.allow) {
			t.Errorf("%d %s: got %+v %v, want a no", status, text, answer, err)
		}
		if !answer.allow {
			return
		}
		if status != 200 || !ok || object["allow"] != true {
			t.Fatalf("%d %s: got %+v, want no yes", status, text, answer)
		}
		given, _ := object["claims"].(map[string]any)
		for name, value := range given {
			if taken, ok := answer.claims[name]; ok == isOurs(name) || ok && !reflect.DeepEqual(plainNumbers(t, taken), value) {
				t.Errorf("%s: got %v for the claim %q, want %v", text, taken, name, value)
			}
		}
		if len(answer.claims)+len(answer.reserved) != len(given) {
			t.Errorf("%s: got %v and %v", text, answer.claims, answer.reserved)
		}
	})
}

// isOurs reports whether a claim is one that no hook may give.
func isOurs(name string) bool {
	ours := append(jwt.Names(), "nbf", "phone_sealed")
	return name == riskClaim || slices.ContainsFunc(ours, func(other string) bool { return strings.EqualFold(name, other) })
}

// saysNo reports whether a reader that takes the first or the last of equal names reads a no.
func saysNo(text string) bool {
	if strings.Contains(text, `\`) { // no backend escapes its names
		return false
	}
	dec := json.NewDecoder(strings.NewReader(text))
	if token, err := dec.Token(); err != nil || token != json.Delim('{') {
		return false
	}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return false
		}
		var value any
		if dec.Decode(&value) != nil {
			return false
		}
		if name == "allow" && value == false {
			return true
		}
	}
	return false
}

// plainNumbers is a value as the standard library reads it.
func plainNumbers(t *testing.T, value any) (plain any) {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	dec := json.NewDecoder(strings.NewReader(string(text)))
	dec.UseNumber()
	if err := dec.Decode(&plain); err != nil {
		t.Fatal(err)
	}
	return plain
}

// A token that can be issued is verified as what was issued, and the memory of verified tokens gives
// the same claims as the verification did.
func FuzzRememberedClaims(f *testing.F) {
	f.Add("o1", "u1", "13800138000", "小明 😀 \"<&>\"", `{"role":"admin","n":12345678901234567890,"x":[1,{"a":null}]}`)
	f.Add("o", "", "", "", `{}`)
	f.Add("o", "", "1", "\u2028", `{"":"","a":1e999,"b":-0,"c":1.0,"Role":true}`)
	s := newTestSite(f, func(c *Config, _ *Deps) { c.Token.SealPhone = true })
	f.Fuzz(func(t *testing.T, openid, unionid, phone, nickname, extra string) {
		c := jwt.Claims{AppID: testAppID, OpenID: openid, SID: "S", UnionID: unionid, Phone: phone, Nickname: nickname}
		var err error
		if c.Extra, _, err = jwt.ParseExtra(extra); err != nil {
			return
		}
		token, _, err := s.tokens.issue(c)
		if err != nil {
			return
		}
		first, err := s.tokens.verify(token)
		if err != nil {
			t.Fatalf("%+v: got %v, want what was issued verified", c, err)
		}
		if first.OpenID != openid || first.UnionID != unionid || first.Phone != phone || first.Nickname != nickname || len(first.Extra) != len(c.Extra) {
			t.Errorf("got %+v, want %+v", first, c)
		}
		for name, value := range c.Extra {
			if !reflect.DeepEqual(plainNumbers(t, first.Extra[name]), plainNumbers(t, value)) {
				t.Errorf("%q: got %v, want %v", name, first.Extra[name], value)
			}
		}
		again, err := s.tokens.verify(token)
		if err != nil || !reflect.DeepEqual(first, again) {
			t.Errorf("got %+v %v, want %+v", again, err, first)
		}
	})
}
