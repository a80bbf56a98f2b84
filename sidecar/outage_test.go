// The log of an outage.

package sidecar

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/caddy-wechat/wechatauth/session"
)

// hung is an error as stores make them: its text names the operation, its reason does not.
type hung struct{ op string }

func (e hung) Error() string { return "session: " + e.op + ": no answer" }
func (hung) Reason() string  { return "no answer" }

// While a store hangs, everybody waits for it: that is one outage, whatever they wanted.
func TestAnOutageIsOneLine(t *testing.T) {
	t.Parallel()
	var text bytes.Buffer
	now := time.Now()
	o := outage{what: "it", log: slog.New(slog.NewTextHandler(&text, nil)), now: func() time.Time { return now }}
	lines := func() int { return strings.Count(text.String(), "\n") }
	fail := func() {
		for _, op := range []string{"follow", "end", "refresh", "account"} {
			o.failed("follow", hung{op})
			o.failed("use", fmt.Errorf("%w: %w", session.ErrUnavailable, hung{op}))
			o.failed("use", errors.New("another reason"))
		}
	}
	for range 100 {
		fail()
	}
	if got := lines(); got != 2 {
		t.Errorf("got %d lines, want one for each of two reasons:\n%s", got, text.String())
	}
	now = now.Add(time.Minute)
	fail()
	if got := lines(); got != 4 {
		t.Errorf("a minute later: got %d lines, want two more", got)
	}
	o.works("follow")
	fail()
	if got := lines(); got != 7 {
		t.Errorf("the next outage: got %d lines, want one for the end and two more", got)
	}
	for n := range 1000 {
		o.failed("use", fmt.Errorf("reason %d", n))
	}
	if got := lines(); got > 7+maxReasons+1 {
		t.Errorf("a store without reasons: got %d lines, want %d at most", got, 7+maxReasons+1)
	}
}
