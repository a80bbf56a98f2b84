//go:build unix

// Expiry, and the clock it follows.

package redisstore_test

import (
	"strings"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/session"
	"github.com/caddy-wechat/wechatauth/session/redisstore"
	"github.com/caddy-wechat/wechatauth/session/redisstore/redistest"
)

func TestEverythingExpires(t *testing.T) {
	t.Parallel()
	server, s := openAlone(t)
	at := time.Now()
	ended, kept := login(t, s, at), login(t, s, at)
	if _, err := s.End(t.Context(), ended.SID, ending(at)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Refresh(t.Context(), session.NewRedemption(kept, at, policy)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Count(t.Context(), replay.Key, 1, at.Add(time.Hour), at); err != nil {
		t.Fatal(err)
	}
	erased := session.UserID{AppID: "wx", OpenID: "erased"}
	made, _ := session.New(erased, site, at)
	if _, err := s.Login(t.Context(), session.Login{Session: made, User: session.User{UserID: erased}, Policy: policy}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Erase(t.Context(), erased.Tag(), ending(at)); err != nil {
		t.Fatal(err)
	}
	client := server.Client()
	defer client.Close()
	keys, err := client.Keys(t.Context(), "*").Result()
	if err != nil || len(keys) != 7 {
		t.Fatalf("got keys %q, %v, want 7", keys, err)
	}
	for _, key := range keys {
		life, err := client.PTTL(t.Context(), key).Result()
		if err != nil {
			t.Fatal(err)
		}
		want, _, _ := strings.Cut(strings.TrimPrefix(key, redisstore.DefaultPrefix), ":")
		span := map[string][2]time.Duration{
			"user":    {session.UserLife + session.RecordMargin - time.Minute, session.UserLife + session.RecordMargin},
			"revoked": {session.UserLife + session.RecordMargin - time.Minute, session.UserLife + session.RecordMargin},
			"find":    {session.UserLife + session.RecordMargin - time.Minute, session.UserLife + session.RecordMargin},
			"replay":  {time.Hour, time.Hour + 10*time.Minute},
			"count":   {time.Hour, time.Hour + 10*time.Minute},
		}[want]
		if key == redisstore.AccountKey(s, erased.Tag()) {
			tombstone := session.TombstoneLife + session.RecordMargin
			span = [2]time.Duration{tombstone - time.Minute, tombstone}
		}
		if life < span[0] || life > span[1] {
			t.Errorf("%s lives %v, want %v to %v", want, life, span[0], span[1])
		}
	}
}

// TestALongLifetimeIsNotCutShort by another caller whose policy is shorter.
func TestALongLifetimeIsNotCutShort(t *testing.T) {
	t.Parallel()
	server, s := openAlone(t)
	at := time.Now()
	l, token := newLogin(t, s, at)
	l.Policy.Lifetime = 10 * session.UserLife
	if _, err := s.Login(t.Context(), l); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Update(t.Context(), session.Update{SID: token.SID, User: session.User{UserID: user.UserID, Phone: "1"}, Now: at}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Refresh(t.Context(), session.NewRedemption(token, at, policy)); err != nil {
		t.Fatal(err)
	}
	life := server.Do(t, "TTL", redisstore.AccountKey(s, user.Tag())).(int64)
	if got := time.Duration(life) * time.Second; got < 9*session.UserLife {
		t.Errorf("the account lives %v, want more than %v", got, 9*session.UserLife)
	}
}

// clockOf returns a clock that is wrong by a time from its start.
func clockOf(wrong time.Duration) *session.Clock {
	start := time.Now()
	return session.NewClockOf(
		func() time.Time { return time.Now().Add(wrong) }, func() time.Duration { return time.Since(start) })
}

// TestNodesWhoseClocksDiffer share one Redis: what one revokes, the other refuses, and keeps
// refusing, though the clock of either has been wrong since it started.
// Threats: F10.
func TestNodesWhoseClocksDiffer(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		wrong time.Duration
	}{
		{"an hour ahead", time.Hour},
		{"an hour behind", -time.Hour},
		{"a year ahead", 365 * 24 * time.Hour},
		{"a year behind", -365 * 24 * time.Hour},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			server := redistest.Start(t)
			right := open(t, redisstore.Config{URLs: []string{server.URL}})
			wrong := open(t, redisstore.Config{URLs: []string{server.URL}, Clock: clockOf(test.wrong)})
			now := time.Now()
			token := login(t, right, now)
			revoked, err := right.End(t.Context(), token.SID, ending(now))
			if err != nil || len(revoked) != 1 {
				t.Fatalf("end: got %v, %v, want one revocation", revoked, err)
			}
			other := session.UserID{AppID: "wx", OpenID: "other"}
			_, asker := session.New(other, site, now)
			for range 200 { // each drops what is over by its clock
				if _, err := wrong.EndAll(t.Context(), other.Tag(), session.Ending{
					Now: now.Add(test.wrong), Policy: policy, SID: asker.SID,
				}); err != nil {
					t.Fatal(err)
				}
			}
			if life := server.Do(t, "PTTL", redisstore.DefaultPrefix+"revoked").(int64); life < policy.TokenTTL.Milliseconds() {
				t.Errorf("the revocations live %d ms, want %v or more", life, policy.TokenTTL)
			}
			for _, s := range []session.Store{right, wrong} {
				list, _ := follow(t, s)
				until(t, "the revocation is known", func() bool { return list.Revoked(token.SID) })
			}
			if got := keptUntil(t, wrong, token.SID); got.Before(revoked[0].Until.Truncate(time.Millisecond)) {
				t.Errorf("got a revocation until %v, want %v or later", got, revoked[0].Until)
			}
		})
	}
}

// keptUntil returns the latest time of the revocations of a session.
func keptUntil(t *testing.T, s session.Store, sid session.SID) (latest time.Time) {
	t.Helper()
	for _, r := range kept(t, s) {
		if r.SID == sid && r.Until.After(latest) {
			latest = r.Until
		}
	}
	return latest
}

// kept returns what a follower gets first.
func kept(t *testing.T, s session.Store) []session.Revocation {
	t.Helper()
	first := make(chan []session.Revocation, 1)
	go func() {
		_ = s.Follow(t.Context(), func(r []session.Revocation) {
			select {
			case first <- r:
			default:
			}
		})
	}()
	select {
	case all := <-first:
		return all
	case <-time.After(10 * time.Second):
		t.Fatal("got no first report")
		return nil
	}
}

// TestRevocationsThatAreOverAreDropped by those that write others.
func TestRevocationsThatAreOverAreDropped(t *testing.T) {
	t.Parallel()
	server, s := openAlone(t)
	past := time.Now().Add(-session.ClockMargin - policy.TokenTTL)
	for minute := range 300 { // in the order of their ends, a part of them over
		at := past.Add(time.Duration(minute-150) * time.Minute)
		_, token := session.New(user.UserID, site, at)
		if _, err := s.End(t.Context(), token.SID, ending(at)); err != nil {
			t.Fatal(err)
		}
	}
	if got := server.Do(t, "XLEN", redisstore.DefaultPrefix+"revoked").(int64); got < 149 || got > 151 {
		t.Errorf("got %d revocations, want those 150 that matter", got)
	}
}

// TestPrefixesAreApart: two sites on one server share nothing.
func TestPrefixesAreApart(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	one := open(t, redisstore.Config{URLs: []string{server.URL}, Prefix: "one:"})
	two := open(t, redisstore.Config{URLs: []string{server.URL}, Prefix: "one:two:"})
	at := time.Now()
	for _, s := range []session.Store{one, two} {
		login(t, s, at)
		if n, err := s.Count(t.Context(), session.Digest{1}, 1, at.Add(time.Hour), at); err != nil || n != 1 {
			t.Errorf("got %d, %v, want 1", n, err)
		}
	}
	token := login(t, two, at)
	if _, err := one.Erase(t.Context(), user.Tag(), ending(at)); err != nil {
		t.Fatal(err)
	}
	if a, err := two.Account(t.Context(), user.Tag()); err != nil || a.User.Phone != user.Phone {
		t.Errorf("got %+v, %v, want the user whom the other erased", a.User, err)
	}
	if got, err := two.Refresh(t.Context(), session.NewRedemption(token, at, policy)); err != nil || got.Outcome != session.Rotated {
		t.Errorf("got %v, %v, want Rotated", got.Outcome, err)
	}
}

// TestABanIsKeptAsLongAsItHolds, for good if it has no end, and its account as long as others after it.
func TestABanIsKeptAsLongAsItHolds(t *testing.T) {
	t.Parallel()
	server, s := openAlone(t)
	client := server.Client()
	defer client.Close()
	at := time.Now()
	login(t, s, at)
	const year = 365 * 24 * time.Hour
	want := func(what string, least, most time.Duration) {
		t.Helper()
		if life := client.PTTL(t.Context(), redisstore.AccountKey(s, user.Tag())).Val(); life < least || life > most {
			t.Errorf("%s: lives %v, want %v to %v", what, life, least, most)
		}
	}
	ban := func(until time.Time) {
		t.Helper()
		if _, err := s.Ban(t.Context(), user.Tag(), session.Ban{Until: until}, ending(at)); err != nil {
			t.Fatal(err)
		}
	}
	const forever = -1 // as Redis says it
	ban(at.Add(9 * year))
	want("a long ban", 9*year, 9*year+2*session.RecordMargin)
	ban(time.Time{})
	want("a ban for good", forever, forever)
	if _, err := s.Erase(t.Context(), user.Tag(), ending(at)); err != nil {
		t.Fatal(err)
	}
	want("a ban for good of an erased user", forever, forever)
	ban(at.Add(year))
	want("a ban of an erased user", year, year+2*session.RecordMargin)
	if err := s.Unban(t.Context(), user.Tag(), at); err != nil {
		t.Fatal(err)
	}
	want("a tombstone", session.TombstoneLife, session.TombstoneLife+session.RecordMargin)
}

// TestANodeThatBeginsWithRedisAheadDropsNothing: both are on one machine, which comes up with a clock
// three hours ahead. What looks over to both is needed once the clock is right.
func TestANodeThatBeginsWithRedisAheadDropsNothing(t *testing.T) {
	t.Parallel()
	server, right := openAlone(t)
	now, elapsed := time.Now(), 1000*time.Hour
	ahead := open(t, redisstore.Config{URLs: []string{server.URL}, Clock: session.NewClockOf(time.Now, func() time.Duration { return elapsed })})
	const stream = redisstore.DefaultPrefix + "revoked"
	token := login(t, right, now)
	if _, err := right.End(t.Context(), token.SID, ending(now)); err != nil {
		t.Fatal(err)
	}
	// As it would be after three hours of which none has passed.
	client := server.Client()
	defer client.Close()
	entries, err := client.XRange(t.Context(), stream, "-", "+").Result()
	if err != nil || len(entries) != 1 {
		t.Fatalf("got %v, %v, want one entry", entries, err)
	}
	server.Do(t, "DEL", stream)
	then := now.Add(-3 * time.Hour)
	server.Do(t, "XADD", stream, then.UnixMilli(), "until", then.Add(policy.TokenTTL).UnixMilli(), "revoked", entries[0].Values["revoked"])
	revokes := func() (known bool) {
		t.Helper()
		_, other := session.New(user.UserID, site, now)
		if _, err := ahead.End(t.Context(), other.SID, ending(now)); err != nil {
			t.Fatal(err)
		}
		return !keptUntil(t, right, token.SID).IsZero()
	}
	elapsed += policy.TokenTTL / 2
	if !revokes() {
		t.Error("the revocation was dropped before its tokens had expired")
	}
	elapsed += policy.TokenTTL
	if revokes() {
		t.Error("the revocation stays although its tokens have expired")
	}
}
