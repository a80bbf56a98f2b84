// Large pushes from whoever has proven nothing.

package sidecar

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddy-wechat/wechatauth/wechat/wechattest"
)

// Somebody sends the half of large bodies on as many connections as can be, and stalls. What they
// hold in memory is bounded, and WeChat's pushes come through meanwhile.
func TestAttackLargePushesThatStall(t *testing.T) { //nolint:paralleltest // it takes all places of the process
	s := newPushSite(t)
	target := strings.TrimPrefix(s.console.URL, "https://api.example.com")
	stall := make([]*io.PipeWriter, 0, cap(largePushes))
	ended := make(chan int, cap(largePushes))
	for range cap(largePushes) {
		body, write := io.Pipe()
		stall = append(stall, write)
		go func() {
			w := httptest.NewRecorder()
			s.serve(w, httptest.NewRequest(http.MethodPost, target, body))
			ended <- w.Code
		}()
		if _, err := io.WriteString(write, strings.Repeat("x", maxBody+1)); err != nil { // returns when it is read
			t.Fatal(err)
		}
	}
	u := s.fake.NewUser(testAppID)
	s.wantSuccess("a push of the usual size", s.push(s.fake.TextMessage(u, "hi")))
	large := s.fake.TextMessage(u, strings.Repeat("x", maxBody))
	if w := s.push(large); w.Code != http.StatusTooManyRequests {
		t.Errorf("one more large push: got %d %s, want 429", w.Code, w.Body)
	}
	for _, write := range stall {
		_ = write.CloseWithError(io.ErrUnexpectedEOF)
	}
	for range stall {
		if got := <-ended; got != http.StatusBadRequest {
			t.Errorf("a body that broke off: got %d, want 400", got)
		}
	}
	s.wantSuccess("a large push afterwards", s.push(large))
	s.console.Mode = wechattest.CompatiblePush
	s.wantSuccess("and one in the compatible mode", s.push(s.fake.TextMessage(u, strings.Repeat("y", maxBody))))
}
