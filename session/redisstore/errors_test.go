//go:build unix

// The errors an operator sees.

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
			"too few replicas", "",
			[][]any{{"CONFIG", "SET", "min-replicas-to-write", "1"}},
			redisstore.FewReplicas, "min-replicas-to-write",
		},
		{"a password wanted", "", [][]any{{"CONFIG", "SET", "requirepass", "right"}}, redisstore.WrongLogin, "password"},
		{
			"another password wanted", "default:secret-pass@",
			[][]any{{"CONFIG", "SET", "requirepass", "right"}},
			redisstore.WrongLogin, "password",
		},
		{
			"a user nobody knows", "secret-name:secret-pass@",
			[][]any{{"CONFIG", "SET", "requirepass", "right"}},
			redisstore.WrongLogin, "username",
		},
		{
			"a user without scripts", "app:pass@",
			[][]any{{"ACL", "SETUSER", "app", "on", ">pass", "~*", "+@all", "-@scripting"}},
			redisstore.NotPermitted, "ACL",
		},
		{
			"a user without hashes", "app:pass@",
			[][]any{{"ACL", "SETUSER", "app", "on", ">pass", "~*", "+@all", "-@hash"}},
			redisstore.NotPermitted, "ACL",
		},
		{
			"a user of other keys", "app:pass@",
			[][]any{{"ACL", "SETUSER", "app", "on", ">pass", "~other:*", "+@all"}},
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

// TestAnAddressOfAnotherKind: nothing is acknowledged there, and nothing is taken for missing.
func TestAnAddressOfAnotherKind(t *testing.T) {
	t.Parallel()
	cluster, single, sentinel := redistest.StartCluster(t), redistest.Start(t), redistest.StartSentinel(t)
	locked := redistest.StartSentinel(t)
	locked.Sentinel.Do(t, "ACL", "SETUSER", "default", "resetpass", ">right")
	for _, test := range []struct {
		name, url string
		cause     redisstore.Cause
	}{
		{"a node of a cluster", cluster.URLs[0], redisstore.OtherKind},
		{"no cluster", "redis+cluster://" + single.Addr, redisstore.OtherKind},
		{"no sentinel", "redis+sentinel://" + single.Addr + "/main", redisstore.OtherKind},
		{"a sentinel", "redis://" + sentinel.Sentinel.Addr, redisstore.OtherKind},
		{"another master", "redis+sentinel://" + sentinel.Sentinel.Addr + "/other", redisstore.NoMaster},
		{"a sentinel with a password", locked.URL, redisstore.WrongLogin},
		{"a sentinel with another password", locked.URL + "?sentinel_password=secret", redisstore.WrongLogin},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := open(t, redisstore.Config{URLs: []string{test.url}})
			_, token := session.New(user.UserID, site, time.Now())
			failed := 0
			for _, c := range calls(t.Context(), s, token, time.Now()) {
				// Some keys are on the very node.
				if err := c.do(); err != nil && !errors.Is(err, session.ErrEnded) || test.name != "a node of a cluster" {
					wantUnavailable(t, c.name, err, test.cause)
					failed++
				}
			}
			if failed == 0 {
				t.Error("got no errors")
			}
			if test.name != "a node of a cluster" {
				wantUnavailable(t, "Follow", s.Follow(t.Context(), func([]session.Revocation) {}), test.cause)
			}
		})
	}
	s := open(t, redisstore.Config{URLs: []string{locked.URL + "?sentinel_password=right"}})
	healed(t, s)
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

// TestAClusterOneNodeOfWhichEvicts is reported, too.
func TestAClusterOneNodeOfWhichEvicts(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t)
	cluster.Nodes[2].Do(t, "CONFIG", "SET", "maxmemory-policy", "volatile-ttl")
	var log bytes.Buffer
	kept(t, open(t, redisstore.Config{URLs: cluster.URLs, Logger: slog.New(slog.NewTextHandler(&log, nil))}))
	if got := strings.Count(log.String(), "volatile-ttl"); got != 1 {
		t.Errorf("got %q, want one line", &log)
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
