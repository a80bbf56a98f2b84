// Tests of the memory of verified tokens: what is in it, and how much.

package sidecar

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/caddy-wechat/wechatauth/jwt"
)

// What is remembered is what was verified, to the last claim.
func TestRememberedClaimsAreTheVerified(t *testing.T) {
	t.Parallel()
	s := newTestSite(t, func(c *Config, _ *Deps) { c.Token.SealPhone = true })
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
			first, err := s.tokens.verify(token)
			if err != nil {
				t.Fatal(err)
			}
			if !s.remembers(token) {
				t.Fatal("not remembered")
			}
			again, err := s.tokens.verify(token)
			if err != nil || first == again || !reflect.DeepEqual(first, again) {
				t.Errorf("got %+v, %v, want %+v", again, err, first)
			}
		})
	}
}

// A token that would push many others out is verified each time.
func TestUnusualTokensAreNotRemembered(t *testing.T) {
	t.Parallel()
	s := newTestSite(t)
	var usual []string
	for i := range 100 {
		usual = append(usual, s.token(fmt.Sprint("o", i)))
		s.warm(usual[i], fmt.Sprint("o", i))
	}
	large := s.token("o1", func(c *jwt.Claims) { c.Extra = map[string]any{"x": strings.Repeat("x", 5000)} })
	for range 10 {
		s.want("large", large, "o1")
	}
	if s.remembers(large) {
		t.Error("the large token is remembered")
	}
	for _, token := range usual {
		if !s.remembers(token) {
			t.Fatal("a large token pushed another out")
		}
	}
	s.want("endless", strings.Repeat("A", 1<<20), "401 token_invalid")
}

// What is not a token of this site leaves no trace.
// Threats: T63.
func TestInvalidTokensAreNotRemembered(t *testing.T) {
	t.Parallel()
	s := newTestSite(t)
	token := s.token("o1")
	s.warm(token, "o1")
	tokens, bytes := s.remembered()
	cut := strings.LastIndex(token, ".") + 1
	for i := range 20_000 {
		for _, invalid := range []string{
			fmt.Sprintf("%043d", i),                     // garbage
			token[:cut] + fmt.Sprintf("%043d", i),       // with a signature that is wrong
			fmt.Sprintf("A%07d", i) + token[cut-1:],     // with a header that is none
			token[:cut/2] + fmt.Sprintf("%d", i) + "..", // in pieces
		} {
			if _, err := s.tokens.verify(invalid); !errors.Is(err, jwt.ErrInvalid) {
				t.Fatalf("got %v, want ErrInvalid", err)
			}
		}
	}
	if n, b := s.remembered(); n != tokens || b != bytes {
		t.Errorf("got %d tokens in %d bytes, want %d in %d", n, b, tokens, bytes)
	}
	if !s.remembers(token) {
		t.Error("the valid token was pushed out")
	}
}

// A flood of logins fills the memory and no more. Who is pushed out is verified anew.
// Threats: T64.
func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	s := newTestSite(t)
	first := s.token("o1")
	s.warm(first, "o1")
	last := ""
	for range 10_000 {
		last = s.token("o2")
		if _, err := s.tokens.verify(last); err != nil {
			t.Fatal(err)
		}
	}
	if n, bytes := s.remembered(); bytes > 1<<20 || n < 1000 || n > 9000 {
		t.Errorf("got %d tokens in %d bytes, want some thousand in a MiB", n, bytes)
	}
	if s.remembers(first) || !s.remembers(last) {
		t.Errorf("got first %t, last %t, want the newest to be remembered", s.remembers(first), s.remembers(last))
	}
	s.want("the first", first, "o1")
	s.want("the last", last, "o2")
}

// Many at once, while keys come and go: everybody is who they are.
// Threats: T86.
func TestMemoryIsShared(t *testing.T) {
	t.Parallel()
	s := newTestSite(t)
	own, other := parseKey(t, testKey), parseKey(t, otherKey)
	signer := s.sibling(t, keyed(t, "HS256", testKey)) // with a ring of its own
	var users, keys sync.WaitGroup
	done := make(chan struct{})
	keys.Go(func() {
		for {
			for _, ring := range [][]*jwt.Key{{other, own}, {own}} {
				if err := s.deps.Keys.(*ConfiguredKeys).ring.Replace(ring[0], ring[1:]...); err != nil {
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
				token := signer.token(openid)
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
