//go:build unix

// Servers that are away, and come back.

package redisstore_test

import (
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/session"
	"github.com/caddy-wechat/wechatauth/session/redisstore"
	"github.com/caddy-wechat/wechatauth/session/redisstore/redistest"
)

func TestRedisMayComeLater(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	server.Stop()
	s := open(t, redisstore.Config{URLs: []string{server.URL}})
	allFail(t, s)
	_, err := s.Account(t.Context(), user.Tag())
	wantUnavailable(t, "Account", err, redisstore.Unreachable)
	server.Restart(t)
	healed(t, s)
}

func TestRedisStopsAndComesBack(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name       string
		stop, back func(*testing.T, *redistest.Server)
	}{
		{
			"killed", func(_ *testing.T, s *redistest.Server) { s.Stop() },
			func(t *testing.T, s *redistest.Server) { t.Helper(); s.Restart(t) },
		},
		{
			"paused", func(_ *testing.T, s *redistest.Server) { s.Pause() },
			func(_ *testing.T, s *redistest.Server) { s.Resume() },
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			server, s := openAlone(t)
			at := time.Now()
			revoked := login(t, s, at)
			list, failures := follow(t, s)
			if _, err := s.End(t.Context(), revoked.SID, ending(at)); err != nil {
				t.Fatal(err)
			}
			until(t, "the revocation is known", func() bool { return list.Revoked(revoked.SID) })

			test.stop(t, server)
			allFail(t, s)
			until(t, "the follower knows that the store is away", func() bool { return failures.count() > 0 })
			if !list.Revoked(revoked.SID) {
				t.Error("the denylist dropped a revocation")
			}
			test.back(t, server)

			back := time.Now()
			until(t, "the follower gets reports again", func() bool { return list.Age() < time.Since(back) })
			fresh, _ := follow(t, open(t, redisstore.Config{URLs: []string{server.URL}}))
			until(t, "the revocation is there", func() bool { return fresh.Revoked(revoked.SID) })
			// An operation that failed may have been done, so the user may have been logged out.
			healed(t, s)
		})
	}
}

// TestALogoutDuringAPauseIsDoneOnceItIsAcknowledged: a logout that was answered with 204 right
// after Redis is back is known to a node that started to follow before.
func TestALogoutDuringAPauseIsDoneOnceItIsAcknowledged(t *testing.T) {
	t.Parallel()
	server, s := openAlone(t)
	at := time.Now()
	token := login(t, s, at)
	list, _ := follow(t, s)
	server.Pause()
	_, err := s.End(t.Context(), token.SID, ending(at))
	wantUnavailable(t, "End", err, redisstore.Unreachable)
	server.Resume()
	var revoked []session.Revocation
	until(t, "the logout is acknowledged", func() bool {
		revoked, err = s.End(t.Context(), token.SID, ending(at))
		return err == nil
	})
	if len(revoked) != 1 || revoked[0].SID != token.SID {
		t.Errorf("got %v, want the revocation of the session", revoked)
	}
	until(t, "the revocation is known", func() bool { return list.Revoked(token.SID) })
}

// TestARestartWithoutPersistence loses everything but what the nodes have in memory; they go on.
func TestARestartWithoutPersistence(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, "appendonly no")
	s := open(t, redisstore.Config{URLs: []string{server.URL}})
	at := time.Now()
	kept, revoked := login(t, s, at), login(t, s, at)
	list, _ := follow(t, s)
	if _, err := s.End(t.Context(), revoked.SID, ending(at)); err != nil {
		t.Fatal(err)
	}
	until(t, "the revocation is known", func() bool { return list.Revoked(revoked.SID) })
	server.Restart(t)
	until(t, "the session is gone", func() bool {
		got, err := s.Refresh(t.Context(), session.NewRedemption(kept, at, policy))
		return err == nil && got.Outcome == session.Unknown
	})
	if !list.Revoked(revoked.SID) {
		t.Error("the denylist dropped a revocation")
	}
	again := login(t, s, at)
	if _, err := s.End(t.Context(), again.SID, ending(at)); err != nil {
		t.Fatal(err)
	}
	until(t, "a revocation after the loss is known", func() bool { return list.Revoked(again.SID) })
}

