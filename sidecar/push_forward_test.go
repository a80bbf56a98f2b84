// Pushes on their way to the backend.

package sidecar

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-wechat/wechatauth/session"
	"github.com/caddy-wechat/wechatauth/session/memstore"
	"github.com/caddy-wechat/wechatauth/wechat"
	"github.com/caddy-wechat/wechatauth/wechat/wechattest"
)

// pushBackend takes pushes, and fails as it is told.
type pushBackend struct {
	hangs    time.Duration
	mu       sync.Mutex // guards what follows
	fails    func(content string) error
	attempts int
	got      []string // what each message says
	requests []*http.Request
}

func (b *pushBackend) ServeHTTP(w http.ResponseWriter, r *http.Request) error {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	time.Sleep(b.hangs) // and pays no attention to the context
	b.mu.Lock()
	defer b.mu.Unlock()
	b.attempts++
	var message struct{ Content, Event string }
	if err := json.Unmarshal(body, &message); err != nil {
		return err
	}
	if b.fails != nil {
		if err := b.fails(message.Content); err != nil {
			return err
		}
	}
	r.Body = io.NopCloser(strings.NewReader(string(body)))
	b.got, b.requests = append(b.got, message.Content+message.Event), append(b.requests, r)
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (b *pushBackend) set(change func(*pushBackend)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	change(b)
}

func (b *pushBackend) taken() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.got)
}

var errBackendAway = errors.New("away")

// pushNode is the route of the message push alone, with no network: time is the bubble's.
type pushNode struct {
	*pushes
	*witness

	t       *testing.T
	fake    *wechattest.Server
	store   *StoreHandle
	backend *pushBackend
}

func newPushNode(t *testing.T, store *StoreHandle, backend *pushBackend) *pushNode {
	t.Helper()
	w := new(witness)
	cfg := Config{BasePath: "/auth", Session: session.Policy{Idle: time.Hour, Lifetime: time.Hour, MaxPerUser: 9}}
	cfg.Push = map[string]PushConfig{testAppID: {
		PushConfig: wechat.PushConfig{AppID: testAppID, Token: testPushToken, AESKey: testPushKey}, Forward: "/wechat/push",
	}}
	deps := Deps{Store: store, Server: w, Logger: slog.New(slog.NewTextHandler(w, nil)), Count: func(Counter, ...string) {}, Now: time.Now}
	p, err := newPushes(cfg, deps, newPictures(newFaultyStorage(t), "x", testMachine, deps.Logger))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.forward.close)
	n := &pushNode{p, w, t, wechattest.New(wechattest.App{ID: testAppID, Secret: testSecret}), store, backend}
	p.see(httptest.NewRequest(http.MethodGet, "/", nil), backend)
	return n
}

// push pushes a message and wants success, within the five seconds that WeChat waits.
func (n *pushNode) push(m wechattest.PushMessage) {
	n.t.Helper()
	began := time.Now()
	if w := n.answer(m); w.Code != http.StatusOK || w.Body.String() != "success" {
		n.t.Errorf("got %d %s, want 200 success", w.Code, w.Body)
	}
	if took := time.Since(began); took > 5*time.Second {
		n.t.Errorf("got the answer after %v, want it in 5s", took)
	}
}

func (n *pushNode) answer(m wechattest.PushMessage) *httptest.ResponseRecorder {
	n.t.Helper()
	console := wechattest.PushConsole{AppID: testAppID, URL: "http://api.example.com/auth/push/" + testAppID, Token: testPushToken, AESKey: testPushKey}
	r, err := n.fake.PushRequest(n.t.Context(), console, m)
	if err != nil {
		n.t.Fatal(err)
	}
	w := httptest.NewRecorder()
	if err := n.pushes.push(w, r); err != nil {
		failures{n.pushes.log, n.count}.write(w, err)
	}
	return w
}

// bubble runs a test with a store and a backend whose time is that of the bubble.
func bubble(t *testing.T, test func(*testing.T, *StoreHandle, *pushBackend)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		test(t, newTestStore(t, memstore.New(256<<20)), new(pushBackend))
	})
}

