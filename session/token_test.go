package session_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/session"
)

var bob = session.UserID{AppID: "wx0123456789abcdef", OpenID: "oBob"}

func TestRefreshTokenIsReadAsWritten(t *testing.T) {
	t.Parallel()
	made, token := session.New(bob, time.Now())
	got, ok := session.ParseRefreshToken(token.Text())
	if !ok || got != token {
		t.Fatalf("got another token, %t", ok)
	}
	if got.SID != made.SID || got.Family() != made.Family || got.Digest() != made.Current {
		t.Error("the token read is not the session's")
	}
	user, at, ok := made.SID.Parse()
	if !ok || user != bob.Tag() || !at.Equal(made.Created.Truncate(time.Millisecond)) {
		t.Errorf("got %v made at %v, %t, want %v at %v", user, at, ok, bob.Tag(), made.Created)
	}
}

func TestMalformedTokensAreNone(t *testing.T) {
	t.Parallel()
	_, token := session.New(bob, time.Now())
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

func TestTokensAreAllDifferent(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	now := time.Now()
	for range 10_000 {
		made, token := session.New(bob, now)
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
	_, token := session.New(bob, time.Now())
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
	_, other := session.New(bob, time.Now())
	if next.Digest() == other.Successor([]byte("salt")).Digest() {
		t.Error("another token gave the same successor")
	}
}

func TestPrintingATokenDoesNotShowIt(t *testing.T) {
	t.Parallel()
	_, token := session.New(bob, time.Now())
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

func FuzzParseRefreshToken(f *testing.F) {
	_, token := session.New(bob, time.UnixMilli(1_800_000_000_000))
	for _, seed := range []string{"", token.Text(), token.Text() + "\n", string(token.SID), strings.Repeat("_", 115)} {
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
