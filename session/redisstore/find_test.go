//go:build unix

// The index of phones and unionids, as somebody sees it who looks into Redis, or writes there.

package redisstore_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/caddy-wechat/wechatauth/session"
	"github.com/caddy-wechat/wechatauth/session/redisstore"
	"github.com/caddy-wechat/wechatauth/session/redisstore/redistest"
)

// index returns all entries, by their bucket and field.
func index(t *testing.T, client *redis.Client) map[[2]string]string {
	t.Helper()
	entries := map[[2]string]string{}
	for _, bucket := range client.Keys(t.Context(), redisstore.DefaultPrefix+"find:*").Val() {
		for field, value := range client.HGetAll(t.Context(), bucket).Val() {
			entries[[2]string{bucket, field}] = value
		}
	}
	return entries
}

func TestAnErasureLeavesNoIndex(t *testing.T) {
	t.Parallel()
	server, s := openAlone(t)
	client := server.Client()
	defer client.Close()
	login(t, s, time.Now())
	if got := len(index(t, client)); got != 2 {
		t.Errorf("got %d entries of a user, want one for the phone and one for the unionid", got)
	}
	if _, err := s.Erase(t.Context(), user.Tag(), ending(time.Now())); err != nil {
		t.Fatal(err)
	}
	if got := len(index(t, client)); got != 0 {
		t.Errorf("got %d entries after the erasure, want none", got)
	}
}

// TestErasuresAndUpdatesLeaveNoIndex: an update that an erasure overtakes takes its entry back.
func TestErasuresAndUpdatesLeaveNoIndex(t *testing.T) {
	t.Parallel()
	server, s := openAlone(t)
	client := server.Client()
	defer client.Close()
	at := time.Now()
	for round := range 20 {
		token := login(t, s, at)
		var all sync.WaitGroup
		for i := range 6 {
			all.Go(func() {
				u := session.User{UserID: user.UserID, Phone: fmt.Sprint(13800138000 + i)}
				if i == round%6 {
					if _, err := s.Erase(t.Context(), user.Tag(), ending(at)); err != nil {
						t.Error(err)
					}
					return
				}
				_, err := s.Update(t.Context(), session.Update{SID: token.SID, User: u, Now: at})
				if err != nil && !errors.Is(err, session.ErrEnded) {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if got := len(index(t, client)); got != 0 {
			t.Fatalf("round %d: got %d entries after the erasure, want none", round, got)
		}
	}
}

// TestTheIndexIsOnlyAHint: entries that somebody wrote lead to nobody else, and do no harm.
func TestTheIndexIsOnlyAHint(t *testing.T) {
	t.Parallel()
	for _, key := range []string{"", sealKey} {
		t.Run(map[bool]string{true: "open", false: "sealed"}[key == ""], func(t *testing.T) {
			t.Parallel()
			server := redistest.Start(t)
			s := open(t, redisstore.Config{URLs: []string{server.URL}, SealKey: key})
			client := server.Client()
			defer client.Close()
			login(t, s, time.Now())
			eve := session.User{UserID: session.UserID{AppID: user.AppID, OpenID: "eve"}, Phone: "1"}
			if err := s.Import(t.Context(), []session.User{eve}, time.Now()); err != nil {
				t.Fatal(err)
			}
			mine, theirs, nobody := user.Tag(), eve.Tag(), session.Tag{1}
			for entry := range index(t, client) {
				label, tag := entry[1][:8], session.Tag([]byte(entry[1][8:]))
				other := theirs
				if tag == theirs {
					other = mine
				}
				for _, field := range []string{label + string(other[:]), label + string(nobody[:]), label, label + "short", "x", ""} {
					client.HSet(t.Context(), entry[0], field, "x")
				}
			}
			for phone, want := range map[string]session.UserID{user.Phone: user.UserID, eve.Phone: eve.UserID} {
				page, err := s.Users(t.Context(), session.UserQuery{Phone: phone})
				if err != nil || len(page.Accounts) != 1 || page.Accounts[0].User.UserID != want {
					t.Errorf("got %d users, %v, want one", len(page.Accounts), err)
				}
			}
		})
	}
}

// Accounts expire, and the entries that they leave behind are removed; others are not.
func TestTheIndexIsTidied(t *testing.T) {
	t.Parallel()
	server, s := openAlone(t)
	client := server.Client()
	defer client.Close()
	now := time.Now()
	kept := session.User{UserID: session.UserID{AppID: user.AppID, OpenID: "kept"}, Phone: user.Phone, PhoneNumber: user.PhoneNumber}
	login(t, s, now)
	if err := s.Import(t.Context(), []session.User{kept}, now); err != nil {
		t.Fatal(err)
	}
	client.Del(t.Context(), redisstore.AccountKey(s, user.Tag())) // as when it expires
	tidy := func(at time.Time, want int) {
		t.Helper()
		for _, bucket := range client.Keys(t.Context(), redisstore.DefaultPrefix+"find:*").Val() {
			client.HSet(t.Context(), bucket, "somebody's", "x")
			client.Persist(t.Context(), bucket)
			if err := redisstore.Tidy(t.Context(), s, bucket, at); err != nil {
				t.Fatal(err)
			}
			if life := client.PTTL(t.Context(), bucket).Val(); life < session.UserLife && client.Exists(t.Context(), bucket).Val() == 1 {
				t.Errorf("got a bucket that lives %v, want %v", life, session.UserLife)
			}
		}
		if got := len(index(t, client)); got != want {
			t.Errorf("got %d entries, want %d", got, want)
		}
	}
	tidy(now.Add(24*time.Hour), 3) // an account may be under way
	tidy(now.Add(72*time.Hour), 1)
	page, err := s.Users(t.Context(), session.UserQuery{Phone: user.Phone})
	if err != nil || len(page.Accounts) != 1 || page.Accounts[0].User.UserID != kept.UserID {
		t.Errorf("got %d users, %v, want the one that is left", len(page.Accounts), err)
	}
}

// A sealed index can't be searched without the key, not even for one of all phones there are.
func TestASealedIndexTellsNoPhone(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	client := server.Client()
	defer client.Close()
	labels := map[string]int{}
	for _, cfg := range []redisstore.Config{{}, {SealKey: sealKey}, {SealKey: sealKey + "!"}, {SealKey: sealKey, Prefix: redisstore.DefaultPrefix + "find:x"}} {
		client.FlushAll(t.Context())
		cfg.URLs = []string{server.URL}
		login(t, open(t, cfg), time.Now())
		for _, key := range client.Keys(t.Context(), "*find:*").Val() {
			if strings.Contains(key, "user:") || strings.Contains(key, "replay:") {
				continue
			}
			for _, field := range client.HKeys(t.Context(), key).Val() {
				labels[field[:8]]++
			}
		}
	}
	if len(labels) != 8 {
		t.Errorf("got %d different digests of a phone and a unionid under 4 configurations, want 8", len(labels))
	}
}