func TestABackendThatIsAwayGetsEachPushInOrder(t *testing.T) {
	bubble(t, func(t *testing.T, store *StoreHandle, backend *pushBackend) {
		n := newPushNode(t, store, backend)
		other := newPushNode(t, store, backend)
		alice, bob := n.fake.NewUser(testAppID), n.fake.NewUser(testAppID)
		backend.set(func(b *pushBackend) { b.fails = func(string) error { return errBackendAway } })
		for i := range 5 {
			n.push(n.fake.TextMessage(alice, fmt.Sprint("alice ", i)))
			other.push(n.fake.TextMessage(bob, fmt.Sprint("bob ", i)))
		}
		time.Sleep(time.Hour)
		attempts := 0
		backend.set(func(b *pushBackend) { attempts, b.fails = b.attempts, nil })
		if attempts > 60 {
			t.Errorf("got %d attempts in an hour, want growing pauses", attempts)
		}
		if n := len(backend.taken()); n != 0 {
			t.Errorf("got %d pushes from a backend that is away", n)
		}
		time.Sleep(maxPause + time.Minute)
		var ofAlice, ofBob []string
		for _, said := range backend.taken() {
			if strings.HasPrefix(said, "alice") {
				ofAlice = append(ofAlice, said)
			} else {
				ofBob = append(ofBob, said)
			}
		}
		for name, got := range map[string][]string{"alice": ofAlice, "bob": ofBob} {
			if want := fmt.Sprintf("[%[1]s 0 %[1]s 1 %[1]s 2 %[1]s 3 %[1]s 4]", name); fmt.Sprint(got) != want {
				t.Errorf("got %v, want %s", got, want)
			}
		}
		if lines := n.lines("forwarding of pushes"); len(lines) == 0 || len(lines) > 70 {
			t.Errorf("got %d lines of log, want some, and not one for each attempt", len(lines))
		}
	})
}

// One message that the backend can't digest must not hold back other users.
func TestAPushThatFailsHoldsBackItsUserAlone(t *testing.T) {
	bubble(t, func(t *testing.T, store *StoreHandle, backend *pushBackend) {
		n := newPushNode(t, store, backend)
		alice, bob := n.fake.NewUser(testAppID), n.fake.NewUser(testAppID)
		backend.fails = func(content string) error {
			if content == "poison" {
				return errBackendAway
			}
			return nil
		}
		for _, m := range []wechattest.PushMessage{
			n.fake.TextMessage(alice, "poison"), n.fake.TextMessage(alice, "behind it"), n.fake.TextMessage(bob, "hi"),
		} {
			n.push(m)
		}
		time.Sleep(time.Hour)
		if got := backend.taken(); !slices.Equal(got, []string{"hi"}) {
			t.Errorf("got %v, want bob's alone", got)
		}
		time.Sleep(25 * time.Hour)
		if got := backend.taken(); !slices.Equal(got, []string{"hi"}) && !slices.Equal(got, []string{"hi", "behind it"}) {
			t.Errorf("got %v after a day, want the poison given up", got)
		}
		if lines := n.lines("a push is given up"); len(lines) == 0 {
			t.Error("got no line about the push that was given up")
		}
		if all, err := store.store.Pushes(t.Context(), n.forward.targets[testAppID].queue); err != nil || len(all) != 0 {
			t.Errorf("got %d pushes %v, want an empty queue", len(all), err)
		}
	})
}

// What waited while no node ran, or meets a node whose clock is days ahead, is tried, more than once,
// before it is given up.
func TestAClockAheadGivesUpNothingEarly(t *testing.T) {
	bubble(t, func(t *testing.T, store *StoreHandle, backend *pushBackend) {
		n := newPushNode(t, store, backend)
		backend.fails = func(string) error { return errBackendAway }
		n.push(n.fake.TextMessage(n.fake.NewUser(testAppID), "hi"))
		n.forward.close()
		synctest.Wait()
		ahead := newPushNode(t, store, backend)
		ahead.forward.close()
		synctest.Wait()
		ahead.forward.now = func() time.Time { return time.Now().Add(48 * time.Hour) }
		ahead.forward.drain(t.Context())
		backend.set(func(b *pushBackend) { b.fails = nil })
		right := newPushNode(t, store, backend) // and nobody waits until the other's time has come
		right.forward.drain(t.Context())
		if got := backend.taken(); !slices.Equal(got, []string{"hi"}) {
			t.Errorf("got %v, want what waited", got)
		}
	})
}

func TestABackendThatHangsDelaysNoAnswer(t *testing.T) {
	bubble(t, func(t *testing.T, store *StoreHandle, backend *pushBackend) {
		n := newPushNode(t, store, backend)
		backend.hangs = time.Minute
		n.push(n.fake.TextMessage(n.fake.NewUser(testAppID), "hi"))
		time.Sleep(2 * time.Minute)
		if got := backend.taken(); len(got) == 0 {
			t.Error("got nothing, want it at least once")
		}
		n.forward.close()
		time.Sleep(2 * backend.hangs) // so that the last attempt ends
	})
}

// Many nodes receive WeChat's repeats at the same moment.
func TestRepeatsAtOnceReachTheBackendOnce(t *testing.T) {
	bubble(t, func(t *testing.T, store *StoreHandle, backend *pushBackend) {
		nodes := []*pushNode{newPushNode(t, store, backend), newPushNode(t, store, backend)}
		m := nodes[0].fake.TextMessage(nodes[0].fake.NewUser(testAppID), "hi")
		var wg sync.WaitGroup
		for i := range 20 {
			wg.Go(func() { nodes[i%2].push(m) })
		}
		wg.Wait()
		time.Sleep(time.Hour)
		nodes[1].push(m)
		if got := backend.taken(); len(got) != 1 {
			t.Errorf("got %v, want it once", got)
		}
	})
}

