package session_test

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/session"
)

// benchPolicy is the default one.
var benchPolicy = session.Policy{
	Idle: 30 * 24 * time.Hour, Lifetime: 180 * 24 * time.Hour, Grace: 30 * time.Second,
	MaxPerUser: 20, TokenTTL: time.Hour,
}

// BenchmarkBoltRefresh refreshes random ones of many sessions, by one client and by 64 at once. An
// operation is one refresh by each client. A million sessions take a minute to make:
//
//	go test -run=^$ -bench=BoltRefresh -benchtime=1000x ./session/
func BenchmarkBoltRefresh(b *testing.B) {
	for _, sessions := range []int{1_000, 1_000_000} {
		b.Run(fmt.Sprintf("sessions=%d", sessions), func(b *testing.B) {
			file := filepath.Join(b.TempDir(), "sessions.db")
			made := time.Now().Add(-24 * time.Hour).Truncate(time.Millisecond)
			makeSessions(b, file, sessions, made)
			debug.FreeOSMemory()
			// What is still to be written of it must not be in the way of what is measured.
			if err := exec.CommandContext(b.Context(), "sync").Run(); err != nil {
				b.Log("sync:", err)
			}

			begin := time.Now()
			store, err := session.OpenBolt(file, session.BoltOptions{})
			if err != nil {
				b.Fatal(err)
			}
			opened := time.Since(begin)
			b.Cleanup(func() { store.Close() })
			uses := make([]byte, sessions)
			for _, clients := range []int{1, 64} {
				b.Run(fmt.Sprintf("clients=%d", clients), func(b *testing.B) {
					refreshBolt(b, store, uses, clients, made)
					b.ReportMetric(float64(opened.Milliseconds()), "open-ms")
				})
			}
		})
	}
}

