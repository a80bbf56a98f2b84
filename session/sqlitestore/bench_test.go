// Measurements of the operator's operations.

package sqlitestore

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/session"
)

var benchPolicy = session.Policy{
	Idle: 30 * 24 * time.Hour, Lifetime: 180 * 24 * time.Hour, Grace: 30 * time.Second, MaxPerUser: 20, TokenTTL: time.Hour,
}

// benchUser returns a user as WeChat has them.
func benchUser(i int) session.User {
	return session.User{
		UserID:  session.UserID{AppID: "wx0123456789abcdef", OpenID: fmt.Sprintf("oAbC0-%022d", i)},
		UnionID: fmt.Sprintf("oUnI0-%022d", i), FirstSeen: time.Now(),
		Phone: fmt.Sprintf("138%08d", i), PhoneNumber: fmt.Sprintf("+86138%08d", i), PhoneVerified: time.Now(),
	}
}

// BenchmarkImport imports 100,000 users:
//
//	go test ./session/sqlitestore -run - -bench Import -benchtime 1x
func BenchmarkImport(b *testing.B) {
	users := make([]session.User, 100_000)
	for i := range users {
		users[i] = benchUser(i)
	}
	for b.Loop() {
		s, err := Open(filepath.Join(b.TempDir(), "sessions.db"), Options{})
		if err != nil {
			b.Fatal(err)
		}
		if err := s.Import(b.Context(), users, time.Now()); err != nil {
			b.Fatal(err)
		}
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkUsers lists a million users, each with a session, by pages of 100, while one client after the
// other logs in:
//
//	go test ./session/sqlitestore -run - -bench Users -benchtime 1x -timeout 1h
func BenchmarkUsers(b *testing.B) {
	const number = 1_000_000
	file := filepath.Join(b.TempDir(), "sessions.db")
	s, err := Open(file, Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	began := time.Now()
	fill(b, s, number)
	b.Logf("filled in %v", time.Since(began).Round(time.Second))
	began = time.Now()
	stats, err := s.Stats(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(time.Since(began).Milliseconds()), "ms/stats")
	if info, err := os.Stat(file); err == nil {
		b.ReportMetric(float64(info.Size())/1e6, "MB")
	}
	for b.Loop() {
		stop := make(chan struct{})
		var logins []time.Duration
		var client sync.WaitGroup
		client.Go(func() { logins = loginUntil(b, s, number, stop) })
		pages, listed := list(b, s)
		close(stop)
		client.Wait()
		b.Logf("%d users and %d sessions counted, %d listed, %d logins", stats.Users, stats.Sessions, listed, len(logins))
		for name, all := range map[string][]time.Duration{"page": pages, "login": logins} {
			slices.Sort(all)
			b.ReportMetric(float64(all[len(all)/2].Microseconds())/1e3, "ms/"+name+"-p50")
			b.ReportMetric(float64(all[len(all)*99/100].Microseconds())/1e3, "ms/"+name+"-p99")
			b.ReportMetric(float64(all[len(all)-1].Microseconds())/1e3, "ms/"+name+"-max")
		}
	}
}

// fill restores users with a session each.
func fill(b *testing.B, s session.Store, number int) {
	b.Helper()
	now := time.Now()
	for begin := 0; begin < number; begin += 10_000 {
		var part session.Dump
		for i := begin; i < begin+10_000; i++ {
			a := session.Account{User: benchUser(i)}
			made, _ := session.New(a.User.UserID, session.Site{1}, now)
			l := session.Login{Session: made, User: a.User, Policy: benchPolicy}
			l.Session.LastUse = now.Add(-time.Duration(i%86400) * time.Second)
			if _, err := a.Login(l); err != nil {
				b.Fatal(err)
			}
			part.Accounts = append(part.Accounts, session.DumpedAccount{Tag: a.User.Tag(), Account: a})
		}
		if err := s.Restore(b.Context(), part, now); err != nil {
			b.Fatal(err)
		}
	}
}

func loginUntil(b *testing.B, s session.Store, number int, stop chan struct{}) (took []time.Duration) {
	b.Helper()
	for i := 0; ; i++ {
		select {
		case <-stop:
			return took
		default:
		}
		u := benchUser(i * 7919 % number)
		began := time.Now()
		made, _ := session.New(u.UserID, session.Site{1}, began)
		if _, err := s.Login(b.Context(), session.Login{Session: made, User: u, Policy: benchPolicy}); err != nil {
			b.Error(err)
			return took
		}
		took = append(took, time.Since(began))
	}
}

// list reads all pages.
func list(b *testing.B, s session.Store) (took []time.Duration, listed int) {
	b.Helper()
	for q := (session.UserQuery{Limit: 100}); ; {
		began := time.Now()
		page, err := s.Users(b.Context(), q)
		if err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(began))
		listed += len(page.Accounts)
		if q.After = page.Next; q.After == "" {
			return took, listed
		}
	}
}
