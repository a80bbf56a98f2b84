// What an operator's metrics get from the calls.

package wechat_test

import (
	"context"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-wechat/wechatauth/wechat"
)

func TestObserveGetsEachCallOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		type call struct {
			op    string
			class string
		}
		var got []call
		fake := newFake().on(loginPath, func(*http.Request) (*http.Response, error) {
			time.Sleep(time.Second)
			return reply(200, `{"errcode":-1}`), nil
		})
		client := newClient(t, fake, func(cfg *wechat.Config) {
			cfg.Observe = func(_ context.Context, op string, class wechat.Class, took time.Duration) {
				if op == wechat.OpCode2Session && took != time.Second {
					t.Errorf("%s took %s, want 1s", op, took)
				}
				got = append(got, call{op, class.String()})
			}
		})
		if _, ok := client.TokenAge(); ok {
			t.Error("got the age of a token that nobody fetched")
		}
		_, _ = client.Code2Session(t.Context(), testCode)
		if _, err := client.PhoneNumber(t.Context(), testCode, testOpenID); err != nil {
			t.Fatal(err)
		}
		want := []call{{"jscode2session", "busy"}, {"jscode2session", "busy"}, {"stable_token", "ok"}, {"getuserphonenumber", "ok"}}
		if !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
		time.Sleep(time.Hour)
		if age, ok := client.TokenAge(); !ok || age != time.Hour {
			t.Errorf("got %s and %v, want 1h", age, ok)
		}
		time.Sleep(2 * time.Hour)
		if age, ok := client.TokenAge(); ok {
			t.Errorf("got %s of a token that is over", age)
		}
	})
}

func TestClassesHaveNames(t *testing.T) {
	t.Parallel()
	for c := range wechat.ClassBadAnswer + 1 {
		if c.String() == "" || c.String() == "unknown" {
			t.Errorf("class %d: got %q", int(c), c.String())
		}
	}
	if got := wechat.Class(99).String(); got != "unknown" {
		t.Errorf("got %q", got)
	}
}