// BenchmarkBoltOpenAfterKill opens a store with a journal that is nearly full.
func BenchmarkBoltOpenAfterKill(b *testing.B) {
	file := filepath.Join(b.TempDir(), "sessions.db")
	db, err := session.OpenBoltDB(file, session.BoltOptions{})
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	fill := func(i int) error {
		return db.Update(b.Context(), func(tx session.Tx) error {
			for k := range 1000 {
				err := tx.Put(fmt.Appendf(nil, "%052d", i*1000+k), make([]byte, 560), time.Now().Add(time.Hour))
				if err != nil {
					return err
				}
			}
			return nil
		})
	}
	copied := filepath.Join(b.TempDir(), "sessions.db")
	db.Still(func() { // nothing is merged meanwhile
		for i := range 195 {
			if err := fill(i); err != nil {
				b.Fatal(err)
			}
		}
		copyStore(b, file, copied)
	})
	var opening time.Duration
	memory := 0.0
	for b.Loop() {
		target := filepath.Join(b.TempDir(), "sessions.db")
		copyStore(b, copied, target)
		debug.FreeOSMemory()
		begin := time.Now()
		db, err := session.OpenBoltDB(target, session.BoltOptions{})
		if err != nil {
			b.Fatal(err)
		}
		opening = max(opening, time.Since(begin))
		memory = max(memory, residentMB())
		if err := db.Close(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(opening.Milliseconds()), "open-ms")
	b.ReportMetric(memory, "rss-MB")
}

// refreshBolt measures how long single refreshes take, and the process's memory meanwhile.
func refreshBolt(b *testing.B, store session.Store, uses []byte, clients int, made time.Time) {
	b.Helper()
	var took []time.Duration
	var mu sync.Mutex // guards took
	memory := 0.0
	round := 0
	for b.Loop() {
		var wg sync.WaitGroup
		for c := range clients {
			i := rand.IntN(len(uses)/clients)*clients + c // no two clients have the same
			wg.Go(func() {
				s := benchSession(i, int(uses[i]), made)
				spend := session.Spend{
					SID: s.SID, Family: s.Family, Token: s.Current, Next: benchDigest(i, int(uses[i])+1),
					Salt: s.Salt, Now: time.Now(), Policy: benchPolicy,
				}
				begin := time.Now()
				got, err := store.Refresh(b.Context(), spend)
				d := time.Since(begin)
				if err != nil || got.Verdict != session.Rotated {
					b.Errorf("got verdict %v, %v, want Rotated", got.Verdict, err)
				}
				uses[i]++
				mu.Lock()
				took = append(took, d)
				mu.Unlock()
			})
		}
		wg.Wait()
		if round++; round%50 == 0 {
			memory = max(memory, residentMB())
		}
	}
	slices.Sort(took)
	for _, p := range []int{50, 99} {
		b.ReportMetric(float64(took[len(took)*p/100].Microseconds()), fmt.Sprintf("p%d-µs", p))
	}
	b.ReportMetric(memory, "rss-MB")
}

// residentMB is the process's memory; zero where the system has another way to tell.
func residentMB() float64 {
	status, _ := os.ReadFile("/proc/self/status")
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	var kb float64
	_, _ = fmt.Sscan(rest, &kb)
	return kb / 1024
}

// makeSessions writes a file of users with one session each, as they are after some refreshes. They are
// put in the order of their keys and in few commits, past store and journal, or it would take all day.
func makeSessions(b *testing.B, file string, n int, made time.Time) {
	b.Helper()
	db, err := session.OpenBoltDB(file, session.BoltOptions{})
	if err != nil {
		b.Fatal(err)
	}
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(x, y int) int {
		tx, ty := benchUser(x).Tag(), benchUser(y).Tag()
		return cmp.Compare(binary.BigEndian.Uint64(tx[:]), binary.BigEndian.Uint64(ty[:]))
	})
	type putter = func(key, value []byte, expires time.Time) error
	put := func(put putter, key string, record any, life time.Duration) error {
		value, err := json.Marshal(record)
		if err != nil {
			return err
		}
		return put([]byte(key), value, made.Add(life+time.Duration(rand.IntN(86400))*time.Second))
	}
	for _, kind := range []string{"i", "s", "u"} {
		for part := range slices.Chunk(order, 2000) {
			err := db.Load(func(tx putter) (err error) {
				for _, i := range part {
					s, tag := benchSession(i, 0, made), benchUser(i).Tag()
					switch kind {
					case "i":
						err = put(tx, kind+string(tag[:]), []session.SID{s.SID}, benchPolicy.Lifetime)
					case "s":
						err = put(tx, kind+string(s.SID), s, benchPolicy.Idle)
					case "u":
						u := session.User{
							UserID: s.User, UnionID: "oUnion-0123456789_0123456789", FirstSeen: made,
							Phone: "13800138000", PhoneNumber: "+8613800138000", PhoneVerified: made,
						}
						err = put(tx, kind+string(tag[:]), u, 2*365*24*time.Hour)
					}
					if err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				b.Fatal(err)
			}
		}
	}
	if err := db.Close(); err != nil {
		b.Fatal(err)
	}
	info, err := os.Stat(file)
	if err != nil {
		b.Fatal(err)
	}
	b.Logf("%d sessions: %d MB", n, info.Size()>>20)
}

func benchUser(i int) session.UserID {
	return session.UserID{AppID: "wx0123456789abcdef", OpenID: fmt.Sprintf("oBench-0123456789_01%08d", i)}
}

// benchSession is what a session was made of, for no memory would hold all.
func benchSession(i, uses int, made time.Time) session.Session {
	user, random := benchUser(i), benchDigest(i, -1)
	tag := user.Tag()
	raw := binary.BigEndian.AppendUint64(tag[:len(tag):len(tag)], uint64(made.UnixMilli())<<16)
	raw = append(raw[:len(tag)+6], random[:16]...)
	return session.Session{
		SID: session.SID(base64.RawURLEncoding.EncodeToString(raw)), User: user, Created: made, LastUse: made,
		Family: random, Current: benchDigest(i, uses), Previous: benchDigest(i, uses-1),
		Salt: random[:16], Spent: made,
	}
}

// benchDigest is that of a session's token after some uses.
func benchDigest(i, uses int) session.Digest {
	return sha256.Sum256(fmt.Appendf(nil, "%d %d", i, uses))
}