// Who writes without end to the customer service fills the room of one user.
func TestAUserWhoFloodsKeepsNobodyElseOut(t *testing.T) {
	bubble(t, func(t *testing.T, store *StoreHandle, backend *pushBackend) {
		n := newPushNode(t, store, backend)
		backend.fails = func(string) error { return errBackendAway }
		flooder, alice := n.fake.NewUser(testAppID), n.fake.NewUser(testAppID)
		full := 0
		for i := range forwardRoom.Line + 20 {
			if w := n.answer(n.fake.TextMessage(flooder, fmt.Sprint(i))); w.Code == http.StatusTooManyRequests {
				full++
			}
		}
		if full != 20 {
			t.Errorf("got %d refused, want 20", full)
		}
		n.push(n.fake.TextMessage(alice, "hi"))
		if w := n.answer(n.fake.AuthorizationEvent(flooder, wechat.EventRevoke, "8")); w.Code != http.StatusTooManyRequests {
			t.Errorf("got %d, want 429", w.Code)
		}
		account, err := store.store.Account(t.Context(), session.UserID{AppID: testAppID, OpenID: flooder.OpenID}.Tag())
		if err != nil || account.Withdrawals == 0 {
			t.Errorf("got %d withdrawals %v, want consent taken back whatever waits", account.Withdrawals, err)
		}
	})
}

// A site that is closed forwards no more, and leaves no goroutine: the bubble would not end.
func TestAClosedSiteLeavesItsQueue(t *testing.T) {
	bubble(t, func(t *testing.T, store *StoreHandle, backend *pushBackend) {
		n := newPushNode(t, store, backend)
		backend.fails = func(string) error { return errBackendAway }
		n.push(n.fake.TextMessage(n.fake.NewUser(testAppID), "hi"))
		n.forward.close()
		synctest.Wait()
		backend.set(func(b *pushBackend) { b.fails = nil })
		time.Sleep(time.Hour)
		if got := backend.taken(); len(got) != 0 {
			t.Errorf("got %v from a closed site", got)
		}
		n.forward.see(httptest.NewRequest(http.MethodGet, "/", nil), backend) // a late request
		newPushNode(t, store, backend)
		time.Sleep(maxPause)
		if got := backend.taken(); len(got) != 1 {
			t.Errorf("got %v from the site after it, want the push", got)
		}
	})
}

func TestWhatTheBackendGets(t *testing.T) {
	t.Parallel()
	s := newPushSite(t, func(cfg *Config, _ *Deps) {
		push := cfg.Push[testAppID]
		push.Forward = "/wechat/push"
		cfg.Push[testAppID] = push
	})
	backend := new(pushBackend)
	u := s.fake.NewUser(testAppID)
	r, err := s.fake.PushRequest(t.Context(), s.console, s.fake.AuthorizationEvent(u, wechat.EventRevoke, "8").With("OpenPID", " G7 "))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Wx-Openid", "forged")
	r.Header.Set("X-Wx-Phone", "13800138000")
	w := httptest.NewRecorder()
	if err := s.ServeHTTP(w, r, backend); err != nil || w.Body.String() != "success" {
		t.Fatalf("got %v %s, want success", err, w.Body)
	}
	if len(backend.requests) != 1 {
		t.Fatalf("got %d requests, want 1", len(backend.requests))
	}
	got := backend.requests[0]
	body, err := io.ReadAll(got.Body)
	if err != nil {
		t.Fatal(err)
	}
	if got.Method != "POST" || got.URL.String() != "/wechat/push" || got.Host != "api.example.com" || got.ContentLength != int64(len(body)) {
		t.Errorf("got %s %s at %s with %d bytes, want POST /wechat/push", got.Method, got.URL, got.Host, got.ContentLength)
	}
	for name, want := range map[string]string{
		"X-Wx-Source": "wx_push", "X-Wx-Appid": testAppID, "X-Wx-Openid": u.OpenID, "X-Wx-Phone": "",
		"Content-Type": "application/json; charset=utf-8", "Authorization": "",
	} {
		if value := got.Header.Get(name); value != want {
			t.Errorf("%s: got %q, want %q", name, value, want)
		}
	}
	var message map[string]any
	if err := json.Unmarshal(body, &message); err != nil || message["OpenPID"] != "G7" || message["RevokeInfo"] != "8" {
		t.Errorf("got %s %v, want the plain event", body, err)
	}
}

func TestForwardPathsThatCantBe(t *testing.T) {
	t.Parallel()
	for path, good := range map[string]bool{
		"/wechat/push": true, "/": true, "/authors": true, "wechat": false, "/auth": false, "/auth/x": false, "/a?b": false, "/a/../b": false,
		"//a": false, "/a#b": false, "/%61": false, "http://a/b": false, "/a*": false,
	} {
		if err := checkForward("/auth", path); (err == nil) != good {
			t.Errorf("%s: got %v, want good %t", path, err, good)
		}
	}
}
