// A store that does what it is asked, and whose answers are lost.

package sidecar

import (
	"context"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-wechat/wechatauth/session"
	"github.com/caddy-wechat/wechatauth/session/memstore"
	"github.com/caddy-wechat/wechatauth/wechat/wechattest"
)

// oneWayStore is one to which a connection works in one direction only, or in none.
type oneWayStore struct {
	session.Store

	mute  atomic.Bool // the answers to writes are lost
	away  atomic.Bool // writes do not even arrive
	delay atomic.Int64
}

func (d *oneWayStore) lost(err error) error {
	time.Sleep(time.Duration(d.delay.Load()))
	if err == nil && d.mute.Load() {
		return session.ErrUnavailable
	}
	return err
}

func (d *oneWayStore) Refresh(ctx context.Context, use session.Redemption) (session.Refreshed, error) {
	result, err := d.Store.Refresh(ctx, use)
	if err = d.lost(err); err != nil {
		return session.Refreshed{}, err
	}
	return result, nil
}

func (d *oneWayStore) Update(ctx context.Context, u session.Update) (session.Updated, error) {
	if d.away.Load() {
		return session.Updated{}, session.ErrUnavailable
	}
	return d.Store.Update(ctx, u)
}

func (d *oneWayStore) Login(ctx context.Context, l session.Login) ([]session.Revocation, error) {
	if d.away.Load() {
		return nil, session.ErrUnavailable
	}
	return d.Store.Login(ctx, l)
}

func (d *oneWayStore) DelayPush(ctx context.Context, p session.Push, due time.Time) error {
	return d.lost(d.Store.DelayPush(ctx, p, due))
}

func newOneWaySite(t *testing.T) (*testSite, *oneWayStore) {
	t.Helper()
	store := &oneWayStore{Store: memstore.New(64 << 20)}
	return newTestSite(t, func(_ *Config, d *Deps) { d.Store = newTestStore(t, store) }), store
}

// For forty minutes a client asks for new tokens again and again, as it is told to. The first time its
// refresh token was spent, and nobody could say so. It has done nothing wrong.
func TestAnOutageLongerThanTheGraceLogsNobodyOut(t *testing.T) {
	t.Parallel()
	s, store := newOneWaySite(t)
	_, login := s.do("POST", "/auth/login", "", `{"code":"`+s.fake.LoginCode(s.fake.NewUser(testAppID))+`"}`)
	body := `{"refresh_token":"` + text(login, "refresh_token") + `"}`
	store.mute.Store(true)
	for range 10 {
		if status, answer := s.do("POST", "/auth/refresh", "", body); status != 503 {
			t.Fatalf("refresh during the outage: got %d %v, want 503", status, answer)
		}
		s.ahead.Add(int64(4 * time.Minute))
	}
	store.mute.Store(false)
	status, answer := s.do("POST", "/auth/refresh", "", body)
	if status != http.StatusOK {
		t.Fatalf("refresh after the outage: got %d %v, want 200", status, answer)
	}
	if status, again := s.do("POST", "/auth/refresh", "", body); text(again, "refresh_token") != text(answer, "refresh_token") {
		t.Errorf("the answer was lost again: got %d %v, want the same token", status, again)
	}
	// Whoever comes much later with it is somebody else.
	s.ahead.Add(int64(repeatTime + s.cfg.Session.Grace))
	if status, answer := s.do("POST", "/auth/refresh", "", body); status != 401 || text(answer, "error") != "refresh_reused" {
		t.Errorf("long after the outage: got %d %v, want 401 refresh_reused", status, answer)
	}
}

// An outage is no time for thieves: a token that nobody tried in it has the grace it always has.
func TestAnOutageMakesNoSpentTokenGood(t *testing.T) {
	t.Parallel()
	s, store := newOneWaySite(t)
	login := func() string {
		_, answer := s.do("POST", "/auth/login", "", `{"code":"`+s.fake.LoginCode(s.fake.NewUser(testAppID))+`"}`)
		return `{"refresh_token":"` + text(answer, "refresh_token") + `"}`
	}
	spent, other := login(), login()
	s.do("POST", "/auth/refresh", "", spent)
	store.mute.Store(true)
	for range 5 {
		s.do("POST", "/auth/refresh", "", other)
		s.ahead.Add(int64(time.Minute))
	}
	store.mute.Store(false)
	if status, answer := s.do("POST", "/auth/refresh", "", spent); status != 401 || text(answer, "error") != "refresh_reused" {
		t.Errorf("got %d %v, want 401 refresh_reused", status, answer)
	}
}

