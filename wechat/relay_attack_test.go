// Calls that others make, against a WeChat and a backend that misbehave.

package wechat_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/wechat"
	"github.com/caddy-wechat/wechatauth/wechat/wechattest"
)

// tokensAnd serves access tokens, all different, and leaves the rest to a handler.
func tokensAnd(t *testing.T, fetched *atomic.Int64, rest http.HandlerFunc) string {
	t.Helper()
	return serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == tokenPath {
			fmt.Fprintf(w, `{"access_token":"token-%d","expires_in":7200}`, fetched.Add(1))
			return
		}
		rest(w, r)
	})
}

// breaksOff reads a call and closes the connection without a word.
func breaksOff(_ http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	panic(http.ErrAbortHandler)
}

// The connection breaks after WeChat read a payment. A second host must not be asked to pay again.
func TestAttackBrokenConnectionPaysTwice(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		method string
		down   bool // the first host can't be reached at all
		second int64
	}{
		"POST":                 {"POST", false, 0},
		"PUT":                  {"PUT", false, 0},
		"GET":                  {"GET", false, 1},
		"POST to no one there": {"POST", true, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var tokens, calls atomic.Int64
			first := tokensAnd(t, &tokens, breaksOff)
			second := tokensAnd(t, &tokens, func(w http.ResponseWriter, _ *http.Request) {
				calls.Add(1)
				fmt.Fprint(w, `{"errcode":0}`)
			})
			if tt.down {
				first = "http://127.0.0.1:1"
			}
			client := newClient(t, nil, func(cfg *wechat.Config) { cfg.BaseURLs = []string{first, second} })
			answer, err := client.Relay(t.Context(), wechat.RelayedCall{
				Op: "pay", Method: tt.method, Path: "/xpay/currency_pay", Body: strings.NewReader(`{"amount":1}`), Length: 12,
			})
			if err == nil {
				answer.Body.Close()
			}
			if got := calls.Load(); got != tt.second || (err == nil) != (tt.second > 0) {
				t.Errorf("the second host: got %d calls, error %v, want %d calls", got, err, tt.second)
			}
		})
	}
}

// WeChat refuses whatever token comes, to many at once and to one after the other.
func TestAttackRefusedTokensCauseNoStampede(t *testing.T) {
	t.Parallel()
	const many = 50
	var tokens, calls atomic.Int64
	api := tokensAnd(t, &tokens, func(w http.ResponseWriter, _ *http.Request) {
		calls.Add(1)
		fmt.Fprint(w, `{"errcode":40001,"errmsg":"invalid credential"}`)
	})
	client := newClient(t, nil, func(cfg *wechat.Config) { cfg.BaseURLs, cfg.MaxInFlight = []string{api}, 2*many })
	ask := func() {
		if _, body := relay(t, client, contentCheck(testOpenID, "x")); !strings.Contains(body, "40001") {
			t.Errorf("got %s, want WeChat's refusal", body)
		}
	}
	var all sync.WaitGroup
	for range many {
		all.Go(ask)
	}
	all.Wait()
	if got := calls.Load(); got != 2*many {
		t.Errorf("at once: got %d calls, want two each", got)
	}
	if got := tokens.Load(); got > many/2 {
		t.Errorf("at once: got %d tokens fetched, want a few", got)
	}
	tokens.Store(0)
	for range many {
		ask()
	}
	if got := tokens.Load(); got > many {
		t.Errorf("one after the other: got %d tokens fetched, want one each", got)
	}
}

// Backends fetch pictures for people on slow networks, and WeChat does not answer what it is asked
// about risks. Users log in meanwhile.
func TestAttackCallsOfOthersKeepLoginsOut(t *testing.T) {
	t.Parallel()
	const places = 4
	var tokens atomic.Int64
	fake := wechattest.New(wechattest.App{ID: testAppID, Secret: testSecret})
	asked := make(chan struct{})
	api := tokensAnd(t, &tokens, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != wechattest.RiskRank {
			fake.ServeHTTP(w, r)
			return
		}
		_, _ = io.Copy(io.Discard, r.Body)
		select {
		case asked <- struct{}{}:
			<-r.Context().Done()
		case <-r.Context().Done():
		}
	})
	for name, hold := range map[string]func(context.Context, *wechat.Client) error{
		"a slow reader": func(ctx context.Context, client *wechat.Client) error {
			_, err := client.Relay(ctx, wechat.RelayedCall{Op: "x", Method: "GET", Path: "/wxa/x"})
			return err
		},
		"no risk rank": func(ctx context.Context, client *wechat.Client) error {
			refused := make(chan error, 1)
			go func() {
				_, err := client.UserRisk(ctx, testOpenID, "192.0.2.1", wechat.RiskRegister)
				refused <- err
			}()
			select {
			case <-asked:
				return nil
			case err := <-refused:
				return err
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := newClient(t, nil, func(cfg *wechat.Config) { cfg.BaseURLs, cfg.MaxInFlight = []string{api}, places })
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			for range places {
				if hold(ctx, client) != nil {
					break
				}
			}
			if _, err := client.Code2Session(t.Context(), fake.LoginCode(fake.NewUser(testAppID))); err != nil {
				t.Errorf("a login: got %v, want success", err)
			}
		})
	}
}

