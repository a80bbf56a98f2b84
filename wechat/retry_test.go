// Retries, the second host, and calls given up.

package wechat_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-wechat/wechatauth/wechat"
)

// Threats: T71, C50.
func TestBusyIsTriedTwice(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, path, good string
	}{
		{"login", loginPath, goodSession},
		{"phone", phonePath, goodPhone},
		{"token", tokenPath, goodToken},
		{"session_key", checkPath, goodCheck},
		{"cloudID", cloudPath, ""},
		{"nickname", nickPath, goodNick},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				busy := errcode(-1, "system error")

				fake := newFake().on(tt.path, busy)
				start := time.Now()
				err := callEither(t, newClient(t, fake), tt.path)
				if got := asError(t, err).Class; got != wechat.ClassBusy {
					t.Errorf("always busy: got %v, want busy", got)
				}
				if got := fake.calls(tt.path); got != 2 {
					t.Errorf("always busy: got %d calls, want 2", got)
				}
				if took := time.Since(start); took < 100*time.Millisecond || took > 300*time.Millisecond {
					t.Errorf("always busy: paused %v, want 100 to 300 ms", took)
				}

				good := tt.good
				if good == "" {
					good = goodCloud()
				}
				fake = newFake().on(tt.path, busy, text(good))
				if err := callEither(t, newClient(t, fake), tt.path); err != nil {
					t.Errorf("busy once: got %v, want success", err)
				}
			})
		})
	}
}

func TestTheNextHostIsAskedOnlyWhenNothingWasAnswered(t *testing.T) {
	t.Parallel()
	dial := func(err error) error { return &net.OpError{Op: "dial", Net: "tcp", Err: err} }
	tests := []struct {
		name  string
		first answerFunc
		hosts int
		class wechat.Class // of the error; 0 for success
	}{
		{"dial refused", failure(dial(syscall.ECONNREFUSED)), 2, 0},
		{"dial timeout", failure(dial(timeoutError{})), 2, 0},
		{"DNS", failure(dial(&net.DNSError{IsNotFound: true})), 2, 0},
		{"DNS timeout", failure(&net.DNSError{IsTimeout: true}), 2, 0},
		{"proxy", failure(&net.OpError{Op: "proxyconnect", Err: errors.New("Forbidden")}), 2, 0},
		{"reset", failure(&net.OpError{Op: "read", Err: syscall.ECONNRESET}), 2, 0},
		{"closed", failure(io.EOF), 2, 0},
		{"timeout while waiting", failure(timeoutError{}), 1, wechat.ClassUnavailable},
		{"silence", silence, 1, wechat.ClassUnavailable},
		{"errcode", errcode(40029, ""), 1, wechat.ClassCode},
		{"garbage", text("garbage"), 1, wechat.ClassBadAnswer},
		{"HTTP 500", func(*http.Request) (*http.Response, error) { return reply(500, ""), nil }, 1, wechat.ClassBadAnswer},
		{"redirect", func(*http.Request) (*http.Response, error) { return reply(302, goodSession), nil }, 1, wechat.ClassBadAnswer},
		{"another protocol", func(*http.Request) (*http.Response, error) { return reply(101, goodSession), nil }, 1, wechat.ClassBadAnswer},
		{"cut off", brokenBody, 1, wechat.ClassBadAnswer},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				fake := newFake().on(loginPath, tt.first, text(goodSession))
				_, err := newClient(t, fake).Code2Session(t.Context(), testCode)
				if got := wechat.ClassOf(err); got != tt.class {
					t.Errorf("got %v, want %v", got, tt.class)
				}
				want := []string{"api.weixin.qq.com", "api2.weixin.qq.com"}[:tt.hosts]
				if got := fake.hosts(); !slices.Equal(got, want) {
					t.Errorf("hosts: got %v, want %v", got, want)
				}
			})
		})
	}
}

// timeoutError is a timeout of the transport's own.
type timeoutError struct{}

func (timeoutError) Error() string   { return "timeout at https://h/?secret=" + testSecret }
func (timeoutError) Timeout() bool   { return true }
func (timeoutError) Temporary() bool { return true }

func brokenBody(*http.Request) (*http.Response, error) {
	broken := io.MultiReader(strings.NewReader(goodSession[:20]), errorReader{})
	return &http.Response{StatusCode: 200, Body: io.NopCloser(broken)}, nil
}

type errorReader struct{}

func (errorReader) Read([]byte) (int, error) { return 0, errors.New(testSecret + " broke") }