// TestFollowOfAStreamThatBeganAnew: its numbers may be behind those that were read.
func TestFollowOfAStreamThatBeganAnew(t *testing.T) {
	t.Parallel()
	server, s := openAlone(t)
	list, failures := follow(t, open(t, redisstore.Config{URLs: []string{server.URL}}))
	client := server.Client()
	defer client.Close()
	const stream = redisstore.DefaultPrefix + "revoked"
	for range 3 {
		at := time.Now()
		_, before := session.New(user.UserID, site, at)
		_, after := session.New(user.UserID, site, at)
		if _, err := s.End(t.Context(), before.SID, ending(at)); err != nil {
			t.Fatal(err)
		}
		// Its numbers are far ahead, as if the clock of a lost master had been.
		entries, err := client.XRange(t.Context(), stream, "-", "+").Result()
		if err != nil {
			t.Fatal(err)
		}
		values := entries[len(entries)-1].Values
		server.Do(t, "DEL", stream)
		server.Do(t, "XADD", stream, "9999999999999-0", "until", values["until"], "revoked", values["revoked"])
		until(t, "the first revocation is known", func() bool { return list.Revoked(before.SID) })
		server.Do(t, "FLUSHALL")
		if _, err := s.End(t.Context(), after.SID, ending(at)); err != nil {
			t.Fatal(err)
		}
		until(t, "the revocation after the loss is known", func() bool { return list.Revoked(after.SID) })
	}
	if n := failures.count(); n > 0 {
		t.Errorf("got %d failures of the follower, want none", n)
	}
}

// acknowledgedLogin logs in until the replica has it: on a busy machine it can be late.
func acknowledgedLogin(t *testing.T, s session.Store, at time.Time) (token session.RefreshToken) {
	t.Helper()
	until(t, "the login is acknowledged", func() bool {
		made, refresh := session.New(user.UserID, site, at)
		token = refresh
		_, err := s.Login(t.Context(), session.Login{Session: made, User: user, Policy: policy})
		return err == nil
	})
	return token
}

func TestTheDeathOfTheMaster(t *testing.T) {
	t.Parallel()
	servers := redistest.StartSentinel(t)
	s := open(t, redisstore.Config{URLs: []string{servers.URL}, SealKey: sealKey, WaitReplicas: 1})
	at := time.Now()
	kept, revoked := acknowledgedLogin(t, s, at), acknowledgedLogin(t, s, at)
	until(t, "the end is acknowledged", func() bool {
		_, err := s.End(t.Context(), revoked.SID, ending(at))
		return err == nil
	})
	list, _ := follow(t, s)
	until(t, "the revocation is known", func() bool { return list.Revoked(revoked.SID) })

	servers.Master.Stop()
	// The replica is alone now, so that nothing written can be acknowledged; what is there can be
	// read.
	until(t, "the replica has taken over", func() bool {
		a, err := s.Account(t.Context(), user.Tag())
		return err == nil && a.User.Phone == user.Phone
	})
	over := time.Now()
	until(t, "the follower gets reports of the new master", func() bool { return list.Age() < time.Since(over) })

	alone := open(t, redisstore.Config{URLs: []string{servers.URL}, SealKey: sealKey})
	got, err := alone.Refresh(t.Context(), session.NewRedemption(kept, at, policy))
	if err != nil || got.Outcome != session.Rotated {
		t.Errorf("got %v, %v of an acknowledged login, want Rotated", got.Outcome, err)
	}
	fresh, _ := follow(t, alone)
	until(t, "the acknowledged revocation is there", func() bool { return fresh.Revoked(revoked.SID) })
	_, err = s.Count(t.Context(), session.Digest{1}, 1, at.Add(time.Hour), at)
	wantUnavailable(t, "a write that no replica has", err, redisstore.FewReplicas)
	healed(t, alone)
}

func TestAClusterLosesItsNodesForAWhile(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t)
	s := open(t, redisstore.Config{URLs: cluster.URLs})
	healed(t, s)
	waiting := open(t, redisstore.Config{URLs: cluster.URLs, WaitReplicas: 1})
	at := time.Now()
	for _, openid := range []string{"a", "b", "c", "d", "e", "f"} { // on several nodes
		id := session.UserID{AppID: "wx", OpenID: openid}
		made, _ := session.New(id, site, at)
		_, err := waiting.Login(t.Context(), session.Login{Session: made, User: session.User{UserID: id, Phone: "1"}, Policy: policy})
		wantUnavailable(t, "a login without a replica", err, redisstore.FewReplicas)
		if a, err := s.Account(t.Context(), id.Tag()); err != nil || a.User.Phone != "1" {
			t.Errorf("got phone %q, %v; want it written", a.User.Phone, err)
		}
	}
	for _, node := range cluster.Nodes {
		node.Stop()
	}
	allFail(t, s)
	for _, node := range cluster.Nodes {
		node.Restart(t)
	}
	healed(t, s)
}
