// The access token: one fetch for all callers, renewals and refusals.

package wechat_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-wechat/wechatauth/wechat"
)

func tokenAnswer(value string, expiresIn any) answerFunc {
	return text(fmt.Sprintf(`{"access_token":%q,"expires_in":%v}`, value, expiresIn))
}

func mustPhone(t *testing.T, client *wechat.Client) {
	t.Helper()
	if _, err := client.PhoneNumber(t.Context(), testCode, testOpenID); err != nil {
		t.Fatalf("phone: got %v, want success", err)
	}
}

// Five hundred users tap at the moment the token is gone. WeChat must be asked for one token, not
// for five hundred.
// Threats: T79.
func TestAttackStampedeMakesOneTokenCall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		fake := newFake().on(tokenPath, func(*http.Request) (*http.Response, error) {
			time.Sleep(time.Second)
			return reply(200, goodToken), nil
		})
		client := newClient(t, fake, func(cfg *wechat.Config) { cfg.MaxInFlight = 500 })
		var calls sync.WaitGroup
		for range 500 {
			calls.Go(func() { mustPhone(t, client) })
		}
		calls.Wait()
		if got := fake.calls(tokenPath); got != 1 {
			t.Errorf("got %d token calls, want 1", got)
		}
		if got := fake.calls(phonePath); got != 500 {
			t.Errorf("got %d phone calls, want 500", got)
		}
	})
}

func TestOneCallerWhoGivesUpDoesNotFailTheOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		fake := newFake().on(tokenPath, func(r *http.Request) (*http.Response, error) {
			select {
			case <-time.After(2 * time.Second):
				return reply(200, goodToken), nil
			case <-r.Context().Done():
				return nil, r.Context().Err()
			}
		})
		client := newClient(t, fake)
		first, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var calls sync.WaitGroup
		calls.Go(func() {
			if _, err := client.PhoneNumber(first, testCode, testOpenID); wechat.ClassOf(err) != wechat.ClassUnavailable {
				t.Errorf("the first: got %v, want unavailable", err)
			}
		})
		synctest.Wait() // the first owns the wait for the token
		calls.Go(func() { mustPhone(t, client) })
		calls.Wait()
		if got := fake.calls(tokenPath); got != 1 {
			t.Errorf("got %d token calls, want 1", got)
		}
	})
}

func TestTokenIsRenewedBeforeItEnds(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name      string
		expiresIn any
		kept      time.Duration // until here nothing is asked
		early     time.Duration // here a new token is fetched behind the caller's back
	}{
		{"usual", 7200, 6899 * time.Second, 6900 * time.Second},
		{"string", `"7200"`, 6899 * time.Second, 6900 * time.Second},
		{"600", 600, 299 * time.Second, 300 * time.Second},
		{"300", 300, 149 * time.Second, 150 * time.Second},
		{"299", 299, 149 * time.Second, 150 * time.Second},
		{"1", 1, 400 * time.Millisecond, 600 * time.Millisecond},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				fake := newFake().on(tokenPath, tokenAnswer("T1", tt.expiresIn), func(*http.Request) (*http.Response, error) {
					time.Sleep(50 * time.Millisecond)
					return reply(200, `{"access_token":"T2","expires_in":7200}`), nil
				})
				client := newClient(t, fake)
				start := time.Now()
				mustPhone(t, client)

				time.Sleep(tt.kept - time.Since(start))
				for range 10 {
					mustPhone(t, client)
				}
				if got := fake.calls(tokenPath); got != 1 {
					t.Fatalf("while young: got %d token calls, want 1", got)
				}

				time.Sleep(tt.early - time.Since(start))
				for range 10 {
					mustPhone(t, client)
				}
				if took := time.Since(start); took != tt.early {
					t.Errorf("callers waited %v for the early renewal, want 0s", took-tt.early)
				}
				if got := fake.lastToken(); got != "T1" {
					t.Errorf("during the renewal: got token %s, want T1", got)
				}
				time.Sleep(100 * time.Millisecond)
				mustPhone(t, client)
				if got := fake.lastToken(); got != "T2" {
					t.Errorf("after the renewal: got token %s, want T2", got)
				}
				if got := fake.calls(tokenPath); got != 2 {
					t.Errorf("got %d token calls, want 2", got)
				}
			})
		})
	}
}