func TestAllHostsAwayIsUnavailable(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	refused := failure(&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED})
	fake := newFake().on(loginPath, refused).on("/a"+loginPath, refused)
	client := newClient(t, fake, func(cfg *wechat.Config) {
		cfg.BaseURLs = []string{"http://one.example/a/", "https://two.example:8443", "https://three.example"}
		cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
	})
	_, err := client.Code2Session(t.Context(), testCode)
	e := asError(t, err)
	if e.Class != wechat.ClassUnavailable || e.Reason != "connection refused (three.example:443)" {
		t.Errorf("got %v %q, want unavailable, the last host's reason", e.Class, e.Reason)
	}
	want := []string{"one.example", "two.example:8443", "three.example"}
	if got := fake.hosts(); !slices.Equal(got, want) {
		t.Errorf("hosts: got %v, want %v", got, want)
	}
	if got := fake.seen[0].URL.Path; got != "/a"+loginPath {
		t.Errorf("path: got %q, want the base's own in front", got)
	}
	if got := strings.Count(log.String(), "trying the next"); got != 2 {
		t.Errorf("log: got %d lines, want 2", got)
	}
}

func TestEachHostHasItsOwnTimeout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		_, err := newClient(t, newFake().on(loginPath, silence)).Code2Session(t.Context(), testCode)
		e := asError(t, err)
		if e.Class != wechat.ClassUnavailable || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, %v, want unavailable, deadline exceeded", e.Class, err)
		}
		if took := time.Since(start); took != 5*time.Second {
			t.Errorf("took %v, want 5s", took)
		}
	})
}

func TestACallerWhoGivesUpStopsEverything(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, path string
		answer     answerFunc
		after      time.Duration
	}{
		{"while waiting for the login", loginPath, silence, time.Second},
		{"while waiting for the phone", phonePath, silence, time.Second},
		{"while waiting for the token", tokenPath, silence, time.Second},
		{"while waiting for the session_key", checkPath, silence, time.Second},
		{"while waiting for the cloudID", cloudPath, silence, time.Second},
		{"while waiting for the nickname", nickPath, silence, time.Second},
		{"during the pause", loginPath, errcode(-1, ""), 50 * time.Millisecond},
		{"before the call", loginPath, text(goodSession), 0},
	}
	for _, tt := range tests {
		for _, cause := range []error{context.Canceled, context.DeadlineExceeded} {
			t.Run(tt.name+"/"+cause.Error(), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					ctx, cancel := context.WithCancel(t.Context())
					if cause == context.DeadlineExceeded {
						ctx, cancel = context.WithTimeout(t.Context(), tt.after)
					} else if tt.after == 0 {
						cancel()
					} else {
						time.AfterFunc(tt.after, cancel)
					}
					defer cancel()

					fake := newFake().on(tt.path, tt.answer)
					client := newClient(t, fake)
					start := time.Now()
					err := callWith(ctx, t, client, tt.path)
					if e := asError(t, err); e.Class != wechat.ClassUnavailable || !errors.Is(err, cause) {
						t.Errorf("got %v (%v), want unavailable, %v", e.Class, err, cause)
					}
					if took := time.Since(start); took != tt.after {
						t.Errorf("took %v, want %v", took, tt.after)
					}
					want := 1
					if tt.after == 0 {
						want = 0
					}
					if got := fake.calls(tt.path); got != want {
						t.Errorf("got %d calls, want %d", got, want)
					}
				})
			})
		}
	}
}

func TestTooManyCallsFailAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client := newClient(t, newFake().on(loginPath, silence), func(cfg *wechat.Config) { cfg.MaxInFlight = 2 })
		for range 2 {
			go func() { _, _ = client.Code2Session(t.Context(), testCode) }()
		}
		synctest.Wait()

		start := time.Now()
		for _, path := range []string{phonePath, checkPath, cloudPath, nickPath} {
			err := callEither(t, client, path)
			if e := asError(t, err); e.Class != wechat.ClassUnavailable || e.Reason != "too many calls in flight" {
				t.Errorf("%s: got %v %q, want unavailable, too many calls in flight", path, e.Class, e.Reason)
			}
		}
		if took := time.Since(start); took != 0 {
			t.Errorf("took %v, want 0s", took)
		}

		time.Sleep(6 * time.Second)
		if _, err := client.PhoneNumber(t.Context(), testCode, testOpenID); err != nil {
			t.Errorf("after the others ended: got %v, want success", err)
		}
	})
}

func TestWaitersForTheTokenDoNotStarveIt(t *testing.T) {
	t.Parallel()
	client := newClient(t, newFake(), func(cfg *wechat.Config) { cfg.MaxInFlight = 1 })
	if _, err := client.PhoneNumber(t.Context(), testCode, testOpenID); err != nil {
		t.Errorf("got %v, want success: the token call takes no place of its own", err)
	}
}
