// Refresh tokens, the names of sessions, and their texts.

package session_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/session"
)

var (
	bob  = session.UserID{AppID: "wx0123456789abcdef", OpenID: "oBob"}
	site = session.NewSite("https://mini.example")
)

func TestRefreshTokenIsReadAsWritten(t *testing.T) {
	t.Parallel()
	made, token := session.New(bob, site, time.Now())
	got, ok := session.ParseRefreshToken(token.Text())
	if !ok || got != token {
		t.Fatalf("got another token, %t", ok)
	}
	if got.SID != made.SID || got.Family() != made.Family || got.Digest() != made.Current {
		t.Error("the token read is not the session's")
	}
	user, at, ok := made.SID.Parse()
	if !ok || user != bob.Tag() || at != site {
		t.Errorf("got %v at %v, %t, want %v at %v", user, at, ok, bob.Tag(), site)
	}
}

func TestMalformedTokensAreNone(t *testing.T) {
	t.Parallel()
	_, token := session.New(bob, site, time.Now())
	text := token.Text()
	for name, wrong := range map[string]string{
		"empty":             "",
		"short":             text[:len(text)-1],
		"long":              text + "A",
		"padded":            text + "=",
		"line break":        text + "\n",
		"line break inside": text[:9] + "\r\n" + text[9:],
		"line break for":    text[:len(text)-1] + "\n",
		"space":             " " + text[1:],
		"other alphabet":    "+/" + text[2:],
		"trailing bits":     text[:len(text)-1] + "_",
		"session's name":    string(token.SID),
		"huge":              strings.Repeat("A", 1<<20),
	} {
		if _, ok := session.ParseRefreshToken(wrong); ok {
			t.Errorf("%s: got a token", name)
		}
	}
	sid := string(token.SID)
	for name, wrong := range map[string]string{
		"empty": "", "short": sid[1:], "line break": sid + "\n", "trailing bits": sid[:len(sid)-1] + "_",
	} {
		if _, _, ok := session.SID(wrong).Parse(); ok {
			t.Errorf("%s: got a session's name", name)
		}
	}
}

// Threats: T66, C33.
func TestTokensAreAllDifferent(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	now := time.Now()
	for range 10_000 {
		made, token := session.New(bob, site, now)
		for _, text := range []string{string(made.SID), token.Text()} {
			if seen[text] {
				t.Fatal("the same text came twice")
			}
			seen[text] = true
		}
	}
}

func TestASuccessorNeedsTokenAndSalt(t *testing.T) {
	t.Parallel()
	_, token := session.New(bob, site, time.Now())
	next := token.Successor([]byte("salt"))
	if next.Text() != token.Successor([]byte("salt")).Text() {
		t.Error("the same token and salt gave two successors")
	}
	if next.SID != token.SID || next.Family() != token.Family() || next.Digest() == token.Digest() {
		t.Error("the successor is not another token of the same session")
	}
	if next.Text() == token.Successor([]byte("pepper")).Text() {
		t.Error("another salt gave the same successor")
	}
	_, other := session.New(bob, site, time.Now())
	if next.Digest() == other.Successor([]byte("salt")).Digest() {
		t.Error("another token gave the same successor")
	}
}

func TestPrintingATokenDoesNotShowIt(t *testing.T) {
	t.Parallel()
	_, token := session.New(bob, site, time.Now())
	secret := token.Text()[len(token.SID):]
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		for _, printed := range []string{
			fmt.Sprintf(verb, token), fmt.Sprintf(verb, &token), fmt.Sprintf(verb, struct{ T session.RefreshToken }{token}),
		} {
			if strings.Contains(printed, secret[:10]) || !strings.Contains(printed, string(token.SID)) {
				t.Errorf("%s: got %s", verb, printed)
			}
		}
	}
}

func TestUsersHaveTagsOfTheirOwn(t *testing.T) {
	t.Parallel()
	seen := map[session.Tag]session.UserID{}
	for _, user := range []session.UserID{
		{},
		{AppID: "a"},
		{OpenID: "a"},
		{AppID: "a", OpenID: "bc"},
		{AppID: "ab", OpenID: "c"},
		{AppID: "a\x00b", OpenID: "c"},
		{AppID: "a", OpenID: "b\x00c"},
	} {
		if other, ok := seen[user.Tag()]; ok {
			t.Errorf("%q and %q have one tag", user, other)
		}
		seen[user.Tag()] = user
	}
}

// A token that differs from a good one in a single character is another token, or none: no two
// texts are one token.
func TestEachTextIsAnotherToken(t *testing.T) {
	t.Parallel()
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_+/=\x00\r\n\t \x80"
	_, token := session.New(bob, site, time.Now())
	text := token.Text()
	for i := range len(text) {
		for j := range len(alphabet) {
			mutated := text[:i] + alphabet[j:j+1] + text[i+1:]
			if got, ok := session.ParseRefreshToken(mutated); ok && (got == token) != (mutated == text) {
				t.Errorf("%q at %d: got the same token", alphabet[j], i)
			}
		}
	}
}

func FuzzParseRefreshToken(f *testing.F) {
	_, token := session.New(bob, site, time.UnixMilli(1_800_000_000_000))
	for _, seed := range []string{"", token.Text(), token.Text() + "\n", string(token.SID), strings.Repeat("_", len(token.Text()))} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		token, ok := session.ParseRefreshToken(text)
		if !ok {
			return
		}
		if got := token.Text(); got != text {
			t.Errorf("got %q, want %q", got, text)
		}
		if _, _, ok := token.SID.Parse(); !ok {
			t.Error("a token without a session's name was read")
		}
	})
}

// FuzzSID: a name that is one has one text, and belongs to one user at one site.
func FuzzSID(f *testing.F) {
	made, _ := session.New(bob, site, time.UnixMilli(1_800_000_000_000))
	for _, seed := range []string{"", string(made.SID), string(made.SID) + "\n", strings.Repeat("_", len(made.SID))} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		user, at, ok := session.SID(text).Parse()
		if !ok {
			return
		}
		raw, err := base64.RawURLEncoding.DecodeString(text)
		if err != nil || base64.RawURLEncoding.EncodeToString(raw) != text {
			t.Errorf("got a name of %q, %v", text, err)
		}
		if !bytes.HasPrefix(raw, append(user[:], at[:]...)) {
			t.Errorf("got user %v at %v of %q", user, at, text)
		}
	})
}