// lastToken returns the access token of the last phone call.
func (f *fakeWeChat) lastToken() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	last := ""
	for _, r := range f.seen {
		if r.URL.Path == phonePath {
			last = r.URL.Query().Get("access_token")
		}
	}
	return last
}

func TestAnExpiredTokenIsNotUsed(t *testing.T) {
	t.Parallel()
	for _, life := range []time.Duration{7200 * time.Second, 300 * time.Second, 10 * time.Second, time.Second} {
		synctest.Test(t, func(t *testing.T) {
			seconds := int(life / time.Second)
			fake := newFake().on(tokenPath, tokenAnswer("T1", seconds), tokenAnswer("T2", seconds))
			client := newClient(t, fake)
			mustPhone(t, client)
			time.Sleep(life - life/1000)
			mustPhone(t, client)
			if got := fake.lastToken(); got != "T2" {
				t.Errorf("life %v: got token %s, want T2", life, got)
			}
		})
	}
}

func TestAFailedEarlyRenewalKeepsTheTokenAndWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		fake := newFake().on(tokenPath, tokenAnswer("T1", 7200), errcode(45011, ""), errcode(45011, ""), tokenAnswer("T2", 7200))
		client := newClient(t, fake, func(cfg *wechat.Config) { cfg.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
		mustPhone(t, client)
		time.Sleep(6900 * time.Second)

		for i, want := range []int{2, 2, 3, 3, 4} { // every 6 seconds; attempts are 10 s apart at least
			mustPhone(t, client)
			if got := fake.lastToken(); got != "T1" {
				t.Errorf("call %d: got token %s, want T1", i, got)
			}
			synctest.Wait()
			if got := fake.calls(tokenPath); got != want {
				t.Errorf("call %d: got %d token calls, want %d", i, got, want)
			}
			time.Sleep(6 * time.Second)
		}
		mustPhone(t, client)
		if got := fake.lastToken(); got != "T2" {
			t.Errorf("got token %s, want T2", got)
		}
		if got := strings.Count(log.String(), "not renewed early"); got != 2 {
			t.Errorf("log: got %d lines, want 2", got)
		}
	})
}

func TestARefusedTokenIsRenewedOnce(t *testing.T) {
	t.Parallel()
	for _, code := range []int{40001, 40014, 42001} {
		stale := errcode(code, "access_token expired")

		// WeChat may hand back the token it just refused.
		for _, second := range []string{"T2", "T1"} {
			fake := newFake().on(tokenPath, tokenAnswer("T1", 7200), tokenAnswer(second, 7200)).on(phonePath, stale, text(goodPhone))
			mustPhone(t, newClient(t, fake))
			if got := fake.lastToken(); got != second {
				t.Errorf("%d once: got token %s, want %s", code, got, second)
			}
			if first, again := fake.bodies[1], fake.bodies[3]; first != again || !strings.Contains(first, testCode) {
				t.Errorf("%d once: the retry asked something else, want the same code", code)
			}
		}

		fake := newFake().on(phonePath, stale)
		_, err := newClient(t, fake).PhoneNumber(t.Context(), testCode, testOpenID)
		if e := asError(t, err); e.Class != wechat.ClassToken || e.Code != code {
			t.Errorf("%d always: got %v %d, want token %d", code, e.Class, e.Code, code)
		}
		if token, phone := fake.calls(tokenPath), fake.calls(phonePath); token != 2 || phone != 2 {
			t.Errorf("%d always: got %d token and %d phone calls, want 2 and 2", code, token, phone)
		}
		for _, body := range fake.bodies {
			if strings.Contains(body, "force_refresh") {
				t.Errorf("%d always: force_refresh was sent, want the normal mode", code)
			}
		}
	}
}