// A backend's own reader hangs for ever, and with it whoever should close the answer.
func TestAttackStalledReaderKeepsItsPlace(t *testing.T) {
	t.Parallel()
	fake := wechattest.New(wechattest.App{ID: testAppID, Secret: testSecret})
	client := newClient(t, nil, func(cfg *wechat.Config) { cfg.BaseURLs, cfg.MaxInFlight = []string{fake.Start(t)}, 1 })
	alice := fake.NewUser(testAppID)
	ctx, end := context.WithCancel(t.Context()) // as its minute does
	answer, err := client.Relay(ctx, contentCheck(alice.OpenID, "one"))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	end()
	within := time.Now().Add(10 * time.Second)
	for {
		_, err := client.Code2Session(t.Context(), fake.LoginCode(alice))
		if err == nil {
			return
		}
		if time.Now().After(within) {
			t.Fatalf("a login after its time: got %v, want success", err)
		}
		time.Sleep(time.Millisecond)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// What the backend does is not told as an outage of WeChat.
func TestRelayTellsTheBackendsFaultsFromWeChats(t *testing.T) {
	t.Parallel()
	var tokens atomic.Int64
	began := make(chan struct{})
	api := tokensAnd(t, &tokens, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if r.URL.Path == wechattest.CheckContent {
			close(began)
		}
		<-r.Context().Done()
	})
	var classes sync.Map
	client := newClient(t, nil, func(cfg *wechat.Config) {
		cfg.BaseURLs = []string{api, "http://127.0.0.1:1"}
		cfg.Observe = func(_ context.Context, op string, class wechat.Class, _ time.Duration) { classes.Store(op, class) }
	})

	broken := errors.New("broken off")
	const whole = 3 << 20
	body := io.MultiReader(io.LimitReader(zeros{}, 2<<20), failing{broken})
	_, err := client.Relay(t.Context(), wechat.RelayedCall{Op: "upload", Method: "POST", Path: "/cgi-bin/media/upload", Body: body, Length: whole})
	if _, observed := classes.Load("upload"); !errors.Is(err, broken) || observed {
		t.Errorf("a body that breaks off: got %v, observed %t, want the reader's own error, and no call counted", err, observed)
	}

	ctx, leave := context.WithCancel(t.Context())
	go func() {
		<-began
		leave()
	}()
	_, err = client.Relay(ctx, contentCheck(testOpenID, "x"))
	if !errors.Is(err, context.Canceled) {
		t.Errorf("a backend that left: got %v, want canceled", err)
	}
}

// An encoding that nobody asked for would reach the backend without its name.
func TestRelayRefusesAnUnknownEncoding(t *testing.T) {
	t.Parallel()
	var tokens atomic.Int64
	api := tokensAnd(t, &tokens, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "br")
		fmt.Fprint(w, "\x8b\x00\x80{}\x03")
	})
	_, err := newClient(t, nil, func(cfg *wechat.Config) { cfg.BaseURLs = []string{api} }).Relay(t.Context(), contentCheck(testOpenID, "x"))
	if wechat.ClassOf(err) != wechat.ClassBadAnswer {
		t.Errorf("got %v, want a bad answer", err)
	}
}

// WeChat's answer is the same, signed or not: its errmsg, too.
func TestRelayPassesASignedRefusalOn(t *testing.T) {
	t.Parallel()
	fake := newSecured(t)
	fake.LoginCode(fake.user)
	bad := contentCheck(fake.user.OpenID, "")
	_, signed := relay(t, fake.client(t, fake.signing(t)), bad)
	if !strings.Contains(signed, `"errcode":47001`) || !strings.Contains(signed, `"errmsg":"data format error`) {
		t.Errorf("got %s, want WeChat's own text", signed)
	}
}

func TestUserRiskSendsAnAddressOrNothing(t *testing.T) {
	t.Parallel()
	var tokens atomic.Int64
	var sent atomic.Value
	api := tokensAnd(t, &tokens, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		sent.Store(string(body))
		fmt.Fprint(w, `{"errcode":0,"risk_rank":0}`)
	})
	client := newClient(t, nil, func(cfg *wechat.Config) { cfg.BaseURLs = []string{api} })
	for given, want := range map[string]string{
		"192.0.2.7": "192.0.2.7", "2001:db8::1": "2001:db8::1", "fe80::1%eth0": "fe80::1", "::ffff:192.0.2.7": "192.0.2.7",
		"": "", "@": "", "192.0.2.7:443": "", "unknown": "",
	} {
		sent.Store("")
		_, err := client.UserRisk(t.Context(), testOpenID, given, wechat.RiskRegister)
		body, _ := sent.Load().(string)
		switch {
		case want == "" && (wechat.ClassOf(err) != wechat.ClassConfig || body != ""):
			t.Errorf("%q: got error %v, sent %s, want nothing sent", given, err, body)
		case want != "" && (err != nil || !strings.Contains(body, `"client_ip":"`+want+`"`)):
			t.Errorf("%q: got error %v, sent %s, want %s", given, err, body, want)
		}
	}
}