// Redis goes away between WeChat's answer and ours. The tap was paid for, and WeChat takes its code
// once: the client's next try gets the number, without WeChat.
func TestAPaidTapOutlivesTheStore(t *testing.T) {
	t.Parallel()
	const phone = "13800138000"
	for name, request := range map[string]func(*testSite, *wechattest.User, string) func() (int, map[string]any){
		"phone": func(s *testSite, u *wechattest.User, tap string) func() (int, map[string]any) {
			_, login := s.do("POST", "/auth/login", "", `{"code":"`+s.fake.LoginCode(u)+`"}`)
			return func() (int, map[string]any) {
				return s.do("POST", "/auth/phone", text(login, "access_token"), `{"code":"`+tap+`"}`)
			}
		},
		"login with a phone": func(s *testSite, u *wechattest.User, tap string) func() (int, map[string]any) {
			return func() (int, map[string]any) {
				return s.do("POST", "/auth/login", "", `{"code":"`+s.fake.LoginCode(u)+`","phone_code":"`+tap+`"}`)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, store := newOneWaySite(t)
			u := s.fake.NewUser(testAppID)
			send := request(s, u, s.fake.PhoneCode(u, phone))
			store.away.Store(true)
			for range 2 {
				if status, answer := send(); status != 503 || text(answer, "error") != "store_unavailable" {
					t.Fatalf("while the store is away: got %d %v, want 503 store_unavailable", status, answer)
				}
			}
			store.away.Store(false)
			if status, answer := send(); status != 200 || text(answer, "user", "phone") != phone {
				t.Errorf("the next try: got %d %v, want the phone", status, answer)
			}
			if asked := s.fake.Count(wechattest.Phone); asked != 1 {
				t.Errorf("WeChat was asked %d times, want once", asked)
			}
			s.ahead.Add(int64(time.Minute + phoneReplay)) // no answer is replayed any more
			if status, answer := send(); status == 200 && text(answer, "phone_error", "error") == "" {
				t.Errorf("a code that was spent: got %d %v, want it refused", status, answer)
			}
		})
	}
}

// A number that is kept for a client's next try is kept for five minutes, and there is room for so
// many. Then it is in no dump of the process's memory either, though nobody taps or asks again.
func TestProvenPhonesAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var p provenPhones
		size := func() int {
			p.mu.Lock()
			defer p.mu.Unlock()
			return len(p.all)
		}
		key := func(i int) session.Digest { return session.Digest{byte(i), byte(i >> 8), byte(i >> 16)} }
		for i := range maxProven + 10 {
			p.keep(key(i), session.User{Phone: "1"}, time.Now())
		}
		if got := size(); got > maxProven {
			t.Errorf("got %d numbers, want at most %d", got, maxProven)
		}
		if p.get(key(0), time.Now().Add(provenLife+1)) != nil {
			t.Error("got a number after its time")
		}
		time.Sleep(time.Minute)
		p.keep(key(0), session.User{Phone: "2"}, time.Now())
		p.drop(key(1))
		time.Sleep(provenLife - time.Minute + 1)
		if kept := p.get(key(0), time.Now()); kept == nil || kept.Phone != "2" {
			t.Errorf("got %v before the time of a later tap, want it", kept)
		}
		if got := size(); got != 1 {
			t.Errorf("got %d numbers after the time of all but one", got)
		}
		time.Sleep(time.Minute)
		if got := size(); got != 0 {
			t.Errorf("got %d numbers after the time of all", got)
		}
	})
}

// Backend and store are both slow. WeChat waits five seconds, and not longer for what it need not
// know.
func TestWeChatDoesNotWaitForTheEndOfAForward(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &oneWayStore{Store: memstore.New(64 << 20)}
		store.delay.Store(int64(3 * time.Second))
		backend := new(pushBackend)
		backend.hangs = time.Minute
		n := newPushNode(t, newTestStore(t, store), backend)
		n.push(n.fake.TextMessage(n.fake.NewUser(testAppID), "hi")) // within five seconds
		time.Sleep(2 * time.Minute)
		if got := backend.taken(); len(got) == 0 {
			t.Error("got nothing, want it at least once")
		}
		n.forward.close()
		time.Sleep(2 * backend.hangs) // so that the last attempt ends
	})
}
