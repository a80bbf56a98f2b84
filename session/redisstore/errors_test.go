//go:build unix

// What an operator gets to read.

package redisstore_test

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/session"
	"github.com/caddy-wechat/wechatauth/session/redisstore"
	"github.com/caddy-wechat/wechatauth/session/redisstore/redistest"
)

func TestErrorsNameTheirCause(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		login string // in the URL
		set   [][]any
		cause redisstore.Cause
		says  string
	}{
		{"memory is full", "", [][]any{{"CONFIG", "SET", "maxmemory", "1"}}, redisstore.Full, "maxmemory"},
		{
			"too few replicas", "", [][]any{{"CONFIG", "SET", "min-replicas-to-write", "1"}},
			redisstore.FewReplicas, "min-replicas-to-write",
		},
		{"a password wanted", "", [][]any{{"CONFIG", "SET", "requirepass", "right"}}, redisstore.WrongLogin, "password"},
		{
			"another password wanted", "default:secret-pass@", [][]any{{"CONFIG", "SET", "requirepass", "right"}},
			redisstore.WrongLogin, "password",
		},
		{
			"a user nobody knows", "secret-name:secret-pass@", [][]any{{"CONFIG", "SET", "requirepass", "right"}},
			redisstore.WrongLogin, "username",
		},
		{
			"a user without scripts", "app:pass@", [][]any{{"ACL", "SETUSER", "app", "on", ">pass", "~*", "+@all", "-@scripting"}},
			redisstore.NotPermitted, "ACL",
		},
		{
			"a user without hashes", "app:pass@", [][]any{{"ACL", "SETUSER", "app", "on", ">pass", "~*", "+@all", "-@hash"}},
			redisstore.NotPermitted, "ACL",
		},
		{
			"a user of other keys", "app:pass@", [][]any{{"ACL", "SETUSER", "app", "on", ">pass", "~other:*", "+@all"}},
			redisstore.NotPermitted, "~<prefix>*",
		},
		{"a replica", "", [][]any{{"REPLICAOF", "127.0.0.1", "1"}}, redisstore.ReadOnly, "master"},
		{"the disk is full", "", [][]any{
			{"CONFIG", "SET", "save", "3600 1000"},
			{"CONFIG", "SET", "dbfilename", strings.Repeat("x", 300)}, // no file can have this name
			{"BGSAVE"},
		}, redisstore.Refused, "MISCONF"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			server := redistest.Start(t, "enable-protected-configs yes")
			s := open(t, redisstore.Config{URLs: []string{"redis://" + test.login + server.Addr}})
			for _, command := range test.set {
				server.Do(t, command...)
			}
			made, token := session.New(user.UserID, site, time.Now())
			l := session.Login{Session: made, User: user, Replay: replay, Policy: policy}
			var err error
			until(t, "the server refuses", func() bool {
				_, err = s.Login(t.Context(), l)
				return err != nil
			})
			wantUnavailable(t, "Login", err, test.cause)
			if !strings.Contains(err.Error(), test.says) {
				t.Errorf("got %q, want a text with %q", err, test.says)
			}
			if got := errors.Is(err, session.ErrFull); got != (test.cause == redisstore.Full) {
				t.Errorf("ErrFull: got %t for %s", got, test.cause)
			}
			if _, err := s.End(t.Context(), token.SID, ending(time.Now())); err != nil {
				wantUnavailable(t, "End", err, test.cause)
			} else {
				t.Error("End: got no error")
			}
			if test.cause == redisstore.WrongLogin {
				wantUnavailable(t, "Follow", s.Follow(t.Context(), func([]session.Revocation) {}), test.cause)
			}
		})
	}
}

// TestTheACLThatTheAdviceNames is enough for everything.
func TestTheACLThatTheAdviceNames(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	server.Do(t, "ACL", "SETUSER", "app", "on", ">p/a@s:s%", "~"+redisstore.DefaultPrefix+"*", "+@all", "-@dangerous", "+info")
	s := open(t, redisstore.Config{URLs: []string{server.URL}, Username: "app", Password: "p/a@s:s%"})
	healed(t, s)
	if got := kept(t, s); len(got) == 0 {
		t.Error("got no revocations")
	}
}

// TestARedisThatEvicts is reported once.
func TestARedisThatEvicts(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ policy, want string }{{"allkeys-lru", "allkeys-lru"}, {"noeviction", ""}} {
		t.Run(test.policy, func(t *testing.T) {
			t.Parallel()
			server := redistest.Start(t, "maxmemory-policy "+test.policy)
			var log bytes.Buffer
			s := open(t, redisstore.Config{
				URLs: []string{server.URL}, Logger: slog.New(slog.NewTextHandler(&log, nil)),
			})
			for range 3 {
				kept(t, s) // returns after the check
			}
			if got := strings.Count(log.String(), "noeviction"); test.want == "" && got != 0 || test.want != "" && got != 1 {
				t.Errorf("got %q, want one line about %q", &log, test.want)
			}
			if !strings.Contains(log.String(), test.want) {
				t.Errorf("got %q, want a line with %q", &log, test.want)
			}
		})
	}
}

func TestAClosedStore(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	server.Stop()
	s := open(t, redisstore.Config{URLs: []string{server.URL}})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	_, err := s.Account(t.Context(), user.Tag())
	wantUnavailable(t, "Account", err, redisstore.Closed)
	if !errors.Is(err, session.ErrClosed) {
		t.Errorf("got %v, want %v", err, session.ErrClosed)
	}
}