// A hundred calls are under way when WeChat stops taking their token. The first to fail fetches a
// new one; the others, failing later, must not throw that away, even when it reads the same.
func TestAttackOldFailuresDoNotDropTheFreshToken(t *testing.T) {
	t.Parallel()
	for _, second := range []string{"T2", "T1"} {
		synctest.Test(t, func(t *testing.T) {
			var mu sync.Mutex
			served := 0
			fake := newFake().on(tokenPath, tokenAnswer("T1", 7200), tokenAnswer(second, 7200))
			fake.on(phonePath, func(*http.Request) (*http.Response, error) {
				mu.Lock()
				served++
				n := served
				mu.Unlock()
				if n > 100 {
					return reply(200, goodPhone), nil
				}
				time.Sleep(time.Duration(n) * time.Second / 50)
				return reply(200, `{"errcode":42001}`), nil
			})
			client := newClient(t, fake)
			var calls sync.WaitGroup
			for range 100 {
				calls.Go(func() { mustPhone(t, client) })
			}
			calls.Wait()
			if got := fake.calls(tokenPath); got != 2 {
				t.Errorf("second token %s: got %d token calls, want 2", second, got)
			}
		})
	}
}

func TestTokenErrorsReachTheCaller(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		fake := newFake().on(tokenPath, func(*http.Request) (*http.Response, error) {
			time.Sleep(time.Second)
			return reply(200, `{"errcode":40125}`), nil
		}, text(goodToken))
		client := newClient(t, fake)
		seen := make(chan *wechat.Error, 10)
		var calls sync.WaitGroup
		for range 10 {
			calls.Go(func() {
				_, err := client.PhoneNumber(t.Context(), testCode, testOpenID)
				seen <- asError(t, err)
			})
		}
		calls.Wait()
		close(seen)
		different := map[*wechat.Error]bool{}
		for e := range seen {
			if e.Class != wechat.ClassConfig || e.Op != wechat.OpToken || e.Code != 40125 {
				t.Errorf("got %v, want stable_token config 40125", e)
			}
			different[e] = true
		}
		if len(different) != 10 {
			t.Errorf("got %d errors of their own, want 10", len(different))
		}
		mustPhone(t, client) // a failure is not remembered
	})
}

func TestTheClockIsTheConfigs(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	fake := newFake()
	client := newClient(t, fake, func(cfg *wechat.Config) {
		cfg.Now = func() time.Time {
			mu.Lock()
			defer mu.Unlock()
			return now
		}
	})
	mustPhone(t, client)
	mu.Lock()
	now = now.Add(2 * time.Hour)
	mu.Unlock()
	mustPhone(t, client)
	if got := fake.calls(tokenPath); got != 2 {
		t.Errorf("got %d token calls, want 2", got)
	}
}

// A fault in the fetch of the token reaches those who wait for it, whose callers can recover it; in
// the fetch's own goroutine it would end the process. The text does not quote what the program
// worked on.
func TestAPanicInTheFetchIsTheCallers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		broken := true
		fake := newFake().on(tokenPath, func(*http.Request) (*http.Response, error) {
			if broken {
				panic("s3cret")
			}
			return reply(200, goodToken), nil
		})
		client := newClient(t, fake)
		for range 3 {
			func() {
				defer func() {
					p := fmt.Sprint(recover())
					if !strings.Contains(p, "token_test.go") || strings.Contains(p, "s3cret") {
						t.Errorf("got %s, want the stack of the fetch without the value", p)
					}
				}()
				_, _ = client.PhoneNumber(t.Context(), testCode, testOpenID)
			}()
		}
		broken = false
		mustPhone(t, client)
	})
}
